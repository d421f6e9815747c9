"""What a translating processor tells those who watch it: addresses of the cache become the guest's.

Which instructions were begun, and how often; and the statistics of the cache.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from bt.cache import TranslationCache
from bt.contract import InstrumentedEngine
from bt.interp.state import RECORD_CACHE
from bt.translate import Translator
from monitor.vmm.virtual import VirtualProcessor

M32 = 0xFFFFFFFF


class TranslationRecords(VirtualProcessor):
    """The part of translating.py that no guest needs."""

    cache: TranslationCache
    translator: Translator
    dispatches: list[int]
    _notes: InstrumentedEngine[Any] | None  # what counts for those who watch
    _traced: list[tuple[int, int, int, int, int]]  # taken when the cache was emptied

    @abstractmethod
    def forget_translations(self) -> None:
        """Start the translation cache anew."""

    def record(self, room: int) -> None:
        super().record(room)
        self._traced.clear()
        self.translator.record = bool(room)
        self.forget_translations()

    def take_record(self) -> list[tuple[int, int, int, int, int]]:
        taken = self._traced + self._take_trace()
        self._traced.clear()
        return taken

    def _take_trace(self) -> list[tuple[int, int, int, int, int]]:
        """Addresses of the cache become the guest's."""
        return [
            (self._guest_note(place) if place & RECORD_CACHE else place, root, count, low, high)
            for place, root, count, low, high in self.frames.take_record()
        ]

    def _guest_note(self, place: int) -> int:
        return place & ~M32 | self.cache.guest_place(place & M32)[0]

    def count_entries(self, on: bool) -> None:
        """Count how often each guest instruction is begun in the cache (Engine.entries).

        What was translated before is translated again, with or without marks to count by.
        """
        self.check_notes()
        assert self._notes is not None
        self._notes.count_entries()
        self.translator.count_entries = on
        self.forget_translations()

    def entries(self, address: int) -> int:
        """How often the instruction at an address of the cache was begun since count_entries()."""
        return self._notes.entries(address) if self._notes is not None else 0

    def statistics(self) -> dict[str, object]:
        """Instructions that were simulated in stubs are not "translated"."""
        result = super().statistics()
        stubs = int(self._notes.stubs_done) if self._notes is not None else 0
        translated = self.kinds["translated"] - stubs
        result["by_kind"] = dict(self.kinds) | {"translated": translated, "stubs": stubs}
        result["patches"] = dict(self.translator.patches)
        result["tc"] = self._tc_statistics()
        return result

    def _tc_statistics(self) -> dict[str, object]:
        """Size of the translation cache, and how often what was wanted was there."""
        cache = self.cache
        translated, found = self.dispatches
        lookups = int(self._notes.lookups) if self._notes is not None else 0
        kernel, user = self.translator.choices
        return {
            "bytes": cache.used,
            "blocks": sum(map(len, cache.blocks)),
            "flushes": cache.flushes,
            "guest_instructions_translated": self.translator.instructions,
            "dispatches": translated + found + self.crossing.hits,
            "dispatch_hits": found + self.crossing.hits,
            "lookups": lookups,
            "lookup_hits": max(0, lookups - self.exits["indirect branch"]),
            "reserved_kernel": kernel.now.name,
            "reserved_user": user.now.name,
            "reserved_changes": kernel.changes + user.changes,
        }
