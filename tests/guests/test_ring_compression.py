"""Trap mode compresses rings: a kernel that reads its own selectors gets RPL 3, and may load them.

Each row loads a segment of ring 0 by a selector with RPL 3. That is a fault on bare hardware and
under translation. Where the kernel runs in ring 3 on shadow descriptors of DPL 3, it succeeds.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from bad_guests import BadGuest
from patience import PATIENCE

from monitor import Machine

ORIGIN = 0x100000
CODE, DATA, USER_DATA = 0x10, 0x18, 0x28

SETUP = "lgdt [gdt_register]\n lidt [no_idt]\n"
EXIT = "\n mov al, 0x21\n out 0xF4, al\n"

LOADS = {
    "mov ss": f"mov eax, {DATA | 3}\n mov ss, ax",
    "mov ds": f"mov eax, {DATA | 3}\n mov ds, ax",
    "pop ss": f"push {DATA | 3}\n pop ss",
    "pop es": f"push {DATA | 3}\n pop es",
    "lss": f"mov edx, esp\n push {DATA | 3}\n push edx\n lss esp, [esp]",
    "lfs": f"push {DATA | 3}\n push 0\n lfs eax, [esp]",
    "retf": f"push {CODE | 3}\n push there\n retf\n there:",
    "iret": f"pushfd\n push {CODE | 3}\n push there\n iretd\n there:",
    "jmp far": f"push {CODE | 3}\n push there\n .byte 0xFF, 0x2C, 0x24\n there:",
    "call far": f"push {CODE | 3}\n push there\n .byte 0xFF, 0x1C, 0x24\n there:",
}
# Right or wrong as on bare hardware: a segment of ring 3 is nothing that compression made of one of
# ring 0, and a segment that is not present does not become so.
STILL_FAULTS = {
    "user's stack": f"mov eax, {USER_DATA | 3}\n mov ss, ax",
    "beyond the table": "mov eax, 0xF3\n mov ds, ax",
    "not present": f"and byte ptr [gdt + {DATA + 5}], 0x7F\n mov eax, {DATA | 3}\n mov ds, ax",
}
READ_BACK = {
    "push ss, pop ss": "push ss\n pop ss",
    "ss to ds": "mov eax, ss\n mov ds, ax",
    "push cs, retf": "push cs\n push there\n retf\n there:",
    "pushf, push cs, iret": "pushfd\n push cs\n push there\n iretd\n there:",
}


def end_of(code: str, mode: str) -> str:
    machine = Machine(memory_mb=2, mode=mode)
    machine.load_flat(BadGuest("load", SETUP + code + EXIT, ()).image, ORIGIN, esp=0x90000)
    return machine.run(timeout=PATIENCE).kind


def rows(table: dict[str, str]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    return pytest.mark.parametrize("code", table.values(), ids=table)


@rows(LOADS)
def test_rpl_3_of_a_ring_0_segment_loads_in_trap_mode_only(code: str) -> None:
    ends = {mode: end_of(code, mode) for mode in ("bare", "translate", "trap")}
    assert ends == {"bare": "shutdown", "translate": "shutdown", "trap": "exit"}


@rows(STILL_FAULTS)
def test_what_faults_for_another_reason_still_does(code: str) -> None:
    assert {end_of(code, mode) for mode in ("bare", "translate", "trap")} == {"shutdown"}


@rows(READ_BACK)
def test_what_a_kernel_reads_it_may_load(code: str) -> None:
    assert {end_of(code, mode) for mode in ("bare", "translate", "trap")} == {"exit"}


