"""The live screen in a notebook: what goes to the browser, and what comes from it."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from attending import needs
from patience import PATIENCE

from monitor import Machine


@pytest.fixture
def machine() -> Machine:
    return Machine(memory_mb=2, mode="bare", vga="std")


@needs("PIL")
def test_a_screen_is_a_picture(machine: Machine) -> None:
    png = machine.screen._repr_png_()
    assert png is not None and png.startswith(b"\x89PNG")


def test_without_a_library_for_widgets_it_is_that_picture(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    modules: dict[str, Any] = sys.modules  # type: ignore[assignment]
    monkeypatch.delitem(modules, "monitor.web.widget", raising=False)
    monkeypatch.setitem(modules, "anywidget", None)
    assert machine.screen._repr_mimebundle_() is None


def test_without_pillow_it_is_a_line(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    modules: dict[str, Any] = sys.modules  # type: ignore[assignment]
    monkeypatch.setitem(modules, "PIL", None)
    assert machine.screen._repr_png_() is None


@needs("anywidget", "PIL")
class TestWidget:
    """What goes to the browser and comes from it, without one."""

    @pytest.fixture
    def sent(self, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
        bundle = machine.screen._repr_mimebundle_()
        assert "application/vnd.jupyter.widget-view+json" in bundle[0]
        sent: list[bytes] = []
        monkeypatch.setattr(
            self.widget(machine), "send", lambda _message, buffers: sent.extend(buffers)
        )
        return sent

    def widget(self, machine: Machine) -> Any:
        assert machine._widget is not None
        return machine._widget

    def say(self, machine: Machine, message: Any) -> None:
        self.widget(machine)._hear(None, message, [])

    def test_it_is_one_widget_however_often_it_is_shown(self, machine: Machine) -> None:
        assert machine.screen._repr_mimebundle_() == machine.screen._repr_mimebundle_()

    def test_a_new_canvas_gets_the_picture(self, machine: Machine, sent: list[bytes]) -> None:
        for _ in range(2):
            self.say(machine, {"kind": "hello"})
        assert len(sent) == 2 and sent[0] == sent[1]
        width, height = machine.screen.size
        assert f'"width": {width}, "height": {height}'.encode() in sent[0]

    def test_what_is_typed_is_input(self, machine: Machine, sent: list[bytes]) -> None:
        machine.load_flat(b"\x40\xeb\xfd", 0x100000)
        self.say(machine, {"kind": "key", "code": "KeyD", "down": True, "repeat": False})
        machine.run(max_instructions=1000)
        assert machine.board.pc.kbc.keyboard.typed or machine.keys.waiting

    @pytest.mark.parametrize(
        "message", ["text", None, [], {}, {"kind": 5}, {"kind": "key"}, {"kind": "mouse", "x": "a"}]
    )
    def test_what_no_canvas_says_is_passed_over(
        self, machine: Machine, sent: list[bytes], message: Any
    ) -> None:
        self.say(machine, message)

    def test_the_end_of_a_run_in_the_background_is_shown(
        self, machine: Machine, sent: list[bytes]
    ) -> None:
        code = "mov edi, 0xb8000; mov eax, 0x1f411f41; mov ecx, 1000; rep stosd; l: jmp l"
        from bt.assembler import assemble

        machine.load_flat(assemble(code, 0x100000), 0x100000)
        self.say(machine, {"kind": "hello"})
        sent.clear()
        machine.start(max_instructions=10_000)
        machine.wait(PATIENCE)
        assert machine._widget is not None
        assert machine._widget._pictures.newest is machine.screen.array
