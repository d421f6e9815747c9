"""Model-specific registers of the models: which there are, what they take (SDM vol. 3 and 4)."""

from __future__ import annotations

import pytest
from system_lab import EAX, EDX, GP, UD, Lab

from bt.models import MODELS

P6 = ("pentiumpro", "pentium2", "pentium3")
LATER = (*P6, "pentium4")
WITH_SEP = ("pentium2", "pentium3", "pentium4")
PAT = "pentium3"

#: Registers, and the models that have them.
HERE = {
    0x0E: ("pentium",), 0x11: ("pentium",), 0x13: ("pentium",),
    0x10: ("pentium", *LATER), 0x17: LATER, 0x1B: LATER, 0x2A: LATER, 0x8B: LATER,
    0xC1: P6, 0x187: P6, 0x119: P6, 0x1E0: P6,
    0x2C: ("pentium4",), 0x1A0: ("pentium4",), 0x1D7: ("pentium4",), 0x1DA: ("pentium4",),
    0xFE: LATER, 0x200: LATER, 0x2FF: LATER, 0x179: LATER, 0x17A: LATER, 0x400: LATER,
    0x17B: P6, 0x410: P6, 0x277: WITH_SEP, 0x174: WITH_SEP, 0x176: WITH_SEP, 0x1DB: LATER,
}  # fmt: skip


def on(name: str) -> Lab:
    lab = Lab()
    lab.cpu.set_model(MODELS[name])
    lab.cpu.reset()
    lab._registers()
    return lab


def write(lab: Lab, address: int, value: int) -> int | None:
    return lab.run(f"mov ecx, {address:#x}; mov eax, {value & 0xFFFFFFFF:#x}; "
                   f"mov edx, {value >> 32:#x}; wrmsr").vector  # fmt: skip


def read(lab: Lab, address: int) -> int:
    assert lab.run(f"mov ecx, {address:#x}; rdmsr").vector is None
    return lab.reg(EDX) << 32 | lab.reg(EAX)


@pytest.mark.parametrize("name", MODELS)
def test_which_there_are(name: str) -> None:
    lab = on(name)
    for address, models in HERE.items():
        vector = lab.run(f"mov ecx, {address:#x}; rdmsr").vector
        if name == "486":
            assert vector == UD
        else:
            assert vector == (None if name in models else GP), hex(address)


def test_what_a_reset_leaves() -> None:
    lab = on("pentium4")
    assert read(lab, 0x277) == 0x0007040600070406
    assert (read(lab, 0x2FF), read(lab, 0x201), read(lab, 0x174)) == (0, 0, 0)
    assert read(lab, 0x1A0) == 0x1801
    assert (read(lab, 0x179), read(lab, 0x2C)) == (4, 0x02000000)


GOOD = [
    (0x277, 0x0106050400070406), (0x200, 0xFFFFFF006), (0x20E, 0x80000001), (0x201, 0xFF0000800),
    (0x20F, 0xFFFFFF800), (0x250, 0x0606060606060606), (0x268, 0x0504010006050401),
    (0x2FF, 0xC06), (0x2FF, 0x400), (0x401, 0), (0x400, 0xFFFFFFFFFFFFFFFF),
    (0x402, 0x1234567812345678),
]  # fmt: skip
BAD = [
    (0x277, 0x0007040600070402), (0x277, 0x0307040600070406), (0x277, 0x0800000000000000),
    (0x200, 0x1000000006), (0x200, 0x106), (0x200, 0x2), (0x200, 0x7), (0x201, 0x1000000800),
    (0x201, 0x400), (0x201, 0x801), (0x250, 0x0606060606060602), (0x26F, 0x0700000000000000),
    (0x259, 0x8000000000000000), (0x2FF, 0x1000), (0x2FF, 0x100), (0x2FF, 0x3),
    (0x2FF, 0x100000000), (0x401, 1),
]  # fmt: skip


@pytest.mark.parametrize(("address", "value"), GOOD)
def test_they_hold_what_is_written(address: int, value: int) -> None:
    lab = on(PAT)
    assert write(lab, address, value) is None
    assert read(lab, address) == value


@pytest.mark.parametrize(("address", "value"), BAD)
def test_reserved_bits_and_types_fault(address: int, value: int) -> None:
    lab = on(PAT)
    before = read(lab, address)
    assert write(lab, address, value) == GP
    assert read(lab, address) == before


def test_misc_enable_says_what_there_is_not() -> None:
    lab = on("pentium4")
    assert write(lab, 0x1A0, 0x400089) is None
    assert read(lab, 0x1A0) == 0x401809


def test_sysenters_registers_have_32_bits() -> None:
    lab = on("pentium2")
    for address in (0x174, 0x175, 0x176):
        assert write(lab, address, 0x1234567800000010 + address) is None
        assert read(lab, address) == 0x10 + address


@pytest.mark.parametrize(("name", "high"), [("pentium", 5), ("pentium3", 0), ("pentium4", 5)])
def test_a_write_of_the_tsc(name: str, high: int) -> None:
    lab = on(name)
    lab.run("mov ecx, 0x10; mov eax, 1000; mov edx, 5; wrmsr; rdtsc")
    assert (lab.reg(EAX), lab.reg(EDX)) == (1001, high)
