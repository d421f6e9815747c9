"""Templates of stubs that somebody else has written: their notation, and what is refused.

One instruction a line, after a bar its tags (bt/stubs.py says what they mean: `done`, `eax`, `ecx`,
`esi`); labels to jump forward to; `exit` leaves for the monitor, which emulates the instruction
from the start; `slow:`, alone on a line, begins the part that stands out of line. `gs:[NAME]` is a
slot of the vCPU page (slots.py). `lookup` ends a stub by an indirect branch to the guest EIP in
ECX, with EAX and ECX in their slots.

Nothing that passes can reach the monitor: a template jumps forward and inside itself only, comes to
its end, uses slots by name, and has no instruction that would show or change the engine's own
state. What it does to the guest is for others to find out (monitor/lockstep/comparison.py).
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass

import keystone

from bt.assembler import open_assembler
from bt.instruction import Class
from bt.lengths import Located, locate, operand_size
from bt.models import DEFAULT
from bt.policy import FLAG_BODIES
from bt.segment_access import READ, WRITTEN, access_of, operand_of, split
from bt.stub_code import LONG_JUMPS, OUTSIDE, SHORT_JUMPS, assembled
from bt.stubs import GOES_INDIRECT
from monitor.extensions.slots import SLOTS
from monitor.vmm.errors import UserError

TAGS = ("done", "eax", "ecx", "esi")
JUMPS = frozenset((*SHORT_JUMPS, *LONG_JUMPS))
SHORT_ONLY = JUMPS - LONG_JUMPS.keys()
SLOW, EXIT, LOOKUP = "slow", "exit", "lookup"
RESERVED_WORDS = frozenset(("GUEST", "ADDRESS", "IMMEDIATE", *OUTSIDE))
MOST_BYTES = 512  # of a stub: a block has room for a few of that size
PORTS = ("in_imm", "in_dx", "out_imm", "out_dx")
SLOT = re.compile(r"\bgs:\[\s*(\w+)\s*(?:\+\s*(\w+)\s*)?\]")
WRITTEN_AS = "gs"  # the reserved segment register, whichever it is (bt/reserved.py)
CS_PREFIX, FS_PREFIX, GS_PREFIX, REPEATS = 0x2E, 0x64, 0x65, (0xF2, 0xF3)


class BadStub(UserError):
    """A template that cannot be used. `line`: the text of the line at fault, or the template's
    first one."""

    def __init__(self, name: str, line: str, why: str) -> None:
        super().__init__(f"stub {name}, `{line}`: {why}")
        self.line = line
        self.why = why


class _Bad(Exception):
    """What is wrong with a line."""


@dataclass(frozen=True)
class StubLine:
    """One line of a template, taken apart."""

    text: str
    label: str
    code: str
    tags: tuple[str, ...]

    @property
    def verb(self) -> str:
        """The first word of the instruction."""
        return self.code.partition(" ")[0]

    @property
    def goal(self) -> str:
        """What follows it: where a jump leads."""
        return self.code.partition(" ")[2].strip()

    @property
    def done(self) -> bool:
        """Does it complete the guest's instruction?"""
        return "done" in self.tags


@dataclass(frozen=True)
class Template:
    """A template that was checked: as bt/stubs.py takes it."""

    text: str
    transfers: bool  # its last line is `lookup`


def checked(name: str, text: str) -> Template:
    """A template in the form that can be assembled for any reserved register. BadStub."""
    if not isinstance(text, str):
        raise BadStub(name, repr(text), "a template is a string")
    rows = [row.strip() for row in text.splitlines() if row.strip()]
    if not rows:
        raise BadStub(name, "", "the template is empty; `exit` leaves it to the monitor")
    lines = [_parsed(row) for row in rows]
    size = 0
    for line in lines:
        try:
            size += _check_line(line)
        except (_Bad, keystone.KsError) as error:
            why = f"cannot be assembled: {error}" if not isinstance(error, _Bad) else str(error)
            raise BadStub(name, line.text, why) from None
    split_at = next((i for i, line in enumerate(lines) if line.text == "slow:"), len(lines))
    hot, slow = lines[:split_at], lines[split_at + 1 :]
    _check_ends(name, hot, slow, split_at < len(lines))
    _check_jumps(name, hot, {SLOW} if slow else set())
    if size > MOST_BYTES:
        raise BadStub(name, rows[0], f"{size} bytes; a stub has at most {MOST_BYTES}")
    template = _whole(hot, slow)
    try:
        assembled(template.text, WRITTEN_AS)
    except OverflowError:
        why = "a jump leads over more than 127 bytes; put what it leads over behind `slow:`"
        raise BadStub(name, rows[0], why) from None
    return template


