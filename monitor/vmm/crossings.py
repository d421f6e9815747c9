"""Crossings that need no Python: when compiled code may stand in for the loop of virtual.py.

bt/interp/crossing.py does what `VirtualProcessor` and `TranslatingProcessor` do about the common
exits. It stands for their methods as they are here: where somebody has put a method of their own in
the place of one, listens to exits, or has breakpoints, the loop in Python runs, and that is their
price. What it leaves goes on in Python where it stopped.

Numbers that both halves, and callbacks of devices amid a crossing, ask and change are `shared`
(notes.py).
"""

from __future__ import annotations

import mmap
from abc import abstractmethod
from typing import Any, cast

import numpy as np

from bt.cache import EMULATE, TranslatedBlock
from bt.contract import EXIT_EXCEPTION, EXIT_SOFTINT
from bt.engine import AddressSpace, InterpEngine
from bt.interp.crossing import line_of
from bt.interp.crossing_state import (
    HOW_DIRECT,
    HOW_EMULATED,
    HOW_TRANSLATED,
    HOW_UNDECIDED,
    LEFT_DIRECT,
    LEFT_LOOK,
    LEFT_STEPPED,
    LEFT_TURN,
    PLACE_AFTER_STI,
    PLACE_EMULATE,
    PLACE_KNOWN,
    TARGETS,
)
from bt.interp.state import EXIT_NONE, POSTURES
from bt.policy import CONTEXTS, Context
from monitor.vmm.code_pages import CodePages
from monitor.vmm.shadow import HIDDEN_BASE, TC_BYTES, ShadowMmu, vcpu_linear
from monitor.vmm.translation_records import TranslationRecords

HOWS = {"direct": HOW_DIRECT, "translated": HOW_TRANSLATED, "emulated": HOW_EMULATED}
# What of the processor is compiled.
COMPILED = (
    *("_turn", "_beyond_engine", "advance", "run_direct", "leave_direct", "run_emulated"),
    *("engine_fault", "emulate", "_step_ideal", "not_stopped", "account", "note"),
    *("_run_translated", "_dispatch", "_resume", "leave_translated", "_roll_back", "leave_by"),
)


class Crossable(TranslationRecords):
    """A translating processor, as what it does is asked for from here."""

    code_pages: CodePages

    rule: dict[int, tuple[Any, Context]]  # how a posture runs (How); emulated if not here

    @abstractmethod
    def _roll_back(self, at: int) -> None:
        """EIP and spilled registers of the guest instruction that a TC address belongs to."""

    @abstractmethod
    def leave_translated(self, reason: int, context: Context) -> int:
        """Roll back to a guest instruction boundary, then see why the engine left."""


class Methods:
    """Methods of a class as they are written, which compiled code can do."""

    def __init__(self, kind: type, names: tuple[str, ...]) -> None:
        self._all = {name: getattr(kind, name) for name in names}

    def are_those_of(self, thing: object) -> bool:
        """Has nobody put others in their place?"""
        kind, own = type(thing), vars(thing)
        return all(
            getattr(kind, name) is method and name not in own
            for name, method in self._all.items()
        )


SHADOWS = Methods(ShadowMmu, ("fault", "_search", "_written", "_is_ram", "_map_open_bus"))


