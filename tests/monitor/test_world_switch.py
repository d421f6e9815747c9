"""The door between the monitor's core and the host application, and a serial line behind it."""

from __future__ import annotations

import pytest

from bt.assembler import assemble
from monitor import Machine
from monitor.host.serial_line import SerialLine
from monitor.vmm import world_switch
from monitor.vmm.world_switch import WorldSwitch

ECHO = """
    mov dx, 3fdh
wait: in al, dx
    test al, 1
    jz wait
    mov dx, 3f8h
    in al, dx
    out dx, al
    out 0e9h, al
    mov al, 0
    out 0f4h, al
"""


def test_requests_are_counted_and_timed_by_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter((0, 3_000_000, 10, 20, 0, 5_000))
    monkeypatch.setattr(world_switch.time, "perf_counter_ns", lambda: next(times))
    door = WorldSwitch()
    assert door.request("a", max, 3, 4) == 4
    assert door.request("b", len, b"xyz") == 3
    with pytest.raises(ZeroDivisionError):
        door.request("b", lambda: 1 // 0)
    assert door.count == 3
    assert door.statistics() == {"a": {"count": 1, "seconds": 0.003},
                                 "b": {"count": 2, "seconds": 0.000005}}  # fmt: skip


def test_a_line_keeps_tells_and_queues() -> None:
    news: list[str] = []
    line = SerialLine(on_news=lambda: news.append("news"))
    heard: list[bytes] = []
    line.listeners.append(heard.append)
    line.write(b"login: ")
    assert (line.output.tail, heard, news) == (b"login: ", [b"login: "], [])
    assert line.waiting == 0
    line.send(b"ro")
    line.send(b"ot")
    assert (line.waiting, len(news)) == (4, 2)
    assert (line.take(), line.take(), line.waiting) == (b"root", b"", 0)
    awaited = line.output.await_text(b"$ ")
    line.write(b"$ ")
    assert awaited.found and len(news) == 3


@pytest.mark.parametrize("mode", ["bare", "translate"])
def test_what_crosses_is_in_the_statistics(mode: str) -> None:
    machine = Machine(memory_mb=1, mode=mode)
    machine.load_flat(assemble(ECHO), 0x1000)
    machine.send("x")
    assert machine.run().kind == "exit"
    statistics = machine.statistics()
    requests = statistics["host_requests"]
    assert {kind: each["count"] for kind, each in requests.items()} == {
        "console input": 1, "console output": 1, "debug output": 1}  # fmt: skip
    assert statistics["world_switches"] == 3
    assert (machine.console, machine.debug_console) == (b"x", b"x")