def _whole(hot: list[StubLine], slow: list[StubLine]) -> Template:
    parts = ["\n".join(map(_assembled, part)) for part in (hot, slow) if part]
    return Template("\nslow:\n".join(parts) + "\n", hot[-1].code == LOOKUP)


def _parsed(row: str) -> StubLine:
    code, bar, tags = (part.strip() for part in row.partition("|"))
    label, colon, rest = code.partition(":")
    named = bool(colon) and label.strip().isidentifier() and not re.match(r"\w+:\[", code)
    found = tuple(tag.strip() for tag in tags.split(",") if tag.strip())
    if bar and not found:
        found = ("",)
    return StubLine(row, label.strip() if named else "", rest.strip() if named else code, found)


def _assembled(line: StubLine) -> str:
    """A line as bt/stubs.py reads it, slots as numbers."""
    label = f"{line.label}: " if line.label else ""
    tags = f" | {', '.join(line.tags)}" if line.tags else ""
    if line.code == LOOKUP:
        return label + GOES_INDIRECT.strip()
    return f"{label}{_with_offsets(line.code)}{tags}"


# --- single lines -------------------------------------------------------------------------


def _check_line(line: StubLine) -> int:
    """What concerns a line by itself; how many bytes it takes. _Bad, keystone.KsError."""
    if line.text == "slow:":
        return 0
    known = ", ".join(TAGS)
    for tag in line.tags:
        if not tag:
            raise _Bad(f"a tag is missing; there are {known}")
        if tag not in TAGS:
            raise _Bad(f"unknown tag {tag!r}; there are {known}")
    if not line.code:
        raise _Bad("an instruction is missing; a label goes before one")
    if ";" in line.code or "#" in line.code or line.code.startswith("."):
        raise _Bad("one instruction a line, no comments and no directives")
    if line.label in OUTSIDE:
        raise _Bad(f"no label may be called {line.label}; `slow:` stands alone on its line")
    if words := RESERVED_WORDS.intersection(re.findall(r"\b[A-Z]+\b", line.code)):
        raise _Bad(f"{min(words)} is for the monitor's own stubs")
    if line.code in (EXIT, LOOKUP):
        if line.done:
            raise _Bad(f"{line.code} is an end by itself, and not `done`")
        return len(GOES_INDIRECT) if line.code == LOOKUP else 1
    if line.verb in JUMPS:
        return _check_jump(line)
    return _check_instruction(line)


def _check_jump(line: StubLine) -> int:
    if line.done:
        raise _Bad("a jump cannot be `done`: the last line is")
    if line.verb in SHORT_ONLY and line.goal == SLOW:
        raise _Bad(f"{line.verb} reaches no further than the stub; jump over a jmp")
    return 6


def _check_instruction(line: StubLine) -> int:
    if line.verb.startswith(("j", "loop")):
        raise _Bad(f"{line.verb} is no way out of a stub; use exit, or {', '.join(sorted(JUMPS))}")
    encoded = _encode(_with_offsets(line.code))
    found = locate(encoded)
    if found is None or found.row is None or found.length != len(encoded):
        raise _Bad("this processor has no such instruction")
    row = found.row
    if row.feature and row.feature not in DEFAULT.features:  # the other models may not have it
        raise _Bad("this processor has no such instruction")
    if row.ends or row.modrm is not None or row.body in ("into", "hlt"):
        raise _Bad(f"{line.verb} is no way out of a stub; use exit, or {', '.join(sorted(JUMPS))}")
    if row.body in PORTS:
        if not line.done:
            raise _Bad("a port access ends a stub: mark it `done`")
    elif row.sensitivity is not Class.INNOCUOUS and row.body not in FLAG_BODIES:
        raise _Bad(f"in ring 3, {row.mnemonic} traps or shows the engine's own state, not the "
                   "guest's")  # fmt: skip
    elif row.body == "x87":
        raise _Bad("the x87 unit remembers where its last instruction was: none in a stub")
    _check_prefixes(line, encoded, found)
    return len(encoded)


