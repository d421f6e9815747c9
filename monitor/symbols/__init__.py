"""Names of guest addresses: Linux' own symbol table, read from guest memory; gdb's symbol files."""
