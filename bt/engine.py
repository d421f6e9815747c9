"""The interpreter's two builds behind one door.

`from bt.engine import Interp, Ram, AddressSpace` gives the compiled build where it exists, the
uncompiled sources where it does not or where the environment says VP_PURE=1. BUILD says which. A
compiled build of other sources than these is a StaleBuildError.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bt.interp.run import AddressSpace, Interp, Ram

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
        from bt.interp.run import AddressSpace, Interp, Ram

        bind_handlers()

__all__ = ["BUILD", "AddressSpace", "Interp", "Ram"]
