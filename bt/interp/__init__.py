"""The interpreter: a Pentium Pro class processor (reading order in docs/architecture.md).

Import it through `bt.engine`, which picks the compiled or the uncompiled build. Nothing is
imported here, so that the build can read these files while an old build is broken.
"""
