"""The guest's screen in a window, by a toolkit that others keep: pygame-ce, over SDL.

    window.py      what is shown, and what is done with keys and mouse
    toolkit.py     the toolkit: a window, its events, drawing
    hid_keys.py    keys by their places
"""
