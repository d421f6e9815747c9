"""Which segment register is reserved for the stubs (bt/reserved.py), and what a change costs."""

from __future__ import annotations

import pytest
from kernel_lab import DATA, Kernel
from segment_lab import both, load, monitored, translated, with_segments

from bt.interp.state import FS, GS
from bt.reserved import Choice

DS = 3


def test_it_begins_with_the_usual_one() -> None:
    assert (Choice(GS).now.name, Choice(FS).now.name) == ("gs", "fs")
    assert (Choice(GS).now.override, Choice(FS).now.override) == (0x65, 0x64)


def test_the_first_use_changes_it_if_the_other_one_has_none() -> None:
    choice = Choice(GS)
    assert not choice.note([DS, DS, FS], 0)
    choice = Choice(GS)
    assert choice.note([DS, GS], 0)
    assert (choice.now.number, choice.changes) == (FS, 1)


def test_other_segments_do_not_count() -> None:
    choice = Choice(GS)
    assert not choice.note([0, 1, 2, DS], 0)
    assert choice.uses == {FS: 0, GS: 0}


def test_both_alike_change_nothing() -> None:
    choice = Choice(GS)
    assert not choice.note([FS], 0)
    assert not any(choice.note([GS, FS], 0) for _ in range(1000))


def test_it_takes_more_than_twice_as_many() -> None:
    choice = Choice(GS)
    choice.note([FS] * 10, 0)
    assert not choice.note([GS] * 20, 0)
    assert choice.note([GS], 0)


def test_a_large_cache_is_not_thrown_away_for_a_few_uses() -> None:
    choice = Choice(GS)
    assert not choice.note([GS] * 10, 10 * 512)
    assert not choice.note([GS], 11 * 512)
    assert choice.note([GS], 12 * 512 - 1)
    assert choice.changes == 1


def test_changes_are_few_however_the_guest_goes_about_it() -> None:
    """The guest that wants as many as it can get: it uses the reserved one until that changes."""
    choice = Choice(GS)
    uses = 0
    for _ in range(12):
        uses += 1
        while not choice.note([choice.now.number], 0):
            uses += 1
    assert uses >= 2**11
    assert choice.changes == 12


# --- in a machine ---------------------------------------------------------------------------

LOOP = """
    mov  ecx, 200
again:
    {body}
    dec  ecx
    jnz  again
    int  0x31
"""
ACCESSES = """
    mov  eax, {seg}:[4]
    mov  ebx, 8
    add  {seg}:[ebx], eax
    inc  dword ptr {seg}:[ebx * 2]
    call dword ptr {seg}:[0x20]
"""
FUNCTION = "function: \n lea edx, [edx + 1] \n ret \n"


def looping(*segments: str, ring: int = 0, flags: int | None = None) -> Kernel:
    body = "".join(ACCESSES.format(seg=seg) for seg in segments)
    setting = "".join(load(seg, "small") for seg in segments)
    source = setting + "mov dword ptr [DATA + 0x20], function \n" + LOOP.format(body=body)
    return with_segments(Kernel(source + FUNCTION, ring=ring, flags=flags))


RINGS = {"kernel": (0, None), "kernel, IOPL": (0, 0x3002), "user, IOPL": (3, 0x3202),
         "user, IF = 0": (3, 0x0002)}  # fmt: skip


@pytest.mark.parametrize("ring", RINGS)
@pytest.mark.parametrize("segments", [("fs",), ("gs",), ("fs", "gs"), ("gs", "fs"), ()])
def test_a_hot_loop_needs_no_exits(ring: str, segments: tuple[str, ...]) -> None:
    kernel = looping(*segments, ring=RINGS[ring][0], flags=RINGS[ring][1])
    for run in both(kernel).values():
        assert sum(run.exits.values()) < 100, run.exits
        assert run.kinds["emulated"] < 200


@pytest.mark.parametrize(("segments", "kernel", "changes"), [
    ((), "gs", 0), (("fs",), "gs", 0), (("gs",), "fs", 1), (("fs", "gs"), "gs", 0),
])  # fmt: skip
def test_the_kernels_choice(segments: tuple[str, ...], kernel: str, changes: int) -> None:
    run = translated(looping(*segments))
    tc = run.machine.statistics()["tc"]
    found = tc["reserved_kernel"], tc["reserved_user"], tc["reserved_changes"], tc["flushes"]
    assert found == (kernel, "fs", changes, changes)


@pytest.mark.parametrize(("segments", "user", "changes"), [
    ((), "fs", 0), (("gs",), "fs", 0), (("fs",), "gs", 1), (("gs", "fs"), "fs", 0),
])  # fmt: skip
def test_user_code_has_a_choice_of_its_own(
    segments: tuple[str, ...], user: str, changes: int
) -> None:
    run = translated(looping(*segments, ring=3, flags=0x3202))
    tc = run.machine.statistics()["tc"]
    assert (tc["reserved_kernel"], tc["reserved_user"], tc["reserved_changes"]) == (
        "gs", user, changes)  # fmt: skip


@pytest.mark.parametrize("segments", [("fs",), ("gs",)])
def test_one_alone_is_copied(segments: tuple[str, ...]) -> None:
    """No stub: the engine executes what the guest does, but for the CALL and RET."""
    run = translated(looping(*segments))
    assert run.kinds["stubs"] < 20


def test_the_choice_does_not_depend_on_where_budgets_end() -> None:
    whole = translated(looping("gs", "fs", "gs"))
    machine = monitored(looping("gs", "fs", "gs"))
    while machine.run(max_instructions=7).kind == "instructions":
        pass
    ours, theirs = machine.statistics(), whole.machine.statistics()
    assert ours["exits"] == theirs["exits"]
    assert ours["tc"] == theirs["tc"]


def test_a_change_in_the_middle_of_things() -> None:
    """Chains, landings and flag stubs of the kernel all lead to the register that was reserved."""
    first = "mov ecx, 50 \n one: pushfd \n cli \n popfd \n call function \n dec ecx \n jnz one \n"
    second = "mov ecx, 50 \n two: pushfd \n sti \n inc dword ptr gs:[4] \n popfd \n" \
             "call function \n push gs \n pop eax \n dec ecx \n jnz two \n"
    source = load("gs", "small") + first + second + first.replace("one", "three") + "int 0x31 \n"
    runs = both(Kernel(source + FUNCTION))
    assert runs[None].machine.statistics()["tc"]["reserved_changes"] == 1
    assert runs[None].dword(DATA + 4) == 50
