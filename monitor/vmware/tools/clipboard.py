"""The clipboard: commands 6 to 9, four bytes to a call.

    host to guest    GETSELLENGTH: EAX is the length; then GETNEXTPIECE: EAX is four bytes
    guest to host    SETSELLENGTH: EBX is the length; then SETNEXTPIECE: EBX is four bytes

(open-vm-tools: services/plugins/dndcp/copyPasteCompat.c, guestrpc/tclodefs.h.)
"""

from __future__ import annotations

from functools import partial
from typing import ClassVar

from devices.shapes import BYTE, Fields, Hex, Number, some
from monitor.vmm.errors import UserError
from monitor.vmware.call import Call
from monitor.vmware.host import Host
from monitor.vmware.tools.events import Copied, Events, HostClipboardFailed
from monitor.vmware.tools.guestinfo import bytes_of
from monitor.vmware.tools.host_clipboard import ClipboardError, HostClipboard

MAX_SELECTION = (1 << 16) - 100  # MAX_SELECTION_BUFFER_LENGTH
NOT_ALLOWED = 0xFFFFFFFE  # VMWARE_DONT_EXCHANGE_SELECTIONS
PIECE = 4


class Clipboard:
    """One machine's: the last text that the guest or the host copied."""

    state: ClassVar[Fields] = {
        "_text": Hex(MAX_SELECTION),
        "_outgoing": Hex(MAX_SELECTION),
        "_read": Number(0, MAX_SELECTION),
        "_expected": Number(0, MAX_SELECTION),
        "_incoming": some(BYTE, MAX_SELECTION + PIECE),
    }

    def __init__(self, host: Host, events: Events) -> None:
        self.host = host
        self.events = events
        self.shared: HostClipboard | None = None  # the host's own, if asked for
        self._text = b""
        self._outgoing = b""  # what the guest is fetching: the text when it asked for the length
        self._read = 0  # bytes of it that the guest has
        self._expected = 0  # bytes that the guest is about to copy
        self._incoming = bytearray()

    @property
    def text(self) -> str:
        data = None if self.shared is None else self._paste(self.shared)
        return (self._text if data is None else data).decode("utf-8", "replace")

    @text.setter
    def text(self, text: str) -> None:
        data = bytes_of(text)
        if len(data) > MAX_SELECTION:
            raise UserError(f"the clipboard takes {MAX_SELECTION} bytes, not {len(data)}")
        if self.host.give is None:
            self.copy(data)
        else:
            self.host.give("clipboard", data)

    def get_length(self, call: Call) -> None:
        """GETSELLENGTH"""
        self._outgoing, self._read = b"", 0
        if self.host.restrictions.paste_disable:
            call.eax = NOT_ALLOWED
            return
        self._look_at_host()
        self._outgoing = self._text
        call.eax = len(self._outgoing)

    def get_piece(self, call: Call) -> None:
        """GETNEXTPIECE; beyond the end it is zeros."""
        data = self._outgoing[self._read : self._read + PIECE]
        self._read += len(data)
        call.eax = int.from_bytes(data, "little")

    def set_length(self, call: Call) -> None:
        """SETSELLENGTH: 0 is nothing to copy, and leaves the clipboard as it is."""
        self._incoming = bytearray()
        self._expected = 0
        if self.host.restrictions.copy_disable or call.ebx > MAX_SELECTION:
            call.refuse()
            return
        self._expected = call.ebx
        call.eax = 0

    def set_piece(self, call: Call) -> None:
        """SETNEXTPIECE"""
        if not self._expected:
            call.refuse()
            return
        self._incoming += call.ebx.to_bytes(PIECE, "little")
        call.eax = 0
        if len(self._incoming) >= self._expected:
            data = bytes(self._incoming[: self._expected])
            self._incoming = bytearray()
            self._expected = 0
            self.copy(data, shown=self.host.repeated())
            self.events.append(Copied(self.host.now(), len(data)))

    def copy(self, data: bytes, shown: bool = False) -> None:
        """Either side copies something; `shown`: the host's own clipboard has had it."""
        self._text = data
        if self.shared is not None and not shown:
            try:
                self.shared.copy(data)
            except ClipboardError as error:
                self.events.append(HostClipboardFailed(self.host.now(), str(error)))

    def _look_at_host(self) -> None:
        """Somebody may have copied something there."""
        if self.shared is None:
            return
        data = self.host.ask("clipboard", partial(self._paste, self.shared))
        if data is not None:
            self._text = data

    def _paste(self, shared: HostClipboard) -> bytes | None:
        """What the host's has; nothing if that cannot be had, or is too much."""
        try:
            data = shared.paste()
        except ClipboardError as error:
            self.events.append(HostClipboardFailed(self.host.now(), str(error)))
            return None
        return data if len(data) <= MAX_SELECTION else None
