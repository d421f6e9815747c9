"""What a class has handed in: a folder, or a file, for each student.

    submissions/ada/lab3.py        a folder per student
    submissions/lab3-ada.py        or a file

What has another name, or another lab's functions inside, is a stray (misnamed.py): it is told, with
a guess, and not taken for a submission unless that is asked for. The folder is only read, and what
is in it is not trusted either: links are not followed, and what is no regular file, or a large one,
is not read.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

from monitor.grading.limits import MIB
from monitor.grading.misnamed import PYTHON, Found, Guesser, Stray, number_in
from monitor.vmm.errors import UserError

IN_FOLDER = re.compile(r"lab(\d{1,3})\.py")
LOOSE = re.compile(r"lab(\d{1,3})-(.+)\.py", re.DOTALL)
LAYOUT = "NAME/lab3.py or lab3-NAME.py"
A_LAB = re.compile(r"lab(?:oratory)?[\s_.\-]*\d{1,3}", re.IGNORECASE)  # no student's folder
DEEPEST = 4  # folders below a student's
MOST_FILES = 200  # of a student's that are looked at
NO_PARTS: Mapping[int, tuple[str, ...]] = MappingProxyType({})


class Rejected(Exception):
    """What was handed in is nothing to grade: why, in words."""


@dataclass(frozen=True)
class Submission:
    """One student's file for one lab, or that there is none."""

    student: str
    lab: int
    places: tuple[Path, ...]  # one; none if it is missing
    strays: tuple[Stray, ...] = ()  # where it is missing: what it could be
    taken: Stray | None = None  # the stray that was taken for it

    @property
    def missing(self) -> bool:
        return not self.places

    @property
    def others(self) -> tuple[str, ...]:
        """Names of files that could be what is missing."""
        return tuple(each.path.name for each in self.strays)

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
    """All of a class. `ignored`: entries that are no submission; `strays`: files that may be some,
    but for those that stand with a submission."""

    submissions: list[Submission]
    ignored: list[str] = field(default_factory=list)
    strays: list[Stray] = field(default_factory=list)


def find(
    folder: Path, labs: Iterable[int] = (), parts: Mapping[int, tuple[str, ...]] = NO_PARTS, *,
    take_strays: bool = False,
) -> HandedIn:  # fmt: skip
    """In order of students and labs; `labs`: all that anybody has handed in. UserError.

    `parts`: what the labs' submissions define. `take_strays`: where a submission is missing, and
    one stray alone is clearly meant for it, that is the submission.
    """
    guesser = Guesser(parts)
    walk = _Walk(guesser)
    for entry in _entries(folder):
        walk.see(entry)
    strays = [guesser.guess(each, sorted(walk.students)) for each in walk.found]
    if take_strays:
        for each in strays:
            if each.clear:
                walk.students.setdefault(each.student, {})
    wanted = sorted(set(labs) or walk.labs() | {each.lab for each in strays if each.lab})
    if not wanted or not (walk.students or strays):
        raise UserError(f"{folder}: no submissions in it; name them {LAYOUT}")
    submissions = [
        _submission(student, lab, tuple(files.get(lab, ())), strays, take_strays)
        for student, files in sorted(walk.students.items()) for lab in wanted
    ]  # fmt: skip
    told = {each for submission in submissions for each in submission.strays}
    told |= {submission.taken for submission in submissions if submission.taken}
    have = {(each.student, each.lab) for each in submissions if each.places}
    spare = [each for each in strays if each not in told and (not labs or each.lab in {0, *wanted})]
    beside = [each for each in spare
              if (each.student, each.lab) in have and not each.path.name.lower().endswith(PYTHON)]
    return HandedIn(submissions, sorted([*walk.ignored, *(each.shown for each in beside)]),
                    [_said_beside(each, have) for each in spare if each not in beside])  # fmt: skip


