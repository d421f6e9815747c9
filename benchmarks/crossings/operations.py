"""What is measured: operations of benchmarks/guests/crossings.c, and the limits of each.

A software monitor of 2006 paid 2 to 10 times for a system call (Adams and Agesen, ASPLOS 2006).
The limits say what crossings have to cost for this monitor to be a model of that one, whose price
is the technique's and not the language's.
"""

from __future__ import annotations

from dataclasses import dataclass

QEMU_LIMIT = 3.0
USER_LIMIT = 1.03
BOOT_LIMIT, BOOT_AIM = 1.25, 1.12


@dataclass(frozen=True)
class Operation:
    """A command of the guest's program; None for a limit that is not set.

    `limit`, `aim`: translated over bare. `exits`, `fills`: for one, at most. `qemu`: translated
    over QEMU. `rounds` take a bare machine a few hundredths of a second or more.
    """

    command: str
    title: str
    rounds: int
    limit: float | None = None
    aim: float | None = None
    exits: int | None = None
    fills: int | None = None
    qemu: float | None = None

    @property
    def few(self) -> int:
        """Rounds of the short run, which is taken off the long one."""
        return self.rounds // 20

    @property
    def name(self) -> str:
        """The title with the aim, for a table.

        >>> Operation("fork", "fork, exit, wait", 100, 1.6, 1.3).name
        'fork, exit, wait (aim: 1.3)'
        """
        return f"{self.title} (aim: {self.aim:g})" if self.aim is not None else self.title


INTERRUPT = Operation("interrupt", "null system call, INT 80h", 40_000, 3, 2, 0, None, QEMU_LIMIT)
ENTRY = Operation("entry", "null system call, vDSO's entry", 40_000, 3, 2, 0, None, QEMU_LIMIT)
CROSSINGS = (
    INTERRUPT,
    ENTRY,
    Operation("pipe", "pipe, there and back", 1_000, 2, 1.5, 4, None, QEMU_LIMIT),
    Operation("fault", "page fault, a fresh page", 4_000, 2.5, 1.7, None, None, QEMU_LIMIT),
    Operation("fork", "fork, exit, wait", 100, 1.6, 1.3),
    Operation("exec", "fork, exec, exit, wait", 60, 1.6, 1.3),
    Operation("context", "pipe, 100 pages touched on each side", 500, None, None, None, 0),
)
USER = (
    Operation("integers", "user code: integers", 12_000, USER_LIMIT, 1),
    Operation("memory", "user code: memory", 20_000, USER_LIMIT, 1),
    Operation("floats", "user code: x87", 30_000, USER_LIMIT, 1),
    Operation("calls", "user code: calls, indirect and recursive", 60_000, USER_LIMIT, 1),
)
#: Nothing but the timer's interrupts, so that these can be told from an operation's own exits.
NOTHING = Operation("nothing", "nothing", 1_000_000)
#: Loads of `vp bench macro`: translated over bare, and the aim.
MACRO = {
    "process": (1.5, 1.3),
    "context": (2.0, 1.5),
    "faults": (1.8, 1.5),
    "compile": (1.8, 1.4),
}
