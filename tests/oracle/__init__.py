"""The host CPU as oracle: ground truth for the interpreter's instruction tests.

Reading order: layout.py (where everything lives), driver.py (the 32-bit loop that runs the cases),
child.py (the process it runs in), host.py (the Python side), then forms*.py (what is worth
running), undefined.py (what may differ) and gdt.py (the host's descriptors).
"""
