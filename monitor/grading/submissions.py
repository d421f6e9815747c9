"""What a class has handed in: a folder, or a file, for each student.

    submissions/ada/lab3.py        a folder per student
    submissions/lab3-ada.py        or a file

The folder is only read, and what is in it is not trusted either: links are not followed, and what
is no regular file, or a large one, is not read.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from monitor.errors import UserError

IN_FOLDER = re.compile(r"lab(\d{1,3})\.py")
LOOSE = re.compile(r"lab(\d{1,3})-(.+)\.py", re.DOTALL)
LAYOUT = "NAME/lab3.py or lab3-NAME.py"


class Rejected(Exception):
    """What was handed in is nothing to grade: why, in words."""


@dataclass(frozen=True)
class Submission:
    """One student's file for one lab, or that there is none."""

    student: str
    lab: int
    places: tuple[Path, ...]  # one; none if it is missing
    others: tuple[str, ...] = ()  # Python files beside it, where it is missing

    @property
    def missing(self) -> bool:
        return not self.places

    def read(self, most: int) -> bytes:
        """The file's bytes. Rejected if it is no file of at most `most` bytes."""
        if len(self.places) > 1:
            names = " and ".join(sorted(f"{place.parent.name}/{place.name}"
                                        for place in self.places))  # fmt: skip
            raise Rejected(f"handed in twice: {names}")
        try:
            return _read(self.places[0], most)
        except OSError as error:
            raise Rejected(f"cannot be read ({(error.strerror or '').lower()})") from None


@dataclass
class HandedIn:
    """All of a class. `ignored`: entries that are no submission."""

    submissions: list[Submission]
    ignored: list[str] = field(default_factory=list)


def find(folder: Path, labs: Iterable[int] = ()) -> HandedIn:
    """In order of students and labs; `labs`: all that anybody has handed in. UserError."""
    students: dict[str, dict[int, list[Path]]] = {}
    others: dict[str, list[str]] = {}
    ignored = []
    for entry in _entries(folder):
        loose = LOOSE.fullmatch(entry.name)
        if loose:
            files = students.setdefault(loose[2], {})
            files.setdefault(int(loose[1]), []).append(Path(entry.path))
        elif entry.name.startswith((".", "__")):
            ignored.append(entry.name)
        elif entry.is_dir(follow_symlinks=False):
            files = students.setdefault(entry.name, {})
            others[entry.name] = _in_folder(Path(entry.path), files)
        else:
            ignored.append(entry.name)
    wanted = sorted(set(labs) or {lab for files in students.values() for lab in files})
    if not students or not wanted:
        raise UserError(f"{folder}: no submissions in it; name them {LAYOUT}")
    return HandedIn([
        Submission(student, lab, tuple(files.get(lab, ())), tuple(others.get(student, ())))
        for student, files in sorted(students.items()) for lab in wanted
    ], ignored)  # fmt: skip


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        why = (error.strerror or "").lower()
        raise UserError(f"{folder}: cannot read the folder ({why}); check the path") from error


def _in_folder(folder: Path, files: dict[int, list[Path]]) -> list[str]:
    """Adds a student's lab files; the names of his other Python files."""
    others = []
    try:
        entries = _entries(folder)
    except UserError:
        return []
    for entry in entries:
        name = IN_FOLDER.fullmatch(entry.name)
        if name:
            files.setdefault(int(name[1]), []).append(Path(entry.path))
        elif entry.name.lower().endswith(".py"):
            others.append(entry.name)
    return others


def _read(path: Path, most: int) -> bytes:
    if not stat.S_ISREG(path.lstat().st_mode):  # before it is opened: that may wait, or do things
        raise Rejected("no regular file (a link, a folder, a pipe or a device)")
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as stream:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise Rejected("no regular file")
        source = stream.read(most + 1)
    if len(source) > most:
        raise Rejected(f"larger than {most >> 10} KiB")
    return source
