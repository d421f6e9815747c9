"""What the guest has to say: PUTCHR, PUTCHR12, DEBUGEVENT, VMK_INFO, REPORTGUESTCRASH.

Published are the numbers alone, and that a Linux kernel in panic sends REPORTGUESTCRASH alone.
Our choice: PUTCHR takes its byte from EBX; PUTCHR12 twelve, those of EBX from the lowest on, then
ESI's and EDI's, and leaves out NULs; DEBUGEVENT has the event's number in EBX; VMK_INFO its one
sub-command, ENTRY, in the upper half of ECX, and an address in EBX. Registers stay, EAX keeps the
magic.

What is kept here is bounded, as any program in the guest may call.
"""

from __future__ import annotations

from collections import deque
from typing import ClassVar

from devices.shapes import BYTE, COUNT, DWORD, Fields, maybe, some
from monitor.vmware.call import Call
from monitor.vmware.host import Host

TEXT_LIMIT = 64 << 10  # of PUTCHR's bytes, the newest are kept
CONSOLE_LIMIT = 1 << 20  # and no more go to the debug console
REPORT_LIMIT = 64  # lines for the machine's log; further ones are only counted
VMK_INFO_ENTRY = 1


class DebugOutput:
    state: ClassVar[Fields] = {
        "text": some(BYTE, TEXT_LIMIT),
        "written": COUNT,
        "reports": COUNT,
        "crashes": COUNT,
        "vmkernel_entry": maybe(DWORD),
    }

    def __init__(self, host: Host) -> None:
        self.host = host
        self.text: deque[int] = deque(maxlen=TEXT_LIMIT)
        self.written = 0  # bytes
        self.reports = 0
        self.crashes = 0
        self.vmkernel_entry: int | None = None

    def _put(self, code: int) -> None:
        self.text.append(code)
        self.written += 1
        if self.written <= CONSOLE_LIMIT:
            self.host.put_char(code)

    def put_char(self, call: Call) -> None:
        self._put(call.ebx & 0xFF)

    def put_12_chars(self, call: Call) -> None:
        for word in (call.ebx, call.esi, call.edi):
            for code in (word & 0xFFFFFFFF).to_bytes(4, "little"):
                if code:
                    self._put(code)

    def _report(self, line: str) -> None:
        self.reports += 1
        if self.reports <= REPORT_LIMIT:
            self.host.report(line)

    def debug_event(self, call: Call) -> None:
        self._report(f"the guest's debug event {call.ebx:#x}")

    def vmk_info(self, call: Call) -> None:
        """A VMware kernel, ESX in the guest, tells where its information starts."""
        if call.subcommand != VMK_INFO_ENTRY:
            call.refuse()
            return
        self.vmkernel_entry = call.ebx

    def report_guest_crash(self, call: Call) -> None:
        """The guest's kernel panics. What it does then (halt, reboot) is its own affair."""
        self.crashes += 1
        self._report("the guest reports that it crashed")
