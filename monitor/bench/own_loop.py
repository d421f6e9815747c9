"""The loop around an operation of one's own: its guest, and the addresses that tell where it is.

guests/own_kernel.asm and own_user.asm are the loops. Their counter lies in memory, so that all
general registers but ESP are the operation's. What cannot be assembled is a UserError that quotes
the line.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

from monitor.bench.images import HANDLERS, assembled
from monitor.bench.nano import KERNEL, USER
from monitor.bench.rows import Workload
from monitor.guests.assembler import Assembly, AssemblyError
from monitor.vmm.errors import UserError

LOOPS = {KERNEL: "own_kernel", USER: "own_user"}
RINGS = {0: KERNEL, 3: USER}
END_OF_CODE = 0x200000  # guests/frame.asm: page tables lie there
SOURCE = "operation.asm"  # what the loops include


@dataclass(frozen=True)
class OwnOperation:
    """An operation by its assembly text, one statement on a line. `constants` are names that it may
    use for numbers; `file` is where its text is from, line by line."""

    name: str
    code: str
    loop: str = KERNEL
    constants: tuple[tuple[str, int], ...] = ()
    file: str = field(default="", compare=False)

    @property
    def empty(self) -> OwnOperation:
        """The loop that is subtracted."""
        return OwnOperation(empty_name(self.loop), "", self.loop)

    def workload(self, passes: int, memory_mb: int = Workload.memory_mb) -> Workload:
        """The guest that runs it so often. Raises UserError."""
        assembly = self._assembled(passes)
        handlers = tuple(assembly.symbols[label] for label in HANDLERS)
        return Workload(self.name, assembly.image, passes, assembly.symbols["own_pass"], handlers,
                        memory_mb)  # fmt: skip

    def places(self) -> Places:
        """The addresses that a look at it needs; the same for any number of passes."""
        found = self._assembled(1)
        at, known = found.symbols, found.constants
        return Places(at["operation"], at["behind"], at["stray"], at["divide_error"],
                      at["page_fault"], known["PASSES_LEFT"])  # fmt: skip

    def _assembled(self, passes: int) -> Assembly:
        """The guest with its symbols. Raises UserError."""
        lines = [*(f"{name} = {value}" for name, value in self.constants), self.code]
        try:
            return _assembly(LOOPS[self.loop], passes, "\n".join(lines))
        except AssemblyError as error:
            where = self._in_their_file(str(error))
            raise UserError(f"operation {self.name!r}: {where}") from error

    def _in_their_file(self, message: str) -> str:
        """The place in the user's text rather than in what was made of it."""
        file, _, rest = message.partition(":")
        number, _, why = rest.partition(": ")
        if file != SOURCE or not number.isdecimal():
            return message
        line = int(number) - len(self.constants)
        if line < 1:  # a number that was set
            return why
        return f"{self.file}:{line}: {why}" if self.file else f"line {line}: {why}"


@dataclass(frozen=True)
class Places:
    """Linear addresses: the operation, and what lies behind it; where faults without handlers lead,
    and those with one; the loop's counter."""

    operation: int
    behind: int
    stray: int
    divide_error: int
    page_fault: int
    counter: int


def empty_name(loop: str) -> str:
    """
    >>> empty_name(USER)
    'empty (ring 3)'
    """
    return f"empty (ring {3 if loop == USER else 0})"


@lru_cache(maxsize=256)
def _assembly(loop: str, passes: int, code: str) -> Assembly:
    found = assembled(passes, (("loop", loop),), code)
    end = found.origin + len(found.image)
    if end > END_OF_CODE:
        raise AssemblyError(f"its code and data are {end - END_OF_CODE:,} bytes too long")
    return found
