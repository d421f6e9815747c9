"""From the port to the command.

The processor hands over an access to 0x5658 or 0x5659 with the registers of whoever made it. A call
without the magic, of an unknown command or of one that the caller may not use comes back with EAX
-1, as from an open port, and every other register as it was.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from operator import attrgetter

from monitor.vmware.call import MAGIC, UNSUPPORTED, Call
from monitor.vmware.commands import COMMANDS, Command, Where, Who
from monitor.vmware.host import Host
from monitor.vmware.product import Product


class Backdoor:
    """One machine's commands. Parts own their state; the table says which part handles what."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.product = Product(host)
        self.calls: Counter[str] = Counter()  # by command, for statistics
        self._handlers: dict[int, Callable[[Call], None]] = {
            row.number: attrgetter(row.handler)(self) for row in COMMANDS.values() if row.handler
        }

    def command_of(self, call: Call) -> Command | None:
        """The row that a call asks for, if it has the magic and may use it."""
        row = COMMANDS.get(call.command) if call.eax == MAGIC else None
        if row is None or row.where is Where.NOWHERE or row.who is Who.NOBODY:
            return None
        return None if row.who is Who.KERNEL and call.cpl else row

    def where(self, row: Command) -> Where:
        """Who handles it on this machine."""
        return row.where

    def low(self, call: Call) -> None:
        """A call at port 0x5658."""
        row = self.command_of(call)
        if row is None:
            self.calls["refused"] += 1
            call.refuse()
            return
        self.calls[row.name] += 1
        self._handlers[row.number](call)

    def read_counter(self, index: int) -> int:
        """RDPMC of a pseudo performance counter."""
        return self.host.now()

    def high_write(self, call: Call, value: int) -> None:
        """One byte of a REP OUTSB at port 0x5659; `call.ecx` bytes are left, this one included."""

    def high_read(self, call: Call) -> int:
        """One byte of a REP INSB at port 0x5659; `call.ecx` bytes are left, this one included."""
        return UNSUPPORTED & 0xFF
