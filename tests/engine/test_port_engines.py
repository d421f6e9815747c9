"""Accesses to ports out of the translation cache: engines that serve them call the bus."""

from __future__ import annotations

import pytest
from engine_lab import DATA, GP, Lab
from small_cache import CACHE, Cache
from small_cache import cache as cache

from bt.contract import EXIT_EXCEPTION, EXIT_IO, EXIT_SOFTINT

served = pytest.mark.engine("serves_ports")


PORTS = {
    "in al, 0x60": ("in", 0x60, 1, 0x44), "in ax, 0x60": ("in", 0x60, 2, 0x3344),
    "in eax, dx": ("in", 0xCF8, 4, 0x11223344), "out 0x80, al": ("out", 0x80, 1, 0x78),
    "out dx, ax": ("out", 0xCF8, 2, 0x5678), "out dx, eax": ("out", 0xCF8, 4, 0x12345678),
}  # fmt: skip


@served
@pytest.mark.parametrize("code", PORTS)
def test_ports_are_open_for_ring_0(cache: Cache, code: str) -> None:
    cache.lab.count = 70
    cache.lab.set(eax=0x12345678, edx=0xCF8)
    exit_ = cache.finish(f"nop; {code}; nop")
    direction, _, size, value = access = PORTS[code]
    assert cache.lab.ports.log == [access]
    assert cache.lab.ports.counts == [71], "the instructions completed before it"
    kept = 0x12345678 & ~((1 << 8 * size) - 1)
    assert cache.lab.reg("eax") == (kept | value if direction == "in" else 0x12345678)
    assert exit_.count == 73


@served
def test_ports_do_not_stay_open(cache: Cache) -> None:
    cache.finish("in al, 0x60")
    cache.lab.ideal.set_privilege(3)
    assert cache.lab.fault("in al, 0x60").vector == GP
    assert len(cache.lab.ports.log) == 1


@served
def test_a_device_can_ask_for_the_loop(cache: Cache) -> None:
    cache.put("nop; in al, 0x60; nop; nop")
    cache.lab.ports.wants_loop = True
    exit_ = cache.run()
    assert (exit_.reason, exit_.eip, exit_.count) == (EXIT_IO, CACHE + 3, 2)
    assert cache.lab.reg("eax") & 0xFF == 0x44, "the access has completed"
    assert cache.run(at=CACHE + 3).reason == EXIT_SOFTINT, "it is no lasting wish"


@served
def test_a_string_of_ports_stops_in_between(cache: Cache) -> None:
    cache.put(bytes.fromhex("f36c"))  # rep insb
    cache.lab.ports.wants_loop = True
    cache.lab.set(edi=DATA, ecx=3, edx=0x60)
    exits = [cache.run() for _ in range(3)]
    assert [(exit_.reason, exit_.count) for exit_ in exits[:2]] == [(EXIT_IO, 0)] * 2
    assert (exits[2].reason, exits[2].count, exits[2].eip) == (EXIT_IO, 1, CACHE + 2)
    assert cache.lab.peek(DATA, 4) == b"\x44\x45\x46\x00"


@served
def test_what_a_device_raises_comes_out_and_the_state_is_whole(cache: Cache) -> None:
    cache.put("mov ebx, 7; in al, 0x60; mov ebx, 8")
    cache.lab.ports.error = RuntimeError("no such device")
    with pytest.raises(RuntimeError, match="no such device"):
        cache.run()
    assert cache.lab.reg("ebx") == 7
    assert cache.lab.engine.eip == CACHE + 7
    cache.lab.ports.error = None
    cache.lab.count = cache.lab.engine.icount()
    assert cache.run(at=CACHE + 7).reason == EXIT_SOFTINT
    assert cache.lab.reg("ebx") == 8


@pytest.mark.parametrize("code", PORTS)
def test_ports_are_closed_for_ring_3(lab: Lab, code: str) -> None:
    cache = Cache(lab, cpl=3)
    cache.put(code)
    exit_ = cache.run()
    assert (exit_.vector, exit_.error, exit_.eip, lab.ports.log) == (GP, 0, CACHE, [])


@pytest.mark.parametrize("code", PORTS)
def test_an_access_to_an_open_port_is_made_or_left_to_the_monitor(cache: Cache, code: str) -> None:
    """Whoever does not serve ports leaves before it: nothing has reached the bus."""
    cache.put(f"nop; {code}")
    exit_ = cache.run()
    if exit_.reason == EXIT_EXCEPTION:
        assert (exit_.vector, exit_.error, exit_.eip) == (GP, 0, CACHE + 1)
        assert not cache.lab.ports.log
        assert not cache.lab.engine.traits.serves_ports
    else:
        assert exit_.arg == 3
        assert len(cache.lab.ports.log) == 1
