"""Crossings of Debian's Linux: system calls, faults, processes; bare, translated, and in QEMU.

Read in this order: operations.py (what is measured, and its limits), program.py (the guest),
machine.py (ours as a guest that takes commands), race.py (the measuring), tables.py.
"""
