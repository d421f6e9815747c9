"""What `make docs` needs besides Sphinx: docstrings for it, and the reference of the command."""
