"""Which pages of user code may run directly? A search that must not miss.

Guest user code runs as it is, in ring 3 where it belongs, so most of the seventeen critical
instructions already give it the right answer: its CPL, IF=1 and IOPL are the guest's own (decide()
sees to that) and its selectors name shadow descriptors at the guest's own indices.

    right, or traps    PUSHF POPF IRET             IF, IOPL and CPL are what the guest has
                       PUSH-seg, MOV from seg      the guest's own selector, RPL 3
                       POP-seg, MOV to seg, LES..  the shadow descriptor, or a fault that the
                       CALL-far JMP-far RET-far    monitor answers by emulation (gates are not
                                                   shadowed, so a call gate faults too)
                       INT n INT3 INTO             exits
    wrong, silently    SLDT STR SGDT SIDT SMSW     the monitor's registers
                       LAR LSL VERR VERW           the shadow table: limits truncated, entries
                                                   missing, gates and system segments absent
    wrong on a native  CPUID VMCALL VMMCALL        the host's CPU or its hypervisor answers
    engine

All that is wrong begins with 0F. So the search is for two or three bytes, anywhere in the page:

    0F 00 /0 /1 /4 /5     SLDT STR VERR VERW
    0F 01 /0 /1 /4        SGDT SIDT SMSW, and with C1 or D9 as ModRM VMCALL, VMMCALL
    0F 02, 0F 03          LAR, LSL
    0F A2                 CPUID

`candidates` is *exact towards misses*: an instruction that executes has these bytes, one after
another, in linear memory, whatever prefixes stand before it and wherever execution entered. One
that begins in the last two bytes of a page is found as well: with `following`, the first bytes of
the next page, exactly; without, every 0F there counts.

It is *loose towards false hits*, which cost speed only. Displacements and immediates look alike:
`0F 84 A0 0F 00 00` is JZ +FA0, and holds `0F 00 00`, SLDT [EAX]. Busybox (32 bits, static, 1.6 MB
of code) has none of these instructions apart from a few CPUIDs, and 677 places that look like one
(611 of them 0F 00), in 214 of 387 pages: 55 %. A search takes 20 us a page. What to do with a hit:

    breakpoints  run directly, with an execution breakpoint at each of `starts` (three or four to
                 a hit page): an instruction of ours begins there or nowhere. Exact, and free
                 where the engine checks breakpoints as it decodes a block
    translate    exact as well; costs what the translation cache costs
    found_from   decode along the paths from where execution enters. It finds nothing in all of
                 busybox, so it is what tells a false hit, but a *heuristic*: the next entry into
                 the page may decode otherwise, so its "no" holds only while every entry is checked

An engine that cannot keep the guest's selectors (a native one that must use its LDT) also has to
catch PUSH-seg, POP-seg, MOV-seg and the far transfers. Their one-byte opcodes are in every page;
`found_from` with FAR_AND_SEGMENT is all that is left there.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from bt.instruction import WRONG_IN_RING3, Instruction
from bt.lengths import LONGEST, PREFIXES, immediate_size, locate, operand_size

Page = bytes | bytearray | memoryview | npt.NDArray[np.uint8]

ESCAPE = 0x0F
FAR_AND_SEGMENT = frozenset(
    ("PUSH-seg", "POP-seg", "MOV-seg", "CALL-far", "JMP-far", "RET-far/IRET")
)


def _second_bytes(native: bool) -> npt.NDArray[np.bool_]:
    """Second opcode bytes that decide alone: LAR, LSL, and CPUID where the host would answer."""
    table = np.zeros(256, np.bool_)
    table[[0x02, 0x03]] = True
    table[0xA2] = native
    return table


def _third_bytes(second: int) -> npt.NDArray[np.bool_]:
    """ModRM bytes that make 0F 00 or 0F 01 one of ours."""
    table = np.zeros(256, np.bool_)
    for modrm in range(256):
        reg, memory = modrm >> 3 & 7, modrm < 0xC0
        if second == 0x00:
            table[modrm] = reg in (0, 1, 4, 5)
        else:
            table[modrm] = (reg in (0, 1) and memory) or reg == 4 or modrm in (0xC1, 0xD9)
    return table


ALONE = {native: _second_bytes(native) for native in (False, True)}
GROUP_6 = _third_bytes(0x00)
GROUP_7 = _third_bytes(0x01)


def candidates(
    page: Page, following: bytes | None = None, native: bool = True
) -> npt.NDArray[np.intp]:
    """Offsets of every 0F that may belong to an instruction that ring 3 gets wrong.

    `following`: the first two bytes of the next linear page where they are known.
    `native`: search for what only a native engine gets wrong, too.
    """
    code = _array(page)
    places = np.flatnonzero(code == ESCAPE)
    if not places.size:
        return places
    known = b"" if following is None else following[:2]
    tail = np.frombuffer(known + bytes(2), np.uint8)[:2]
    padded = np.concatenate((code, tail))
    second = padded[places + 1]
    third = padded[np.minimum(places + 2, len(padded) - 1)]
    hit = (
        ALONE[native][second]
        | ((second == 0x00) & GROUP_6[third])
        | ((second == 0x01) & GROUP_7[third])
    )
    readable = len(code) + len(known)
    found: npt.NDArray[np.intp] = places[
        hit | (places + 1 >= readable) | ((second <= 1) & (places + 2 >= readable))
    ]
    return found


def may_run_directly(page: Page, following: bytes | None = None, native: bool = True) -> bool:
    """Is there certainly nothing in this page that ring 3 gets wrong?"""
    return candidates(page, following, native).size == 0


def starts(page: Page, places: Iterable[int], preceding: bytes = b"") -> list[int]:
    """Where an instruction with its 0F at one of `places` can begin: there, or at any prefix
    byte of the unbroken run before it. A run that reaches the page's first byte goes on in
    `preceding`, the end of the page before; those starts are negative."""
    code = preceding[-LONGEST:] + _array(page).tobytes()
    shift = len(code) - len(page)
    found = set()
    for place in places:
        start = int(place) + shift
        limit = max(0, start - LONGEST)
        found.add(start - shift)
        while start > limit and code[start - 1] in PREFIXES:
            start -= 1
            found.add(start - shift)
    return sorted(found)


def needs_translation(page: Page, entries: Iterable[int], bits: int = 32) -> bool:
    """Does execution that enters at `entries` meet, by static decoding, what ring 3 gets wrong?
    A heuristic: see above."""
    return bool(found_from(page, entries, bits))


def found_from(
    page: Page,
    entries: Iterable[int],
    bits: int = 32,
    names: frozenset[str] = WRONG_IN_RING3,
) -> list[int]:
    """Offsets of instructions of these groups or mnemonics on the paths from `entries`: through
    direct jumps and past calls, as far as they stay in the page. A heuristic: see above."""
    code = _array(page).tobytes()
    todo = list(entries)
    seen: set[int] = set()
    found: set[int] = set()
    while todo:
        at = todo.pop()
        while 0 <= at < len(code) and at not in seen:
            seen.add(at)
            instruction = locate(code, at, bits)
            row = None if instruction is None else instruction.row
            if instruction is None or row is None:
                break
            if row.group in names or row.mnemonic in names:
                found.add(at)
            target = direct_target(row, code, at, instruction.length, bits)
            if target is not None:
                todo.append(target)
            if row.ends and not comes_back(row):
                break
            at += instruction.length
    return sorted(found)


def comes_back(row: Instruction) -> bool:
    """Calls and software interrupts end a block, but execution returns behind them."""
    return row.mnemonic in ("CALL", "CALL far", "INT", "INT3")


def direct_target(row: Instruction, code: bytes, at: int, length: int, bits: int) -> int | None:
    """The offset that a direct near branch goes to, if it is one."""
    if "Js" in row.operands:
        size = 1
    elif "Jv" in row.operands:
        size = immediate_size(row, operand_size(code, at, bits), 4)
    else:
        return None
    end = at + length
    return end + int.from_bytes(code[end - size : end], "little", signed=True)


def _array(page: Page) -> npt.NDArray[np.uint8]:
    return page if isinstance(page, np.ndarray) else np.frombuffer(page, np.uint8)
