"""Segment registers: every check of a load, in every mode (SDM vol. 3, 3.4.2, 5.6, 5.7, 20)."""

from __future__ import annotations

import pytest
from system_lab import (
    ABSENT,
    ABSENT_CODE,
    CODE,
    CODE0,
    CODE3,
    CONFORMING,
    DATA,
    DATA0,
    DATA3,
    DS,
    EAX,
    EBX,
    ECX,
    ES,
    ESP,
    EXEC_ONLY,
    EXPAND_DOWN,
    FS,
    GP,
    LDT,
    LDT_SEL,
    NP,
    READ_ONLY,
    SS,
    SS_FAULT,
    UD,
    Lab,
    descriptor,
)

FAULTS = [
    # segment register, selector, CPL, vector, error code
    ("ds", EXEC_ONLY, 0, GP, EXEC_ONLY),
    ("ds", ABSENT, 0, NP, ABSENT),
    ("ds", LDT_SEL, 0, GP, LDT_SEL),
    ("ds", 0x100, 0, GP, 0x100),
    ("ds", 0xFC, 0, GP, 0xFC),  # LDT entry beyond its limit
    ("ds", DATA0, 3, GP, DATA0),
    ("ds", DATA0 | 3, 0, GP, DATA0),
    ("es", CODE0, 3, GP, CODE0),
    ("fs", 0xFFFF, 0, GP, 0xFFFC),
    ("ss", 0, 0, GP, 0),
    ("ss", 3, 3, GP, 0),
    ("ss", DATA3, 0, GP, DATA3 & ~3),
    ("ss", DATA0 | 3, 3, GP, DATA0),
    ("ss", DATA3 & ~3, 3, GP, DATA3 & ~3),
    ("ss", READ_ONLY, 0, GP, READ_ONLY),
    ("ss", CODE0, 0, GP, CODE0),
    ("ss", ABSENT, 0, SS_FAULT, ABSENT),
    ("ss", 0x100, 0, GP, 0x100),
]


@pytest.mark.parametrize(("register", "selector", "cpl", "vector", "error"), FAULTS)
def test_bad_load(
    lab: Lab, register: str, selector: int, cpl: int, vector: int, error: int
) -> None:
    lab.ring(cpl)
    lab.cpu.set_reg(EAX, selector)
    before = lab.cpu.segment(DS), lab.cpu.segment(SS)
    stop = lab.run(f"mov {register}, ax")
    assert (stop.vector, stop.error) == (vector, error)
    assert stop.frame[1] == CODE
    if cpl == 0:
        assert (lab.cpu.segment(DS), lab.cpu.segment(SS)) == before
        assert stop.frame[2] == CODE0


GOOD = [
    ("ds", READ_ONLY, 0),
    ("es", CODE0, 0),  # readable code
    ("fs", CONFORMING, 3),  # conforming readable code is open to every level
    ("gs", DATA3, 0),
    ("ds", DATA3 & ~3, 3),
    ("ss", DATA3, 3),
    ("es", CODE3, 3),
]


@pytest.mark.parametrize(("register", "selector", "cpl"), GOOD)
def test_good_load(lab: Lab, register: str, selector: int, cpl: int) -> None:
    lab.ring(cpl)
    lab.cpu.set_reg(EAX, selector)
    assert not lab.attr(selector) & 1
    lab.run(f"mov {register}, ax; mov ebx, {register}", budget=2)
    assert lab.reg(EBX) == selector
    assert lab.attr(selector) & 1, "accessed bit in memory"


def test_null_selector_loads_but_faults_when_used(lab: Lab) -> None:
    stop = lab.run("mov ecx, 3; mov ds, cx; mov ebx, ds; mov eax, [0x100]")
    assert (stop.vector, stop.error) == (GP, 0)
    assert lab.reg(EBX) == 3


def test_mov_to_cs_and_unknown_registers_are_undefined(lab: Lab) -> None:
    assert lab.run(b"\x8e\xc8").vector == UD
    assert lab.run(b"\x8e\xf0").vector == UD
    assert lab.run(b"\x8c\xf8").vector == UD


def test_store_zero_extends_registers_and_writes_words_to_memory(lab: Lab) -> None:
    lab.dword(DATA, 0xFFFFFFFF)
    lab.cpu.set_reg(EAX, 0xFFFFFFFF)
    lab.cpu.set_reg(ECX, 0xFFFFFFFF)
    lab.run(b"\x8c\xd8" + b"\x66\x8c\xd9" + b"\x8c\x1d" + DATA.to_bytes(4, "little"))
    assert lab.reg(EAX) == DATA0
    assert lab.reg(ECX) == 0xFFFF0000 | DATA0
    assert lab.peek(DATA) == 0xFFFF0000 | DATA0


def test_read_only_and_execute_only_protect(lab: Lab) -> None:
    stop = lab.run(f"mov ax, {READ_ONLY}; mov ds, ax; mov ebx, [{DATA}]; mov [{DATA}], ebx")
    assert (stop.vector, stop.error) == (GP, 0)
    stop = lab.ring(0).run(f"mov eax, cs:[{DATA}]; mov cs:[{DATA}], eax")
    assert (stop.vector, stop.error) == (GP, 0)


@pytest.mark.parametrize(
    ("offset", "size", "good"),
    [(0x1000, 4, True), (0xFFF, 1, False), (0xFFE, 4, False), (0xFFFFFFFC, 4, True)],
)
def test_expand_down_segment_is_valid_above_its_limit(
    lab: Lab, offset: int, size: int, good: bool
) -> None:
    name = "eax" if size == 4 else "al"
    lab.cpu.set_reg(EBX, offset)
    lab.cpu.set_reg(ECX, EXPAND_DOWN)
    stop = lab.run(f"mov fs, ecx; mov {name}, fs:[ebx]")
    assert stop.vector == (None if good else GP)


