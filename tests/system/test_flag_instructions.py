"""PUSHF, POPF, CLI, STI, LAHF, SAHF, CLC..., HLT (SDM vol. 2; privilege: vol. 3, 2.3, 20.2)."""

from __future__ import annotations

import pytest
from system_lab import (
    CODE,
    EAX,
    EBX,
    ECX,
    ESP,
    EXIT_HALT,
    FLAG_IF,
    FLAG_RF,
    FLAG_TF,
    FLAG_VM,
    GP,
    SS_FAULT,
    Lab,
)

EVERYTHING = 0x003F7FD7


@pytest.mark.parametrize(
    ("cpl", "iopl", "loaded"),
    [
        (0, 0, 0x247FD5),  # not VM, RF, VIF, VIP
        (1, 1, 0x244FD5),  # not IOPL either
        (3, 3, 0x244FD5),
        (3, 2, 0x244DD5),  # nor IF
        (1, 0, 0x244DD5),
    ],
)
def test_popfd_by_privilege(lab: Lab, cpl: int, iopl: int, loaded: int) -> None:
    """All ones are popped over all zeros, then all zeros over all ones."""
    lab.ring(cpl).cpu.set_flags(iopl << 12 | 2)
    lab.dword(0x7F00, EVERYTHING)
    lab.cpu.set_reg(ESP, 0x7F00)
    lab.run("popfd", budget=1)
    assert lab.cpu.flags() == loaded | iopl << 12 | 2
    assert lab.reg(ESP) == 0x7F04
    before = (EVERYTHING & ~(FLAG_VM | FLAG_RF | FLAG_TF | 0x3000)) | iopl << 12
    lab.cpu.set_flags(before)
    lab.dword(0x7F00, 0)
    lab.cpu.set_reg(ESP, 0x7F00)
    lab.run("popfd", budget=1)
    assert lab.cpu.flags() == before & ~loaded | 2, "VIP, VIF and VM remain unaffected"


def test_popf_16_leaves_the_upper_half(lab: Lab) -> None:
    lab.cpu.set_flags(0x240002)
    lab.word(0x7F00, 0x0AD7)
    lab.cpu.set_reg(ESP, 0x7F00)
    lab.run(b"\x66\x9d", budget=1)
    assert (lab.cpu.flags(), lab.reg(ESP)) == (0x240AD7, 0x7F02)


def test_pushfd_hides_vm_and_rf(lab: Lab) -> None:
    lab.v86().cpu.set_flags(FLAG_VM | 0x243AD7)
    lab.run(b"\x66\x9c", budget=1)
    assert lab.peek(0x7000 - 4) == 0x243AD7


def test_pushf_shows_lazy_flags(lab: Lab) -> None:
    lab.run("mov eax, 0x80000000; add eax, eax; pushfd; pop ebx")
    assert lab.reg(EBX) == 0x847  # CF ZF PF OF


@pytest.mark.parametrize("code", [b"\x9c", b"\x9d", b"\xfa", b"\xfb"])
def test_iopl_sensitive_in_v86(lab: Lab, code: bytes) -> None:
    stop = lab.v86(iopl=2).run(code, bits=16)
    assert (stop.vector, stop.error) == (GP, 0)
    lab.v86(iopl=3).run(code, bits=16, budget=1)
    assert lab.cpu.eip == 1


@pytest.mark.parametrize(("cpl", "iopl"), [(0, 0), (1, 1), (3, 3), (1, 0), (3, 2)])
def test_cli_sti_by_privilege(lab: Lab, cpl: int, iopl: int) -> None:
    for code, before, after in ((b"\xfa", FLAG_IF, 0), (b"\xfb", 0, FLAG_IF)):
        lab.ring(cpl).cpu.set_flags(iopl << 12 | before | 2)
        stop = lab.run(code, budget=1 if cpl <= iopl else 100)
        if cpl <= iopl:
            assert lab.cpu.flags() & FLAG_IF == after
        else:
            assert (stop.vector, stop.error) == (GP, 0)
            assert stop.frame[3] & FLAG_IF == before


def test_sti_lets_one_instruction_pass(lab: Lab) -> None:
    lab.cpu.intr = 1
    stop = lab.run("sti; inc eax; inc ebx")
    assert stop.reason == 3
    assert (lab.reg(EAX), lab.reg(EBX)) == (1, 0)
    assert lab.cpu.eip == CODE + 2


def test_sti_with_if_set_opens_no_new_shadow(lab: Lab) -> None:
    """STI STI: the second one does not put interrupts off again."""
    lab.cpu.intr = 1
    stop = lab.run("sti; sti; inc ebx")
    assert stop.reason == 3
    assert lab.cpu.eip == CODE + 2


def test_popf_that_sets_if_takes_the_interrupt_at_once(lab: Lab) -> None:
    lab.cpu.intr = 1
    stop = lab.run("push 0x202; popfd; inc eax")
    assert stop.reason == 3
    assert lab.reg(EAX) == 0


def test_popf_faults_before_it_changes_anything(lab: Lab) -> None:
    lab.cpu.set_segment(2, 0x10, 0, 0x8FFF, 0x4093)
    lab.cpu.set_reg(ESP, 0x8FFE)
    lab.cpu.set_flags(0x8D7)
    stop = lab.run("popfd")
    assert stop.vector == SS_FAULT
    assert stop.frame[3] == 0x8D7 | FLAG_RF


def test_lahf_sahf(lab: Lab) -> None:
    lab.cpu.set_flags(0xED7)
    lab.run("lahf; mov ebx, eax; mov ah, 0x28; sahf; pushfd; pop ecx")
    assert lab.reg(EBX) == 0xD700
    assert lab.reg(ECX) == 0xE02


def test_carry_and_direction(lab: Lab) -> None:
    lab.run("stc; pushfd; pop eax; cmc; pushfd; pop ebx; cmc; clc; std; pushfd; pop ecx; cld")
    assert [lab.reg(r) for r in (EAX, EBX, ECX)] == [3, 2, 0x402]
    assert lab.cpu.flags() == 2


def test_carry_keeps_lazy_flags(lab: Lab) -> None:
    lab.run("mov eax, 1; sub eax, 1; stc; pushfd; pop ebx")
    assert lab.reg(EBX) == 0x47


def test_salc(lab: Lab) -> None:
    lab.run(b"\xf9\xd6\x89\xc3\xf8\xd6")
    assert lab.reg(EBX) == 0xFF
    assert lab.reg(EAX) == 0


def test_hlt(lab: Lab) -> None:
    stop = lab.run("nop; hlt; nop")
    assert (stop.reason, stop.eip, lab.cpu.icount()) == (EXIT_HALT, CODE + 2, 2)
    stop = lab.ring(3).run("hlt")
    assert (stop.vector, stop.error) == (GP, 0)


def test_counts_of_instructions_that_leave_their_block(lab: Lab) -> None:
    """Every one of these ends a run early or changes what comes next; none may count twice."""
    lab.cpu.set_reg(ECX, 0)
    lab.run("cli; push 2; popfd; sti; mov eax, cr0; mov cr0, eax; invlpg [ecx]; lidt [0x100]; cld")
    assert lab.cpu.icount() == 10
