"""For an engine that loads segment registers by itself (`Selectors.SHADOW`): what it may load, and
what it has loaded.

User code that runs as it is loads a selector; the engine has no descriptor for it, and leaves. If
there is a shadow that any load at CPL 3 may have (shadow_descriptors.py), the engine gets it, and
the code goes on as if nothing had been. From then on that load costs no exit, until the guest's
descriptor changes. All others are emulated, as they are for an engine that loads nothing.

The guest's own registers, with the guest's own limits, are the ideal processor's. So after each run
it gets what was loaded.
"""

from __future__ import annotations

from typing import Any

from bt.contract import DescriptorEngine
from bt.engine import Interp
from bt.interp.state import VEC_GP, VEC_NP, VEC_SS
from monitor.vmm.shadow_descriptors import ShadowDescriptor, ShadowDescriptors

OF_A_SELECTOR = (VEC_NP, VEC_SS, VEC_GP)  # exceptions whose error code may name one
NOT_IN_A_TABLE = 3  # bits of the error code: an event from outside, a gate of the IDT


class SelectorLoads:
    """One engine's."""

    def __init__(
        self, descriptors: ShadowDescriptors, engine: DescriptorEngine[Any], ideal: Interp
    ) -> None:
        self._descriptors = descriptors
        self._engine = engine
        self._ideal = ideal
        self._given: dict[int, ShadowDescriptor] = {}  # by selector, without RPL

    def before(self) -> None:
        """The engine is about to run: do its descriptors hold?"""
        self._descriptors.follow()

    def give(self) -> bool:
        """The engine has left with an exception: can it go on with one descriptor more?"""
        engine = self._engine
        selector = engine.fault_error
        if engine.fault_vector not in OF_A_SELECTOR or selector & NOT_IN_A_TABLE or not selector:
            return False
        if selector in self._given:  # it has it, and faults all the same
            return False
        found = self._descriptors.find(selector)
        if found is None or not found.for_all:
            return False
        self._given[selector] = found
        engine.set_descriptor(selector, found.shadow)
        return True

    def take(self) -> None:
        """Into the guest's registers what the code of the last run has loaded."""
        for number, selector in self._engine.loaded_segments():
            known = self._given[selector & 0xFFFC]
            self._ideal.set_segment(number, selector, *known.guest)

    def lost(self, gone: ShadowDescriptor) -> None:
        """It does not hold any more."""
        if self._given.pop(gone.selector, None) is not None:
            self._engine.set_descriptor(gone.selector, None)
