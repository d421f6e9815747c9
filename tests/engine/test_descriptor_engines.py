"""Engines that load segment registers by themselves, from the descriptors that they are given."""

from __future__ import annotations

import pytest
from engine_lab import CODE, DATA, GP, HOLE, SEGMENTS, SS_FAULT, STACK, Lab

from bt.contract import EXIT_EXCEPTION, EXIT_SOFTINT
from bt.interp.state import ATTR_UNUSABLE

pytestmark = pytest.mark.engine("loads")

NP = 11
DATA_RIGHTS = 0x40F3  # writable data, 32 bits, DPL 3, accessed
READ_ONLY = 0x40F1
CODE_RIGHTS = 0x40FB
EXECUTE_ONLY = 0x40F9
SMALL = (DATA, 0xFFF, DATA_RIGHTS)

LOADS = {
    "mov": "mov {0}, ax",
    "pop": "push eax; pop {0}",
    "far pointer": "mov [0x20100], ebx; mov [0x20104], ax; l{0} ebx, [0x20100]",
}


@pytest.mark.parametrize("selector", [0x0B, 0x53, 0x57, 0x1F, 0xFFFB, 0xFFFF])
@pytest.mark.parametrize("name", ["ds", "es", "fs", "gs"])
@pytest.mark.parametrize("load", LOADS)
def test_a_selector_that_it_has_loads(lab: Lab, load: str, name: str, selector: int) -> None:
    """From either table, and is told; the guest's own registers are the monitor's to fill."""
    number = SEGMENTS.index(name)
    before = [tuple(lab.ideal.segment(i)) for i in range(6)]
    lab.engine.set_descriptor(selector, SMALL)
    lab.poke(DATA + 0x10, b"\x78\x56\x34\x12")
    code = LOADS[load].format(name)
    lab.finish(f"{code}; mov ecx, {name}:[0x10]; mov edx, {name}", eax=selector, ebx=0)
    assert lab.reg("ecx") == 0x12345678
    assert lab.reg("edx") & 0xFFFF == selector
    assert lab.engine.loaded_segments() == [(number, selector)]
    assert lab.engine.give_null_segments(lab.ideal) == 0
    assert [tuple(lab.ideal.segment(i)) for i in range(6)] == before
    assert lab.engine.segment(number)[:3] == (selector, DATA, 0xFFF)


@pytest.mark.parametrize("rpl", range(4))
def test_any_rpl_but_for_the_stack(lab: Lab, rpl: int) -> None:
    lab.engine.set_descriptor(0x50, (0, 0x7FFFFFFF, 0xC0F3))
    lab.finish("mov ds, ax", eax=0x50 | rpl)
    if rpl == 3:
        lab.finish("mov ss, ax; push 5; pop ecx", eax=0x53)
        assert (SEGMENTS.index("ss"), 0x53) in lab.engine.loaded_segments()
    else:
        exit_ = lab.fault("mov ss, ax", eax=0x50 | rpl)
        assert (exit_.vector, exit_.error) == (GP, 0x50)


def test_its_limit_holds(lab: Lab) -> None:
    lab.engine.set_descriptor(0x53, SMALL)
    lab.program("mov fs, ax; mov al, fs:[0xfff]; mov al, fs:[0x1000]")
    lab.set(eax=0x53)
    exit_ = lab.run()
    assert (exit_.reason, exit_.vector, exit_.error) == (EXIT_EXCEPTION, GP, 0)
    assert lab.engine.loaded_segments() == [(SEGMENTS.index("fs"), 0x53)], "before it faulted"


@pytest.mark.parametrize(
    ("rights", "name", "loads"),
    [
        (DATA_RIGHTS, "ds", True), (DATA_RIGHTS, "ss", True),
        (READ_ONLY, "ds", True), (READ_ONLY, "ss", False),
        (CODE_RIGHTS, "es", True), (CODE_RIGHTS, "ss", False),
        (EXECUTE_ONLY, "gs", False), (EXECUTE_ONLY, "ss", False),
    ],
)  # fmt: skip
def test_its_type_holds(lab: Lab, rights: int, name: str, loads: bool) -> None:
    lab.engine.set_descriptor(0x53, (0, 0xFFFFF, rights))
    if loads:
        lab.finish(f"mov {name}, ax", eax=0x53)
        return
    exit_ = lab.fault(f"mov {name}, ax", eax=0x53)
    assert (exit_.vector, exit_.error) == (GP, 0x50)


