"""Loads of the macro rows: parts of a shell script (macro.py)."""
