"""The nanobenchmarks of Adams and Agesen (2006), section 6.2, on a guest of our own.

Seven are theirs. cr3wr stands for their cr8wr, since 32-bit x86 has no CR8: the nearest register
of the processor that a kernel writes often. The others are ours, each for a technique that theirs
do not touch. An operation's cost is its loop's less that of the same loop with nothing in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from monitor.bench.images import workload
from monitor.bench.rows import BARE, TRANSLATE, TRAP, Setup, Workload
from monitor.bench.suite import Source
from monitor.settings import did_you_mean
from monitor.vmm.ablations import ABLATIONS
from monitor.vmm.errors import UserError

NAME = "nano"
ROUNDS = 2000
KERNEL, USER = "loop_kernel", "loop_user"
EMPTY = "empty"


@dataclass(frozen=True)
class Operation:
    """One operation; `loop` says in which ring. `theirs`: in the paper, under this name.

    Its code is op_NAME.asm in guests/.
    """

    name: str
    what: str
    loop: str = KERNEL
    theirs: str = ""

    def measured(self, rounds: int) -> Workload:
        """The loop around the operation."""
        return workload(self.name, rounds, loop=self.loop, operation=f"op_{self.name}")

    def empty(self, rounds: int) -> Workload:
        """The loop that is subtracted."""
        return workload(empty_name(self.loop), rounds, loop=self.loop, operation="op_empty")


def empty_name(loop: str) -> str:
    """
    >>> empty_name(USER)
    'empty (ring 3)'
    """
    return f"{EMPTY} (ring {3 if loop == USER else 0})"


OPERATIONS = (
    Operation("syscall", "INT from ring 3, IRET back", USER, "syscall"),
    Operation("in", "IN from the POST port", theirs="in"),
    Operation("cr3wr", "CR3 read and written", theirs="cr8wr"),
    Operation("callret", "near CALL and RET", theirs="callret"),
    Operation("pgfault", "page fault, handled by skipping", theirs="pgfault"),
    Operation("divzero", "divide error, handled by skipping", theirs="divzero"),
    Operation("ptemod", "page table entry written", theirs="ptemod"),
    Operation("remap", "entry written, flushed by INVLPG, page read"),
    Operation("flags", "PUSHF, CLI, POPF"),
    Operation("window", "CLI, STI"),
    Operation("mixed", "write to data beside the code"),
    Operation("usercall", "near CALL and RET in ring 3", USER),
)

SETUPS = (
    BARE,
    TRAP,
    TRANSLATE,
    *(Setup("translate", (name,)) for name in ABLATIONS),
)


def choose(names: Sequence[str]) -> list[Operation]:
    """The operations with these names; all of them for none. Raises UserError."""
    known = {operation.name: operation for operation in OPERATIONS}
    for name in names:
        if name not in known:
            raise UserError(f"no operation {name!r}: {did_you_mean.choose(name, known)}")
    return [known[name] for name in names] or list(OPERATIONS)


def sources(operations: Sequence[Operation]) -> list[Source]:
    """What has to run: the operations' loops, and the empty ones that are subtracted."""
    empty = {empty_name(o.loop): Source(empty_name(o.loop), o.empty) for o in operations}
    return [*empty.values(), *(Source(o.name, o.measured) for o in operations)]
