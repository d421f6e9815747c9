"""Stubs: what a problem instruction is replaced with in the translation cache.

A stub works on the *vCPU page*, hidden memory that holds the virtual CPU's flags and selectors,
reached through a segment register that is reserved for it: GS or FS, whichever the guest uses less
(reserved.py). In the templates it is called GS. A stub needs registers, so it spills them there;
and it must leave the arithmetic flags alone, which rules out ADD, AND and CMP: LEA adds, JECXZ
compares with zero, BOUND with anything, and where flags are needed POPFD brings back those that
PUSHFD saved.

Each line of a template may say after a bar

    done          completing this instruction completes the guest's
    eax, ecx, esi these registers are in their spill slots here: a fault or an exit restores them
    target        the guest's EIP is in the TARGET slot; target_ecx: it is in ECX

and `slow:` begins the part that stands out of line, at the end of the block. `exit` leaves for
the monitor, which emulates the instruction from the start. IMMEDIATE is a value that the translator
fills in; GUEST and ADDRESS are instructions of its own.

Worked example: `CLI` becomes `mov dword ptr gs:[VSYS], 0`: IF lives in VSYS, the guest's real IF
stays 1.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING

from bt.assembler import open_assembler

if TYPE_CHECKING:
    import keystone

# The vCPU pages: offsets of their doublewords
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

GOES_INDIRECT = """
    movzx eax, cx                     | eax, ecx
    jmp dword ptr gs:[eax * 4 + NEAR_LANDINGS] | eax, ecx, done
"""

TARGET_THROUGH = f"""
    ADDRESS
    bound ecx, qword ptr gs:[{READ_BOUNDS + 16}] | ecx
    mov eax, dword ptr gs:[SEGMENT_SHIFT] | ecx
    mov ecx, dword ptr [ecx + eax]    | eax, ecx
"""

TEMPLATES = {
    "cli": """
    mov dword ptr gs:[VSYS], 0        | done
""",
    "sti": """
    mov dword ptr gs:[SAVE_EAX], eax
    mov eax, 0x200                    | eax
    xchg dword ptr gs:[VSYS], eax     | eax
    mov dword ptr gs:[STI_BEFORE], eax | eax
    mov eax, dword ptr gs:[SAVE_EAX]  | eax, done
""",
    # The real IF is always 1, so only a virtual 0 has to be put in. POPFD brings the flags back
    # and leaves the image where it is, one LEA away.
    "pushf": """
    pushfd
    test dword ptr gs:[VSYS], 0x200
    jnz on
    and dword ptr [esp], 0xFFFFFDFF
on: popfd
    lea esp, [esp - 4]                | done
""",
    # TF and IOPL want the monitor; so does IF while an interrupt waits (the page of VSYS faults).
    # Flags may be lost on the way there: POPF replaces them all. VSYS gets the whole image, of
    # which only bit 9 counts.
    "popf": """
    test dword ptr [esp], 0x3100
    jnz slow
    pop dword ptr gs:[VSYS]
    lea esp, [esp - 4]
    popfd                             | done
slow:
    exit
""",
    "ret": """
    mov dword ptr gs:[SAVE_EAX], eax
    mov dword ptr gs:[SAVE_ECX], ecx
    pop ecx
"""
    + GOES_INDIRECT,
    "ret_immediate": """
    mov dword ptr gs:[SAVE_EAX], eax
    mov dword ptr gs:[SAVE_ECX], ecx
    pop ecx
    lea esp, [esp + IMMEDIATE]        | ecx
"""
    + GOES_INDIRECT,
    # GUEST stands for `mov ecx, <the guest's operand>`
    "call_indirect": """
    mov dword ptr gs:[SAVE_EAX], eax
    mov dword ptr gs:[SAVE_ECX], ecx
    GUEST
    push IMMEDIATE                    | ecx
"""
    + GOES_INDIRECT,
    "jmp_indirect": """
    mov dword ptr gs:[SAVE_EAX], eax
    mov dword ptr gs:[SAVE_ECX], ecx
    GUEST
"""
    + GOES_INDIRECT,
    # The same for an operand in the guest's own segment of the reserved register, as in
    # segment_access.py. ADDRESS puts its offset into ECX, with the top bit turned over.
    "call_through": """
    mov dword ptr gs:[SAVE_EAX], eax
    mov dword ptr gs:[SAVE_ECX], ecx
