"""bt/assembler.py: what is assembled does not depend on what the memory held before."""

from __future__ import annotations

import ctypes

import keystone
import pytest

from bt.assembler import assemble, open_assembler

SIXTEEN = (16).to_bytes(4, "little")


def poison_the_heap() -> None:
    """Free blocks of every small size, full of the number that keystone takes for a radix."""
    libc = ctypes.CDLL(None)
    libc.malloc.restype = ctypes.c_void_p
    libc.malloc.argtypes = [ctypes.c_size_t]
    libc.free.argtypes = [ctypes.c_void_p]
    blocks = []
    for size in range(32, 1100, 16):
        for _ in range(40):
            block = libc.malloc(size)
            ctypes.memmove(block, SIXTEEN * (size // 4), size)
            blocks.append(block)
    for block in blocks:
        libc.free(block)


@pytest.mark.parametrize("bits", [16, 32, 64])
def test_ten_is_ten_whatever_the_heap_holds(bits: int) -> None:
    poison_the_heap()
    engines = [open_assembler(bits) for _ in range(60)]
    for engine in engines:
        assert engine.asm("mov al, 10", as_bytes=True)[0] == b"\xb0\x0a"


def test_empty_source_is_no_bytes() -> None:
    assert assemble("") == b""
    assert assemble("nop", bits=16) == b"\x90"


def test_what_cannot_be_assembled_is_keystones_error() -> None:
    with pytest.raises(keystone.KsError):
        assemble("frobnicate eax")
