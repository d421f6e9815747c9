"""The engines by name, and the interpreter's two builds behind one door.

`from bt.engine import Interp, Ram, AddressSpace` gives the compiled build where it exists, the
uncompiled sources where it does not or where the environment says VP_PURE=1. BUILD says which. A
compiled build of other sources than these is a StaleBuildError.

`ENGINES[name](ram, bus)` makes an engine as bt/contract.py describes it, over RAM that the ideal
processor shares. A new engine is one more row here; tests/engine then runs it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from bt.contract import Bus, Engine
from bt.interp.architecture import StateError
from bt.interp.state import ATTR_UNUSABLE, LDTR

if TYPE_CHECKING:
    from bt.interp.ram import AddressSpace, Ram
    from bt.interp.run import Interp

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
            from bt.interp._compiled import AddressSpace, Interp, Ram

            BUILD = "compiled"
    if BUILD == "pure":
        from bt.interp.bind import bind_handlers
        from bt.interp.ram import AddressSpace, Ram
        from bt.interp.run import Interp

        bind_handlers()

__all__ = ["BUILD", "ENGINES", "AddressSpace", "Interp", "Ram", "StateError"]


def in_ring3(engine: Interp) -> Interp:
    """Ring 3, without descriptor tables: segment loads fault."""
    engine.set_privilege(3)
    engine.gdtr_limit = 0
    engine.set_segment(LDTR, 0, 0, 0, ATTR_UNUSABLE)
    return engine


def interp_engine(ram: Ram, bus: Bus) -> Engine[AddressSpace]:
    """The interpreter as an engine."""
    return in_ring3(Interp(ram, bus, external=True))


ENGINES: dict[str, Callable[[Ram, Bus], Engine[Any]]] = {"interp": interp_engine}
