"""The backdoor's commands: one declarative table (open-vm-tools: lib/include/backdoor_def.h).

Every published number has a row, those that are not supported too: a report can name what a guest
asked for. `handler` names a method of one of the parts that backdoor.py puts together, as
"part.method"; each takes the Call.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Who(Enum):
    """Who may call."""

    ANYONE = "any CPL"
    KERNEL = "CPL 0"
    NOBODY = "disabled by default"


class Where(Enum):
    """Who handles: the monitor, without a world switch, or the host application after one."""

    MONITOR = "monitor"
    HOST = "host application"
    NOWHERE = "unsupported"


@dataclass(frozen=True)
class Command:
    """One row."""

    number: int
    name: str
    who: Who = Who.ANYONE
    where: Where = Where.NOWHERE
    handler: str = ""


ROWS = (Command(10, "GETVERSION", Who.ANYONE, Where.MONITOR, "product.get_version"),)

COMMANDS: dict[int, Command] = {row.number: row for row in ROWS}
