"""The processor's state: every field is in it or has a reason not to be; saved, it is all there."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from system_lab import CODE, Lab, assemble

from bt.engine import Interp, Ram, StateError
from bt.interp.architecture import BITS, DERIVED, FIELDS, NAMES, SET_UP
from bt.interp.interp import Interp as Sources
from bt.interp.marks import SEGMENTS, Ring3
from bt.interp.msr import msr_slot
from bt.interp.state import (
    EXIT_HALT,
    EXIT_INTERRUPT,
    EXIT_IO,
    EXIT_SHUTDOWN,
    NEWS_FLUSH_ALL,
    Cpu,
)
from bt.interp.transfer import RING3_FLAGS

SIZE = 1 << 20
PARTS = ("selector", "base", "limit", "rights")


def fresh() -> Any:
    return Interp(Ram(bytearray(SIZE), SIZE, 4096))


def any_state(dice: random.Random) -> dict[str, int]:
    """Values at random; bit 1 of EFLAGS is always set, and no processor here is VMware's."""
    state = {name: dice.getrandbits(64) & bits for name, bits in BITS.items()}
    return state | {"eflags": state["eflags"] | 2} | dict.fromkeys(SET_UP, 0)


# --- the list --------------------------------------------------------------------------


def test_every_field_is_state_or_has_a_reason_not_to_be() -> None:
    marked = [field.name for field in FIELDS]
    derived = [name for names in DERIVED.values() for name in names]
    declared = [*Cpu.__annotations__, *Sources.__annotations__]
    assert sorted([*marked, *derived]) == sorted(declared)


def test_a_value_has_one_name() -> None:
    names = [name for field in FIELDS for name, _ in field.values]
    assert len(names) == len(set(names))
    within = {field.mark.within for field in FIELDS} - {""}
    assert within == set(NAMES) - (set(names) - {"eflags"})


def test_every_msr_that_keeps_something_has_its_name() -> None:
    places = {}
    for field in FIELDS:
        if field.name in ("msr_misc", "msr_mtrr"):
            first = 0 if field.name == "msr_misc" else 16
            places |= {name: first + i for name, i in field.values}
    kept = {f"msr_{address:03x}": msr_slot(address) for address in range(0x1000)}
    assert places == {name: slot for name, slot in kept.items() if slot >= 0}


def test_a_fresh_processor_has_what_is_on_the_list() -> None:
    assert sorted(fresh().save_state()) == sorted(NAMES)


# --- load_state ------------------------------------------------------------------------


def test_what_was_loaded_is_saved() -> None:
    cpu, dice = fresh(), random.Random(1)
    for _ in range(100):
        state = any_state(dice)
        cpu.load_state(json.loads(json.dumps(state)))
        assert cpu.save_state() == state


def broken_states() -> dict[str, Any]:
    good = any_state(random.Random(2))
    return {
        "a processor's state is a dictionary, not list": list(good.items()),
        "a processor's state without eip": {n: v for n, v in good.items() if n != "eip"},
        "a processor's state without eax, ecx, edx and": {"cr0": 1},
        "r8, 7: a processor's state has no such value": {**good, "r8": 0, 7: 0},
        "eax is str, not int": {**good, "eax": "1"},
        "eax is bool, not int": {**good, "eax": True},
        "eax is float, not int": {**good, "eax": 1.0},
        "eax = -0x1: can only have the bits 0xffffffff": {**good, "eax": -1},
        "tsc_offset = 0x10000000000000000: can": {**good, "tsc_offset": 1 << 64},
        "cr4 = 0x800: can only have the bits 0x7ff": {**good, "cr4": 0x800},
        "ldtr_rights = 0x100: can only have": {**good, "ldtr_rights": 0x100},
        "icount = 0x7fffffffffffffff: can only": {**good, "icount": (1 << 63) - 1},
        "backdoor = 0x1: here it was set up to be 0x0": {**good, "backdoor": 1},
    }


@pytest.mark.parametrize("message", broken_states())
def test_what_is_no_state_changes_nothing(message: str) -> None:
    cpu = fresh()
    before = any_state(random.Random(3))
    cpu.load_state(before)
    with pytest.raises(StateError) as error:
        cpu.load_state(broken_states()[message])
    assert str(error.value).startswith(message)
    assert cpu.save_state() == before


