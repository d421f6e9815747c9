"""What the commands know of their virtual machine and its host."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from monitor.vmware.restrictions import Restrictions


@dataclass
class Host:
    """One per machine. Times are those of the machine's clock, so that a run can repeat exactly:
    counted instructions (--clock icount), or real time (--clock host)."""

    memory_bytes: int
    tsc_hz: int
    start_time: int  # seconds since 1970 at power-on
    now: Callable[[], int]  # nanoseconds since power-on
    real_time: bool = False  # the clock is the host's
    uuid: bytes = bytes(16)
    restrictions: Restrictions = field(default_factory=Restrictions)
    notice: Callable[[], None] = lambda: None  # ask the machine's loop to look around soon
    put_char: Callable[[int], None] = lambda code: None  # PUTCHR: one byte for the debug console
    power: Callable[[str], None] = lambda how: None  # end the machine: "off", "reset", "crash"