@pytest.mark.parametrize("selector", [0x50, 0x53, 0x54, 0xFFF8])
def test_what_it_was_not_given_faults(lab: Lab, selector: int) -> None:
    """Nor what it was given and is not to have any more; the table's neighbours stay."""
    exit_ = lab.fault("mov ds, ax", eax=selector)
    assert exit_.vector in (GP, NP) and exit_.error == selector & ~3
    lab.engine.set_descriptor(selector, SMALL)
    lab.engine.set_descriptor(selector ^ 8, SMALL)
    lab.finish("mov ds, ax", eax=selector)
    lab.engine.set_descriptor(selector, None)
    exit_ = lab.fault("mov ds, ax", eax=selector)
    assert exit_.vector in (GP, NP) and exit_.error == selector & ~3
    lab.finish("mov ds, ax", eax=selector ^ 8)


def test_a_register_keeps_what_was_taken_back(lab: Lab) -> None:
    lab.engine.set_descriptor(0x53, SMALL)
    lab.program("mov fs, ax; int 0x21; mov ecx, fs:[0x10]")
    lab.set(eax=0x53)
    assert lab.run().arg == 0x21
    lab.ideal.set_segment(SEGMENTS.index("fs"), 0x53, *SMALL)
    lab.engine.set_descriptor(0x53, None)
    lab.ideal.eip += 2
    assert lab.run().reason == EXIT_SOFTINT


def test_a_new_descriptor_takes_the_place_of_the_old_one(lab: Lab) -> None:
    lab.poke(DATA, b"\x01\0\0\0")
    lab.poke(STACK, b"\x02\0\0\0")
    for base, value in ((DATA, 1), (STACK, 2), (DATA, 1)):
        lab.engine.set_descriptor(0x53, (base, 0xFFF, DATA_RIGHTS))
        lab.finish("mov gs, ax; mov ecx, gs:[0]", eax=0x53)
        assert lab.reg("ecx") == value


def test_nothing_is_told_where_nothing_was_loaded(lab: Lab) -> None:
    lab.engine.set_descriptor(0x53, SMALL)
    lab.finish("nop")
    assert lab.engine.loaded_segments() == []
    lab.finish("mov ds, ax", eax=0)
    assert lab.engine.loaded_segments() == [], "null ones are told otherwise"
    assert lab.engine.give_null_segments(lab.ideal) == 1


def test_a_null_selector_after_another_one(lab: Lab) -> None:
    """The register keeps base and limit, for real mode to use again: the other one's."""
    lab.engine.set_descriptor(0x53, SMALL)
    lab.finish("mov es, ax; mov es, bx", eax=0x53, ebx=2)
    number = SEGMENTS.index("es")
    assert lab.engine.loaded_segments() == [(number, 0x53)]
    lab.ideal.set_segment(number, 0x53, *SMALL)
    assert lab.engine.give_null_segments(lab.ideal) == 1
    assert lab.ideal.segment(number) == (2, *SMALL[:2], SMALL[2] | ATTR_UNUSABLE)


@pytest.mark.parametrize("cpl", [0, 1, 2])
def test_only_for_a_guest_at_cpl_3(lab: Lab, cpl: int) -> None:
    """The selectors of a kernel mean other segments."""
    lab.engine.set_descriptor(0x53, SMALL)
    lab.ideal.set_privilege(cpl)
    exit_ = lab.fault("mov ds, ax", eax=0x53)
    assert (exit_.vector, exit_.error) == (GP, 0x50)


def test_a_fault_in_the_middle_of_a_load_changes_nothing(lab: Lab) -> None:
    lab.engine.set_descriptor(0x53, SMALL)
    lab.fault("lds eax, [ebx]", ebx=HOLE - 4)
    lab.fault("pop ds", esp=HOLE)
    assert lab.engine.loaded_segments() == []


def test_a_far_transfer_leaves_or_is_told(lab: Lab) -> None:
    lab.engine.set_descriptor(0x5B, (0, 0xFFFFF, CODE_RIGHTS))
    lab.program(bytes.fromhex("ea 10000100 5b00"))
    lab.poke(CODE + 0x10, b"\xcd\x21")
    exit_ = lab.run()
    if exit_.reason == EXIT_EXCEPTION:
        assert (exit_.vector, exit_.error, exit_.eip) == (GP, 0x58, CODE)
    else:
        assert exit_.arg == 0x21
        assert lab.engine.loaded_segments() == [(SEGMENTS.index("cs"), 0x5B)]


def test_a_stack_that_is_missing(lab: Lab) -> None:
    exit_ = lab.fault("lss esp, [0x20000]")
    assert exit_.vector in (GP, SS_FAULT)