def _said_beside(stray: Stray, have: set[tuple[str, int]]) -> Stray:
    if (stray.student, stray.lab) not in have:
        return stray
    return replace(stray, why=f"{stray.why}; another file is {stray.student}'s lab {stray.lab}")


def _submission(
    student: str, lab: int, places: tuple[Path, ...], strays: Iterable[Stray], take: bool
) -> Submission:
    if places:
        return Submission(student, lab, places)
    theirs = (each for each in strays if each.student == student)
    mine = tuple(each for each in theirs if lab in {each.lab, each.named})
    meant = [each for each in mine if each.lab == lab]
    if take and len(meant) == 1 and meant[0].clear:
        return Submission(student, lab, (meant[0].path,), taken=meant[0])
    return Submission(student, lab, (), mine)


class _Walk:
    """Through the folder: files named as they should be, by student and lab, and all others."""

    def __init__(self, guesser: Guesser) -> None:
        self.students: dict[str, dict[int, list[Path]]] = {}
        self.found: list[Found] = []
        self.ignored: list[str] = []
        self._guesser = guesser

    def labs(self) -> set[int]:
        return {lab for files in self.students.values() for lab in files}

    def see(self, entry: os.DirEntry[str]) -> None:
        """An entry of the folder itself."""
        loose = LOOSE.fullmatch(entry.name)
        if loose:
            self._named(Path(entry.path), loose[2], int(loose[1]), entry.name)
        elif entry.name.startswith((".", "__")):
            self.ignored.append(entry.name)
        elif entry.is_dir(follow_symlinks=False):
            self._folder(entry)
        elif number_in(entry.name) or entry.name.lower().endswith(PYTHON):
            self.found.append(self._look(Path(entry.path), entry.name))
        else:
            self.ignored.append(entry.name)

    def _folder(self, entry: os.DirEntry[str]) -> None:
        a_lab = A_LAB.fullmatch(entry.name) is not None
        student = "" if a_lab else entry.name
        if student:
            self.students.setdefault(student, {})
        for below, path in _below(Path(entry.path)):
            shown = "/".join((entry.name, *below, path.name))
            name = IN_FOLDER.fullmatch(path.name)
            if name and student and not below:
                self._named(path, student, int(name[1]), shown)
            elif number_in(path.name) or path.name.lower().endswith(PYTHON):
                inside = "/".join((entry.name, *below) if a_lab else below)
                self.found.append(self._look(path, shown, student, inside))

    def _named(self, path: Path, student: str, lab: int, shown: str) -> None:
        files = self.students.setdefault(student, {})
        found = self._look(path, shown, student, named=lab)
        if self._guesser.belies(lab, found):
            self.found.append(found)
        else:
            files.setdefault(lab, []).append(path)

    def _look(
        self, path: Path, shown: str, student: str = "", inside: str = "", named: int = 0
    ) -> Found:
        try:
            source = _read(path, MIB)
        except (OSError, Rejected):
            source = b""
        return Found(path, shown, student, inside, self._guesser.labs_in(source), named)


def _below(folder: Path) -> Iterator[tuple[tuple[str, ...], Path]]:
    """What lies in a folder and in those below it, each with the folders' names; links are not
    followed, and what is hidden is not looked at."""
    waiting: list[tuple[tuple[str, ...], Path]] = [((), folder)]
    count = 0
    while waiting:
        below, place = waiting.pop(0)
        try:
            entries = _entries(place)
        except UserError:
            continue
        for entry in entries:
            deeper = entry.is_dir(follow_symlinks=False) and not (
                not below and IN_FOLDER.fullmatch(entry.name))  # fmt: skip
            if not deeper:
                count += 1
                if count > MOST_FILES:
                    return
                yield below, Path(entry.path)
            elif len(below) < DEEPEST and not entry.name.startswith((".", "__")):
                waiting.append(((*below, entry.name), Path(entry.path)))


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        why = (error.strerror or "").lower()
        raise UserError(f"{folder}: cannot read the folder ({why}); check the path") from error


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
