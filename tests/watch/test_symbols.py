"""monitor/symbols: Linux' symbol table, built as scripts/kallsyms.c does it, and found again."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from monitor import Machine
from monitor.symbols.kallsyms import read_kallsyms
from monitor.symbols.table import Symbol, SymbolTable
from monitor.vmm.errors import UserError

BASE = 0xC4200000
RAM = 1 << 20
#: Characters stand for themselves; numbers that no character has stand for what occurs often.
TOKENS = [chr(number) if 33 <= number < 127 else f"<{number}>" for number in range(256)]
TOKENS[128:132] = ["sys_", "start", "_kernel", "x" * 40]


def symbols_of(count: int = 2000) -> list[Symbol]:
    known = [Symbol(BASE, "T", "_text"), Symbol(BASE, "T", "startup_32"),
             Symbol(BASE + 0x40, "T", "start_kernel"), Symbol(BASE + 0x99, "t", "x" * 40 * 140)]
    return known + [
        Symbol(BASE + 0x1000 + 24 * number, "dtT"[number % 3], f"sys_{number}")
        for number in range(count - len(known))
    ]


def compress(text: str) -> bytes:
    """The longest token that fits, again and again."""
    out = bytearray()
    while text:
        fitting = [number for number, token in enumerate(TOKENS) if text.startswith(token)]
        number = max(fitting, key=lambda number: len(TOKENS[number]))
        out.append(number)
        text = text[len(TOKENS[number]) :]
    return bytes(out)


def tables(symbols: list[Symbol], between: int = 0) -> bytes:
    offsets = struct.pack(f"<{len(symbols)}I", *(symbol.address - BASE for symbol in symbols))
    names = b""
    for symbol in symbols:
        code = compress(symbol.kind + symbol.name)
        size = len(code)
        names += bytes((size,)) if size < 128 else bytes((size & 0x7F | 0x80, size >> 7))
        names += code
    names += bytes(-len(names) % 4)
    strings = [token.encode() + b"\0" for token in TOKENS]
    starts = np.cumsum([0, *(len(string) for string in strings[:-1])])
    table = b"".join(strings)
    head = offsets + struct.pack("<II", BASE, len(symbols)) + names + bytes(range(1, between + 1))
    return head + table + bytes(-(len(table) + between) % 4) + struct.pack("<256H", *starts)


def memory(contents: bytes, at: int = 0x8004) -> np.ndarray:
    ram = np.zeros(RAM, np.uint8)
    ram[at : at + len(contents)] = np.frombuffer(contents, np.uint8)
    return ram


@pytest.mark.parametrize("between", [0, 3, 100])
def test_every_symbol_is_found(between: int) -> None:
    """Whatever the kernel has between names and tokens."""
    symbols = symbols_of()
    found = read_kallsyms(memory(tables(symbols, between)))
    assert list(found) == symbols


def test_digits_elsewhere_are_no_token_table() -> None:
    ram = memory(tables(symbols_of()))
    decoy = b"".join(b"%d\0" % digit for digit in range(10))
    ram[0x100 : 0x100 + len(decoy)] = np.frombuffer(decoy, np.uint8)
    ram[RAM - len(decoy) :] = np.frombuffer(decoy, np.uint8)
    assert "start_kernel" in read_kallsyms(ram)


@pytest.mark.parametrize("seed", range(5))
def test_noise_is_no_kernel(seed: int) -> None:
    noise = np.random.default_rng(seed).integers(0, 256, RAM, np.uint8)
    with pytest.raises(UserError, match="no Linux kernel"):
        read_kallsyms(noise)


def test_a_broken_table_is_no_kernel() -> None:
    whole = tables(symbols_of())
    for broken in (whole[:-300], whole[4 * 2000 :]):  # token_index cut off; offsets missing
        with pytest.raises(UserError, match="no Linux kernel"):
            read_kallsyms(memory(broken))


def test_a_machine_without_linux() -> None:
    with pytest.raises(UserError, match="no Linux kernel"):
        Machine(memory_mb=4).watch.linux_symbols()


def test_names_and_addresses() -> None:
    table = SymbolTable(symbols_of())
    assert len(table) == 2000 and "start_kernel" in table
    assert table.address("start_kernel") == BASE + 0x40
    assert table.describe(BASE + 0x44) == "start_kernel+0x4"
    assert table.describe(BASE + 8) == "_text+0x8", "the first of those at one address"
    assert table.describe(BASE) == "_text"
    assert table.describe(BASE - 1) == f"{BASE - 1:#010x}"
    assert table.at(0) is None
    with pytest.raises(UserError, match="no symbol 'nowhere'"):
        table.address("nowhere")
