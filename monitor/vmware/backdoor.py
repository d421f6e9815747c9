"""From the port to the command.

The processor hands over an access to 0x5658 or 0x5659 with the registers of whoever made it. A call
of an unknown command or of one that the caller may not use comes back with EAX -1 and every other
register as it was. Without the magic the port is an open one (call.py, `refuse`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from operator import attrgetter

from monitor.vmm.errors import UserError
from monitor.vmware.call import MAGIC, UNSUPPORTED, Call
from monitor.vmware.commands import (
    COMMANDS,
    Command,
    Where,
    Who,
    check_allowed,
    check_forward,
)
from monitor.vmware.host import Host
from monitor.vmware.parts.counters import Counters
from monitor.vmware.parts.cpu_info import CpuInfo
from monitor.vmware.parts.debug_output import DebugOutput
from monitor.vmware.parts.device_list import DeviceList
from monitor.vmware.parts.entropy import Entropy
from monitor.vmware.parts.guest_time import GuestTime
from monitor.vmware.parts.gui import Gui
from monitor.vmware.parts.input_injection import InputInjection
from monitor.vmware.parts.nesting import Nesting
from monitor.vmware.parts.pointer import Pointer
from monitor.vmware.parts.product import Product
from monitor.vmware.tools.messages import Messages
from monitor.vmware.tools.tools import Tools


class Backdoor:
    """One machine's commands. Parts own their state; the table says which part handles what.

    Raises UserError where the host is told what cannot be.
    """

    def __init__(self, host: Host) -> None:
        check_allowed(host.allow)
        check_forward(host.forward)
        if len(host.uuid) != 16:
            raise UserError(f"uuid {bytes(host.uuid).hex()!r}: 16 bytes are wanted")
        self.host = host
        self.counters = Counters(host)
        self.cpu_info = CpuInfo(host)
        self.debug_output = DebugOutput(host)
        self.device_list = DeviceList(host)
        self.entropy = Entropy(host)
        self.guest_time = GuestTime(host)
        self.nesting = Nesting(host)
        self.pointer = Pointer(host)
        self.input_injection = InputInjection(host, self.pointer)
        self.product = Product(host)
        self.tools = Tools(host)
        self.clipboard = self.tools.selection
        self.messages = Messages(host, self.tools.connect)
        self.gui = Gui(host, self.tools)
        self.calls: Counter[str] = Counter()  # by command, for statistics
        self._handlers: dict[int, Callable[[Call], None]] = {
            row.number: attrgetter(row.handler)(self) for row in COMMANDS.values() if row.handler
        }

    def command_of(self, call: Call) -> Command | None:
        """The row that a call asks for, if it has the magic and may use it."""
        row = COMMANDS.get(call.command) if call.eax == MAGIC else None
        if row is None or not row.handler:
            return None
        if row.who is Who.NOBODY and row.name not in self.host.allow:
            return None
        return None if row.who is Who.KERNEL and call.cpl else row

    def where(self, row: Command) -> Where:
        """Who handles a command in this machine: `Host.forward` names what leaves the monitor."""
        return Where.HOST if row.name in self.host.forward else row.where

    @property
    def restricted(self) -> bool:
        """Does the port need I/O privilege, as any other port does?"""
        return self.nesting.restricted

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
        return self.counters.read(index)

    def high_write(self, call: Call, value: int) -> None:
        """One byte of a REP OUTSB at port 0x5659; `call.ecx` bytes are left, this one included."""
        if call.eax == MAGIC:
            self.messages.high_write(call, value)

    def high_read(self, call: Call) -> int:
        """One byte of a REP INSB at port 0x5659; `call.ecx` bytes are left, this one included."""
        return self.messages.high_read(call) if call.eax == MAGIC else UNSUPPORTED & 0xFF
