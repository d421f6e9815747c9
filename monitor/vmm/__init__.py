"""The core of the monitor: processors, shadow structures, and the loop around guest code.

It knows nobody above it: no command, no loader, no host. The way in is processor.py (what the loop
asks of a processor), loop.py, then bare.py, virtual.py (the ways to run, exits), shadow.py,
translating.py, code_pages.py and witness.py.
"""
