"""The guest in a browser: `vp web`'s page, and the live screen in a notebook.

    pictures.py   the screen, taken by the machine's own thread while somebody watches
    frames.py     what has changed since one viewer was sent something, as a message
    hands.py      what people do with keys and mouse there, checked
    server.py     the page over HTTP, on a thread of its own; visitor.py is one browser
    widget.py     the same screen as a Jupyter widget
    page/         what runs in the browser; screen.js is of both

Nobody at a browser can make the machine wait: pictures that nobody took yet are replaced by newer
ones, and input is queued up to a limit.
"""
