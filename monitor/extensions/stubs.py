"""The extension point of CLI, STI, PUSHF and POPF: other templates for their stubs.

    Extensions(stubs={"cli": "    mov dword ptr gs:[VSYS], 0    | done"})

The notation is that of bt/stubs.py, which says what the tags after the bar and the slots mean. A
template may be `exit` alone; one that is not given stays the monitor's. They stand in translated
kernel code where IOPL is 0, and the operand size 32 bits.

A template is refused here if it cannot be one: what does not assemble, jumps backwards (a stub that
never ends would stop the machine for good), or leaves the stub by any other way than `exit`. What
it does to the guest is for others to find out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import keystone

from bt.stubs import LONG_JUMPS, SHORT_JUMPS, Stub, assembled, stub
from monitor.errors import UserError

NAMES = ("cli", "sti", "pushf", "popf")
TAGS = ("done", "eax", "ecx")
LEAVING = ("call", "ret", "retf", "iret", "iretd", "int", "int3", "into", "hlt", "syscall",
           "sysenter", "sysexit", "ud2")  # fmt: skip
WRITTEN_AS = "gs"  # the reserved segment register, whichever it is (bt/reserved.py)
JUMPS = frozenset((*SHORT_JUMPS, *LONG_JUMPS))
SHORT_ONLY = JUMPS - LONG_JUMPS.keys()


class BadStub(UserError):
    """A template that cannot be used. `line`: the text of the line at fault, or the template's
    first one."""

    def __init__(self, name: str, line: str, why: str) -> None:
        super().__init__(f"stub {name}, `{line}`: {why}")
        self.line = line
        self.why = why


def flag_stubs(templates: Mapping[str, str]) -> Callable[[str, str], Stub]:
    """What finds a stub by name and reserved segment register. BadStub."""
    own = {}
    for name, text in templates.items():
        if name not in NAMES:
            raise BadStub(str(name), str(name), f"there are stubs for {', '.join(NAMES)}")
        own[name] = _checked(name, text)

    def find(name: str, reserved: str) -> Stub:
        return assembled(own[name], reserved) if name in own else stub(name, reserved)

    return find


def _checked(name: str, text: str) -> str:
    """A template that can be assembled, whichever segment register is reserved."""
    if not isinstance(text, str):
        raise BadStub(name, repr(text), "a template is a string")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        raise BadStub(name, "", "the template is empty; `exit` leaves it to the monitor")
    _check_lines(name, lines)
    _check(name, lines)
    template = _with_line_ends(text)
    try:
        assembled(template, WRITTEN_AS)
    except (keystone.KsError, ValueError, OverflowError) as error:
        raise BadStub(name, lines[0], f"cannot be assembled: {error}") from None
    return template


def _with_line_ends(text: str) -> str:
    """Every line where `slow:` is looked for, at the margin."""
    return "\n".join(
        line.strip() if line.strip() == "slow:" else line for line in text.splitlines()
    ) + "\n"


def _check(name: str, lines: list[str]) -> None:
    """What concerns the template as a whole."""
    if not any("done" in _tags(line) or _code(line) == "exit" for line in lines):
        why = "no line is marked `done`, and none is `exit`: the guest's instruction never ends"
        raise BadStub(name, lines[0], why)
    seen: set[str] = set()
    labels = {label for line in lines if (label := _label(line))}
    for line in lines:
        if label := _label(line):
            seen.add(label)
        goal = _code(line).partition(" ")[2].strip()
        if _code(line).partition(" ")[0] in JUMPS and goal in seen:
            raise BadStub(name, line, "jumps backwards: a stub must come to its end")
        if _code(line).partition(" ")[0] in JUMPS and goal not in labels:
            raise BadStub(name, line, f"there is no label {goal} behind it")


def _check_lines(name: str, lines: list[str]) -> None:
    """What concerns single lines."""
    for line in lines:
        verb = _code(line).partition(" ")[0]
        for tag in _tags(line):
            if tag not in TAGS:
                raise BadStub(name, line, f"unknown tag {tag!r}; there are {', '.join(TAGS)}")
        if "|" in line and not _tags(line):
            raise BadStub(name, line, f"a tag is missing; there are {', '.join(TAGS)}")
        if not _code(line) and line != "slow:":
            raise BadStub(name, line, "an instruction is missing; a label goes before one")
        if ";" in line:
            raise BadStub(name, line, "one instruction a line, and no comments")
        if verb in SHORT_ONLY and _code(line).endswith(" slow"):
            raise BadStub(name, line, f"{verb} reaches no further than the stub; jump over a jmp")
        if line == "slow:" or _code(line) == "exit" or verb in JUMPS:
            continue
        if verb in LEAVING or verb.startswith(("j", "loop")):
            allowed = ", ".join(sorted(JUMPS))
            raise BadStub(name, line, f"{verb} is no way out of a stub; use exit, or {allowed}")
        _try(name, line)


def _try(name: str, line: str) -> None:
    """Assemble one line by itself, to know which one is wrong."""
    try:
        assembled(f"    {_code(line)}\n", WRITTEN_AS)
    except (keystone.KsError, ValueError) as error:
        raise BadStub(name, line, f"cannot be assembled: {error}") from None


def _label(line: str) -> str:
    label, colon, _ = line.partition("|")[0].partition(":")
    return label.strip() if colon and label.strip().isidentifier() else ""


def _code(line: str) -> str:
    """The instruction of a line, without label and tags."""
    code = line.partition("|")[0].strip()
    return code.partition(":")[2].strip() if _label(line) else code


def _tags(line: str) -> list[str]:
    return [tag.strip() for tag in line.partition("|")[2].split(",") if tag.strip()]
