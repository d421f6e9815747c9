"""What `monitor NAME` answers: the machine behind the guest, in words (qRcmd, E.4).

A command is a row of COMMANDS. It gets the session's view and the words behind its name.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
        raise UserError(f"no monitor command {words[0]!r}; 'monitor help' lists them")
    return command.answer(view, words[1:]).rstrip("\n") + "\n"


def _help(_view: View, _words: Sequence[str]) -> str:
    return "\n".join(f"{name:11} {command.help}" for name, command in COMMANDS.items())


def _exits(view: View, _words: Sequence[str]) -> str:
    counts = view.machine.statistics().get("exits")
    if not counts:
        return f"mode {view.machine.mode} has had no exits"
    ordered = dict(sorted(counts.items(), key=lambda item: -item[1]))
    last = view.machine.debug.recent_exits()
    return "\n".join([*_table(ordered), "last exits, oldest first:", *(f"  {e}" for e in last)])


def _tc(view: View, _words: Sequence[str]) -> str:
    figures = view.machine.statistics().get("tc")
    if figures is None:
        return f"mode {view.machine.mode} has no translation cache"
    block = view.machine.debug.block_listing() or ["no translated block begins at eip"]
    return "\n".join([*_table(figures), *block])


def _shadow(view: View, _words: Sequence[str]) -> str:
    figures = view.machine.statistics().get("shadow")
    if figures is None:
        return f"mode {view.machine.mode} has no shadow page tables"
    return "\n".join(_table(figures))


def _where(view: View, _words: Sequence[str]) -> str:
    return view.machine.debug.where()


def _registers(view: View, _words: Sequence[str]) -> str:
    machine = view.machine
    system = {n: v for n, v in machine.system_registers.items() if v or n in SHOWN}
    cells = [f"{name:16} {value:08x}" for name, value in (machine.registers | system).items()]
    rows = [cells[at : at + 4] for at in range(0, len(cells), 4)]
    return "\n".join("   ".join(row) for row in rows)


def _statistics(view: View, _words: Sequence[str]) -> str:
    return json.dumps(view.machine.statistics(), indent=2)


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


def _table(figures: Mapping[str, Any]) -> list[str]:
    words = {name: v if isinstance(v, str) else f"{v:,}" for name, v in figures.items()}
    return [f"  {name:32} {word:>14}" for name, word in words.items()]


COMMANDS = {
    "help": Command("this list", _help),
    "exits": Command("exits by reason, and the last ones", _exits),
    "tc": Command("the translation cache, and the translated block at eip", _tc),
    "shadow": Command("the shadow page tables", _shadow),
    "where": Command("registers, last exits and the code at eip", _where),
    "registers": Command("all registers, the system's too", _registers),
    "symbols": Command("FILE: write the names of the Linux that runs, for symbol-file", _symbols),
    "checkpoint": Command("FILE: write the whole machine, for vp resume", _checkpoint),
    "statistics": Command("every figure, as JSON", _statistics),
    "physical": Command("on or off: addresses are physical, or linear again", _physical),
}
