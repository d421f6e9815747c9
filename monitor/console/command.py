"""What a word of the console is: a row of a table, and a function that answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from monitor.console.subject import Subject
from monitor.vmm.errors import UserError


class Attendant(Protocol):
    """Whoever runs the machine: it may be let stand."""

    def halt(self) -> None:
        """Let the machine stand, until cont()."""

    def cont(self) -> None:
        """Let it run on."""

    def quit(self) -> None:
        """End it."""

    @property
    def running(self) -> bool:
        """Does it run, or would if it were not for this line?"""


@dataclass(frozen=True)
class Context:
    """What a command works on."""

    machine: Subject
    attendant: Attendant


Answer = Callable[[Context, str], str]
"""From the context and what stands behind the word to the answer, without a last newline."""


@dataclass(frozen=True)
class Command:
    """A row. `looks`: it changes nothing of the machine's."""

    arguments: str
    help: str
    answer: Answer
    looks: bool = False
    subjects: Mapping[str, Command] = field(default_factory=dict)


def chosen(commands: Mapping[str, Command], word: str, what: str) -> Command:
    """The command of that name or of the one name that begins so. UserError."""
    if word in commands:
        return commands[word]
    begun = [name for name in commands if word and name.startswith(word)]
    if len(begun) == 1:
        return commands[begun[0]]
    if begun:
        raise UserError(f"{what} {word!r} may be {' or '.join(begun)}: write more of it")
    raise UserError(f"there is no {what} {word!r}: `help` lists what there is")


def no_more(rest: str, usage: str) -> None:
    """UserError: a command got more words than it has use for."""
    if rest:
        raise UserError(f"{rest!r} is too much: {usage}")
