"""The display adapter: an IBM VGA with the Bochs VBE extensions, a file for each of its parts.

Read vga.py first, then planes.py; how a picture comes of it is in monitor/screen.
"""
