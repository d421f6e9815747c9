"""Assembly text to bytes: keystone, opened so that its numbers are decimal.

keystone 0.9.2 never initialises the radix of an engine it opens. Mostly the memory holds something
else, and "10" is ten; if it happens to hold 16, as freed memory may, then "10" is sixteen and 12345
does not fit sixteen bits any more, for this engine, as long as it lives. Its option to choose the
syntax sets 16 and nothing sets 10 again. So an engine is asked what ten is before it is used, and
one that is wrong is kept aside until there is a right one: otherwise the next would be put in the
same memory.

>>> assemble("mov eax, 10; ret").hex()
'b80a000000c3'
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keystone

#: MOV AL, 10: the same two bytes in 16, 32 and 64-bit code.
_TEN = b"\xb0\x0a"

#: So many wrong ones in a row are no accident any more.
_MOST_OPENED = 10_000


def open_assembler(bits: int = 32) -> keystone.Ks:
    """An engine for 16, 32 or 64-bit code in Intel's syntax, numbers without a prefix decimal.

    keystone is imported here: it takes a while, and few runs assemble anything.
    """
    import keystone

    mode = {16: keystone.KS_MODE_16, 32: keystone.KS_MODE_32, 64: keystone.KS_MODE_64}[bits]
    aside: list[keystone.Ks] = []
    while len(aside) < _MOST_OPENED:
        engine = keystone.Ks(keystone.KS_ARCH_X86, mode)
        if engine.asm("mov al, 10", as_bytes=True)[0] == _TEN:
            return engine
        aside.append(engine)
    raise AssertionError("keystone reads 10 as something else than ten")


def assemble(source: str, at: int = 0, bits: int = 32) -> bytes:
    """The bytes of statements in Intel's syntax, for the linear address `at`.

    Statements stand on lines of their own or between semicolons; labels end with a colon, comments
    begin with #, numbers without a prefix are decimal. `bits` is the width of the code, 16, 32 or
    64. Raises keystone.KsError for what it cannot assemble.
    """
    code, _ = open_assembler(bits).asm(source, at, as_bytes=True)
    return bytes(code or b"")
