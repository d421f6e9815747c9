"""Typing when a text screen shows a cue: once, at the same instruction in every mode."""

from __future__ import annotations

import pytest
from patience import PATIENCE
from vga_modes import TEXT_80x25
from video_lab import MODES, load, machine_with, setting

from monitor import Machine
from monitor.host.typist import TypedLine, Typist
from monitor.screen.watch import type_at_cues

MAKE = {"a": 0x1E, "b": 0x30}


@pytest.fixture(autouse=True)
def short_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks at the screen as often as short guests need it."""
    monkeypatch.setattr("monitor.screen.display.INTERVAL", 10_000)


def key(name: str, cue: bytes) -> TypedLine:
    return TypedLine(b"", cue, (f"+{name}", f"-{name}"))


def printing(text: str, row: int) -> str:
    stores = [f"mov word ptr [{0xB8000 + 160 * row + 2 * i:#x}], {0x0700 | ord(each):#x}"
              for i, each in enumerate(text)]  # fmt: skip
    return "\n".join(stores) + "\n"


def asking(row: int, name: str) -> str:
    """A prompt, and then nothing else until this key is pressed."""
    return f"""{printing("A:>", row)}
    ask{row}: in al, 0x64
        test al, 1
        jz ask{row}
        in al, 0x60
        cmp al, {MAKE[name]}
        jne ask{row}
    """


def guest(mode: str) -> Machine:
    machine = machine_with(mode)
    load(machine, setting(TEXT_80x25) + asking(0, "a") + asking(1, "b") + printing("done", 2)
         + "end: jmp end")  # fmt: skip
    return machine


@pytest.mark.parametrize("mode", MODES)
def test_each_prompt_is_typed_at_once(mode: str) -> None:
    machine = guest(mode)
    typist = type_at_cues(machine, [key("a", b"A:>"), key("b", b"A:>")])
    outcome = machine.run(until="done", timeout=PATIENCE, max_instructions=3_000_000)
    assert (outcome.kind, typist.done) == ("until", True), machine.screen.text


def test_it_is_typed_at_the_same_instruction_in_every_mode() -> None:
    counts = set()
    for mode in MODES:
        machine = guest(mode)
        type_at_cues(machine, [key("a", b"A:>"), key("b", b"A:>")])
        machine.run(until="done", timeout=PATIENCE, max_instructions=3_000_000)
        counts.add(machine.instructions)
    assert len(counts) == 1


def test_a_machine_without_a_screen_has_its_console() -> None:
    machine = Machine(memory_mb=1)
    type_at_cues(machine, [TypedLine(b"x", b"y")])
    assert machine.loop.chores == []


def typist(*cues: bytes) -> tuple[Typist, list[bytes]]:
    typed: list[bytes] = []
    return Typist([TypedLine(cue.upper(), cue) for cue in cues], typed.append), typed


def test_what_is_there_when_a_text_is_typed_is_no_cue_for_the_next() -> None:
    one, typed = typist(b"a>", b"a>", b"b>")
    for screen in ("", "a>", "a>", "a>dir", "a>dir\nb> a>"):
        one.shown(screen)
    assert typed == [b"A>", b"A>"]
    one.shown("a>dir\nb> a>")
    one.shown("b> b>")
    assert typed == [b"A>", b"A>", b"B>"] and one.done
    one.shown("b> b> b>")


def test_a_cue_that_scrolls_away_may_come_again() -> None:
    one, typed = typist(b"a>", b"a>")
    for screen in ("a>", "a>", "many lines", "a>"):
        one.shown(screen)
    assert typed == [b"A>", b"A>"]


def test_a_prompt_is_the_consoles_alone() -> None:
    typed: list[bytes] = []
    one = Typist([TypedLine(b"ls\n")], typed.append)
    one.shown("/ # ")
    assert typed == []
    one(b"/ # ")
    assert typed == [b"ls\n"]
