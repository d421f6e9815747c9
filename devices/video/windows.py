"""Where the guest sees the VGA's memory as RAM, and when it does not.

The planes are reached through registers, which tell the adapter of each access (planes.py). Where
an access does no more than to read or write one byte, the guest is given memory instead, and works
at its speed:

    chained   chain 4, all planes, nothing in between: mode 13h. The cells that it reaches lie in a
              row (planes.py), so the guest sees the adapter's memory itself, at A0000.
    text      odd/even, planes 0 and 1, nothing in between: characters and attributes, at B8000 or
              B0000. Their bytes do not lie in a row, so the guest gets a *view* of 32 KiB, to
              which they are copied when this begins, and from which when it ends.
    banked    a mode of VBE's with packed pixels: 64 KiB of memory at A0000, by BANK.

and all of memory, always, in the linear frame buffer. What it is, follows from the registers alone
(`Windows.wanted`), so that a restored adapter finds out by itself. The latches keep what the last
access through registers gave them. While there is a view, the frame buffer shows the cells as they
were when it began; nobody looks at text there.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from devices.own_memory import OwnMemory
from devices.video.general import GeneralRegisters
from devices.video.graphics import (
    BIT_MASK,
    CHAIN_ODD_EVEN,
    DATA_ROTATE,
    ENABLE_SET_RESET,
    HOST_ODD_EVEN,
    MISCELLANEOUS,
    MODE,
    READ_MAP_SELECT,
    READ_MODE,
    WRITE_MODE,
    GraphicsController,
)
from devices.video.planes import ADDRESSES, CELL
from devices.video.sequencer import CHAIN_4, MAP_MASK, MEMORY_MODE, SEQUENTIAL, Sequencer
from devices.video.vbe import VbeExtensions

BANK_BYTES = 0x10000
VIEW_BYTES = 0x8000
GRAPHICS_WINDOW = 0xA0000
TEXT_WINDOWS = {2: 0xB0000, 3: 0xB8000}  # by Memory Map Select

Bytes = npt.NDArray[np.uint8]


class Window(NamedTuple):
    """Memory that the guest sees at an address, from an offset on."""

    is_view: bool
    first: int
    offset: int = 0


class Windows:
    """`memory` is the adapter's, `view` the guest's view of text."""

    def __init__(
        self, memory: OwnMemory, view: OwnMemory, general: GeneralRegisters,
        sequencer: Sequencer, graphics: GraphicsController, vbe: VbeExtensions,
    ) -> None:  # fmt: skip
        self.memory = memory
        self.view = view
        self._general = general
        self._sequencer = sequencer
        self._graphics = graphics
        self._vbe = vbe
        self.shown: Window | None = None
        self._frame_buffer: int | None = None

    def wanted(self) -> Window | None:
        """What the registers say; None: each access is the adapter's."""
        if not self._general.decodes_memory:
            return None
        if self._vbe.packed:
            offset = self._vbe.bank * BANK_BYTES % self.memory.size
            return Window(False, GRAPHICS_WINDOW, offset)
        if self._vbe.enabled or not self._is_plain():
            return None
        memory_map, mask = self._graphics.memory_map, self._sequencer.registers[MAP_MASK]
        if self._sequencer.registers[MEMORY_MODE] & CHAIN_4:
            whole = memory_map == 1 and mask == 0xF
            return Window(False, GRAPHICS_WINDOW) if whole else None
        if self._is_odd_even() and mask == 0b0011 and memory_map in TEXT_WINDOWS:
            return Window(True, TEXT_WINDOWS[memory_map])
        return None

    def _is_plain(self) -> bool:
        """Does the graphics controller pass bytes on as they are?"""
        graphics = self._graphics.registers
        return (not graphics[MODE] & (WRITE_MODE | READ_MODE) and not graphics[DATA_ROTATE]
                and not graphics[ENABLE_SET_RESET] and graphics[BIT_MASK] == 0xFF)  # fmt: skip

    def _is_odd_even(self) -> bool:
        graphics = self._graphics.registers
        return bool(not self._sequencer.registers[MEMORY_MODE] & SEQUENTIAL
                    and graphics[MODE] & HOST_ODD_EVEN and not graphics[READ_MAP_SELECT] & 2
                    and graphics[MISCELLANEOUS] & CHAIN_ODD_EVEN)  # fmt: skip

    def follow(self) -> None:
        """The registers may have changed: let the guest see what they say now."""
        wanted = self.wanted()
        if wanted == self.shown:
            return
        was_view = self.shown is not None and self.shown.is_view
        will_view = wanted is not None and wanted.is_view
        if was_view and not will_view:
            self._from_view()
        elif will_view and not was_view:
            self._to_view()
        self.show(wanted)

    def show(self, wanted: Window | None) -> None:
        """The same without copying: for an adapter whose memory has been put back."""
        if self.shown is not None and (wanted is None or wanted[:2] != self.shown[:2]):
            (self.view if self.shown.is_view else self.memory).hide(self.shown.first)
        self.shown = wanted
        if wanted is not None and wanted.is_view:
            self.view.show(wanted.first)
        elif wanted is not None:
            self.memory.show(wanted.first, wanted.offset, BANK_BYTES)

    def restored(self) -> None:
        """Memory, registers and the physical map have been put back, in whatever order."""
        for first in TEXT_WINDOWS.values():
            self.view.hide(first)
        self.memory.hide(GRAPHICS_WINDOW)
        self.shown = None
        self.show(self.wanted())

    def move_frame_buffer(self, first: int | None) -> None:
        """Let all of memory appear from an address on; None: nowhere."""
        if self._frame_buffer is not None and first != self._frame_buffer:
            self.memory.hide(self._frame_buffer)
        if first is not None and first != self._frame_buffer:
            self.memory.show(first)
        self._frame_buffer = first

    # Planes 0 and 1 in a row

    def _even_cells(self) -> Bytes:
        """The two bytes of text in the cells of even addresses, as many as a view has of them.

        By address / 4, address / 2 mod 2, and plane.
        """
        cells = self.memory.bytes[: CELL * ADDRESSES].reshape(4, ADDRESSES // 4, CELL)
        return cells[::2, : VIEW_BYTES // 4, :2].transpose(1, 0, 2)

    def _to_view(self) -> None:
        self.view.bytes.reshape(-1, 2, 2)[:] = self._even_cells()
        self.view.wrote(0, VIEW_BYTES)

    def _from_view(self) -> None:
        self._even_cells()[:] = self.view.bytes.reshape(-1, 2, 2)
        self.memory.wrote(0, CELL * ADDRESSES)

    def cells(self) -> npt.NDArray[np.uint32]:
        """A copy of the VGA's cells by their address, with what is in the view."""
        cells = np.empty((ADDRESSES // 4, 4), np.uint32)
        memory = self.memory.bytes[: CELL * ADDRESSES].view(np.uint32)
        cells[:] = memory.reshape(4, ADDRESSES // 4).T
        if self.shown is not None and self.shown.is_view:
            pairs = cells.view(np.uint8).reshape(-1, 2, 2, CELL)[: VIEW_BYTES // 4, :, 0, :2]
            pairs[:] = self.view.bytes.reshape(-1, 2, 2)
        return cells.reshape(-1)
