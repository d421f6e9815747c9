"""The processor after RESET# (SDM vol. 3, table 9-1), and where a loader starts a guest."""

from __future__ import annotations

import pytest
from patience import PATIENCE
from system_lab import CODE, CS, DATA, DATA3, DS, EAX, EBX, ES, FS, GS, LDTR, SS, TR, Lab

from bt.engine import Interp
from monitor import Machine

DATA_RIGHTS = 0x93  # present, DPL 0, read/write, accessed: what the table calls "AR"
X87 = ("fpu_cw", "fpu_sw", "fpu_top", "fpu_ip", "fpu_cs", "fpu_dp", "fpu_ds", "fpu_op", "ferr")

# Everything of a processor that RESET# sets, made different from it first.
DIRT = """
    fninit; fldpi; fld1; fdiv st(1), st
    mov eax, 0x11111111; mov cr2, eax; mov dr0, eax; mov dr3, eax
    mov eax, 0x700; mov dr7, eax; xor eax, eax; mov dr6, eax
    mov ecx, 0x2ff; mov eax, 0xc06; xor edx, edx; wrmsr
    mov ecx, 0x186; wrmsr
    mov ecx, 0x1b; wrmsr
    stc; std
"""


@pytest.fixture
def cpu(lab: Lab) -> Interp:
    """A processor that has been used and then reset."""
    assert lab.run(DIRT).vector is None
    lab.ring(3)
    lab.cpu.reset()
    return lab.cpu


def test_registers(cpu: Interp) -> None:
    assert [cpu.reg(i) for i in range(8)] == [0, 0, 0x619, 0, 0, 0, 0, 0]
    assert (cpu.flags(), cpu.eip, cpu.cpl) == (2, 0xFFF0, 0)
    assert (cpu.cr0, cpu.cr2, cpu.cr3, cpu.cr4) == (0x60000010, 0, 0, 0)
    assert [cpu.debug_register(i) for i in (0, 1, 2, 3, 6, 7)] == [0, 0, 0, 0, 0xFFFF0FF0, 0x400]


def test_segments(cpu: Interp) -> None:
    for seg in (ES, SS, DS, FS, GS):
        assert cpu.segment(seg) == (0, 0, 0xFFFF, DATA_RIGHTS)
    assert cpu.segment(CS) == (0xF000, 0xFFFF0000, 0xFFFF, DATA_RIGHTS)
    assert cpu.segment(LDTR) == (0, 0, 0xFFFF, 0x82)
    assert cpu.segment(TR) == (0, 0, 0xFFFF, 0x8B)
    assert (cpu.gdtr_base, cpu.gdtr_limit) == (0, 0xFFFF)
    assert (cpu.idtr_base, cpu.idtr_limit) == (0, 0xFFFF)


def test_model_specific_registers(lab: Lab, cpu: Interp) -> None:
    lab.real_mode()
    for number in (0x2FF, 0x186, 0x1B):
        lab.run(f"mov ecx, {number}; rdmsr", bits=16)
        assert (lab.reg(EAX), lab.reg(2)) == (0, 0), hex(number)


def test_the_x87_unit(lab: Lab, cpu: Interp) -> None:
    """FCW 0040, FSW 0, FTW 5555: eight zeros."""
    assert [getattr(cpu, name) for name in X87] == [0x40, 0, 0, 0, 0, 0, 0, 0, 0]
    cpu.cr0 = 0x11
    lab.ring(0)
    lab.run(f"fnsave [{DATA}]")
    assert lab.peek(DATA + 8, 2) == 0x5555
    assert not any(lab.memory[DATA + 28 : DATA + 108])


def test_code_may_be_written_through_cs(lab: Lab) -> None:
    """The first instruction after RESET#, at FFFFFFF0, with A20 closed: where RAM is."""
    lab.cpu.reset()
    lab.cpu.set_segment(CS, 0xF000, 0xF0000, 0xFFFF, lab.cpu.segment(CS)[3])  # no ROM here
    lab.memory[0xFFFF0:0xFFFF6] = bytes.fromhex("2e a2 0006 90 f4".replace(" ", ""))
    lab.cpu.set_reg(EAX, 0x5A)
    assert lab.cpu.run(2) == 1
    assert lab.memory[0xF0600] == 0x5A


