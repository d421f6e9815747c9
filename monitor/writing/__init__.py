"""How results are written: tables in which nothing is cut, files whole or not at all, progress."""
