"""The two benches by code size."""

from __future__ import annotations

from functools import lru_cache

from bt.virtualizability.bench import Bench
from bt.virtualizability.protected_bench import ProtectedBench
from bt.virtualizability.sixteen_bit_bench import SixteenBitBench


@lru_cache(maxsize=1)
def benches() -> dict[int, Bench]:
    """By code size. They keep nothing between two experiments."""
    return {32: ProtectedBench(), 16: SixteenBitBench()}
