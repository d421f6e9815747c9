"""The engines by name, and the interpreter's two builds behind one door.

`from bt.engine import Interp, Ram, AddressSpace` gives the compiled build where it exists, the
uncompiled sources where it does not or where the environment says VP_PURE=1. BUILD says which. A
compiled build of other sources than these is a StaleBuildError.

`ENGINES[name](ram, bus)` makes an engine as bt/contract.py describes it, over RAM that the ideal
processor shares; `ENGINES[name].traits` says what it is like. A new engine is one more row here;
tests/engine then runs it.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from bt.contract import (
    AuditingEngine,
    Bus,
    Engine,
    InstrumentedEngine,
    PortEngine,
    Selectors,
    Traits,
)
from bt.interp.architecture import StateError
from bt.interp.state import ATTR_UNUSABLE, LDTR

if TYPE_CHECKING:
    from bt.interp.crossing import Crossing
    from bt.interp.interp import Interp
    from bt.interp.ram import AddressSpace, Ram

    BUILD = "pure"
else:
    BUILD = "pure"
    if os.environ.get("VP_PURE") != "1":
        try:
            import bt.interp._compiled as _compiled
        except ModuleNotFoundError:
            pass
        else:
            from bt.interp.sources import check

            check(_compiled)
            from bt.interp._compiled import AddressSpace, Crossing, Interp, Ram

            BUILD = "compiled"
    if BUILD == "pure":
        from bt.interp.bind import bind_handlers
        from bt.interp.crossing import Crossing
        from bt.interp.interp import Interp
        from bt.interp.ram import AddressSpace, Ram

        bind_handlers()

__all__ = [
    "BUILD",
    "ENGINES",
    "AddressSpace",
    "Crossing",
    "EngineClass",
    "Interp",
    "InterpEngine",
    "Ram",
    "StateError",
]


class InterpEngine(Interp):
    """The interpreter as an engine: `external`, in ring 3, without descriptor tables."""

    traits: ClassVar[Traits] = Traits(
        exact_counts=True,
        selectors=Selectors.GUEST,
        serves_ports=True,
        audits=True,
        traps_x87=True,
        traces_bytes=True,
        instruments=True,
    )

    def __init__(self, ram: Ram, bus: Bus) -> None:
        super().__init__(ram, bus, external=True)
        self.set_privilege(3)
        self.gdtr_limit = 0
        self.set_segment(LDTR, 0, 0, 0, ATTR_UNUSABLE)


if TYPE_CHECKING:

    def _fits(
        engine: InterpEngine,
    ) -> tuple[
        PortEngine[AddressSpace], AuditingEngine[AddressSpace], InstrumentedEngine[AddressSpace]
    ]:
        """What its traits promise."""
        return engine, engine, engine


class EngineClass(Protocol):
    """What ENGINES holds: a class, or what looks like one."""

    @property
    def traits(self) -> Traits:
        """Of every engine that it makes."""

    def __call__(self, ram: Ram, bus: Bus) -> Engine[Any]:
        """Make one."""


ENGINES: dict[str, EngineClass] = {"interp": InterpEngine}
