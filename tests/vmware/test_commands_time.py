"""Times, frequencies and the pseudo performance counters."""

from __future__ import annotations

import pytest
from calls import START, Bench, changed

from monitor.vmware.call import MAGIC, UNSUPPORTED, Call
from monitor.vmware.parts.counters import Counters, is_pseudo_counter

LAG = 1_000_000


@pytest.fixture
def bench() -> Bench:
    return Bench({"tsc_hz": 0x1_2345_6789}, nanoseconds=3_250_000_999)


def test_gettime(bench: Bench) -> None:
    call = bench.call("GETTIME", edx=0x5658, esi=1, edi=2)
    assert (call.eax, call.ebx, call.ecx, call.edx) == (START + 3, 250_000, LAG, 0)
    assert (call.esi, call.edi) == (1, 2)


@pytest.mark.parametrize(("name", "edi"), [("GETTIMEFULL", 77), ("GETTIMEFULL_WITH_LAG", 0)])
def test_gettimefull_keeps_the_magic_and_has_64_bits(bench: Bench, name: str, edi: int) -> None:
    bench.host.start_time = 5 << 32
    call = bench.call(name, edi=77)
    assert call.eax == MAGIC
    assert (call.esi, call.edx, call.ebx, call.ecx) == (5, 3, 250_000, LAG)
    assert call.edi == edi


def test_gettime_wraps_where_gettimefull_does_not(bench: Bench) -> None:
    bench.host.start_time = 5 << 32
    assert bench.call("GETTIME").eax == 3


def test_time_goes_by_the_clock_of_the_machine(bench: Bench) -> None:
    first = bench.call("GETTIMEFULL")
    assert bench.call("GETTIMEFULL") == first
    bench.nanoseconds += 2_000_000_000
    assert bench.call("GETTIMEFULL").edx == first.edx + 2


def test_frequencies(bench: Bench) -> None:
    call = bench.call("GETHZ", ebx=0xFFFFFFFF)  # what Linux calls with
    assert (call.eax, call.ebx, call.ecx) == (0x23456789, 1, 66_000_000)
    assert bench.call("GETMHZ").eax == 0x1_2345_6789 // 1_000_000


def test_stop_catchup_changes_no_register(bench: Bench) -> None:
    call = bench.call("STOPCATCHUP", ebx=1)
    assert changed(Call(ebx=1, ecx=24), call) == set()
    assert bench.backdoor.guest_time.catching_up_stopped == 1


def test_lazy_timer_emulation_says_yes_in_ebx(bench: Bench) -> None:
    call = bench.call("LAZYTIMEREMULATION")
    assert (call.eax, call.ebx) == (MAGIC, MAGIC)
    assert bench.call("LAZYTIMEREMULATION", cpl=3).eax == UNSUPPORTED


def test_the_steal_clock_is_disabled(bench: Bench) -> None:
    assert bench.call("STEALCLOCK", esi=0, edi=0x1001).eax == 0  # enable it: at 0x1000
    assert bench.call("STEALCLOCK", esi=0, edi=1).eax == 0  # disable it
    assert bench.call("STEALCLOCK", cpl=3).eax == UNSUPPORTED


def test_the_precision_clock(bench: Bench) -> None:
    call = bench.call("PRECISIONCLOCK")
    assert call.eax == 0
    assert call.ebx << 32 | call.ecx == START * 10**9 + bench.nanoseconds
    for subcommand in (1, 2, 3, 4, 0xFFFF):  # SETTIME, ADJTIME, ADJFREQ; unknown ones
        call = bench.call("PRECISIONCLOCK", subcommand=subcommand, ebx=5)
        assert (call.eax, call.ebx) == (UNSUPPORTED, 5)


# --- RDPMC ----------------------------------------------------------------------------------------


def test_which_indices_are_the_backdoors() -> None:
    indices = [0, 3, 0xFFFF, 0x10000, 0x10001, 0x10002, 0x10003, 0x10004, 0x20000, 0x80010000]
    assert [index for index in indices if is_pseudo_counter(index)] == indices[3:7]


def test_the_counters_follow_the_clock(bench: Bench) -> None:
    counters = Counters(bench.host)
    ticks = bench.nanoseconds * bench.host.tsc_hz // 10**9
    expected = [ticks, bench.nanoseconds, bench.nanoseconds, ticks]
    assert [counters.read(index) for index in range(0x10000, 0x10004)] == expected


def test_the_counters_are_64_bits_wide(bench: Bench) -> None:
    bench.nanoseconds = (1 << 64) + 5
    assert bench.backdoor.counters.read(0x10001) == 5
    assert 0 <= bench.backdoor.counters.read(0x10000) < 1 << 64
