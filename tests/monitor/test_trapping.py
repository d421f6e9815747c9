"""The trapping processor (monitor/vmm/trapping.py): what runs where, and what it says about it."""

from __future__ import annotations

from typing import Any

import pytest
from kernel_lab import CODE, DATA, Kernel, raw, run
from monitor_lab import ORIGIN, flat, lab
from patience import PATIENCE

from bt.contract import EXIT_BUDGET

PATCHED = "mov dword ptr [RESUME], next \n"


def trapped(source: str, **options: Any) -> Any:
    done = run(Kernel(source, **options), "trap")
    assert done.outcome.kind == "exit", done.log
    return done


def test_the_kernel_runs_in_ring_3_and_is_not_translated() -> None:
    done = trapped("mov ecx, 200 \n again: loop again \n int 0x31")
    assert done.kinds["direct"] > 200
    assert set(done.kinds) == {"direct", "emulated"}
    assert done.registers["ecx"] == 0


def test_user_code_runs_the_same_way() -> None:
    done = trapped("mov ecx, 200 \n again: loop again \n int 0x31", ring=3)
    assert done.kinds["direct"] > 200


@pytest.mark.parametrize("flags", [0x202, 0x3202, 0x002])
def test_user_code_is_right_whatever_its_flags(flags: int) -> None:
    source = "mov ecx, 200 \n mov eax, ds \n again: inc ebx \n loop again \n int 0x31"
    done = trapped(source, ring=3, flags=flags)
    bare = run(Kernel(source, ring=3, flags=flags), "bare")
    assert (done.registers, done.count) == (bare.registers, bare.count)
    assert done.kinds["direct"] > 300


@pytest.mark.parametrize("flags", [0x202, 0x3202, 0x002])
def test_user_code_does_not_reach_the_kernels_pages(flags: int) -> None:
    source = PATCHED + f"mov eax, [{0x180000:#x}] \n next: inc ebx \n int 0x31"
    pages = {0x180000: 0x110003}
    done = trapped(source, ring=3, flags=flags, paging=True, pages=pages)
    assert (done.vectors, done.log[0].error, done.registers["ebx"]) == ([14], 5, 1)


def test_16_bit_code_is_emulated() -> None:
    from kernel_lab import code16, descriptor

    code = code16("again: dec cx \n jnz again \n .byte 0x66, 0xEA", 0)
    source = f"""
        mov  ecx, 100
        jmp  far 0x38:0x20
        .align 32
        {code}
        .long back
        .short 0x08
    back:
        int  0x31
    """
    done = trapped(source, gdt={0x38: descriptor(CODE, 0xFFFF, 0x009B)})
    assert done.kinds["emulated"] >= 200


def test_what_traps_is_emulated_and_right() -> None:
    source = """
        mov  eax, cr0
        mov  ebx, eax
        or   eax, 2
        mov  cr0, eax
        mov  edx, cr0
        in   al, 0x21
        int  0x31
    """
    done = trapped(source)
    bare = run(Kernel(source), "bare")
    assert (done.registers, done.count) == (bare.registers, bare.count)
    assert done.exits["#GP"] >= 4


def test_software_interrupts() -> None:
    """INT n is critical, and traps; INT1 and an INTO that overflows trap only."""
    source = "int 0x30 \n int3 \n mov al, 0x7f \n add al, 1 \n into \n int1 \n int 0x31"
    done = trapped(source)
    bare = run(Kernel(source), "bare")
    assert done.vectors == bare.vectors == [0x30, 3, 4, 1]
    assert done.exits["INT 0x1"] == 1
    assert done.count == bare.count


def test_faults_are_the_guests() -> None:
    source = PATCHED + raw("0f0b") + "\n next: inc ebx \n int 0x31"
    done = trapped(source)
    assert (done.vectors, done.registers["ebx"]) == ([6], 1)
    assert done.exits["#UD"] == 1


@pytest.mark.parametrize("paging", [False, True])
def test_pages_are_mapped_when_they_are_needed(paging: bool) -> None:
    """Code pages by a fetch, unsearched; data pages by the access."""
    source = f"""
        jmp  far_away
        .align 4096
    far_away:
        mov  eax, [DATA]
        mov  [DATA + 0x1000], eax
        mov  dword ptr [RESUME], next
        mov  eax, [{0x200000 if not paging else 0x300000:#x}]
    next:
        int  0x31
    """
    pages = {0x300000: 0} if paging else {}
    done = run(Kernel(source, paging=paging, pages=pages), "trap")
    bare = run(Kernel(source, paging=paging, pages=pages), "bare")
    assert (done.registers, done.vectors) == (bare.registers, bare.vectors)
    assert done.vectors == ([14] if paging else [])
    assert done.exits["shadow fill"] == done.machine.statistics()["shadow"]["fills"] >= 4
    if paging:
        assert done.exits["#PF"] == 1


