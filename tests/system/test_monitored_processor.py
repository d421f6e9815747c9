"""A processor that serves a monitor: ring 3 only, every event leaves run() (bt/contract.py)."""

from __future__ import annotations

import pytest
from system_lab import (
    ABSENT,
    CODE,
    CODE0,
    CODE3,
    DATA,
    DATA0,
    DATA3,
    DS,
    EAX,
    EBX,
    ESP,
    EXIT_HALT,
    FLAG_RF,
    FLAG_TF,
    GP,
    NP,
    PF,
    UD,
    Lab,
    descriptor,
    external_lab,
)

EXIT_BUDGET, EXIT_EXCEPTION, EXIT_SOFTINT, EXIT_VMWARE = 1, 4, 5, 10


@pytest.fixture
def guest() -> Lab:
    """All of RAM mapped 1:1, for ring 3 and for what the processor itself reads."""
    return external_lab().ring(3)


@pytest.mark.parametrize(
    ("code", "number"), [(b"\xcd\x80", 0x80), (b"\xcc", 3), (b"\xf1", 1), (b"\xce", 4)]
)
def test_software_interrupts_leave_at_the_instruction(guest: Lab, code: bytes, number: int) -> None:
    guest.cpu.set_flags(0x802)
    stop = guest.run(b"\x90" + code)
    assert (stop.reason, guest.cpu.exit_arg, stop.eip) == (EXIT_SOFTINT, number, CODE + 1)
    assert guest.cpu.icount() == 1, "it has not completed"
    assert guest.reg(ESP) == 0xC000


@pytest.mark.parametrize(
    ("code", "vector", "error"),
    [
        (b"\xfa", GP, 0),  # cli
        (b"\xf4", GP, 0),  # hlt
        (b"\x0f\x20\xc0", GP, 0),  # mov eax, cr0
        (b"\xe4\x60", GP, 0),  # in al, 0x60
        (b"\x0f\x0b", UD, 0),
        (b"\xea\x00\x00\x01\x00\x08\x00", GP, CODE0),  # jmp to ring 0
        (b"\xa1\x00\x00\x40\x00", PF, 4),
    ],
)
def test_exceptions_leave_at_the_instruction(
    guest: Lab, code: bytes, vector: int, error: int
) -> None:
    stop = guest.run(b"\x90" + code)
    assert (stop.reason, stop.eip) == (EXIT_EXCEPTION, CODE + 1)
    assert (guest.cpu.fault_vector, guest.cpu.fault_error) == (vector, error)
    assert guest.cpu.icount() == 1


def test_segment_loads_check_as_in_any_ring_3(guest: Lab) -> None:
    guest.describe(0xC0, descriptor(DATA, 0xFFF, 0x40F2))
    guest.cpu.set_reg(EAX, 0xC3)
    guest.run("mov ds, ax; mov ebx, ds", budget=2)
    assert guest.cpu.segment(DS)[:3] == (0xC3, DATA, 0xFFF)
    for selector, vector, error in ((DATA0, GP, DATA0), (0xCB, NP, 0xC8), (ABSENT, GP, ABSENT)):
        guest.describe(0xC8, descriptor(0, 0xFFF, 0x4072))
        guest.cpu.set_reg(EAX, selector)
        guest.run("mov es, ax")
        assert (guest.cpu.fault_vector, guest.cpu.fault_error) == (vector, error)


def test_popf_keeps_if_silently(guest: Lab) -> None:
    """The classic reason why x86 does not virtualize by trapping."""
    guest.cpu.set_flags(0x202)
    guest.run("push 0x8d5; popfd; pushfd; pop ebx", budget=4)
    assert guest.reg(EBX) == 0xAD7


def test_iret_in_ring_3(guest: Lab) -> None:
    guest.run(f"pushfd; push {CODE3}; push {CODE + 0x80}; iretd", budget=4)
    assert guest.cpu.eip == CODE + 0x80
    stop = guest.run(f"pushfd; push {CODE0}; push {CODE}; iretd")
    assert stop.reason == EXIT_EXCEPTION
    assert (guest.cpu.fault_vector, guest.cpu.fault_error) == (GP, CODE0)
    assert guest.reg(ESP) == 0xC000 - 12


def test_critical_instructions_tell_the_truth_of_the_engine(guest: Lab) -> None:
    guest.run("mov eax, cs; mov ebx, ss", budget=2)
    assert (guest.reg(EAX), guest.reg(EBX)) == (CODE3, DATA3)


@pytest.mark.parametrize("flags", [FLAG_TF, FLAG_RF, FLAG_TF | FLAG_RF])
def test_what_leaves_at_an_instruction_is_not_stepped(guest: Lab, flags: int) -> None:
    """It has not completed: no single-step trap, and RF still holds for it."""
    guest.cpu.set_flags(flags | 0x202)
    stop = guest.run(b"\xcd\x80")
    assert (stop.reason, guest.cpu.exit_arg, stop.eip) == (EXIT_SOFTINT, 0x80, CODE)
    assert guest.cpu.flags() == flags | 0x202


def test_a_hypercall_that_is_answered_has_completed(lab: Lab) -> None:
    """answer_call() tells how it ended, as run() does."""
    lab.cpu.set_vmware(0, 1, 0, 0, 0)
    stop = lab.run(b"\x90\x0f\x01\xc1\x90")
    assert (stop.reason, stop.eip) == (EXIT_VMWARE, CODE + 1)
    assert lab.cpu.answer_call() == EXIT_BUDGET
    assert (lab.cpu.eip, lab.cpu.icount()) == (CODE + 4, 2)
    assert lab.go_on().reason == EXIT_HALT
