"""Every guest goes on through checkpoints, in turns bare and translated, as if nothing had been.

They lie anywhere in what it does, from its reset vector on: in its firmware, while it reads a disk,
draws, waits. In the end everything is the same as in a life without any, to the last bit.
"""

from __future__ import annotations

import pytest
from guest_lives import made, needed, state
from patience import PATIENCE
from test_real_guests import MODES, parameter

from monitor import Machine
from monitor.guestbook.guest import Guest
from monitor.guestbook.rows import GUESTS

MOST = 3_000_000_000  # instructions
PLACES = 5

pytestmark = [pytest.mark.slow, pytest.mark.guest]


@pytest.mark.parametrize("guest", [parameter(guest) for guest in GUESTS])
def test_it_goes_on_through_checkpoints(guest: Guest) -> None:
    needed(guest)
    machine, _ = made(guest, MODES[0])
    drives = machine.settings.drives
    begun = machine.snapshot()
    text = guest.steps[0].after if guest.steps else None
    machine.run(until=text, max_instructions=MOST, timeout=PATIENCE)
    whole, total = state(machine), machine.instructions
    for number in range(1, PLACES + 1):
        machine = Machine.restore(begun, mode=MODES[number % 2], drives=drives)
        there = total * number // PLACES
        machine.run(max_instructions=there - machine.instructions, timeout=PATIENCE)
        assert machine.instructions == there
        begun = machine.snapshot()
    assert state(machine) == whole
