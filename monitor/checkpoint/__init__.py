"""Checkpoints: a whole machine in one file, and back.

Read in this order: format.py (what lies in the file), ram.py (pages), state.py (everything else, by
names), save.py and restore.py (the two ways), snapshot.py (what `Machine.snapshot()` gives), and
history.py, rewind.py (going back in time).
"""
