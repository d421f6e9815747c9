"""Extension points: parts of the monitor that somebody else may write, for a lab or to try things.

    from monitor import Machine
    from monitor.extensions import Extensions

    Machine(mode="translate", extensions=Extensions(stubs={"cli": "    exit"}))

| field | mode | takes the place of |
| --- | --- | --- |
| `handler` | trap | the emulation of what raised #GP (handler.py says what it is given) |
| `stubs` | translate | the stub, or the exit, of any problem instruction (stubs.py) |
| `fill`, `table_written` | translate | the walk behind a shadow page fault (fill.py) |
| `chaining` | translate | linking and unlinking of direct branches (chaining.py) |

All else is the monitor's own. A machine without extensions is made of the usual classes, so it pays
nothing for this. An extension that raises, or answers with nonsense, ends its machine: run()
returns the outcome "callback", whose detail names the file and line.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from monitor.vmm.errors import UserError

if TYPE_CHECKING:
    from monitor.extensions.chaining import TranslatedCode
    from monitor.extensions.fill import Fault, GuestTables, Shadow
    from monitor.extensions.handler import VirtualCpu
    from monitor.extensions.problem import Problem

MODES = {"handler": "trap", "stubs": "translate", "fill": "translate",
         "table_written": "translate", "chaining": "translate"}  # fmt: skip


@dataclass(frozen=True)
class Extensions:
    """What to use instead of the monitor's own; None where its own is wanted."""

    #: Mode trap: emulates what raised #GP.
    handler: Callable[[VirtualCpu], bool] | None = None
    #: Mode translate: by the instruction's name a template, or a function that makes one.
    stubs: Mapping[str, str | Callable[[Problem], str | None]] | None = None
    #: Mode translate: decides about a shadow page fault.
    fill: Callable[[Fault, GuestTables, Shadow], bool] | None = None
    #: With `fill`: is told of traced entries that the guest has written.
    table_written: Callable[[int, GuestTables, Shadow], None] | None = None
    #: Mode translate: a class that links and unlinks direct branches.
    chaining: Callable[[TranslatedCode], Any] | None = None

    def check(self, mode: str) -> None:
        """UserError for an extension that goes with another mode."""
        for field in fields(self):
            if getattr(self, field.name) is not None and MODES[field.name] != mode:
                wanted = MODES[field.name]
                raise UserError(f"extension {field.name}: goes with mode {wanted}, not {mode}")
        if self.table_written is not None and self.fill is None:
            raise UserError("extension table_written: goes with fill, which decides what to trace")