"""
    + TARGET_THROUGH
    + """
    push IMMEDIATE                    | eax, ecx
"""
    + GOES_INDIRECT,
    "jmp_through": """
    mov dword ptr gs:[SAVE_EAX], eax
    mov dword ptr gs:[SAVE_ECX], ecx
"""
    + TARGET_THROUGH
    + GOES_INDIRECT,
    # Where an indirect branch arrives, at `enter`: is it for this guest EIP? LOOP counts ECX,
    # which is 1 then, down to 0 and falls through, to the block's body or a jump to it.
    "landing": """
not_here: lea ecx, [ecx + IMMEDIATE]
    jmp MISS
enter: lea ecx, [ecx - IMMEDIATE + 1] | eax, ecx, target_ecx
    loop not_here
    mov ecx, dword ptr gs:[SAVE_ECX]
    mov eax, dword ptr gs:[SAVE_EAX]
""",
    # No near landing, or another block's.
    "near_miss": """
    mov eax, ecx                      | eax, ecx, target_ecx
    bswap eax
    lea eax, [eax + ecx]
    movzx eax, ax
    jmp dword ptr gs:[eax * 4 + FAR_LANDINGS]
""",
    "far_miss": """
    mov dword ptr gs:[TARGET], ecx    | eax, ecx, target_ecx
    exit                              | eax, ecx, target
