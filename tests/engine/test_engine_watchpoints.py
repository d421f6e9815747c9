"""Watchpoints: an engine leaves before an access to watched bytes, and loses nothing by it."""

from __future__ import annotations

import pytest
from engine_lab import CODE, DATA, PF, STACK, Lab
from watched import watch

from bt.contract import EXIT_EXCEPTION, MAX_WATCHPOINTS
from bt.interp.state import RECORD_CODE


@pytest.mark.parametrize(
    "code",
    [
        "mov eax, [{0}]",
        "mov [{0}], eax",
        "mov al, [{0} + 1]",
        "mov [{0} - 3], eax",
        "inc dword ptr [{0}]",
        "push dword ptr [{0}]",
        "fld qword ptr [{0} - 4]",
        "lodsb",
    ],
)
def test_it_leaves_before_the_access(lab: Lab, code: str) -> None:
    place = DATA + 0x40
    watch(lab, (place, place + 3))
    exit_ = lab.fault(code.format(place), esi=place + 2, edi=DATA + 0x100, ecx=2)
    assert exit_.vector == PF
    assert lab.engine.wp_fault == 1
    assert not exit_.traced


@pytest.mark.engine("traces_bytes")
def test_rep_leaves_in_the_middle(lab: Lab) -> None:
    watch(lab, (DATA + 8, DATA + 8))
    lab.program(b"\xf3\xaa")  # rep stosb
    lab.set(edi=DATA, ecx=16)
    exit_ = lab.run()
    assert (exit_.reason, exit_.count, exit_.eip) == (EXIT_EXCEPTION, 0, CODE)
    assert (lab.reg("edi"), lab.reg("ecx")) == (DATA + 8, 8)


@pytest.mark.engine("traces_bytes")
def test_its_neighbours_are_free(lab: Lab) -> None:
    place = DATA + 0x40
    watch(lab, (place, place + 3))
    code = "mov [{0} - 4], eax; mov eax, [{0} + 4]; mov bl, [{0} - 1]; add [{0} + 4], ebx"
    exit_ = lab.finish(code.format(place))
    assert exit_.count == 4


def test_a_faulting_page_is_no_watchpoint(lab: Lab) -> None:
    watch(lab, (DATA, DATA + 3))
    lab.fault("mov eax, [0x700000]")
    assert lab.engine.wp_fault == 0


@pytest.mark.engine("traces_bytes")
def test_pushes_reach_the_stack(lab: Lab) -> None:
    top = STACK + 0x800
    watch(lab, (top - 8, top - 5))
    lab.program("push 1; push 2; push 3")
    exit_ = lab.run()
    assert (exit_.reason, exit_.count) == (EXIT_EXCEPTION, 1)
    assert lab.reg("esp") == top - 4


def test_code_in_a_watched_page_runs(lab: Lab) -> None:
    watch(lab, (CODE + 0x800, CODE + 0x803))
    assert lab.finish("mov ecx, 5; top: dec ecx; jnz top").count == 11


def test_pages_get_their_fast_path_back(lab: Lab) -> None:
    watch(lab, (DATA, DATA + 3))
    lab.fault(f"mov eax, [{DATA}]")
    watch(lab)
    lab.finish(f"mov eax, [{DATA}]; mov [{DATA}], eax; push eax")


def test_pages_mapped_later_are_watched(lab: Lab) -> None:
    watch(lab, (DATA, DATA + 3))
    lab.engine.unmap_page(lab.space, DATA)
    exit_ = lab.fault(f"mov eax, [{DATA}]")
    assert exit_.address == DATA
    lab.map(DATA, 0x24, 0)
    lab.fault(f"mov eax, [{DATA}]")
    assert lab.engine.wp_fault == 1


def test_unmapping_a_frame_finds_watched_pages(lab: Lab) -> None:
    watch(lab, (DATA, DATA + 3))
    lab.map(DATA, 0x24, 0)
    lab.engine.unmap_frame(lab.space, 0x24)
    lab.fault(f"mov eax, [{DATA}]")
    assert lab.engine.wp_fault == 0


def test_too_many(lab: Lab) -> None:
    watch(lab, *[(DATA + 8 * i, DATA + 8 * i) for i in range(MAX_WATCHPOINTS)])
    lab.fault(f"mov al, [{DATA + 8 * (MAX_WATCHPOINTS - 1)}]")
    with pytest.raises(ValueError, match="16"):
        watch(lab, *[(DATA, DATA)] * (MAX_WATCHPOINTS + 1))


def test_a_page_of_code_that_was_watched_is_as_it_was(lab: Lab) -> None:
    """Its bytes can be noted again, as only those of pages without a watchpoint can."""
    codes = []
    lab.finish("inc eax")
    for ranges in ((), ((CODE + 0x800, CODE + 0x800),), ()):
        watch(lab, *ranges)
        lab.frames.record(8)
        lab.finish("inc eax")
        place, _, _, low, _ = lab.frames.take_record()[0]
        codes.append((bool(place & RECORD_CODE), low & 0xFF if place & RECORD_CODE else 0))
        lab.frames.record(0)
    assert codes == [(True, 0x40), (False, 0), (True, 0x40)]
