"""A lab whose guest runs out of a small translation cache."""

from __future__ import annotations

import pytest
from engine_lab import CEILING, CODE, MONITOR, Exit, Lab, assemble

from bt.contract import EXIT_SOFTINT, MARK_COUNTS, PERM_EXEC, PERM_PINNED, PERM_WRITE
from bt.vcpu_page import NEAR_LANDINGS, VSYS

CACHE, CACHE_SIZE = CEILING, 0x4000


VCPU = CEILING + 0x100000  # linear


VCPU_PAGE = MONITOR + CACHE_SIZE  # physical


TABLE = VCPU_PAGE + 0x2000


GS = 5


class Cache:
    """A lab whose guest runs out of a small translation cache, through GS."""

    def __init__(self, lab: Lab, cpl: int = 0) -> None:
        self.lab = lab
        for page in range(0, CACHE_SIZE, 0x1000):
            lab.map(CACHE + page, MONITOR + page >> 12, PERM_EXEC | PERM_PINNED)
        lab.map(VCPU, VCPU_PAGE >> 12, PERM_WRITE | PERM_PINNED)
        lab.map(VCPU + VSYS, VCPU_PAGE + VSYS >> 12, PERM_WRITE | PERM_PINNED)
        lab.map(VCPU + NEAR_LANDINGS, TABLE >> 12, PERM_PINNED)
        lab.engine.set_count_region(CACHE, CACHE_SIZE)
        lab.engine.mark(CACHE, bytes([MARK_COUNTS]) * CACHE_SIZE)
        lab.ideal.set_privilege(cpl)
        lab.set(eip=CODE)

    def put(self, code: str | bytes, at: int = CACHE) -> int:
        data = assemble(code, at) if isinstance(code, str) else code
        self.lab.write(MONITOR + at - CACHE, data + b"\xcc")
        return at + len(data)

    def run(self, budget: int = 1000, at: int = CACHE) -> Exit:
        lab = self.lab
        reason = lab.engine.run_translated(
            lab.ideal, at, CEILING, lab.count, budget, VCPU_PAGE, VCPU, GS
        )
        lab.count = lab.engine.icount()
        return lab.describe(reason)

    def finish(self, code: str) -> Exit:
        end = self.put(code)
        exit_ = self.run()
        assert (exit_.reason, exit_.arg, exit_.eip) == (EXIT_SOFTINT, 3, end), exit_
        return exit_


@pytest.fixture
def cache(lab: Lab) -> Cache:
    return Cache(lab)
