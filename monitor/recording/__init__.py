"""What the screen shows, recorded in the guest's time: a moving picture, or pictures by the dozen.

    recorder.py    when a picture is taken
    kinds.py       which file is which kind
    gif.py, film.py, pictures.py    how each is written
"""
