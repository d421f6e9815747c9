"""What a machine has beside the chips that every one has, by the names in `Settings.parts`.

    Machine(parts=["mouse"])

They are soldered in, in the order of that list, and a checkpoint says which there were.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from monitor.settings.machine import PARTS
from monitor.vmm.board import Board


def _mouse(board: Board) -> None:
    board.pc.kbc.plug_mouse()


MAKERS: Mapping[str, Callable[[Board], None]] = {"mouse": _mouse}


def plug_in(parts: Collection[str], board: Board) -> None:
    """Put these in."""
    for name in PARTS:
        if name in parts:
            MAKERS[name](board)
