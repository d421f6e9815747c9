"""A machine with a display: what it costs those who have none, waiting, saving, code in planes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from patience import PATIENCE
from vga_modes import MODE_12, MODE_13, TEXT_80x25
from video_lab import (
    CODE,
    FRAME_BUFFER,
    MODES,
    assembled,
    load,
    machine_with,
    outs,
    palette,
    run,
    setting,
    vbe_mode,
)

from monitor import Machine
from monitor.screen.rectangles import Rectangle
from monitor.vmm.errors import UserError

COLOURS = np.array([(i & 63, i * 5 & 63, i * 11 & 63) for i in range(256)], np.uint8)


def printing(text: str, row: int = 0) -> str:
    """Instructions that put a text on the screen."""
    stores = [f"mov word ptr [{0xB8000 + 160 * row + 2 * i:#x}], {0x0700 | ord(each):#x}"
              for i, each in enumerate(text)]  # fmt: skip
    return "\n".join(stores) + "\n"


@pytest.fixture(autouse=True)
def short_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks at the screen as often as short guests need it."""
    monkeypatch.setattr("monitor.screen.display.INTERVAL", 10_000)


FOREVER = "\nforever:\n jmp forever\n"


def test_a_machine_without_one_has_nothing_of_it() -> None:
    machine = Machine(memory_mb=4)
    assert "vga" not in machine.devices
    assert machine.board.bus.owner_of(0x3C0) is None
    assert [str(region) for region in machine.physical_map.regions()][1:3] == [
        "000a0000 to 000fffff: open bus", "00100000 to 003fffff: RAM"
    ]  # fmt: skip
    assert machine.loop.chores == []
    for use in (lambda: machine.screen, lambda: machine.screenshot("x.png"),
                lambda: machine.wait_for_text("x")):  # fmt: skip
        with pytest.raises(UserError, match=r'no screen: give it one, with vga="std" \(--vga std'):
            use()
    with pytest.raises(UserError, match="vga 'st': choose from none, std; did you mean std"):
        Machine(memory_mb=4, vga="st")


@pytest.mark.parametrize("mode", MODES)
def test_a_text_is_waited_for(mode: str) -> None:
    machine = machine_with(mode)
    load(machine, setting(TEXT_80x25) + "mov ecx, 30000\nwait: loop wait\n"
         + printing("Ready.") + "mov ecx, 30000\nmore: loop more\n" + printing("A:\\>", 3)
         + FOREVER)  # fmt: skip
    outcome = machine.wait_for_text("Ready.", timeout=PATIENCE)
    assert (outcome.kind, outcome.detail) == ("until", "the screen shows b'Ready.'")
    found = machine.instructions
    assert 30_000 < found < 42_000
    assert machine.wait_for_text("Ready.").kind == "until"
    assert machine.instructions == found, "it was there: nothing has run"
    assert machine.run(until="\\>", timeout=PATIENCE).kind == "until"
    assert machine.screen.text == "Ready.\n\n\nA:\\>"
    assert machine.loop.chores != []
    machine.run(max_instructions=10)
    assert machine.loop.chores == [], "nothing is looked for any more"


def test_waiting_ends_at_the_same_instruction_in_every_mode() -> None:
    counts = set()
    for mode in MODES:
        machine = machine_with(mode)
        load(machine, setting(TEXT_80x25) + "mov ecx, 12345\nwait: loop wait\n"
             + printing("Now") + FOREVER)  # fmt: skip
        machine.run(max_instructions=777)
        assert machine.wait_for_text("Now", timeout=PATIENCE).kind == "until"
        counts.add(machine.instructions)
    assert len(counts) == 1


@pytest.mark.parametrize("mode", MODES)
def test_new_text_is_what_comes_once_more(mode: str) -> None:
    machine = machine_with(mode)
    load(machine, setting(TEXT_80x25) + printing("$ ls")
         + "mov ecx, 25000\nwait: loop wait\n" + printing("$ ", 1) + "cli\nhlt")  # fmt: skip
    machine.wait_for_text("$", timeout=PATIENCE)
    outcome = machine.run(until="$", timeout=PATIENCE)
    assert (outcome.kind, machine.screen.lines[1]) == ("until", "$")
    assert machine.run(until="$", timeout=PATIENCE).kind == "stuck"


def test_console_and_screen_are_both_waited_for() -> None:
    machine = machine_with("translate")
    load(machine, setting(TEXT_80x25) + "mov dx, 0x3f8; mov al, 0x58; out dx, al" + FOREVER)
    outcome = machine.run(until="X", timeout=PATIENCE)
    assert outcome.detail == "the console shows b'X'"


