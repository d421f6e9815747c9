"""A class of submissions, made from a seed: right ones, wrong ones, hostile ones, and no files.

    students = generate(folder, out, lab=1, right=..., wrong=..., count=200, seed=1999)

`students` says what each has to get. Every kind comes at least once if `count` allows.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hostile import PAYLOADS, Payload

LARGE = 100 << 20  # bytes


@dataclass(frozen=True)
class Expected:
    """What a student's row has to be."""

    kind: str
    status: str
    full: bool | None  # None: what a wrong solution gets
    flags: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Sources:
    right: str
    wrong: tuple[str, ...]


Maker = Callable[[Path, Sources], None]


def _large(path: Path, _sources: Sources) -> None:
    path.touch()
    os.truncate(path, LARGE)


def _loop_of_links(path: Path, _sources: Sources) -> None:
    path.symlink_to(path.name)


def _link_to_another(path: Path, sources: Sources) -> None:
    target = path.with_name(f"hidden-{path.name}")
    target.write_text(sources.right)
    path.symlink_to(target)


#: What else is handed in: kind, status, has it the full score, how to make it.
FILES: tuple[tuple[str, str, bool, Maker], ...] = (
    ("100 MB", "rejected", False, _large),
    ("link to itself", "rejected", False, _loop_of_links),
    ("link", "rejected", False, _link_to_another),
    ("device", "rejected", False, lambda path, _: path.symlink_to("/dev/zero")),
    ("pipe", "rejected", False, lambda path, _: os.mkfifo(path)),
    ("folder", "rejected", False, lambda path, _: path.mkdir()),
    ("empty", "graded", False, lambda path, _: path.touch()),
    ("syntax error", "graded", False, lambda path, _: path.write_text("def (:\n") and None),
    ("not UTF-8", "graded", False, lambda path, _: path.write_bytes(b"x = '\xff\xfe'\n") and None),
    ("null bytes", "graded", False, lambda path, _: path.write_bytes(bytes(64)) and None),
    ("deep nesting", "graded", False,
     lambda path, _: path.write_text("x = " + "-" * 200_000 + "1\n") and None),
    ("CRLF and BOM", "graded", True,
     lambda path, sources: path.write_bytes(
         b"\xef\xbb\xbf" + sources.right.replace("\n", "\r\n").encode()) and None),
)  # fmt: skip
SHARE_RIGHT, SHARE_WRONG = 0.35, 0.2


def generate(
    folder: Path, out: Path, *, lab: int, sources: Sources, count: int, seed: int
) -> dict[str, Expected]:
    """Write the class to `folder`; half have a folder of their own, half a file."""
    chance = random.Random(seed)
    kinds: list[Payload | int | str] = [*PAYLOADS, *range(len(FILES)), "missing", "right", "wrong"]
    while len(kinds) < count:
        draw = chance.random()
        more = "right" if draw < SHARE_RIGHT else "wrong"
        rest = draw >= SHARE_RIGHT + SHARE_WRONG
        kinds.append(chance.choice([*PAYLOADS, *range(len(FILES))]) if rest else more)
    chance.shuffle(kinds)
    names = [f"student{number:03}" for number in range(count)]
    other = folder / "victim" / f"lab{lab}.py"
    _write(other, sources.right)
    expected = {"victim": Expected("right", "graded", True)}
    for name, kind in zip(names, kinds[:count], strict=True):
        loose = kind != "missing" and chance.random() < 0.5
        path = folder / f"lab{lab}-{name}.py" if loose else folder / name / f"lab{lab}.py"
        path.parent.mkdir(exist_ok=True)
        expected[name] = _hand_in(path, kind, sources, out, other, chance)
    return expected


def _hand_in(
    path: Path, kind: Payload | int | str, sources: Sources, out: Path, other: Path,
    chance: random.Random,
) -> Expected:  # fmt: skip
    if isinstance(kind, Payload):
        _write(path, kind.source(sources.right, out, other))
        return Expected(kind.name, kind.status, kind.points, kind.flags)
    if isinstance(kind, int):
        name, status, full, make = FILES[kind]
        make(path, sources)
        return Expected(name, status, full)
    if kind == "missing":
        (path.parent / "readme.txt").write_text("sorry")
        return Expected(kind, "missing", False)
    _write(path, sources.right if kind == "right" else chance.choice(sources.wrong))
    return Expected(kind, "graded", True if kind == "right" else None)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
