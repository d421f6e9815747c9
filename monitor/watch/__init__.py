"""Watching a machine: what its monitor holds and does, as plain data, text and pictures.

    machine.watch.count_entries()
    machine.run(until="# ")
    machine.watch.tc().only_patched().top(5)       # a view that shows itself in a notebook

Nothing here is imported unless it is used, and looking changes nothing: neither what the guest
does nor how many instructions it takes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from monitor.symbols.table import SymbolTable
    from monitor.watch.shown import ShownCache, ShownMmu
    from monitor.watch.subject import Subject
    from monitor.watch.trace import Trace
    from monitor.watch.trace_model import TraceEvent


class Watch:
    """`machine.watch`."""

    def __init__(self, machine: Subject) -> None:
        self._machine = machine

    def count_entries(self, on: bool = True) -> None:
        """From now on, count how often guest instructions are begun in the translation cache.

        The cache is emptied, so that everything is counted. UserError in another mode, and with
        an engine that cannot count them.
        """
        from monitor.watch.tc_read import translating

        translating(self._machine).count_entries(on)

    def tc(self) -> ShownCache:
        """The translation cache. UserError in a mode that has none."""
        from monitor.watch.shown import ShownCache
        from monitor.watch.tc_read import cache_view

        return ShownCache.of(cache_view(self._machine))

    def mmu(self) -> ShownMmu:
        """The guest's page tables and segments, and the monitor's side of them, if there is one."""
        from monitor.watch.mmu_read import mmu_view
        from monitor.watch.shown import ShownMmu

        return ShownMmu.of(mmu_view(self._machine))

    def linux_symbols(self) -> SymbolTable:
        """The names of the Linux kernel that runs in the machine, by its own symbol table.

        UserError if there is none in memory, or none yet (monitor/symbols/kallsyms.py).
        """
        from monitor.symbols.kallsyms import read_kallsyms

        return read_kallsyms(self._machine.memory.map())

    def trace(
        self,
        *kinds: str,
        addresses: Sequence[tuple[int, int]] = (),
        rings: Collection[int] = (),
        reasons: Sequence[str] = (),
        limit: int | None = None,
        sink: Callable[[TraceEvent], None] | None = None,
    ) -> Trace:
        """A context that traces what the machine does within it (trace_model.py: Filter).

        `kinds` are "instruction", "block", "exit", "interrupt" and "device"; none: all of them.
        With a `sink` the events go there, else they are kept. UserError for a kind unknown.
        """
        from monitor.vmm.errors import UserError
        from monitor.watch.trace import Trace
        from monitor.watch.trace_model import KINDS, Filter

        unknown = set(kinds) - set(KINDS)
        if unknown:
            raise UserError(f"events {sorted(unknown)}: choose from {', '.join(KINDS)}")
        wanted = Filter(kinds or KINDS, tuple(addresses), frozenset(rings), tuple(reasons))
        return Trace(self._machine, wanted, limit, sink)