def _check_prefixes(line: StubLine, encoded: bytes, found: Located) -> None:
    prefixes = split(encoded)[0]
    if any(prefix in REPEATS for prefix in prefixes):
        raise _Bad("REP may leave in the middle, which a stub cannot")
    if CS_PREFIX in prefixes or FS_PREFIX in prefixes:
        raise _Bad("no cs: and fs: in a stub: they do not lead where the guest's do")
    if GS_PREFIX not in prefixes:
        return
    match = SLOT.search(line.code)
    row = found.row
    assert row is not None
    if match is None or (row.body not in READ and row.body not in WRITTEN):
        raise _Bad("gs: is for the slots of the vCPU page, by name, in moves and arithmetic")
    operand = operand_of(encoded)
    width, writes = access_of(row, operand_size(encoded, 0))
    slot = SLOTS[match[1]]
    inside = _number(match[2]) if match[2] else 0
    if operand is None or operand.head or not 0 <= inside <= slot.size - width:
        raise _Bad(f"the slot {match[1]} has {slot.size} bytes")
    if writes and not slot.writable:
        raise _Bad(f"the slot {match[1]} is for reading: nobody takes back what is written there")


def _with_offsets(code: str) -> str:
    """Slots by name as offsets. _Bad."""

    def offset(match: re.Match[str]) -> str:
        if match[1] not in SLOTS:
            raise _Bad(f"there is no slot {match[1]}; there are {', '.join(SLOTS)}")
        return f"gs:[{SLOTS[match[1]].offset + (_number(match[2]) if match[2] else 0):#x}]"

    return SLOT.sub(offset, code)


def _number(text: str) -> int:
    try:
        return int(text, 0)
    except ValueError:
        raise _Bad(f"{text}: a number goes there") from None


def _encode(code: str) -> bytes:
    return _assembler().asm(code, as_bytes=True)[0] or b""


@functools.cache
def _assembler() -> keystone.Ks:
    return open_assembler()


# --- the whole ----------------------------------------------------------------------------


def _check_ends(name: str, hot: list[StubLine], slow: list[StubLine], has_slow: bool) -> None:
    """Every way through it ends: done once, in the last line, or at an exit."""
    if not hot:
        raise BadStub(name, "slow:", "there is nothing before it")
    last = hot[-1]
    if not (last.done or last.code in (EXIT, LOOKUP, f"jmp {SLOW}")):
        if not any(line.done or line.code == EXIT for line in (*hot, *slow)):
            why = "no line is marked `done`, and none is `exit`: the guest's instruction never ends"
            raise BadStub(name, hot[0].text, why)
        raise BadStub(name, last.text, "the last line is `done`, exit, lookup or jmp slow")
    for line in (*hot[:-1], *slow):
        if line.done:
            raise BadStub(name, line.text, "only the last line before `slow:` may be `done`")
    for line in (*hot[:-1], *slow):
        if line.code == LOOKUP:
            raise BadStub(name, line.text, "only the last line before `slow:` may be lookup")
    if has_slow and (not slow or slow[-1].code != EXIT):
        raise BadStub(name, slow[-1].text if slow else "slow:", "behind `slow:`, exit is last")
    for line in slow:
        if line.verb in JUMPS or line.label or line.text == "slow:":
            raise BadStub(name, line.text, "no jumps and labels behind `slow:`")


def _check_jumps(name: str, hot: list[StubLine], outside: set[str]) -> None:
    """Jumps lead forward, to labels that are there once."""
    seen: set[str] = set()
    labels = [line.label for line in hot if line.label]
    for line in hot:
        if line.label in seen:
            raise BadStub(name, line.text, f"there are two labels {line.label}")
        seen |= {line.label} - {""}
        if line.verb not in JUMPS or line.goal in outside:
            continue
        if line.goal in seen:
            raise BadStub(name, line.text, "jumps backwards: a stub must come to its end")
        if line.goal not in labels:
            raise BadStub(name, line.text, f"there is no label {line.goal} behind it")
