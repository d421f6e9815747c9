"""The vCPU pages: where stubs find the virtual CPU, and code that reaches a doubleword of theirs.

Hidden memory, reached through the segment register that is reserved for it (reserved.py). The first
page has what stubs read and spill, the next the virtual IF alone, the rest the tables of landings.
"""

from __future__ import annotations

# Offsets of their doublewords
SAVE_EAX = 0x00
SAVE_ECX = 0x04
TARGET = 0x08  # guest EIP of an indirect branch that found no landing
STI_BEFORE = 0x0C  # VSYS before the last STI: decides whether its shadow counts
SAVE_ESI = 0x10
SELECTORS = 0x18  # six: ES CS SS DS FS GS
LDTR_SELECTOR = 0x30
TR_SELECTOR = 0x34
CONTROLS = 0x38  # CR0 (1 unused) CR2 CR3 CR4
# The guest's own segment of the reserved register, as it can be reached through DS
# (segment_access.py). Bounds are pairs for BOUND, for an operand of 1, 2, 4 and 8 bytes.
SEGMENT_SHIFT = 0x4C
READ_BOUNDS = 0x50
WRITE_BOUNDS = 0x70
GDTR = 0x90  # limit, base
IDTR = 0x98
OWN = 0x100  # of stubs that are not ours; the processor leaves it alone
OWN_BYTES = 0x100
# The virtual IF: bit 9, the others mean nothing. Alone in its page: read-only while an interrupt
# waits for IF.
VSYS = 0x1000
NEAR_LANDINGS = 0x2000  # 65,536 addresses of landings, by the low 16 bits of the guest's EIP
FAR_LANDINGS = 0x42000  # the same by a better hash, for those that collide there
VCPU_BYTES = 0x82000
VCPU_PAGES = 0x2000  # of these, what all contexts share; then come a context's own tables

UNDO_EAX = 1
UNDO_ECX = 2
UNDO_TARGET = 4  # the guest's EIP is in TARGET
UNDO_TARGET_ECX = 8  # it is in ECX itself, whose own value is in its slot
UNDO_ESI = 0x10
# What is spilled: the bit of the undo mask, the register's number, and its slot
SPILLS = ((UNDO_EAX, 0, SAVE_EAX), (UNDO_ECX, 1, SAVE_ECX), (UNDO_ESI, 6, SAVE_ESI))
UNDO_SPILLS = UNDO_EAX | UNDO_ECX | UNDO_ESI

#: What templates may name.
SLOTS = ("SAVE_EAX", "SAVE_ECX", "SAVE_ESI", "TARGET", "VSYS", "STI_BEFORE", "SEGMENT_SHIFT",
         "NEAR_LANDINGS", "FAR_LANDINGS")  # fmt: skip


def load_slot(register: int, slot: int, reserved: str, wide: bool = True) -> bytes:
    """`mov register, [slot]` through the reserved segment; 16 bits unless wide."""
    prefix = {"gs": 0x65, "fs": 0x64}[reserved]
    head = bytes([prefix, 0x8B, register << 3 | 5])
    return (b"" if wide else b"\x66") + head + slot.to_bytes(4, "little")


def push_slot(slot: int, reserved: str) -> bytes:
    """`push dword ptr [slot]` through the reserved segment."""
    prefix = {"gs": 0x65, "fs": 0x64}[reserved]
    return bytes([prefix, 0xFF, 0x35]) + slot.to_bytes(4, "little")
