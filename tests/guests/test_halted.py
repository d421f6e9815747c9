"""A guest that is halted with interrupts on: it sleeps while something can wake it, else it ends.

Each row is what the guest sets up before its HLT, and which interrupts it can be woken by.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from bad_guests import BadGuest
from patience import PATIENCE
from pieces import controllers

from monitor import Machine
from monitor.settings.machine import MODES

ORIGIN = 0x100000

PICS = "mov eax, woken\n call set_idt\n" + controllers()
TIMER = """
    mov al, 0x30
    out 0x43, al
    mov al, 0xFF
    out 0x40, al
    out 0x40, al
"""
RTC = """
    mov al, 0x0B
    out 0x70, al
    mov al, 0x42
    out 0x71, al
"""
SERIAL = """
    mov dx, 0x3FC
    mov al, 8
    out dx, al
    mov dx, 0x3F9
    mov al, 1
    out dx, al
"""
HALT = """
    sti
    hlt
woken:
    mov al, 0x77
    out 0xF4, al
"""


def unmask(master: int, slave: int = 0xFF) -> str:
    return f"mov al, {master}\n out 0x21, al\n mov al, {slave}\n out 0xA1, al\n"


@dataclass(frozen=True)
class Sleeper:
    name: str
    setup: str
    wakes: bool  # by itself
    typing_wakes: bool = False


SLEEPERS = (
    Sleeper("nothing set up", "mov eax, woken\n call set_idt", False),
    Sleeper("timer", PICS + unmask(0xFE) + TIMER, True),
    Sleeper("timer masked", PICS + unmask(0xEF) + TIMER, False),
    Sleeper("timer, controller not initialised", unmask(0) + TIMER, False),
    Sleeper("clock chip", PICS + unmask(0xFB, 0xFE) + RTC, True),
    Sleeper("clock chip masked", PICS + unmask(0xFB, 0xFF) + RTC, False),
    Sleeper("clock chip, cascade masked", PICS + unmask(0xFF, 0xFE) + RTC, False),
    Sleeper("serial", PICS + unmask(0xEF) + SERIAL, False, True),
    Sleeper("serial masked", PICS + unmask(0xFF) + SERIAL, False),
    Sleeper("serial, interrupt off", PICS + unmask(0xEF), False),
    Sleeper("keyboard's own reply", PICS + unmask(0xFD) + "mov al, 0xEE\n out 0x60, al\n", True),
    Sleeper("keyboard masked", PICS + unmask(0xFF) + "mov al, 0xEE\n out 0x60, al\n", False),
)


def machine_of(sleeper: Sleeper, mode: str) -> Machine:
    machine = Machine(memory_mb=2, mode=mode)
    guest = BadGuest(sleeper.name, sleeper.setup + HALT, ())
    machine.load_flat(guest.image, ORIGIN, esp=0x90000)
    return machine


def by_mode(test: Callable[..., None]) -> Callable[..., None]:
    test = pytest.mark.parametrize("mode", MODES)(test)
    return pytest.mark.parametrize("sleeper", SLEEPERS, ids=lambda s: s.name)(test)


@by_mode
def test_it_ends_if_nobody_can_wake_it(sleeper: Sleeper, mode: str) -> None:
    machine = machine_of(sleeper, mode)
    outcome = machine.run(until="text that never comes", timeout=PATIENCE)
    if sleeper.wakes:
        assert outcome.kind == "exit" and outcome.status == 0x77 << 1 | 1
    else:
        assert (outcome.kind, outcome.detail) == (
            "stuck", "halted, and no timer or input can interrupt the guest")  # fmt: skip


@by_mode
def test_it_waits_for_input_that_could_wake_it(sleeper: Sleeper, mode: str) -> None:
    machine = machine_of(sleeper, mode)
    machine.serial.input_open = True
    typist = threading.Timer(0.1, machine.send, ["x"])
    typist.start()
    outcome = machine.run(timeout=PATIENCE)
    typist.join()
    wakes = sleeper.wakes or sleeper.typing_wakes
    assert outcome.kind == ("exit" if wakes else "stuck")


@pytest.mark.parametrize("mode", MODES)
def test_the_end_of_the_input_ends_the_wait(mode: str) -> None:
    (serial,) = [sleeper for sleeper in SLEEPERS if sleeper.typing_wakes]
    machine = machine_of(serial, mode)
    machine.serial.input_open = True

    def hang_up() -> None:
        machine.serial.input_open = False

    timer = threading.Timer(0.1, hang_up)
    timer.start()
    assert machine.run(timeout=PATIENCE).kind == "stuck"
    timer.join()


def test_in_real_time_too() -> None:
    machine = Machine(memory_mb=2, clock="host")
    guest = BadGuest("masked", PICS + unmask(0xFF) + TIMER + HALT, ())
    machine.load_flat(guest.image, ORIGIN, esp=0x90000)
    assert machine.run(timeout=PATIENCE).kind == "stuck"