class Crossings:
    """Those of one translating processor."""

    def __init__(self, processor: Crossable, written: Methods) -> None:
        """`written`: the processor's methods that are compiled, as they are written."""
        self._processor = processor
        self._engine = cast(InterpEngine, processor.engine)  # asked where it is one
        self._written = written
        self.crossing = crossing = processor.crossing
        shadow, cache = processor.shadow, processor.cache
        page = shadow.physical(TC_BYTES)
        crossing.set_up(HIDDEN_BASE, page, shadow.held, shadow.searched, processor.interest)
        private = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS  # no memory where nothing is written
        self._places = memoryview(mmap.mmap(-1, TC_BYTES, flags=private))  # PLACE_*
        crossing.use_cache(cache.eip_map.cast("B"), cache.undo_map, self._places)
        keys, starts = memoryview(bytearray(8 * TARGETS)), memoryview(bytearray(4 * TARGETS))
        crossing.use_table(keys, starts)
        self._keys, self._starts = keys.cast("Q"), starts.cast("I")
        self._all_keys = np.frombuffer(keys, np.uint64)

    def ready(self) -> bool:
        """May compiled code stand in? To be asked before each run."""
        processor = self._processor
        if processor.stops or processor.listeners or processor.ideal.wp_total:
            return False
        if processor.translator.record or type(processor.engine) is not InterpEngine:
            return False
        shadow = processor.shadow
        if not self._written.are_those_of(processor) or not SHADOWS.are_those_of(shadow):
            return False
        if shadow.walk != processor.ideal.translation:
            return False
        self._tell_rule()
        return True

    def _tell_rule(self) -> None:
        for posture in range(POSTURES):
            found = self._processor.rule.get(posture)
            how, context = (found[0].value, found[1].number) if found else ("emulated", 0)
            self.crossing.set_rule(posture, HOWS[how], context)

    # --- the table of blocks, and what is known of places ---------------------------------------

    def found(self, block: TranslatedBlock) -> None:
        """Python has looked a block up: the next time compiled code finds it."""
        line = line_of(block.eip, block.context)
        self._keys[line] = block.context + 1 << 32 | block.eip
        self._starts[line] = block.start

    def lost(self, block: TranslatedBlock) -> None:
        line = line_of(block.eip, block.context)
        if self._keys[line] == block.context + 1 << 32 | block.eip:
            self._keys[line] = 0

    def forget(self, used: int) -> None:
        """The cache is emptied, of which so many bytes were in use."""
        self._all_keys.fill(0)
        self._places[:used] = bytes(used)

    def _learn(self, at: int, reason: int) -> None:
        """What Python knows of the place in the cache where the engine has left."""
        cache = self._processor.cache
        known = PLACE_KNOWN | PLACE_AFTER_STI * (at in cache.after_sti)
        if reason == EXIT_SOFTINT:
            known |= PLACE_EMULATE * (cache.exits[at].kind == EMULATE)
        if reason in (EXIT_SOFTINT, EXIT_EXCEPTION) and 0 <= at - HIDDEN_BASE < TC_BYTES:
            self._places[at - HIDDEN_BASE] |= known

    # --- going on --------------------------------------------------------------------------------

    def go(self) -> int:
        """Run the guest on; an EXIT_* reason, EXIT_NONE between two turns."""
        self.crossing.how = HOW_UNDECIDED
        return self._go_on()

    def from_cache(self, start: int, context: Context) -> int:
        """The same, beginning in the cache."""
        crossing = self.crossing
        reserved = self._processor.translator.reserved(context).number
        crossing.set_context(context.number, vcpu_linear(context), reserved, context.user)
        crossing.how = HOW_TRANSLATED
        crossing.context = context.number
        crossing.start = start
        return self._go_on()

    def _go_on(self) -> int:
        processor, crossing = self._processor, self.crossing
        shadow = processor.shadow
        crossing.use_spaces(cast(AddressSpace, shadow.user), cast(AddressSpace, shadow.kernel))
        crossing.locals = processor.code_pages.local_pages + processor.descriptors.pages
        try:
            left = crossing.run(self._engine, processor.ideal)
        except BaseException:  # of a signal's handler: the guest's state stays whole
            if crossing.how == HOW_TRANSLATED:
                processor._roll_back(self._engine.eip)
            raise
        if left == LEFT_LOOK:
            return EXIT_NONE
        if left == LEFT_TURN:
            return processor._turn(processor._end - processor.total)
        if left == LEFT_STEPPED:
            return processor.stepped(crossing.reason)
        return self._leave(left, crossing.reason)

    def _leave(self, left: int, reason: int) -> int:
        processor, engine = self._processor, self._engine
        if left == LEFT_DIRECT:
            return processor.leave_direct(reason)
        if engine.host_error is not None:  # a device's bug
            processor._roll_back(engine.eip)
            engine.raise_pending()
        self._learn(engine.eip, reason)
        return processor.leave_translated(reason, CONTEXTS[self.crossing.context])
