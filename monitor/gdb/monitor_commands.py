"""What `monitor NAME` answers: the machine behind the guest, in words (qRcmd, E.4).

A command is a row of COMMANDS. It gets the session's view and the words behind its name. What is
none of these is one of the monitor's console (monitor/console), as far as that only looks.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from monitor.console import command as console
from monitor.console import ours
from monitor.console.attended import Alone
from monitor.console.words import answer_to
from monitor.gdb.layout import SHOWN
from monitor.gdb.target import Target
from monitor.machine import Machine
from monitor.symbols.elf_file import symbol_file
from monitor.symbols.kallsyms import read_kallsyms
from monitor.vmm.errors import UserError
from monitor.writing.whole_file import write_whole


@dataclass(frozen=True)
class View:
    """What the commands look at."""

    machine: Machine
    target: Target

    @property
    def context(self) -> console.Context:
        """For the words of the monitor's console."""
        return console.Context(self.machine, Alone(self.machine))


Answer = Callable[[View, Sequence[str]], str]


@dataclass(frozen=True)
class Command:
    help: str
    answer: Answer


def run_command(view: View, line: str) -> str:
    """The answer to a line; UserError if there is no such command."""
    try:
        words = shlex.split(line) or ["help"]
    except ValueError as error:  # a quotation mark alone
        raise UserError(f"monitor {line}: {error}".lower()) from None
    command = COMMANDS.get(words[0])
    if command is None:
        return answer_to(view.context, line, looking=True) + "\n"
    return command.answer(view, words[1:]).rstrip("\n") + "\n"


def _help(view: View, _words: Sequence[str]) -> str:
    lines = [f"{name:11} {command.help}" for name, command in COMMANDS.items()]
    return "\n".join([*lines, "", "and of the monitor's console:", answer_to(view.context, "help")])


def _console(answer: console.Answer) -> Answer:
    """A word of the monitor's console, under the name that it has here."""
    return lambda view, words: answer(view.context, " ".join(words))


def _registers(view: View, _words: Sequence[str]) -> str:
    machine = view.machine
    system = {n: v for n, v in machine.system_registers.items() if v or n in SHOWN}
    cells = [f"{name:16} {value:08x}" for name, value in (machine.registers | system).items()]
    rows = [cells[at : at + 4] for at in range(0, len(cells), 4)]
    return "\n".join("   ".join(row) for row in rows)


def _physical(view: View, words: Sequence[str]) -> str:
    if words not in ([], ["on"], ["off"]):
        raise UserError("monitor physical [on|off]")
    if words:
        view.target.physical = words == ["on"]
    return f"memory addresses are {'physical' if view.target.physical else 'linear'}"


def _symbols(view: View, words: Sequence[str]) -> str:
    if len(words) != 1:
        raise UserError("monitor symbols FILE")
    table = read_kallsyms(view.machine.memory.map())
    path = Path(words[0])
    try:
        write_whole(path, symbol_file(table))
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}") from error
    return f"{len(table):,} symbols of the guest's kernel are in {path}: symbol-file {path}"


def _checkpoint(view: View, words: Sequence[str]) -> str:
    if len(words) != 1:
        raise UserError("monitor checkpoint FILE")
    size = view.machine.checkpoints.save(words[0])
    return f"{size:,} bytes: vp resume {shlex.quote(words[0])}"


COMMANDS = {
    "help": Command("this list", _help),
    "exits": Command("exits by reason, and the last ones", _console(ours.info_exits)),
    "tc": Command("the translation cache, and the translated block at eip", _console(ours.info_tc)),
    "shadow": Command("the shadow page tables", _console(ours.info_shadow)),
    "where": Command("registers, last exits and the code at eip", _console(ours.info_where)),
    "registers": Command("all registers, the system's too", _registers),
    "symbols": Command("FILE: write the names of the Linux that runs, for symbol-file", _symbols),
    "checkpoint": Command("FILE: write the whole machine, for vp resume", _checkpoint),
    "statistics": Command("every figure, as JSON", _console(ours.info_statistics)),
    "physical": Command("on or off: addresses are physical, or linear again", _physical),
}
