"""Exits as a stream, and running until one of them."""

from __future__ import annotations

import pytest
from patience import PATIENCE

from monitor import Machine
from monitor.guests import embedded_image
from monitor.vmm.events import ExitEvent


def embedded(mode: str) -> Machine:
    guest = embedded_image()
    machine = Machine(memory_mb=4, mode=mode)
    machine.load_flat(guest.image, guest.load_address, eip=guest.entry)
    return machine


@pytest.mark.parametrize("mode", ["bare", "translate"])
def test_run_until_an_interrupt(mode: str) -> None:
    machine = embedded(mode)
    outcome = machine.run(until_event="interrupt 0x20", timeout=PATIENCE)
    assert outcome.kind == "event", outcome
    assert machine.run(timeout=PATIENCE).kind == "exit"


def test_exits_are_told_in_order() -> None:
    machine = embedded("translate")
    seen: list[ExitEvent] = []
    machine.on_exit.append(seen.append)
    machine.run(max_instructions=5000)
    assert {"chain", "shadow fill"} <= {event.reason for event in seen}
    assert [event.count for event in seen] == sorted(event.count for event in seen)
