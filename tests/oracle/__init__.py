"""The host CPU as oracle: ground truth for the interpreter's instruction tests.

What runs the cases is bt/hostcpu: layout.py (where everything lives), driver.py (the 32-bit loop
that runs the cases), child.py (the process it runs in), host.py (the Python side) and gdt.py (the
host's descriptors). Here is what to run on it: forms*.py (what is worth running) and undefined.py
(what may differ).
"""
