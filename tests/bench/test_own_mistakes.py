"""What a user may get wrong in an operation of one's own is named, and nothing runs without end."""

from __future__ import annotations

import re
import time

import pytest
from patience import PATIENCE

from monitor.bench import own_plan, own_trial
from monitor.bench.own import EVERY, KERNEL, USER, costs
from monitor.bench.own_loop import OwnOperation
from monitor.bench.own_trial import TooLongError
from monitor.vmm.errors import MonitorBug, UserError

ROUNDS = 5
MISTAKES = {
    # it stops
    "hlt": (KERNEL, "it stops: HLT waits for an interrupt, and none comes"),
    "sti; hlt": (KERNEL, "it stops: HLT"),
    # it never ends
    ".a:; jmp .a": (KERNEL, "it does not end: after 100,000 instructions.* 0 bytes from its begin"),
    "nop; .a:; inc eax; jmp .a": (USER, "it does not end: after 100,000 .* [12] bytes from"),
    # it leaves
    "jmp finish": (KERNEL, "it ends the machine: it writes to the debug-exit port, or jumps"),
    "mov al, 0; out DEBUG_EXIT, al": (KERNEL, "it ends the machine"),
    "jmp 0x900000": (KERNEL, "it leaves its code, and at 0x00900000 it meets #PF"),
    "jmp finish; nop": (USER, "it leaves its code, and at 0x0010.* it meets #GP"),
    "mov byte ptr [esi], 0xeb; mov byte ptr [esi + 1], 0xfe; jmp esi":
        (KERNEL, "it leaves: after 100,000 instructions.* elsewhere, at 0x00300000"),
    "mov al, 0xfe; out 0x64, al": (KERNEL, "it resets the machine"),
    # it faults
    "ud2": (KERNEL, "it faults, 0 bytes from its beginning: #UD; only #DE and #PF have handlers"),
    "hlt; nop": (USER, r"it faults, 0 bytes .*: #GP \(error code 0x0\)"),
    "mov eax, 0x13; mov ds, ax": (KERNEL, r"it faults, 5 bytes .*: #GP \(error code 0x10\)"),
    "int3": (KERNEL, "it faults, 1 bytes from its beginning: #BP"),
    "pushfd; or dword ptr [esp], 0x100; popfd; nop": (KERNEL, "#DB"),
    "mov eax, [edi + 4]": (KERNEL, "#PF in an instruction of 3 bytes; the handler here skips 2"),
    "div dword ptr [0x300000]": (USER, "#DE in an instruction of 6 bytes"),
    "mov esp, 0; push eax": (KERNEL, "it shuts the processor down: .* Is there still a stack"),
    "vmcall": (KERNEL, "#UD"),
    # it does not balance the stack
    "pop eax": (KERNEL, "a pass takes 4 bytes off the stack, and ESP has to end as it began"),
    "push eax; pushfd": (USER, "a pass leaves 8 bytes on the stack"),
    "mov dword ptr [PASSES_LEFT], 7": (KERNEL, "it writes over the loop's counter"),
    "mov eax, .on; push USER_DATA; push esp; push 0x202; push USER_CODE; push eax; iretd; .on:":
        (KERNEL, "it begins in ring 0 and ends in ring 3"),
    # its passes differ
    "test ecx, 2; jz .even; nop; .even:": (KERNEL, "its passes differ: they have 2 and 3 instr"),
    "cmp ecx, 2; ja .on; nop; .on:": (KERNEL, "its passes differ"),
    # it cannot be assembled
    "nop; bogus eax": (KERNEL, "line 2: Invalid mnemonic .* bogus eax"),
    "": (KERNEL, "it has no instructions"),
    ".alone:": (USER, "it has no instructions"),
    ".space 0x100000": (KERNEL, "its code and data are .* bytes too long"),
    ".rept 2000000; nop; .endr": (KERNEL, "line 1: 1,048,576 times at most"),
    "behind:; nop": (KERNEL, "behind is defined twice"),
}  # fmt: skip


@pytest.mark.parametrize("code", MISTAKES)
def test_it_is_named(code: str) -> None:
    loop, message = MISTAKES[code]
    with pytest.raises(UserError, match=message) as error:
        costs({"mine": code}, loop=loop, rounds=ROUNDS)
    assert str(error.value).startswith("operation 'mine': ") and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("code", "loop"),
    [("mov ecx, 1", KERNEL), ("xor ecx, ecx; not ecx", USER), ("div ebx", KERNEL),
     ("mov eax, [edi]", USER), ("int SYSTEM_CALL", USER), ("mov eax, cr3; mov cr3, eax", KERNEL)],
)  # fmt: skip
def test_what_is_no_mistake(code: str, loop: str) -> None:
    found = costs({"mine": code}, loop=loop, rounds=ROUNDS, setups=("bare", "trap", "translate"))
    assert all(one.steady.cycles > 0 and one.cycles > 0 for one in found.values())


def test_an_instruction_may_lie_on_two_pages() -> None:
    code = {"mine": "jmp .on; .align 4096; .space 4092; .on:; mov dword ptr [esi + 4], 0x12345678"}
    found = costs(code, rounds=ROUNDS)
    assert found["mine", "bare"].steady.cycles == 3


