"""Messages about keys and mouse: what reaches the machine, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from bt.assembler import assemble
from monitor import Machine
from monitor.host.user_input import MOST, Motion, UserInput
from monitor.web.codes import KEYS, key_of
from monitor.web.hands import BadMessage, Person

BASE = 0x100000


class Desk:
    """A machine with somebody at it, which runs a little when asked to."""

    def __init__(self, clock: str = "icount", **options: Any) -> None:
        self.machine = Machine(memory_mb=2, mode="bare", clock=clock, **options)
        self.machine.load_flat(assemble("again: inc eax\n jmp again", BASE), BASE, esp=0x8000)
        self.inputs = UserInput(self.machine)
        self.inputs.begin()
        self.person = Person(self.inputs)
        self.given: list[tuple[str, Any]] = []
        inputs = self.machine.board.inputs
        give = inputs.give

        def noted(source: str, data: Any) -> None:
            self.given.append((source, data))
            give(source, data)

        inputs.give = noted  # type: ignore[method-assign]

    def key(self, code: str, down: bool = True, repeat: bool = False) -> None:
        self.person.hear({"kind": "key", "code": code, "down": down, "repeat": repeat})

    def mouse(self, **what: Any) -> None:
        still = {"x": 0, "y": 0, "wheel": 0, "place": None, "buttons": 0}
        self.person.hear({"kind": "mouse"} | still | what)

    def run(self) -> list[tuple[str, Any]]:
        self.machine.run(max_instructions=1000)
        given, self.given = self.given, []
        return given


def test_every_code_is_a_key_of_the_machines() -> None:
    assert set(KEYS.values()) <= set(Machine(memory_mb=2).keys.names)
    assert len(set(KEYS.values())) == len(KEYS)
    assert key_of("BrowserBack") is None


def test_in_instruction_time_a_key_comes_up_at_once_and_modifiers_are_held() -> None:
    desk = Desk()
    desk.key("ShiftLeft")
    desk.key("ShiftLeft", repeat=True)
    desk.key("KeyA")
    desk.key("KeyA", repeat=True)
    desk.key("KeyA", down=False)
    desk.key("ShiftLeft", down=False)
    assert desk.run() == [("keys", ["+shift"]), ("keys", ["+a", "-a"]), ("keys", ["+a", "-a"]),
                          ("keys", ["-shift"])]  # fmt: skip


def test_in_real_time_a_key_is_down_as_long_as_it_is() -> None:
    desk = Desk("host")
    desk.key("KeyA")
    desk.key("KeyA", repeat=True)
    assert desk.run() == [("struck", "+a")]
    desk.key("KeyA", down=False)
    assert desk.run() == [("struck", "-a")]


def test_who_leaves_lets_go() -> None:
    desk = Desk("host", parts=["mouse"])
    desk.key("ControlLeft")
    desk.mouse(buttons=3)
    desk.run()
    desk.person.leave()
    assert desk.run() == [("struck", "-ctrl"), ("mouse", (0, 0, 0, 2)), ("mouse", (0, 0, 0, 0))]
    desk.person.leave()
    assert desk.run() == []


def test_letting_go_is_never_lost() -> None:
    desk = Desk("host", parts=["mouse"])
    desk.key("ShiftLeft")
    desk.mouse(buttons=1)
    codes = [code for code in KEYS if code.startswith("Key")]
    for _ in range(MOST):
        for code in codes:
            desk.key(code)
            desk.key(code, down=False)
    desk.person.leave()
    given = desk.run()
    assert given[0] == ("struck", "+shift") and given[-2:] == [
        ("struck", "-shift"), ("mouse", (0, 0, 0, 0))]  # fmt: skip
    for code in codes:
        assert given.count(("struck", f"+{key_of(code)}")) == given.count(
            ("struck", f"-{key_of(code)}")
        )


def test_programs_keys_wait_for_each_other() -> None:
    """VNC's, which come faster than a keyboard takes them."""
    desk = Desk("host")
    desk.inputs = UserInput(desk.machine, typed=True)
    with desk.inputs:
        desk.inputs.key("a", True)
        desk.inputs.key("a", True)
        desk.inputs.key("a", False)
        assert desk.run() == [("keys", ["+a"]), ("keys", ["-a"])]
        desk.inputs.character(["shift", "b"])
        assert desk.run() == [("keys", ["+shift", "+b", "-b", "-shift"])]
        desk.inputs.key("c", True)
    assert desk.run() == [("keys", ["+c"]), ("keys", ["-c"])]
    assert len(desk.machine.loop.chores) == 1 and desk.machine.board.real_inputs.attended == 0


def test_a_key_that_went_down_elsewhere_does_not_come_up_here() -> None:
    desk = Desk("host")
    desk.key("Enter", down=False)
    assert desk.run() == []


def test_motions_that_wait_are_one() -> None:
    desk = Desk(parts=["mouse"])
    desk.mouse(x=3, y=-1)
    desk.mouse(x=4, y=-1, wheel=1)
    desk.mouse(x=1, buttons=1)
    assert desk.run() == [("mouse", (8, -2, 0, 0)), ("mouse", (0, 0, 1, 0)),
                          ("mouse", (0, 0, 0, 1))]  # fmt: skip


def test_a_machine_without_a_mouse_has_none() -> None:
    desk = Desk()
    desk.mouse(x=3, buttons=1)
    assert desk.run() == []


def test_what_nobody_takes_is_bounded() -> None:
    desk = Desk()
    for _ in range(3 * MOST):
        desk.key("KeyA")
    assert len(desk.inputs._acts) == MOST
    for _ in range(6):
        desk.run()
        for _ in range(MOST):
            desk.key("KeyA")
    assert desk.machine.keys.waiting <= 2 * MOST + 2


@pytest.mark.parametrize(
    "message",
    [
        {"kind": "key"},
        {"kind": "key", "code": 7, "down": True, "repeat": False},
        {"kind": "key", "code": "KeyA", "down": 1, "repeat": False},
        {"kind": "key", "code": ["KeyA"], "down": True, "repeat": False},
        {"kind": "mouse"},
        {"kind": "mouse", "x": 1.5, "y": 0, "wheel": 0, "buttons": 0},
        {"kind": "mouse", "x": True, "y": 0, "wheel": 0, "buttons": 0},
        {"kind": "mouse", "x": 0, "y": 0, "wheel": 0, "buttons": 0, "place": [1]},
        {"kind": "mouse", "x": 0, "y": 0, "wheel": 0, "buttons": 0, "place": "ab"},
        {"kind": "mouse", "x": 0, "y": 0, "wheel": 0, "buttons": None},
    ],
)
def test_what_no_page_says_is_refused(message: dict[str, Any]) -> None:
    desk = Desk(parts=["mouse"])
    with pytest.raises(BadMessage):
        desk.person.hear(message)
    assert desk.run() == []


def test_numbers_are_cut_to_sense() -> None:
    desk = Desk(parts=["mouse"])
    desk.mouse(x=10**30, y=-(10**30), place=[-5, 10**9], buttons=1 << 40)
    motion, *buttons = desk.inputs._acts
    assert motion == Motion(10_000, -10_000, 0, (0, 0xFFFF))
    assert len(buttons) == 5


def test_others_hear_what_is_not_about_hands() -> None:
    assert not Desk().person.hear({"kind": "ask"})
    assert not Desk().person.hear({})
