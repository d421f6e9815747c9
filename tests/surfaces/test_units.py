"""Sizes, times and counts as people write them."""

from __future__ import annotations

import pytest

from monitor.settings import units
from monitor.vmm.errors import UserError


@pytest.mark.parametrize(("text", "mib"), [
    ("64", 64), ("64M", 64), ("64m", 64), ("64MB", 64), ("64MiB", 64), ("1G", 1024),
    ("1.5G", 1536), ("65536K", 64), ("0.5g", 512), ("1T", 1 << 20), ("0", 0),
])  # fmt: skip
def test_sizes_of_memory(text: str, mib: int) -> None:
    assert units.mebibytes(text) == mib


@pytest.mark.parametrize("text", ["", "lots", "M", "-1", "64Q", "1e3", "0x40", "64M32K", "1 000",
                                  "½G", "٣"])  # fmt: skip
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(UserError, match="give MiB, or a size such as 64M or 1G"):
        units.mebibytes(text)


@pytest.mark.parametrize("text", ["512K", "1.5", "0.0001G"])
def test_memory_is_whole_mib(text: str) -> None:
    with pytest.raises(UserError, match=f"{text}: not a whole number of MiB"):
        units.mebibytes(text)


@pytest.mark.parametrize(("text", "seconds"), [
    ("90", 90), ("1.5", 1.5), ("1e2", 100), ("90s", 90), ("1m", 60), ("1min", 60), ("1M", 60),
    ("1m30s", 90), ("2h", 7200), ("1h30m", 5400), ("500ms", 0.5), ("0.5s", 0.5), ("-1", -1),
])  # fmt: skip
def test_times(text: str, seconds: float) -> None:
    assert units.seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "s", "nan", "inf", "-inf", "1d", "1m 30s", "1m30",
                                  "s1", "-1m", "1e2s"])  # fmt: skip
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(UserError, match="give seconds, or a time such as 90s, 1m30s or 2h"):
        units.seconds(text)


@pytest.mark.parametrize(("text", "count"), [
    ("0", 0), ("1000", 1000), ("1_000", 1000), ("0x3e8", 1000), ("010", 10), ("1e6", 1_000_000),
    ("1E6", 1_000_000), ("1e+6", 1_000_000), ("2.5e3", 2500), ("20k", 20_000), ("20K", 20_000),
    ("1M", 1_000_000), ("1.5M", 1_500_000), ("1G", 10**9), ("1T", 10**12), ("1e99", 10**99),
])  # fmt: skip
def test_counts(text: str, count: int) -> None:
    assert units.count(text) == count


@pytest.mark.parametrize("text", ["", "many", "-1", "-0x1", "1.5", "1e-3", "1.55e1", "0.0001k",
                                  "1e6M", "1e999999999", "1Mi", "M", "inf", "nan"])  # fmt: skip
def test_what_is_no_count(text: str) -> None:
    with pytest.raises(UserError, match="give a whole number, such as 1000, 0x3e8, 20k, 1e6 or 1M"):
        units.count(text)
