"""32-bit ring 3 code on the host's own processor, in a child that can do no harm.

`host.HostCpu` runs thousands of cases a second: a few bytes of code from a given state, and the
state afterwards or the exception. For `vp virtualizability`, and as the truth behind the tests.
"""
