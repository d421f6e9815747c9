"""What a row of rows.py has, and the words of `vp run` that it stands for.

>>> row = Guest("dos", "a DOS", ("dos.img",), "GPL", "--fda {dos.img} --memory 16",
...             steps=(Step("C>", "ver"),), expect="version", most="90M")
>>> row.options({"dos.img": "x/dos.img"})
['--fda', 'x/dos.img', '--memory', '16']
>>> row.attended()[:4]
['--type-after', 'C>', '--keys', 'ver']
>>> row.attended()[4:]
['--until', 'version', '--max-instructions', '90M']
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Step:
    """A text that has to come first, and what is typed then: as --keys has it, or --type."""

    after: str
    text: str
    option: str = "--keys"


@dataclass(frozen=True)
class Guest:
    """A guest: what it is, what it needs, how it runs, and what is to be seen if that is right."""

    name: str
    title: str
    #: Files, by the names that they have in the folders of guest_places.py.
    files: tuple[str, ...]
    licence: str
    #: As for `vp run`; {FILE} is where the file lies.
    machine: str
    steps: tuple[Step, ...] = ()
    #: What console or screen show in the end, and not before.
    expect: str = ""
    #: So many instructions are enough.
    most: str = "1e9"
    #: What else has to be on the screen by then, as regular expressions.
    also: tuple[str, ...] = ()
    #: Is it looked at on a screen? Otherwise it has a serial console.
    screen: bool = True
    #: More than half a minute of a quiet processor, bare and translated together.
    long: bool = False

    def options(self, places: Mapping[str, str]) -> list[str]:
        """The options of `vp run`, with the files where they are."""
        words = shlex.split(self.machine)
        for name in self.files:
            words = [word.replace(f"{{{name}}}", places[name]) for word in words]
        return words

    def typed(self) -> list[str]:
        """Options that type what the row types."""
        words = []
        for step in self.steps:
            words += ["--type-after", literally(step.after), step.option, step.text]
        return words

    def attended(self) -> list[str]:
        """Options that type what the row types, and end when it has been seen."""
        ending = ["--until", literally(self.expect), "--max-instructions", self.most]
        return [*self.typed(), *ending]


def literally(text: str) -> str:
    """Written so that the escapes of the command line leave it as it is."""
    return text.replace("\\", "\\\\")