@pytest.mark.parametrize("mode", MODES)
def test_code_in_planes_that_is_written_through_planes(mode: str) -> None:
    """The frame buffer shows the planes: planes 0 to 3 of address 0 are its first four bytes."""

    def plane(number: int, value: int) -> str:
        return (outs(((0x3C4, 2, 0x0100 << number | 2),))
                + f"mov byte ptr [0xa0000], {value:#x}\n")  # fmt: skip

    source = setting(MODE_12) + plane(0, 0xB0) + plane(1, 5) + plane(2, 0xC3)
    source += f"mov ecx, {FRAME_BUFFER:#x}; call ecx; movzx esi, al\n"
    source += plane(1, 9) + "call ecx; movzx edi, al\n" + "mov ebx, 3\nagain:\n"
    source += outs(((0x3C4, 2, 0x0202),)) + "mov [0xa0000], bl; call ecx; shl ebp, 8; add ebp, eax"
    source += "; and ebp, 0xffffff; dec ebx; jnz again\n"
    machine = run(mode, "mov ebp, 0\n" + source)
    registers = machine.registers
    assert (registers["esi"], registers["edi"]) == (5, 9)
    assert registers["ebp"] & 0xFF == 1


@pytest.mark.parametrize("mode", MODES)
def test_rectangles_say_what_has_changed(mode: str) -> None:
    machine = machine_with(mode)
    load(machine, palette(COLOURS) + setting(MODE_13) + "hlt_here:\n"
         + "mov byte ptr [0xa0000 + 320*10 + 5], 7; mov byte ptr [0xa0000 + 320*12 + 9], 8\n"
         + "mov byte ptr [0xa0000 + 320*150 + 319], 9\nhlt", COLOURS.tobytes())  # fmt: skip
    writes = 3
    total = palette(COLOURS) + setting(MODE_13)
    machine.run(until_address=CODE + len(assembled(total)), timeout=PATIENCE)
    assert machine.screen.dirty() == [Rectangle(0, 0, 320, 200)]
    assert machine.screen.dirty() == []
    before = machine.screen.array
    machine.step(writes)
    assert machine.screen.dirty() == [Rectangle(5, 10, 5, 3), Rectangle(319, 150, 1, 1)]
    assert before.sum() == 0, "a picture that was given away does not change"
    assert machine.screen.array is machine.screen.array
    assert not machine.screen.array.flags.writeable


def test_a_rectangle_comes_of_a_register_too() -> None:
    machine = machine_with("bare")
    load(machine, palette(COLOURS) + setting(MODE_13) + "hlt", COLOURS.tobytes())
    machine.run(timeout=PATIENCE)
    machine.screen.dirty()
    machine.board.bus.write_port(0x3C8, 1, 0)
    for value in (1, 2, 3):
        machine.board.bus.write_port(0x3C9, 1, value)
    assert machine.screen.dirty() == [Rectangle(0, 0, 320, 200)]


DRAWING = {
    "text": setting(TEXT_80x25) + """
        mov edi, 0xb8000; mov eax, 0x1e41; mov ecx, 2000; cld
    next:
        stosw; inc al; loop next
    """,
    "planes": setting(MODE_12) + """
        mov edi, 0xa0000; mov ecx, 900
        mov dx, 0x3ce; mov ax, 0x1803; out dx, ax
    next:
        mov al, [edi]; mov [edi], cl; inc edi; loop next
    """,
    "mode 13h": setting(MODE_13) + """
        mov edi, 0xa0000; mov ecx, 64000; cld
    next:
        mov al, cl; stosb; loop next
    """,
    "vbe": setting(MODE_12) + vbe_mode(320, 200, 16) + f"""
        mov edi, {FRAME_BUFFER:#x}; mov eax, 0x123458; mov ecx, 32000; cld
    next:
        stosd; add eax, ecx; loop next
    """,
}  # fmt: skip


@pytest.mark.parametrize("kind", DRAWING)
@pytest.mark.parametrize("mode", MODES)
def test_a_machine_is_put_aside_while_it_draws(kind: str, mode: str) -> None:
    source, data = palette(COLOURS) + DRAWING[kind], COLOURS.tobytes()
    whole = run(mode, source, data)
    machine = machine_with(mode)
    load(machine, source + "\nhlt\n", data)
    for part in (0.3, 0.7):
        machine.run(max_instructions=int(whole.instructions * part) - machine.instructions)
        saved = machine.snapshot()
        shown = machine.screen.array
        machine = Machine.restore(saved, mode={"bare": "translate", "translate": "bare"}[mode])
        assert machine.settings.vga == "std"
        assert (machine.screen.array == shown).all()
    assert machine.run(timeout=PATIENCE).kind == "stuck"
    assert machine.instructions == whole.instructions
    assert (machine.screen.array == whole.screen.array).all()
    assert machine.screen.lines == whole.screen.lines
    assert machine.devices["vga"].snapshot() == whole.devices["vga"].snapshot()


@pytest.mark.parametrize("name", ["no/such/folder.png", "picture.unknown", "picture"])
def test_a_picture_that_cannot_be_written_is_one_sentence(name: str, tmp_path: Path) -> None:
    machine = machine_with("bare")
    with pytest.raises(UserError, match="cannot write the picture"):
        machine.screenshot(tmp_path / name)
