"""Stubs: what a problem instruction is replaced with in the translation cache.

A stub works on the *vCPU page*, hidden memory that holds the virtual CPU's flags and selectors,
reached through a segment register that the guest code at hand does not use (GS in the kernel, FS
in user code). It needs registers, so it spills them there; and it must leave the arithmetic flags
alone, which rules out ADD, AND and CMP: LEA adds, JECXZ compares with zero, and where flags are
needed POPFD brings back those that PUSHFD saved.

Each line of a template may say after a bar

    done          completing this instruction completes the guest's
    eax, ecx      these registers are in their spill slots here: a fault or an exit restores them
    target        the guest's EIP is in the TARGET slot; target_ecx: it is in ECX

and `slow:` begins the part that stands out of line, at the end of the block. `exit` leaves for
the monitor, which emulates the instruction from the start.

Worked example: `CLI` becomes `mov dword ptr gs:[VSYS], 0`: IF lives in VSYS, the guest's real IF
stays 1.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

# The vCPU pages: offsets of their doublewords
SAVE_EAX = 0x00
SAVE_ECX = 0x04
TARGET = 0x08  # guest EIP of an indirect branch that found no landing
STI_BEFORE = 0x0C  # VSYS before the last STI: decides whether its shadow counts
SELECTORS = 0x18  # six: ES CS SS DS FS GS
LDTR_SELECTOR = 0x30
TR_SELECTOR = 0x34
CONTROLS = 0x38  # CR0 (1 unused) CR2 CR3 CR4
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

GOES_INDIRECT = """
    movzx eax, cx                     | eax, ecx
    jmp dword ptr gs:[eax * 4 + NEAR_LANDINGS] | eax, ecx, done
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
    # Where an indirect branch arrives: is it really for this guest EIP? LOOP counts ECX, which is
    # 1 then, down to 0 and falls through. The block's body follows, or a jump to it. What is not
    # for it goes back to where "not_here" stands, just before.
    "landing": """
    lea ecx, [ecx - IMMEDIATE]        | eax, ecx, target_ecx
    loop not_here
    mov ecx, dword ptr gs:[SAVE_ECX]
    mov eax, dword ptr gs:[SAVE_EAX]
""",
    "not_here": """
    lea ecx, [ecx + IMMEDIATE]
    jmp MISS
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

SHORT_JUMPS = {"jecxz": b"\xe3", "jnz": b"\x75"}
SLOTS = ("SAVE_EAX", "SAVE_ECX", "TARGET", "VSYS", "STI_BEFORE", "NEAR_LANDINGS", "FAR_LANDINGS")
MARKER = 0x11223344  # what IMMEDIATE is assembled as, to be found again


@dataclass(frozen=True)
class Piece:
    """One instruction of an assembled template."""

    code: bytes
    undo: int
    done: bool
    kind: str  # "plain", "slow" (jump to the slow part), "exit", "guest", "MISS", "BODY"
    immediate: int | None = None  # offset of the doubleword that stands for IMMEDIATE
    negative: bool = False  # for its negative


@dataclass(frozen=True)
class Stub:
    """A template, assembled for one reserved segment register."""

    hot: tuple[Piece, ...]
    slow: tuple[Piece, ...]


@functools.cache
def stub(name: str, reserved: str) -> Stub:
    """Assemble a template; `reserved` is the segment register that reaches the vCPU page."""
    hot_text, _, slow_text = TEMPLATES[name].partition("slow:\n")
    return Stub(_assemble(hot_text, reserved), _assemble(slow_text, reserved))


def _assemble(text: str, reserved: str) -> tuple[Piece, ...]:
    """Assemble line by line; short jumps to a label in the template are resolved here."""
    lines = [line for line in text.splitlines() if line.strip()]
    pieces: list[Piece] = []
    labels: dict[str, int] = {}
    jumps: list[tuple[int, str]] = []
    for line in lines:
        code, _, tags = line.partition("|")
        label, colon, rest = code.partition(":")
        if colon and label.strip().isidentifier() and " " not in label.strip():
            labels[label.strip()] = len(pieces)
            code = rest
        words = [tag.strip() for tag in tags.split(",")]
        piece, short = _piece(code.strip(), words, reserved)
        if short:
            jumps.append((len(pieces), short))
        pieces.append(piece)
    for index, label in jumps:
        distance = sum(len(p.code) for p in pieces[index + 1 : labels[label]])
        old = pieces[index]
        pieces[index] = Piece(old.code[:-1] + bytes([distance]), old.undo, old.done, "plain")
    return tuple(pieces)


def _piece(code: str, words: list[str], reserved: str) -> tuple[Piece, str | None]:
    """One line: the piece, and the label of a short jump that is still to be resolved."""
    undo = UNDO_EAX * ("eax" in words) | UNDO_ECX * ("ecx" in words)
    undo |= UNDO_TARGET * ("target" in words) | UNDO_TARGET_ECX * ("target_ecx" in words)
    done = "done" in words
    verb, _, operand = code.partition(" ")
    if code == "GUEST":
        return Piece(b"", undo, done, "guest"), None
    if code == "exit":
        return Piece(b"\xcc", undo, done, "exit"), None
    if verb in SHORT_JUMPS and operand.strip() != "slow":
        return Piece(SHORT_JUMPS[verb] + b"\0", undo, done, "plain"), operand.strip()
    if verb == "loop":
        return Piece(b"\xe2\0", undo, done, "back"), None
    if verb == "jnz" and operand.strip() == "slow":
        return Piece(b"\x0f\x85\0\0\0\0", undo, done, "slow"), None
    if verb == "jmp" and operand.strip() in ("slow", "MISS", "BODY"):
        return Piece(b"\xe9\0\0\0\0", undo, done, operand.strip()), None
    encoded = _encode(code.replace("gs:", f"{reserved}:"))
    for negative in (False, True):
        marker = -MARKER if negative else MARKER
        at = encoded.find((marker & 0xFFFFFFFF).to_bytes(4, "little"))
        if at >= 0:
            return Piece(encoded, undo, done, "plain", at, negative), None
    return Piece(encoded, undo, done, "plain"), None


def _encode(code: str) -> bytes:
    """Assemble one instruction, slot names and IMMEDIATE put in."""
    keystone = _assembler()
    names = {name: value for name, value in globals().items() if name.isupper()}
    for name in SLOTS:
        code = code.replace(name, hex(names[name]))
    encoded, _ = keystone.asm(code.replace("IMMEDIATE", hex(MARKER)), as_bytes=True)
    return bytes(encoded)


@functools.cache
def _assembler():  # type: ignore[no-untyped-def]
    """Keystone, loaded when the first stub is assembled (it takes a while to import)."""
    import keystone

    return keystone.Ks(keystone.KS_ARCH_X86, keystone.KS_MODE_32)


def load_slot(register: int, slot: int, reserved: str, wide: bool = True) -> bytes:
    """`mov register, [slot]` through the reserved segment; 16 bits unless wide."""
    prefix = {"gs": 0x65, "fs": 0x64}[reserved]
    head = bytes([prefix, 0x8B, register << 3 | 5])
    return (b"" if wide else b"\x66") + head + slot.to_bytes(4, "little")


def push_slot(slot: int, reserved: str) -> bytes:
    """`push dword ptr [slot]` through the reserved segment."""
    prefix = {"gs": 0x65, "fs": 0x64}[reserved]
    return bytes([prefix, 0xFF, 0x35]) + slot.to_bytes(4, "little")
