"""GETENTROPY: random numbers from the host.

Which registers carry them is not published; our choice: EAX 0 for success, and EBX, ECX, ESI, EDI.
A machine whose clock counts instructions repeats exactly, and so do its random numbers: they come
from a generator with the machine's seed, and are worth nothing as secrets.
"""

from __future__ import annotations

from monitor.vmware.call import Call
from monitor.vmware.dice import Dice
from monitor.vmware.host import Host


class Entropy:
    def __init__(self, host: Host) -> None:
        self.dice = Dice(None if host.real_time else host.entropy_seed)

    def get(self, call: Call) -> None:
        call.eax = 0
        call.ebx, call.ecx, call.esi, call.edi = (self.dice.bits() for _ in range(4))
