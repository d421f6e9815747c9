"""How much of a run is translation: a stopwatch around the translator's own calls."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from monitor import Machine
from monitor.vmm.translating import TranslatingProcessor

P = ParamSpec("P")
R = TypeVar("R")


class Watch:
    """Seconds spent translating by one machine."""

    def __init__(self, machine: Machine) -> None:
        assert isinstance(machine.processor, TranslatingProcessor)
        self._processor = machine.processor
        self.seconds = 0.0
        pages, translator = self._processor.code_pages, self._processor.translator
        for owner, name in (
            (pages, "survey"),  # decoding
            (translator, "translate"),
            (pages, "translated"),  # tracing the bytes that were translated
        ):
            setattr(owner, name, self._timed(getattr(owner, name)))

    def _timed(self, function: Callable[P, R]) -> Callable[P, R]:
        def timed(*args: P.args, **named: P.kwargs) -> R:
            before = time.thread_time()
            try:
                return function(*args, **named)
            finally:
                self.seconds += time.thread_time() - before

        return timed

    def figures(self) -> dict[str, float]:
        """Seconds, and guest instructions translated in them."""
        return {"seconds": self.seconds, "instructions": self._processor.translator.instructions}
