"""The code scanner: which instructions of a binary are sensitive, and does ring 3 trap them?

After Robin and Irvine (2000), section 3: an x86 processor is virtualizable by trapping only if
every sensitive instruction is privileged. Seventeen are not; `scan` finds them all.

    for finding in scan(bytes.fromhex("9c fa 0f01e0 9d"), 0x1000):
        print(hex(finding.address), finding.text, finding.group or "-", finding.traps_in_ring3)

    0x1000 pushfd PUSHF False
    0x1001 cli - True
    0x1002 smsw eax SMSW False
    0x1005 popfd POPF False

Which bytes form an instruction, and its class, comes from the instruction table (lengths.py);
capstone only writes it down for people. An opcode that the table does not have (SSE) raises #UD
on our processor; capstone says how long it would be, so that the sweep stays in step.

A linear sweep is a heuristic: it starts where it is told, takes data between functions for code,
and is in step again a few instructions later. What must not miss anything is user_pages.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bt.instruction import Class, Instruction
from bt.lengths import locate

if TYPE_CHECKING:
    from capstone import Cs

WINDOW = 15  # the longest instruction

# Why ring 3 does or does not trap a critical instruction, by its Robin and Irvine name.
READS_FLAGS = "shows the real IF and IOPL"
WRITES_FLAGS = "leaves IF and IOPL as they are, silently"
READS_TABLE = "shows the real register"
READS_DESCRIPTOR = "looks into the real descriptor table, with the real privilege"
READS_SELECTOR = "shows the real selector, with its privilege level"
LOADS_SELECTOR = "loads from the real descriptor table; faults only if that descriptor forbids it"
TRANSFERS = "checks the real descriptor and the real privilege; faults only if they forbid it"
INTERRUPTS = "exits: the real IDT is the monitor's"

CRITICAL_REASONS = {
    "SGDT": READS_TABLE,
    "SIDT": READS_TABLE,
    "SLDT": READS_TABLE,
    "SMSW": READS_TABLE,
    "STR": READS_TABLE,
    "PUSHF": READS_FLAGS,
    "POPF": WRITES_FLAGS,
    "LAR": READS_DESCRIPTOR,
    "LSL": READS_DESCRIPTOR,
    "VERR": READS_DESCRIPTOR,
    "VERW": READS_DESCRIPTOR,
    "PUSH-seg": READS_SELECTOR,
    "POP-seg": LOADS_SELECTOR,
    "MOV-seg": LOADS_SELECTOR,
    "CALL-far": TRANSFERS,
    "JMP-far": TRANSFERS,
    "RET-far/IRET": TRANSFERS,
    "INT-n": INTERRUPTS,
}
TRAPPING_GROUPS = frozenset({"INT-n"})  # critical by definition, and yet the monitor gets them
IO_OR_INTERRUPT_FLAG = frozenset({"IN", "OUT", "INSB", "INS", "OUTSB", "OUTS", "CLI", "STI"})


@dataclass(frozen=True)
class Finding:
    """One sensitive instruction: its place, its `bytes`, and what is to be said about it."""

    address: int  #: linear
    bytes: bytes
    text: str  #: as capstone writes it, in Intel's syntax
    mnemonic: str  #: the table's
    sensitivity: Class
    group: str  #: the Robin and Irvine name of a critical one, else empty
    traps_in_ring3: bool  #: does a monitor that runs it in ring 3 always hear of it?
    why: str  #: one phrase


def traps_in_ring3(row: Instruction) -> bool:
    """Does a monitor that runs this in ring 3 always hear of it?"""
    return row.sensitivity is Class.PRIVILEGED or row.group in TRAPPING_GROUPS


def reason(row: Instruction) -> str:
    """One phrase: why ring 3 traps a sensitive instruction, or what it does instead."""
    if row.sensitivity is Class.CRITICAL:
        if row.opcode == "8C":  # MOV from a segment register: the group also has the loads
            return READS_SELECTOR
        return CRITICAL_REASONS[row.group]
    if row.mnemonic in IO_OR_INTERRUPT_FLAG:
        return "faults: it needs IOPL, which the monitor withholds"
    return "faults: #GP outside ring 0"


def scan(code: bytes, address: int, bits: int = 32) -> Iterator[Finding]:
    """Sweep `code`, which lies at the linear `address`, and yield what is sensitive.

    `bits` is the width of the code segment, 16 or 32. Undefined opcodes are passed over, and a last
    instruction that `code` cuts off ends the sweep; nothing is raised.
    """
    disassembler = make_disassembler(bits)
    offset = 0
    while offset < len(code):
        found = locate(code, offset, bits)
        if found is None:  # the code ends inside an instruction
            return
        if found.row is None:
            offset += unknown_length(disassembler, code, offset)
            continue
        if found.row.sensitivity is not Class.INNOCUOUS:
            piece = code[offset : offset + found.length]
            yield make_finding(disassembler, found.row, address + offset, piece)
        offset += found.length


def make_finding(disassembler: Cs, row: Instruction, address: int, piece: bytes) -> Finding:
    """What is told about a sensitive instruction with these bytes."""
    return Finding(
        address=address,
        bytes=piece,
        text=text_of(disassembler, address, piece) or row.mnemonic.lower(),
        mnemonic=row.mnemonic,
        sensitivity=row.sensitivity,
        group=row.group,
        traps_in_ring3=traps_in_ring3(row),
        why=reason(row),
    )


def make_disassembler(bits: int) -> Cs:
    """Capstone for 16 or 32-bit code; imported here because it takes 50 ms to load."""
    import capstone

    mode = {16: capstone.CS_MODE_16, 32: capstone.CS_MODE_32}[bits]
    return capstone.Cs(capstone.CS_ARCH_X86, mode)


def text_of(disassembler: Cs, address: int, piece: bytes) -> str:
    """Capstone's text of exactly these bytes, or nothing when it reads them otherwise."""
    for _, length, mnemonic, operands in disassembler.disasm_lite(piece, address, 1):
        if length == len(piece):
            return f"{mnemonic} {operands}".rstrip()
    return ""


def unknown_length(disassembler: Cs, code: bytes, offset: int) -> int:
    """How far to go past an opcode that the table does not have; 1 when capstone has no idea."""
    window = code[offset : offset + WINDOW]
    for _, length, _, _ in disassembler.disasm_lite(window, 0, 1):
        return int(length)
    return 1
