"""GETENTROPY: random numbers from the host.

Which registers carry them is not published; our choice: EAX 0 for success, and EBX, ECX, ESI, EDI.
A machine whose clock counts instructions repeats exactly, and so do its random numbers: they come
from a generator with the machine's seed, and are worth nothing as secrets.
"""

from __future__ import annotations

import random

from monitor.vmware.call import Call
from monitor.vmware.host import Host


class Entropy:
    def __init__(self, host: Host) -> None:
        seeded = random.Random(host.entropy_seed)
        self._random = random.SystemRandom() if host.real_time else seeded

    def get(self, call: Call) -> None:
        call.eax = 0
        call.ebx, call.ecx, call.esi, call.edi = (self._random.getrandbits(32) for _ in range(4))
