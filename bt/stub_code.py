"""From a stub's template to code with places to fill in, and what a rollback restores at each byte.

The language of templates is told in bt/stubs.py, which has all of ours.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING

from bt import vcpu_page
from bt.assembler import open_assembler
from bt.vcpu_page import SLOTS, UNDO_EAX, UNDO_ECX, UNDO_ESI, UNDO_TARGET, UNDO_TARGET_ECX

if TYPE_CHECKING:
    import keystone

CONDITIONS = {"jc": 2, "jb": 2, "jnc": 3, "jae": 3, "jz": 4, "je": 4, "jnz": 5, "jne": 5}
SHORT_JUMPS = {"jecxz": b"\xe3\0", "loop": b"\xe2\0", "jmp": b"\xeb\0"}
SHORT_JUMPS |= {verb: bytes([0x70 | number, 0]) for verb, number in CONDITIONS.items()}
LONG_JUMPS = {"jmp": b"\xe9\0\0\0\0"}
LONG_JUMPS |= {verb: bytes([0x0F, 0x80 | number, *bytes(4)]) for verb, number in CONDITIONS.items()}
OUTSIDE = ("slow", "MISS")  # where a stub may jump to besides its own labels
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
def assembled(template: str, reserved: str) -> Stub:
    """Assemble a template; `reserved` is the segment register that reaches the vCPU page."""
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
    for name in SLOTS:
        code = code.replace(name, hex(getattr(vcpu_page, name)))
    return _assembler().asm(code.replace("IMMEDIATE", hex(MARKER)), as_bytes=True)[0] or b""


@functools.cache
def _assembler() -> keystone.Ks:
    """One engine for all stubs: opening one takes as long as assembling several."""
    return open_assembler()