def test_critical_instructions_are_witnessed() -> None:
    done = trapped("mov eax, cs \n mov ebx, cs \n str ecx \n int 0x31")
    wrong = {row["mnemonic"]: row for row in done.machine.statistics()["wrong_answers"]}
    assert wrong["MOV"]["count"] >= 2
    assert wrong["MOV"]["first_eip"] >= 0
    assert done.exits["critical, silent"] >= 2
    assert done.registers["ebx"] & 3 == 3, "it saw the ring that it really runs in"


def test_a_critical_instruction_that_traps_all_the_same() -> None:
    done = trapped("push 0x10 \n pop ds \n mov eax, 0x10 \n mov es, ax \n int 0x31")
    assert done.exits["critical, traps"] >= 2
    assert done.registers["ds"] == 0x10


def test_a_critical_instruction_whose_stack_is_not_mapped_yet() -> None:
    """PUSHF on a fresh page: the shadow fills it, and the instruction is tried again."""
    source = f"mov esp, {DATA + 0x4000:#x} \n pushfd \n pop eax \n mov esp, STACK0 \n int 0x31"
    for paging in (False, True):
        done = trapped(source, paging=paging)
        assert done.exits["critical, silent"] >= 1
        assert done.registers["eax"] & 2


def test_what_the_witness_ran_is_counted_once() -> None:
    source = "pushfd \n popfd \n mov eax, cs \n mov edx, ds \n int 0x31"
    assert trapped(source).count == run(Kernel(source), "bare").count


def test_a_breakpoint_on_a_critical_instruction_stops_before_it() -> None:
    kernel = Kernel("nop \n mov eax, cs \n here: jmp here")
    one = lab(kernel, "trap")
    silent = one.machine.statistics()["exits"].get("critical, silent", 0)
    one.machine.debug.add_breakpoint(CODE + 1)
    assert one.machine.run(timeout=PATIENCE).kind == "address"
    assert one.reg("eip") == CODE + 1
    assert one.machine.statistics()["exits"].get("critical, silent", 0) == silent
    one.machine.debug.remove_breakpoint(CODE + 1)
    one.step(1)
    assert one.machine.statistics()["exits"]["critical, silent"] == silent + 1


def test_budgets_hold() -> None:
    one = flat("again: inc eax", "pushfd", "popfd", "mov ecx, cs", "jmp again", mode="trap")
    for done in range(1, 40):
        one.step()
        assert one.cpu.count() == done
    assert one.reg("eax") == 8


def test_every_exit_goes_on_with_the_run() -> None:
    """run() comes back when the budget is spent, whatever happened on the way."""
    source = f"""
    again:
        inc  eax
        pushfd
        pop  ecx
        mov  ecx, cs
        mov  edx, cr0
        mov  ebx, [DATA]
        add  dword ptr [touch + 2], 0x1000
    touch:
        mov  esi, [{DATA:#x}]
        cmp  esi, 0
        jmp  again
    """
    for paging in (False, True):
        one = lab(Kernel(source, paging=paging), "trap")
        for budget in (1, 7, 100, 1000):
            before = one.cpu.count()
            assert one.cpu.run(budget) == EXIT_BUDGET
            assert one.cpu.count() == before + budget
        exits = one.machine.statistics()["exits"]
        assert exits["shadow fill"] > 10 and exits["critical, silent"] > 10 and exits["#GP"] > 10


def test_the_kernels_pages_are_the_kernels() -> None:
    """Its own pages are filled with its own rights, and its code is not searched."""
    source = f"mov eax, [{0x180000:#x}] \n mov [{0x180000:#x}], eax \n int 0x31"
    pages = {0x180000: 0x110003}
    done = trapped(source, paging=True, pages=pages)
    assert "#PF" not in done.exits
    shadow = done.machine.statistics()["shadow"]
    assert (shadow["pages_clean"], shadow["pages_audited"]) == (0, 0)


def test_null_selectors_come_back() -> None:
    """A null selector loads by itself in ring 3, and is the guest's then."""
    one = flat("xor eax, eax", "mov fs, ax", "mov gs, ax", "here: jmp here", mode="trap")
    one.step(4)
    assert (one.reg("fs"), one.reg("gs")) == (0, 0)
    assert one.reg("eip") == ORIGIN + 8
