"""Random worlds of ring 0, run by the interpreter and by Bochs, and compared."""
