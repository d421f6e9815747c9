"""Symbol files, read by the real gdb."""

from __future__ import annotations

from pathlib import Path

import pytest
from gdb_session import debug, needs_gdb

from monitor.symbols.elf_file import symbol_file
from monitor.symbols.table import Symbol, SymbolTable

pytestmark = needs_gdb


def test_names_both_ways(tmp_path: Path) -> None:
    path = tmp_path / "guest.sym"
    path.write_bytes(symbol_file(SymbolTable([
        Symbol(0x100, "A", "absolute"), Symbol(0x100000, "T", "begin"),
        Symbol(0x100010, "t", "middle"), Symbol(0x200000, "D", "variable"),
        Symbol(0x200010, "b", "local"),
    ])))  # fmt: skip
    session = debug(
        "translate", "info symbol 0x100004", "info symbol 0x100010", "info address middle",
        "info symbol 0x200012", "break middle", "info breakpoints", "kill", symbols=path,
    )  # fmt: skip
    session.says("begin + 4 in section .text", "middle in section .text", "0x100010",
                 "local + 2 in section .data", "<middle")  # fmt: skip


@pytest.mark.parametrize("command", ["monitor symbols", "monitor symbols a b"])
def test_a_file_is_wanted(command: str) -> None:
    debug("bare", command, "kill").says("monitor symbols FILE")


def test_a_guest_without_linux(tmp_path: Path) -> None:
    session = debug("bare", f"monitor symbols {tmp_path / 'x'}", "kill")
    session.says("no Linux kernel with a symbol table")
    assert not (tmp_path / "x").exists()