@pytest.mark.parametrize("mode", ["bare", "translate"])
@pytest.mark.parametrize(
    ("address", "cs"), [(0x7C00, 0), (0x7C00, 0x7C0), (0x20000, 0x2000), (0x500, 0)]
)
def test_a_boot_sector_writes_through_cs(mode: str, address: int, cs: int) -> None:
    machine = Machine(memory_mb=1, mode=mode)
    code = bytes.fromhex("b05a 2ea20008 2e800e000801 f4".replace(" ", ""))
    machine.load_flat(code, address, real_mode=True, registers={"cs": cs})
    assert machine.run(timeout=PATIENCE).kind == "stuck"
    assert machine.read_physical((cs << 4) + 0x800, 1) == b"\x5b"


@pytest.mark.parametrize("mode", ["bare", "translate"])
@pytest.mark.parametrize("real_mode", [False, True])
def test_a_loader_leaves_the_x87_unit_as_firmware_does(mode: str, real_mode: bool) -> None:
    """FNINIT has been executed: a guest may compute at once, though RESET# leaves no free
    register; and nothing of the guest before is left in the registers."""
    machine = Machine(memory_mb=1, mode=mode)
    machine.load_flat(bytes.fromhex("d9eb d9eb f4"), 0x600, real_mode=real_mode)
    machine.run(timeout=PATIENCE)
    assert machine.x87[8:10] == b"\xff\x0f"
    machine.load_flat(bytes.fromhex("d9e8 f4"), 0x600, real_mode=real_mode)
    assert machine.x87[:12] == bytes.fromhex("7f03ffff 0000ffff ffffffff")
    assert not any(machine.x87[28:])
    machine.run(timeout=PATIENCE)
    assert machine.x87[4:6] == bytes.fromhex("0038")


@pytest.mark.parametrize("mode", ["bare", "translate", "trap"])
def test_a_second_guest_at_the_same_place(mode: str) -> None:
    machine = Machine(memory_mb=1, mode=mode)
    for value in (1, 2, 3):
        machine.load_flat(b"\xb8" + value.to_bytes(4, "little") + b"\xf4", 0x10000)
        assert machine.run(timeout=PATIENCE).kind == "stuck"
        assert machine.registers["eax"] == value


# --- what a load and a far jump leave, in real mode (SDM vol. 3, 9.9.2, 20.1) ------------------


def test_a_far_jump_in_real_mode_makes_cs_writable(lab: Lab) -> None:
    """Back from protected mode, the descriptor of CS is code until a far jump."""
    lab.real_mode()
    lab.cpu.set_segment(CS, CODE >> 4, CODE, 0xFFFF, 0x9B)
    write = b"\x2e\x88\x1e\x00\x04"  # mov cs:[0x400], bl
    stop = lab.run(write, bits=16)
    assert stop.vector == 13
    lab.real_mode()
    lab.cpu.set_segment(CS, CODE >> 4, CODE, 0xFFFF, 0x9B)
    lab.cpu.set_reg(EBX, 0x77)
    there = CODE >> 4
    jump = b"\xea\x05\x00" + there.to_bytes(2, "little")
    assert lab.run(jump + write, bits=16).vector is None
    assert lab.memory[CODE + 0x400] == 0x77
    assert lab.cpu.segment(CS) == (there, CODE, 0xFFFF, 0x93)


def test_a_load_in_real_mode_keeps_limit_and_rights(lab: Lab) -> None:
    lab.real_mode()
    lab.cpu.set_segment(FS, DATA3, 0x1000, 0xFFFFFFFF, 0xC0F3)
    lab.run("mov ax, 0x3000; mov fs, ax", bits=16)
    assert lab.cpu.segment(FS) == (0x3000, 0x30000, 0xFFFFFFFF, 0xC0F3)
