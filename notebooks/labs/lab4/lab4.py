"""Lab 4: write the shadow page fault handler.

Read handout.md; `vp lab check 4` grades this file.
"""

from __future__ import annotations

from monitor.extensions.fill import Fault, GuestTables, Shadow


def fill(fault: Fault, guest: GuestTables, shadow: Shadow) -> bool:
    """The shadow did not allow an access. Is it the shadow's fault, or the guest's?

    True: a hidden fault; shadow.map() has been called for the page. False: a true fault.
    """
    raise NotImplementedError


def table_written(address: int, guest: GuestTables, shadow: Shadow) -> None:
    """The guest wrote the entry at this physical address, which fill() has traced."""
