"""Segment registers with base, limit and rights; entering with selectors of one's own."""

from __future__ import annotations

import pytest
from api_lab import ESP, ORIGIN, asm, modes
from patience import PATIENCE

from monitor import Machine
from monitor.embedding.segments import Segment
from monitor.vmm.errors import UserError

CODE3, DATA3 = 0xC0FB, 0xC0F3


@modes
def test_reading_and_writing(mode: str) -> None:
    machine = Machine(memory_mb=4, mode=mode)
    machine.load_flat(asm("mov eax, fs:[4]; mov ebx, fs:[0x1000]; hlt"), ORIGIN)
    assert machine.segments["ds"] == Segment(0x18, 0, 0xFFFFFFFF, 0xC093)
    machine.segments["fs"] = Segment(0x33, 0x200000, 0xFFF, 0x4093)
    assert machine.segments["fs"] == Segment(0x33, 0x200000, 0xFFF, 0x4093)
    assert machine.system_registers["fs_base"] == 0x200000
    machine.write_physical(0x200004, b"\x2a\0\0\0")
    machine.write_physical(0x201000, b"\x07\0\0\0")
    assert machine.step().kind == "instructions"
    assert machine.registers["eax"] == 42
    machine.segments["fs"] = Segment(0x33, 0x200000, 0x1FFF, 0x4093)
    assert machine.run(timeout=PATIENCE).kind == "stuck"
    assert machine.registers["ebx"] == 7


@modes
def test_a_limit_that_is_in_the_way(mode: str) -> None:
    """No IDT: the fault of an access beyond it becomes a triple fault."""
    machine = Machine(memory_mb=4, mode=mode)
    machine.load_flat(asm("mov al, es:[0xfff]; mov al, es:[0x1000]; hlt"), ORIGIN)
    machine.set_register("idtr_limit", 0)
    machine.segments["es"] = Segment(0x18, 0, 0xFFF, 0x4093)
    assert machine.run(timeout=PATIENCE).kind == "shutdown"
    assert machine.instructions == 1


@modes
def test_ring_3_and_the_system_segments(mode: str) -> None:
    """CS brings its privilege; TR and LDTR are like the others."""
    machine = Machine(memory_mb=4, mode=mode)
    machine.load_flat(asm("mov ax, cs; str bx; sldt cx; int 0x40"), ORIGIN)
    machine.segments["cs"] = Segment(0x23, 0, 0xFFFFFFFF, CODE3)
    machine.segments["ss"] = Segment(0x2B, 0, 0xFFFFFFFF, DATA3)
    machine.segments["tr"] = Segment(0x40, 0x5000, 0x67, 0x8B)
    machine.segments["ldtr"] = Segment(0x48, 0x6000, 0xFF, 0x82)
    assert machine.system_registers["cpl"] == 3
    machine.run(max_instructions=3)
    values = machine.registers
    assert [values[name] & 0xFFFF for name in ("eax", "ebx", "ecx")] == [0x23, 0x40, 0x48]
    assert set(machine.segments) == {"es", "cs", "ss", "ds", "fs", "gs", "ldtr", "tr"}
    assert len(machine.segments) == 8


@modes
def test_a_code_segment_with_a_base(mode: str) -> None:
    machine = Machine(memory_mb=4, mode=mode)
    machine.load_flat(asm("inc eax; hlt"), ORIGIN)
    machine.segments["cs"] = Segment(0x10, ORIGIN, 0xFFFFF, 0x409B)
    machine.set_register("eip", 0)
    assert machine.run(timeout=PATIENCE).kind == "stuck"
    assert machine.registers["eax"] == 1 and machine.registers["eip"] == 2


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        ((0x10000, 0, 0, 0x93), "selector 0x10000 does not fit into 16 bits"),
        ((0, 1 << 32, 0, 0x93), "base 0x100000000 does not fit into 32 bits"),
        ((0, 0, -1, 0x93), "limit -0x1 does not fit"),
        ((0, 0, 0, 0x193), "bits other than 0x1f0ff"),
        ((0, 0, 0xFFFF0, 0x8093), "with G in the rights it ends in fff"),
        ((0, 0, 0x100000, 0x4093), "needs G"),
    ],
)
def test_what_no_descriptor_says(parts: tuple[int, int, int, int], says: str) -> None:
    with pytest.raises(UserError, match=says):
        Segment(*parts)


