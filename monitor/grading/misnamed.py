"""Files that are named as no hand-in is: what they could be, and why one may think so.

    Guesser({1: ("classify",), 2: ("handle",)}).guess(found, students)

Four things speak for a lab: a number in the file's name, its folder's, and what is defined in the
file. What is defined decides, since that is what would be graded; then the name. Sources are
searched, never parsed or run: they are strangers'.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

PYTHON = ".py"
_NUMBER = re.compile(
    r"(?:lab(?:oratory)?|(?<![a-z])(?:assignment|exercise|homework|hw|ex))[\s_.\-]*0*(\d{1,3})(?!\d)",
    re.IGNORECASE,
)
_BETWEEN = re.compile(r"[\s_.()\[\]\-]+")
#: Words of a file's name that are nobody's name.
_NOISE = re.compile(
    r"\d+|v\d*|version|final|finished|done|new|old|copy|draft|fix|fixed|last|latest|real|my|the|of|"
    r"solution|solutions|submission|answer|answers|handin|py|txt|zip|tar|gz|ipynb",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Found:
    """A file that is no hand-in by its name, or by what is in it."""

    path: Path
    shown: str  # below the folder of submissions, for people
    student: str = ""  # whose folder it lies in
    inside: str = ""  # the folder below that, or a folder for a lab
    defines: Mapping[int, str] = field(default_factory=dict)  # of which labs, and what
    named: int = 0  # the lab whose hand-ins have just this name


@dataclass(frozen=True)
class Stray:
    """The same with a guess. `lab` 0 and `student` "": that could not be guessed."""

    path: Path
    shown: str
    student: str
    lab: int
    why: str
    named: int = 0  # the lab whose name it has, and is not

    @property
    def clear(self) -> bool:
        """Can it be graded as what it is guessed to be?"""
        return bool(self.lab and self.student) and self.path.name.lower().endswith(PYTHON)


class Guesser:
    """Knows what the labs' submissions define: by the lab's number, names that are not indented."""

    def __init__(self, parts: Mapping[int, tuple[str, ...]]) -> None:
        self._parts = {lab: names for lab, names in parts.items() if names}

    def exists(self, lab: int) -> bool:
        """Is there such a lab? Any, as long as no lab's parts are known."""
        return not self._parts or lab in self._parts

    def labs_in(self, source: bytes) -> dict[int, str]:
        """The labs of which the source defines something, and what."""
        found = {}
        for lab, names in self._parts.items():
            there = [name for name in names if _defines(source, name)]
            if there:
                found[lab] = " and ".join(there)
        return found

    def belies(self, lab: int, found: Found) -> bool:
        """Is a file of this lab's name another lab's, or of none that there is?"""
        return not self.exists(lab) or bool(found.defines and lab not in found.defines)

    def guess(self, found: Found, students: Iterable[str]) -> Stray:
        by_name, by_folder = number_in(found.path.stem), number_in(found.inside)
        inside = found.defines
        named = by_name or by_folder
        lab = named if named and self.exists(named) else 0
        if inside and lab not in inside:
            lab = next(iter(inside)) if len(inside) == 1 else 0
        student = found.student or _student(found.path.name, students)
        why = [*self._of_name(found, by_name, by_folder), *self._of_content(named, lab, inside)]
        if not found.path.name.lower().endswith(PYTHON):
            why.append("it is no .py file")
        if not student:
            why.append("nothing says whose it is")
        said = f"{found.shown}: {', '.join(why)}"
        return Stray(found.path, found.shown, student, lab, said, found.named)

    def _of_name(self, found: Found, by_name: int, by_folder: int) -> list[str]:
        why = []
        if by_name:
            there = "" if self.exists(by_name) else ", and there is none"
            why.append(f"the name says lab {by_name}{there}")
        if found.inside:
            said = f", which says lab {by_folder}" if by_folder else ""
            why.append(f"it lies in {found.inside}{said}")
        return why or ["the name says no lab"]

    def _of_content(self, named: int, lab: int, inside: Mapping[int, str]) -> list[str]:
        if not self._parts:
            return []
        if not inside:
            missing = " or ".join(self._parts.get(lab, ()))
            return [f"it defines no {missing}" if missing else "it defines nothing of a lab's"]
        but = "but " if named and named not in inside else ""
        theirs = " and ".join(f"lab {each}'s {names}" for each, names in inside.items())
        return [f"{but}it defines {theirs}"]


def number_in(name: str) -> int:
    """The lab that a name says; 0 if none.

    >>> [number_in(name) for name in ("Lab2", "lab-02_final", "homework 3", "label", "lab2020x")]
    [2, 2, 3, 0, 0]
    """
    found = _NUMBER.search(name)
    return int(found[1]) if found else 0


def _student(name: str, students: Iterable[str]) -> str:
    """Who the rest of the file's name says that it is from."""
    rest = _NUMBER.sub(" ", name.removesuffix(Path(name).suffix))
    words = [word for word in _BETWEEN.split(rest) if word]
    for student in students:
        theirs = [word for word in _BETWEEN.split(student.casefold()) if word]
        mine = [word.casefold() for word in words]
        if theirs and any(mine[n : n + len(theirs)] == theirs for n in range(len(mine))):
            return student
    return "-".join(word for word in words if not _NOISE.fullmatch(word))


def _defines(source: bytes, name: str) -> bool:
    """As a function, a class or a variable, at the beginning of a line."""
    word = re.escape(name.encode())
    routine, variable = rb"^(?:def|class)[ \t]+%b\b" % word, rb"^%b[ \t]*(?::[^=\n]*)?=(?!=)" % word
    text = source.removeprefix(codecs.BOM_UTF8).replace(b"\r", b"\n")
    return re.search(routine + b"|" + variable, text, re.MULTILINE) is not None
