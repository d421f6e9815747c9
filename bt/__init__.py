"""Binary translation of IA-32: instruction table, scanner, translator, and the interpreter.

    table.py        every instruction once: shape, body, sensitivity class
    translate.py    guest code to blocks in the translation cache (cache.py, stubs.py)
    user_pages.py   which pages of user code may run as they are
    scanner.py      what is sensitive in a binary (lengths.py)
    engine.py       the door to the interpreter, `interp/`, in its compiled or uncompiled build

The interpreter is both the ideal processor (a whole IA-32 processor with the guest's privilege) and
the engine (ring 3 only, for a monitor). This package knows nothing of machines, devices or the
monitor. The reading order, file by file, is in docs/architecture.md.
"""
