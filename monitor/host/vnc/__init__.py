"""A VNC server for the machine's screen, keyboard and mouse: RFC 6143, "The Remote Framebuffer
Protocol".

    server.py      who listens, in a thread of its own
    client.py      one connection: its conversation, as far as it has got
    greeting.py    how a conversation begins: versions, passwords
    updates.py     what of the screen a client has, and what it is sent
    messages.py    bytes: numbers and names of the protocol
    pixels.py      a picture in the pixels that a client asks for
    encodings.py   rectangles of these, as they are or compressed
    keysyms.py     a client's keys as a PC's
"""