def test_another_name() -> None:
    machine = Machine(memory_mb=4)
    with pytest.raises(UserError, match="choose one of es, cs, ss, ds, fs, gs, ldtr, tr"):
        machine.segments["hs"]


# --- loading --------------------------------------------------------------------------------------


@modes
@pytest.mark.parametrize("selectors", [(0x08, 0x10), (0x60, 0x68), (0x20, 0x10)])
def test_selectors_to_enter_with(mode: str, selectors: tuple[int, int]) -> None:
    """The flat descriptors are in the loader's table, so that the guest can load them again."""
    code, data = selectors
    machine = Machine(memory_mb=4, mode=mode)
    enter = asm(f"mov ax, ds; mov es, ax; push {code}; push {ORIGIN + 0x40:#x}; retf")
    image = enter.ljust(0x40, b"\x90") + asm("mov bx, cs; hlt")
    machine.load_flat(image, ORIGIN, esp=ESP, selectors=selectors)
    assert machine.registers["cs"] == code and machine.registers["ss"] == data
    assert machine.segments["cs"].limit == 0xFFFFFFFF
    assert machine.run(timeout=PATIENCE).kind == "stuck"
    assert machine.registers["eax"] == data
    rpl = 3 if mode == "trap" else 0  # what trap mode gets wrong
    assert machine.registers["ebx"] == code | rpl


def test_the_default_selectors_are_those_of_linux() -> None:
    machine = Machine(memory_mb=4)
    machine.load_flat(b"\xf4", ORIGIN)
    assert (machine.registers["cs"], machine.registers["ds"]) == (0x10, 0x18)


@modes
def test_a_table_of_ones_own(mode: str) -> None:
    """In the image, at its end; ring 3, with a limit."""
    code = asm("mov ax, ds; inc eax; hlt").ljust(16, b"\x90")
    table = bytes(8) + bytes.fromhex("ff01000000fa4000 ff0f000000f24000")
    machine = Machine(memory_mb=4, mode=mode)
    machine.load_flat(code + table, 0x100, eip=0x100, selectors=(0x0B, 0x13), gdt=(0x110, 23))
    assert machine.segments["cs"] == Segment(0x0B, 0, 0x1FF, 0x40FA)
    assert machine.segments["ds"] == Segment(0x13, 0, 0xFFF, 0x40F2)
    assert machine.system_registers["gdtr_base"] == 0x110
    assert machine.system_registers["cpl"] == 3
    machine.run(max_instructions=2)
    assert machine.registers["eax"] == 0x14


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"selectors": (0x0B, 0x10)}, "multiples of 8"),
        ({"selectors": (0x10000, 0x10)}, "multiples of 8"),
        ({"selectors": (0, 0x10)}, "multiples of 8"),
        ({"selectors": (0x10, 0x10)}, "one each"),
        ({"selectors": (0x08, 0x10), "gdt": (0x300000, 23)}, "no present segment"),
        ({"selectors": (0x08, 0x18), "gdt": (0x300000, 23)}, "beyond the limit"),
        ({"selectors": (0x08, 0x10), "real_mode": True}, "leave out selectors and gdt"),
        ({"gdt": (0, 23), "real_mode": True}, "leave out selectors and gdt"),
    ],
)
def test_selectors_that_cannot_be(options: dict[str, object], says: str) -> None:
    machine = Machine(memory_mb=4)
    with pytest.raises(UserError, match=says):
        machine.load_flat(b"\xf4", 0x7C00, **options)  # type: ignore[arg-type]
