"""The trap flag: one #DB after every instruction, none before its time (SDM volume 3, 18.3.1.4).

Found by running the interpreter against the host's processor; kept here so that they are also
checked where that is not possible.
"""

from __future__ import annotations

import pytest

from bt.hostcpu import layout as at
from bt.hostcpu.gdt import Visible
from bt.hostcpu.host import NO_FAULT, new_cases, set_code
from tests.instructions.guest_cpu import GuestCpu
from tests.instructions.user_cpu import CODE, DATA, UserCpu

TF = 0x100
FLAT = [
    Visible(at.SEL_CODE32, 0xCF_FB00, 0xFFFF_FFFF),
    Visible(at.SEL_FLAT, 0xCF_F300, 0xFFFF_FFFF),
]

# 00 CALL EAX; 02 DEC ECX; 03 JNZ 00; 05 JMP EDX; 10 (EAX) RET; 20 (EDX) NOP, INT3
CALLS = "ffd0 49 75fb ffe2" + "90" * 9 + "c3" + "90" * 15 + "90 cc"
STEPS = [0x10, 0x02, 0x03, 0x00, 0x10, 0x02, 0x03, 0x05, 0x20, 0x21]


def started() -> UserCpu:
    cpu = UserCpu()
    cpu.code(CALLS)
    cpu.set_regs(eax=CODE + 0x10, edx=CODE + 0x20, ecx=2, esp=DATA + 0x800)
    return cpu


def test_every_instruction_traps_though_its_blocks_are_known() -> None:
    """Remembered targets of computed branches, and chained direct ones, stop at once."""
    cpu = started()
    cpu.run(100)
    warm = cpu.cpu.icount()
    cpu.set_regs(ecx=2)
    cpu.cpu.eip = CODE
    cpu.cpu.set_flags(0x202 | TF)
    seen: list[int] = []
    while not seen or seen[-1] != 0x21:
        fault = cpu.run(100)
        assert not isinstance(fault, int) and fault is not None and fault.vector == 1
        seen.append(cpu.cpu.eip - CODE)
        assert cpu.cpu.icount() - warm == len(seen)
    assert seen == STEPS


def test_a_budget_ends_between_single_steps() -> None:
    cpu = started()
    cpu.run(100)
    cpu.set_regs(ecx=2)
    cpu.cpu.eip = CODE
    cpu.cpu.set_flags(0x202 | TF)
    for eip in STEPS:
        fault = cpu.run(1)
        assert not isinstance(fault, int) and fault is not None and fault.vector == 1
        assert cpu.cpu.eip - CODE == eip


@pytest.mark.parametrize("bare", [False, True])
@pytest.mark.parametrize(
    ("code", "vector", "after"),
    [
        ("8e d0 41 41", 1, 3),  # MOV SS, EAX: the trap comes one instruction later
        ("17 41 41", 1, 2),  # POP SS
        ("8e d8 41 41", 1, 2),  # MOV DS, EAX has no shadow
        ("8e d0 0f 0b", 6, 2),  # a fault of the shadowed instruction comes first
        ("41", 1, 1),
    ],
)
def test_loading_ss_holds_the_trap_off(code: str, vector: int, after: int, bare: bool) -> None:
    guest = GuestCpu(FLAT, bare=bare)
    cases = new_cases(2)
    set_code(cases, bytes.fromhex(code))
    cases["eflags"] = (0x202, 0x202 | TF)
    cases["regs"][:, 0] = at.SEL_FLAT
    cases["mem"][:, 256] = at.SEL_FLAT
    free, stepped = guest.run_array(cases)
    assert int(stepped["vector"]) == vector
    assert int(stepped["eip"]) - at.CODE_ADDR == after
    if vector == 1:
        assert int(free["vector"]) == NO_FAULT