def test_passes_that_differ_later_are_no_bug_of_the_monitor() -> None:
    code = {"mine": "inc dword ptr [esi]; cmp dword ptr [esi], 5; jnz .on; nop; .on:"}
    with pytest.raises(UserError, match=r"its passes differ: 5 of them execute .* should be"):
        costs(code, rounds=ROUNDS)


LATER = {
    ".a:; jmp .a": "does not end",
    "hlt": "stops: HLT waits",
    "ud2": "faults, where there is no handler",
    "mov esp, 0; push eax": "shuts the processor down",
    "out 0x64, al": "ends the machine",
}


@pytest.mark.parametrize("last", LATER)
def test_nor_is_one_that_goes_wrong_later(last: str) -> None:
    code = {"mine": "inc dword ptr [esi]; mov al, 0xfe; cmp dword ptr [esi], 5; jnz .on;"
                    f"{last}; .on:"}  # fmt: skip
    for setups in (("translate", "bare"), ("bare",), ("translate",)):
        with pytest.raises(UserError, match="first three are alike, and a later one") as error:
            costs(code, rounds=ROUNDS, setups=setups)
        assert re.search(LATER[last], str(error.value))


def test_wrong_answers_may_lead_it_astray_only_in_trap_mode() -> None:
    """In ring 3 with IOPL 0, PUSHFD shows IF as it is there."""
    code = {"mine": "pushfd; pop eax; test eax, 0x200; jz .on; .a:; jmp .a; .on:"}
    found = costs(code, rounds=ROUNDS)
    assert not found["mine", "translate"].wrong
    with pytest.raises(UserError, match="'mine', trap: critical instructions give wrong answers"):
        costs(code, rounds=ROUNDS, setups=("translate", "trap"))


# --- limits ---------------------------------------------------------------------------------------


def test_a_run_may_not_have_too_many_instructions() -> None:
    with pytest.raises(UserError, match=r"'mine': 1,000 passes of it are .* the limit is 60,000"):
        costs({"mine": ".fill 100, 1, 0x90"}, rounds=2000, instructions=60_000)


def test_all_of_it_may_not_take_too_long() -> None:
    begun = time.monotonic()
    with pytest.raises(UserError, match=r": the time limit .*is over|: the time limit was"):
        costs({"mine": "mov ebx, 30000; .a:; dec ebx; jnz .a"}, rounds=1600, seconds=0.05,
              setups=EVERY)  # fmt: skip
    assert time.monotonic() - begun < PATIENCE


def test_a_trial_that_the_time_limit_ends_says_so() -> None:
    with pytest.raises(TooLongError, match="'mine': the time limit was reached before three"):
        own_trial.check(OwnOperation("mine", "nop", KERNEL), deadline=time.monotonic() - 1)


def test_a_run_that_the_time_limit_ends_is_no_result(monkeypatch: pytest.MonkeyPatch) -> None:
    real = own_plan.execute

    def execute(workload, setup, *limits):  # type: ignore[no-untyped-def]
        counts, seconds, _ = real(workload, setup, *limits)
        return counts, seconds, "timeout"

    monkeypatch.setattr(own_plan, "execute", execute)
    for setups in (("bare",), ("trap",), ("translate",)):
        with pytest.raises(TooLongError, match="the time limit of 600 seconds is over"):
            costs({"mine": "nop"}, rounds=ROUNDS, setups=setups)


@pytest.mark.parametrize("limits", [{"seconds": 0}, {"seconds": float("nan")}, {"instructions": 0}])
def test_limits_that_are_none(limits: dict[str, float]) -> None:
    with pytest.raises(UserError, match="give a number above 0"):
        costs({"mine": "nop"}, **limits)  # type: ignore[arg-type]


def test_names_that_are_taken() -> None:
    with pytest.raises(UserError, match=r"two operations are named 'empty \(ring 0\)'"):
        costs({"empty (ring 0)": "nop"})


def test_a_loop_that_there_is_not() -> None:
    with pytest.raises(UserError, match="loop 'ring 3': choose KERNEL or USER"):
        costs({"mine": "nop"}, loop="ring 3")


def test_a_monitor_that_counts_otherwise_is_a_bug(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is told apart from mistakes: the guest behaves bare, and not translated."""
    real = own_plan.execute

    def execute(workload, setup, *limits):  # type: ignore[no-untyped-def]
        counts, seconds, ended = real(workload, setup, *limits)
        return counts, seconds, "failed" if setup.mode == "translate" else ended

    monkeypatch.setattr(own_plan, "execute", execute)
    with pytest.raises(MonitorBug, match=r"'empty \(ring 0\)': bare it executes"):
        costs({"mine": "nop"}, rounds=ROUNDS)


def test_the_help_says_what_is_true() -> None:
    text = costs.__doc__ or ""
    assert f"{own_trial.LONGEST_PASS:,} instructions" in text
    assert own_trial.SKIPPED == 2 and "two bytes further" in text