@pytest.mark.parametrize("seed", range(8))
def test_no_state_harms_the_processor(seed: int) -> None:
    """It may be one that no processor comes into. It runs, or shuts down."""
    dice = random.Random(seed)
    lab = Lab()
    lab.memory[:] = dice.randbytes(0x10000) * (lab.SIZE // 0x10000)
    for _ in range(20):
        state = any_state(dice)
        for name in ("dr7", "eflags", "cr0", "a20"):
            state[name] = dice.choice([state[name], BITS[name], 2 if name == "eflags" else 0])
        lab.cpu.load_state(state)
        lab.cpu.run(50)
        lab.cpu.load_state(lab.cpu.save_state())


# --- who else takes part of it ---------------------------------------------------------

RING3 = [name for field in FIELDS if isinstance(field.mark, Ring3) for name, _ in field.values]
LOWERED = {
    *("eip", "icount", "eflags", "cr0", "cr4", "tsc_offset", "cpl", "rep_under_way"),
    *("interrupt_shadow", "debug_shadow"),  # of its own, and of another time
    *(f"{segment}_{part}" for segment in SEGMENTS[:6] for part in PARTS),
}  # what an engine has of the guest's in a form of its own (transfer.py)


def differing(one: dict[str, int], other: dict[str, int]) -> set[str]:
    return {name for name in NAMES if one[name] != other[name]}


@pytest.mark.parametrize("seed", range(4))
def test_an_engine_gets_what_is_marked_for_it_and_gives_it_back(seed: int) -> None:
    dice = random.Random(seed)
    ram = Ram(bytearray(SIZE), SIZE, 4096)
    ideal, engine = Interp(ram), Interp(ram, None, True)
    engine.load_state(any_state(dice))
    ideal.load_state(any_state(dice))
    guest, own = ideal.save_state(), engine.save_state()
    engine.load_direct(ideal, 0xFF800000, guest["icount"])
    loaded = engine.save_state()
    assert [loaded[name] for name in RING3] == [guest[name] for name in RING3]
    assert differing(loaded, own) <= {*RING3, *LOWERED}
    assert loaded["rep_under_way"] == guest["rep_under_way"]

    engine.load_state(any_state(dice))
    engine.give_registers(ideal)
    given, back = engine.save_state(), ideal.save_state()
    assert [back[name] for name in RING3] == [given[name] for name in RING3]
    assert differing(back, guest) <= {*RING3, "eip", "eflags", "rep_under_way"}
    assert (back["eflags"] ^ guest["eflags"]) & ~RING3_FLAGS == 0
    assert (back["eflags"] ^ given["eflags"]) & RING3_FLAGS == 0


def test_reset_leaves_nothing_but_time_and_what_is_outside() -> None:
    """RESET# (SDM vol. 3, table 9-1); the pins, and what the embedder has set up."""
    outside = {"tsc_offset", "icount", "a20", "intr"}
    cpu = fresh()
    after_power_on = cpu.save_state()
    for seed in range(20):
        cpu.load_state(any_state(random.Random(seed)))
        cpu.reset()
        assert differing(cpu.save_state(), after_power_on) <= outside


def test_what_is_put_back_keeps_the_tlb() -> None:
    """A moment later, when nothing that a translation depends on has changed."""
    lab = Lab()
    before = lab.cpu.save_state()
    lab.run("mov eax, [0x30000]; inc ebx")
    lab.cpu.take_news()
    lab.cpu.put_back(before)
    assert lab.cpu.save_state() == before
    assert lab.cpu.take_news() == 0
    lab.cpu.load_state(before)
    assert lab.cpu.take_news() == NEWS_FLUSH_ALL


# --- going on --------------------------------------------------------------------------


def live(lab: Lab, turns: int, length: int) -> list[dict[str, int]]:
    """Run in turns, with an interrupt now and then; the states between them."""
    states = []
    for turn in range(turns):
        end = lab.cpu.icount() + length
        reason = lab.cpu.run(length)
        while reason == EXIT_IO:  # in the middle of a REP, and how far it came is by the way
            reason = lab.cpu.run(end - lab.cpu.icount())
        states.append(lab.cpu.save_state())
        if reason == EXIT_SHUTDOWN:
            break
        if reason in (EXIT_HALT, EXIT_INTERRUPT) or (turn % 3 == 0 and lab.cpu.interruptible()):
            lab.cpu.interrupt(0x21)
    return states


def taken_over(lab: Lab) -> Lab:
    """Another processor, over other memory, with the same contents."""
    other = Lab()
    other.memory[:] = lab.memory
    other.cpu.load_state(lab.cpu.save_state())
    return other


PROGRAMS = {
    "flags that are still to be worked out": "add al, 0x80; pushfd; sbb eax, ecx; pushfd; inc ecx",
    "interrupt shadow": "sti; nop; cli; nop; sti; nop",
    "stack loaded": "mov ax, ss; mov ss, ax; nop; nop",
    "single step": "pushfd; or dword ptr [esp], 0x100; popfd; nop; mov ax, ss; mov ss, ax; nop",
    "x87": "fninit; fldpi; fld1; fdivp; fldz; fdivrp; fnstenv [0x30000]; fld dword ptr [0x30000]",
    "debug registers": "mov eax, 0x30000; mov dr0, eax; mov eax, 0xd0402; mov dr7, eax;"
    "mov [0x30000], al; mov ax, ss; mov ss, [0x30010]; nop",
    "model-specific registers": "mov ecx, 0x2ff; mov eax, 5; wrmsr; rdmsr; mov ecx, 0x10; wrmsr;"
    "rdtsc; mov ecx, 0x176; wrmsr; rdmsr",
    "string": "mov edi, 0x30000; mov ecx, 100000; rep stosb; nop",
    "control registers": "mov eax, cr0; or al, 0xe; mov cr0, eax; fld1; clts; mov cr2, eax",
}


@pytest.mark.parametrize("after", range(14))
@pytest.mark.parametrize("name", PROGRAMS)
def test_another_processor_goes_on_from_any_instruction(name: str, after: int) -> None:
    lab = Lab()
    lab.memory[0x30010] = 0x10
    code = assemble(PROGRAMS[name] + "; l: inc edx; jmp l", CODE, 32)
    lab.memory[CODE : CODE + len(code)] = code
    lab.cpu.eip = CODE
    lab.cpu.run(after)
    other = taken_over(lab)
    assert live(lab, 12, 3) == live(other, 12, 3)
    assert lab.memory == other.memory
