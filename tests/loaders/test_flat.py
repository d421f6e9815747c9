"""Flat binaries in protected and in real mode."""

from __future__ import annotations

from pathlib import Path

import pytest
from loader_images import FakeMemory, refused

from monitor.loaders import flat

CODE = b"\xf4" * 20


def test_protected() -> None:
    memory = FakeMemory()
    start = flat.load(memory, CODE, 0x100000)
    assert memory.read(0x100000, 21) == CODE + b"\xcc"
    assert (start.eip, start.esp, start.registers) == (0x100000, 0x90000, {})
    assert start.protected and start.gdt is not None and start.code_base == 0


def test_chosen_registers() -> None:
    start = flat.load(FakeMemory(), CODE, 0x2000, eip=0x2004, esp=0x3000, registers={"esi": 5})
    assert (start.eip, start.esp, start.registers) == (0x2004, 0x3000, {"esi": 5})


@pytest.mark.parametrize(
    ("address", "segment", "offset"),
    [(0x7C00, 0, 0x7C00), (0x10000, 0x1000, 0), (0x20008, 0x2000, 8), (0x9F000, 0x9F00, 0)],
)
def test_real_mode(address: int, segment: int, offset: int) -> None:
    memory = FakeMemory()
    start = flat.load(memory, CODE, address, registers={"edx": 0x80}, real_mode=True)
    assert memory.writes == 1  # no GDT
    assert (start.code_selector, start.eip, start.code_base) == (segment, offset, segment << 4)
    assert start.esp == 0x7C00 and not start.protected and start.gdt is None
    assert start.registers == {"edx": 0x80, "cs": segment}


def test_real_mode_with_a_chosen_segment() -> None:
    start = flat.load(
        FakeMemory(), CODE, 0x7C00, registers={"cs": 0x7C0, "ds": 0x7C0}, real_mode=True
    )
    assert (start.code_selector, start.data_selector, start.eip) == (0x7C0, 0x7C0, 0)


def test_selectors_of_the_flat_table() -> None:
    start = flat.load(FakeMemory(), CODE, 0x100000, selectors=(0x10, 0x18))
    assert (start.code_selector, start.data_selector) == (0x10, 0x18)
    for pair in ((0, 8), (8, 0), (9, 16), (8, 8), (8, 0xFFF8 + 8), (-8, 8)):
        assert "selector" in refused(flat.load, FakeMemory(), CODE, 0x100000, selectors=pair)
    for options in ({"selectors": (8, 16)}, {"table": (0x1000, 0xFF)}):
        words = refused(flat.load, FakeMemory(), CODE, 0x7C00, real_mode=True, **options)
        assert "real mode has no descriptor table" in words


def test_refusals(tmp_path: Path) -> None:
    memory = FakeMemory()
    assert "at least" in refused(flat.load, memory, CODE, 4 << 20)
    assert "not all RAM" in refused(flat.load, memory, CODE, 0xF0000)
    assert "not all RAM" in refused(flat.load, memory, CODE, -5)
    assert "empty" in refused(flat.load, memory, b"", 0)
    assert "gone" in refused(flat.load, memory, tmp_path / "gone", 0)
    assert "real mode" in refused(flat.load, memory, CODE, 0x200000, real_mode=True)
    assert "cs" in refused(flat.load, memory, CODE, 0, registers={"cs": 8})
    assert "16 bits" in refused(
        flat.load, memory, CODE, 0, registers={"ds": 0x10000}, real_mode=True
    )
    assert "no PC" in refused(flat.load, FakeMemory(1000), CODE, 0)
