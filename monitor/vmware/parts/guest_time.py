"""Time and frequencies: GETTIME and its successors, GETHZ, PRECISIONCLOCK.

Registers as open-vm-tools (services/plugins/timeSync), Linux (arch/x86/kernel/cpu/vmware.c,
drivers/ptp/ptp_vmw.c) and Linux' VMI port of 2007 (LAZYTIMEREMULATION) read them.

The host's time is what the machine's clock says plus the time at power-on. Apparent time, the one
that the guest's timers count, is the same here and never lags: a virtual timer that came too late
to count would be a bug, and there is nothing to catch up with.
"""

from __future__ import annotations

from typing import ClassVar

from devices.shapes import COUNT, FLAG, Fields
from monitor.vmware.call import MAGIC, UNSUPPORTED, Call
from monitor.vmware.host import Host

SECOND_NS = 1_000_000_000
MAX_TIME_LAG_US = 1_000_000  # the tools leave a smaller difference alone; VMware's default
INTERRUPT_LAG_US = 0
LOW_32 = 0xFFFFFFFF

PRECISION_CLOCK_GETTIME = 0
STEAL_CLOCK_DISABLED = 0


class GuestTime:
    state: ClassVar[Fields] = {"catching_up_stopped": COUNT, "lazy_timers": FLAG}

    def __init__(self, host: Host) -> None:
        self.host = host
        self.catching_up_stopped = 0  # how often the guest has stepped its own clock
        self.lazy_timers = False

    def nanoseconds(self) -> int:
        """The host's time since 1970."""
        return self.host.start_time * SECOND_NS + self.host.now()

    def _seconds(self, call: Call) -> int:
        """Microseconds to EBX, the largest lag to ECX; the seconds are left to the caller."""
        seconds, nanoseconds = divmod(self.nanoseconds(), SECOND_NS)
        call.ebx = nanoseconds // 1000
        call.ecx = MAX_TIME_LAG_US
        return seconds

    def get_time(self, call: Call) -> None:
        """EAX seconds, EBX microseconds, ECX lags added up, EDX the time zone: 0 since
        Workstation 4.5."""
        call.eax = self._seconds(call) & LOW_32
        call.ecx += INTERRUPT_LAG_US
        call.edx = 0

    def get_time_full(self, call: Call) -> None:
        """As GETTIME, with the seconds in ESI:EDX; that EAX keeps the magic means success."""
        seconds = self._seconds(call)
        call.ecx += INTERRUPT_LAG_US
        call.esi, call.edx = seconds >> 32 & LOW_32, seconds & LOW_32

    def get_time_full_with_lag(self, call: Call) -> None:
        """As GETTIMEFULL, with the lag of interrupts apart, in EDI."""
        seconds = self._seconds(call)
        call.esi, call.edx = seconds >> 32 & LOW_32, seconds & LOW_32
        call.edi = INTERRUPT_LAG_US

    def stop_catchup(self, call: Call) -> None:
        """The guest has set its clock itself. Registers stay."""
        self.catching_up_stopped += 1

    def get_mhz(self, call: Call) -> None:
        call.eax = self.host.tsc_hz // 1_000_000

    def get_hz(self, call: Call) -> None:
        """EBX:EAX the TSC's frequency, ECX the bus clock's, by which a local APIC's timer goes."""
        call.eax, call.ebx = self.host.tsc_hz & LOW_32, self.host.tsc_hz >> 32 & LOW_32
        call.ecx = self.host.bus_hz

    def lazy_timer_emulation(self, call: Call) -> None:
        """The TSC may run on while timer interrupts are late: here it always does. EBX says yes."""
        self.lazy_timers = True
        call.ebx = MAGIC

    def steal_clock(self, call: Call) -> None:
        """Nobody takes time from this processor: the status is "disabled" whatever is asked."""
        call.eax = STEAL_CLOCK_DISABLED

    def precision_clock(self, call: Call) -> None:
        """Sub-command 0, in the upper half of ECX: EAX 0, EBX:ECX nanoseconds since 1970. The clock
        cannot be set."""
        if call.subcommand != PRECISION_CLOCK_GETTIME:
            call.eax = UNSUPPORTED
            return
        now = self.nanoseconds()
        call.eax, call.ebx, call.ecx = 0, now >> 32 & LOW_32, now & LOW_32
