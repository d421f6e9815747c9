"""A user's FILE.asm: its operations, and the numbers in them that are to be varied.

    LENGTH = 4                    a number of its own; --set LENGTH=0,1,2 measures each instead

    popf:                         a label begins an operation, which has its name
        pushfd
        .rept LENGTH
        add  eax, ebx
        .endr
        popfd

Labels inside of an operation begin with a dot. A file without a label is one operation with the
file's name. The assembler is that of the guests (monitor/guests/assembler.py).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path

from monitor.bench.nano import KERNEL
from monitor.bench.own_loop import OwnOperation
from monitor.settings.toml_file import read
from monitor.vmm.errors import UserError

Settings = Mapping[str, Sequence[int]]  # the values of each name, in turn

LABEL = re.compile(r"\s*([A-Za-z_]\w*):(.*)")
CONSTANT = re.compile(r"\s*([A-Za-z_]\w*)\s*=[^=]")
NAME = re.compile(r"[A-Za-z_]\w*")


def load(path: Path, settings: Settings, loop: str = KERNEL) -> list[OwnOperation]:
    """The operations of a file. Raises UserError."""
    return operations(read(path, "assembly file"), str(path), settings, loop)


def operations(text: str, file: str, settings: Settings, loop: str) -> list[OwnOperation]:
    """The operations of a file's text, each once for every combination of the settings. Raises
    UserError."""
    lines = text.splitlines()
    for name in settings:
        if not NAME.fullmatch(name):
            raise UserError(f"{name!r} is no name for a number: use letters, digits and _")
        if not re.search(rf"\b{name}\b", "\n".join(map(_code, lines))):
            raise UserError(f"{file} has no {name}, which is to be set")
    lines = ["" if _sets(line, settings) else line for line in lines]
    found = [
        OwnOperation(" ".join((name, *(f"{key}={value}" for key, value in chosen))), code, loop,
                     chosen, file=file)
        for name, code in _sections(lines, file)
        for chosen in _choices(settings)
    ]  # fmt: skip
    for operation in found:
        operation.places()  # it can be assembled
    return found


def choose(found: Sequence[OwnOperation], names: Sequence[str]) -> list[OwnOperation]:
    """Those with these names, or of these labels; all of them for none. Raises UserError."""
    known = list(dict.fromkeys(operation.name.partition(" ")[0] for operation in found))
    for name in names:
        if name not in known and name not in [operation.name for operation in found]:
            raise UserError(f"no operation {name!r}: choose from {', '.join(known)}")
    return [one for one in found
            if not names or one.name in names or one.name.partition(" ")[0] in names]  # fmt: skip


def _choices(settings: Settings) -> Iterator[tuple[tuple[str, int], ...]]:
    for values in product(*settings.values()):
        yield tuple(zip(settings, values, strict=True))


def _code(line: str) -> str:
    return line.partition(";")[0]


def _sets(line: str, settings: Settings) -> bool:
    constant = CONSTANT.match(_code(line))
    return constant is not None and constant[1] in settings


def _sections(lines: Sequence[str], file: str) -> Iterator[tuple[str, str]]:
    """Names and texts. Each text has the whole file's number of lines, so that errors have theirs;
    what belongs to other operations is left out of it."""
    labels = [(number, found) for number, line in enumerate(lines) if (found := LABEL.match(line))]
    if not labels:
        yield Path(file).stem, "\n".join(lines)
        return
    head = list(lines[: labels[0][0]])
    for number, line in enumerate(head, 1):
        if _code(line).strip() and not CONSTANT.match(_code(line)):
            raise UserError(f"{file}:{number}: before the first label there are only numbers, as "
                            f"NAME = 1: {_code(line).strip()}")  # fmt: skip
    ends = [number for number, _ in labels[1:]] + [len(lines)]
    for (begin, label), end in zip(labels, ends, strict=True):
        other = [""] * (begin - len(head))
        yield label[1], "\n".join((*head, *other, label[2], *lines[begin + 1 : end]))