""",
}

CONDITIONS = {"jc": 2, "jb": 2, "jnc": 3, "jae": 3, "jz": 4, "je": 4, "jnz": 5, "jne": 5}
SHORT_JUMPS = {"jecxz": b"\xe3\0", "loop": b"\xe2\0", "jmp": b"\xeb\0"}
SHORT_JUMPS |= {verb: bytes([0x70 | number, 0]) for verb, number in CONDITIONS.items()}
LONG_JUMPS = {"jmp": b"\xe9\0\0\0\0"}
LONG_JUMPS |= {verb: bytes([0x0F, 0x80 | number, *bytes(4)]) for verb, number in CONDITIONS.items()}
OUTSIDE = ("slow", "MISS")  # where a stub may jump to besides its own labels
SLOTS = ("SAVE_EAX", "SAVE_ECX", "SAVE_ESI", "TARGET", "VSYS", "STI_BEFORE", "SEGMENT_SHIFT",
         "NEAR_LANDINGS", "FAR_LANDINGS")  # fmt: skip
MARKER = 0x11223344  # what IMMEDIATE is assembled as, to be found again


@dataclass(frozen=True)
class Run:
    """Consecutive instructions of a stub, assembled, and what is to be filled in."""

    kind: str  # "code"; or "guest", "address", "exit": one instruction that the translator makes
    code: bytes
    places: tuple[int, ...]  # where the instructions begin
    undos: bytes  # for each byte: what a rollback from the instruction that begins there restores
    done: bytes  # 1 where an instruction begins that completes the guest's
    values: tuple[tuple[int, int, int], ...]  # IMMEDIATE: offset, its sign, what is added to it
    jumps: tuple[tuple[int, str], ...]  # offset behind a displacement, and where it leads


@dataclass(frozen=True)
class Stub:
    """A template, assembled for one reserved segment register."""

    hot: tuple[Run, ...]
    slow: tuple[Run, ...]
    size: int  # of the hot part, without guest code
    enter: int  # offset of the label `enter`, if there is one


@dataclass(frozen=True)
class _Line:
    """One line of a template."""

    code: bytes
    kind: str
    undo: int
    done: bool
    value: tuple[int, int, int] | None = None
    goal: str | None = None  # label that it jumps to


@functools.cache
def stub(name: str, reserved: str) -> Stub:
    """Assemble a template; `reserved` is the segment register that reaches the vCPU page."""
    return assembled(TEMPLATES[name], reserved)


@functools.cache
def assembled(template: str, reserved: str) -> Stub:
    """A template that need not be one of TEMPLATES."""
    hot_text, _, slow_text = template.partition("slow:\n")
    hot, labels = _assemble(hot_text, reserved)
    slow, _ = _assemble(slow_text, reserved)
    return Stub(hot, slow, sum(len(run.code) for run in hot), labels.get("enter", 0))


def _assemble(text: str, reserved: str) -> tuple[tuple[Run, ...], dict[str, int]]:
    """Assemble line by line; jumps to labels in the template are resolved here."""
    lines: list[_Line] = []
    labels: dict[str, int] = {}
    at = 0
    for row in filter(str.strip, text.splitlines()):
        code, _, tags = row.partition("|")
        label, colon, rest = code.partition(":")
        if colon and label.strip().isidentifier():
            labels[label.strip()] = at
            code = rest
        lines.append(_line(code.strip(), [tag.strip() for tag in tags.split(",")], reserved))
        at += len(lines[-1].code)
    at = 0
    for index, line in enumerate(lines):
        at += len(line.code)
        if line.goal in labels:
            distance = (labels[line.goal] - at).to_bytes(1, "little", signed=True)
            lines[index] = replace(line, code=line.code[:-1] + distance, goal=None)
    groups = groupby(lines, key=lambda line: line.kind)
    return tuple(_join(kind, list(group)) for kind, group in groups), labels


def _join(kind: str, lines: list[_Line]) -> Run:
    code, undos, done = bytearray(), bytearray(), bytearray()
    places, values, jumps = [], [], []
    for line in lines:
        at, size = len(code), len(line.code)
        places.append(at)
        code += line.code
        undos += line.undo.to_bytes(max(size, 1), "little")
        done += line.done.to_bytes(max(size, 1), "little")
        if line.value is not None:
            values.append((at + line.value[0], *line.value[1:]))
        if line.goal is not None:
            jumps.append((len(code), line.goal))
    return Run(
        kind, bytes(code), tuple(places), bytes(undos), bytes(done), tuple(values), tuple(jumps)
    )


def _line(code: str, words: list[str], reserved: str) -> _Line:
    undo = UNDO_EAX * ("eax" in words) | UNDO_ECX * ("ecx" in words) | UNDO_ESI * ("esi" in words)
    undo |= UNDO_TARGET * ("target" in words) | UNDO_TARGET_ECX * ("target_ecx" in words)
    done = "done" in words
    verb, _, operand = code.partition(" ")
    goal = operand.strip()
    if code in ("GUEST", "ADDRESS"):
        return _Line(b"", code.lower(), undo, done)
    if code == "exit":
        return _Line(b"\xcc", "exit", undo, done)
    if goal in OUTSIDE:
        return _Line(LONG_JUMPS[verb], "code", undo, done, goal=goal)
    if verb in SHORT_JUMPS and goal.isidentifier():
        return _Line(SHORT_JUMPS[verb], "code", undo, done, goal=goal)
    encoded = _encode(code.replace("gs:", f"{reserved}:"))
    for sign, more in ((1, 0), (-1, 0), (-1, 1)):
        at = encoded.find((sign * MARKER + more & 0xFFFFFFFF).to_bytes(4, "little"))
        if at >= 0:
            return _Line(encoded, "code", undo, done, (at, sign, more))
    return _Line(encoded, "code", undo, done)


def _encode(code: str) -> bytes:
    """Assemble one instruction, slot names and IMMEDIATE put in."""
    names = {name: value for name, value in globals().items() if name.isupper()}
    for name in SLOTS:
        code = code.replace(name, hex(names[name]))
    return _assembler().asm(code.replace("IMMEDIATE", hex(MARKER)), as_bytes=True)[0] or b""


@functools.cache
def _assembler() -> keystone.Ks:
    """One engine for all stubs: opening one takes as long as assembling several."""
    return open_assembler()


def load_slot(register: int, slot: int, reserved: str, wide: bool = True) -> bytes:
    """`mov register, [slot]` through the reserved segment; 16 bits unless wide."""
    prefix = {"gs": 0x65, "fs": 0x64}[reserved]
    head = bytes([prefix, 0x8B, register << 3 | 5])
    return (b"" if wide else b"\x66") + head + slot.to_bytes(4, "little")


def push_slot(slot: int, reserved: str) -> bytes:
    """`push dword ptr [slot]` through the reserved segment."""
    prefix = {"gs": 0x65, "fs": 0x64}[reserved]
    return bytes([prefix, 0xFF, 0x35]) + slot.to_bytes(4, "little")
