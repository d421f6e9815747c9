"""What is on the screen: the VGA's registers and memory as a picture, and as text.

Functions of what stands in the adapter, which looks at nobody and is told nothing (picture.py), and
the screen of a machine over them (screen.py).
"""