def test_limit_violation_through_ss_is_a_stack_fault(lab: Lab) -> None:
    lab.describe(0xC0, descriptor(0, 0x8FFF, 0x4092))
    stop = lab.run("mov ecx, 0xc0; mov ss, ecx; mov eax, ss:[0x8ffd]")
    assert (stop.vector, stop.error) == (SS_FAULT, 0)


def test_ldt_selectors(lab: Lab) -> None:
    lab.describe(0x08, descriptor(0x30000, 0xFF, 0x4092), LDT)
    lab.dword(0x30010, 0x12345678)
    stop = lab.run("mov eax, 0x0c; mov fs, eax; mov ebx, fs:[0x10]; mov ecx, fs:[0xfd]")
    assert lab.reg(EBX) == 0x12345678
    assert (stop.vector, stop.error) == (GP, 0)


def test_no_ldt_no_selectors(lab: Lab) -> None:
    """Selector 4 is entry 0 of the LDT, not a null selector."""
    stop = lab.run("xor eax, eax; lldt ax; mov eax, 3; mov fs, eax; mov eax, 4; mov fs, eax")
    assert (stop.vector, stop.error) == (GP, 4)


def test_descriptor_cache_outlives_the_table(lab: Lab) -> None:
    lab.dword(DATA, 7)
    lab.describe(0xC0, descriptor(DATA, 0xFFF, 0x4092))
    stop = lab.run(
        f"mov eax, 0xc0; mov fs, eax; mov dword ptr [{0x1000 + 0xC4}], 0; mov ebx, fs:[0]"
    )
    assert stop.vector is None
    assert lab.reg(EBX) == 7


def test_pop_segment_moves_esp_by_the_operand_size(lab: Lab) -> None:
    lab.run(f"push {DATA3}; pop fs; push 0; pop gs; mov ebx, fs; mov ecx, esp")
    assert lab.reg(EBX) == DATA3
    assert lab.reg(ECX) == 0x8000


def test_pop_segment_that_faults_leaves_esp(lab: Lab) -> None:
    stop = lab.run(f"push {ABSENT}; pop fs")
    assert (stop.vector, stop.error) == (NP, ABSENT)
    assert lab.reg(ESP) == 0x8000 - 4 - 16


def test_push_segment_zero_extends(lab: Lab) -> None:
    lab.dword(0x8000 - 4, 0xFFFFFFFF)
    lab.run(b"\x1e")
    assert lab.peek(0x8000 - 4) == DATA0


def test_load_far_pointers(lab: Lab) -> None:
    lab.dword(DATA, 0x11223344, DATA3)
    lab.run(f"les eax, [{DATA}]; lfs ebx, [{DATA}]; lss esp, [{DATA + 8}]", budget=2)
    assert lab.reg(EAX) == lab.reg(EBX) == 0x11223344
    assert lab.sel(ES) == lab.sel(FS) == DATA3


def test_load_far_pointer_that_faults_changes_nothing(lab: Lab) -> None:
    lab.dword(DATA, 0x11223344, ABSENT_CODE)
    stop = lab.run(f"mov eax, 5; lds eax, [{DATA}]")
    assert (stop.vector, stop.error) == (NP, ABSENT_CODE)
    assert lab.reg(EAX) == 5
    assert lab.sel(DS) == DATA0


def test_lss_switches_width_of_the_stack(lab: Lab) -> None:
    lab.dword(DATA, 0x12340004, 0x88)
    lab.run(f"lss esp, [{DATA}]; push 1; push 2")
    assert lab.reg(ESP) == 0x1234FFFC


def test_real_mode_load_keeps_limit_and_rights(lab: Lab) -> None:
    """Big real mode: a 4 GiB limit loaded in protected mode stays."""
    lab.real_mode()
    lab.cpu.set_segment(DS, 0, 0, 0xFFFFFFFF, 0x8093)
    lab.dword(0x90000, 0xCAFE)
    stop = lab.run("mov ax, 0x1000; mov ds, ax; mov ebx, 0x80000; mov ecx, [ebx]", bits=16)
    assert stop.vector is None
    assert lab.cpu.segment(DS) == (0x1000, 0x10000, 0xFFFFFFFF, 0x8093)
    assert lab.reg(ECX) == 0xCAFE


def test_real_mode_limit_is_checked(lab: Lab) -> None:
    stop = lab.real_mode().run("mov bx, 0xffff; mov ax, [bx]", bits=16)
    assert stop.vector == GP
    assert lab.reg(ESP) == 0x8000 - 6, "no error code in real mode"


def test_virtual_8086_load(lab: Lab) -> None:
    lab.v86()
    lab.run("mov ax, 0x1234; mov es, ax; mov ss, ax", bits=16, budget=3)
    for seg in (ES, SS):
        assert lab.cpu.segment(seg) == (0x1234, 0x12340, 0xFFFF, 0xF3)


@pytest.mark.parametrize("load", ["mov ss, eax", "push eax; pop ss"])
def test_loading_ss_holds_off_interrupts_for_one_instruction(lab: Lab, load: str) -> None:
    lab.cpu.set_flags(0x202)
    lab.cpu.set_reg(EAX, DATA0)
    lab.run(f"{load}; mov esp, 0x7000; nop", budget=load.count(";") + 1)
    assert lab.cpu.shadow_at == lab.cpu.icount()
    lab.go_on(1)
    assert lab.cpu.shadow_at != lab.cpu.icount()
