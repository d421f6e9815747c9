"""The VNC server, with clients that others wrote: asyncvnc (Zlib) and vncdotool (ZRLE, Raw)."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import numpy as np
import pytest
from patience import PATIENCE
from PIL import Image
from vga_modes import MODE_13
from video_lab import DATA, MODES, load, setting
from vnc_lab import MOUSE, RawClient, beside, listening, served

from monitor import Machine
from monitor.checkpoint.rewind import Rewind
from monitor.host.vnc.server import VncServer
from monitor.settings.vnc_config import VncConfig

asyncvnc = pytest.importorskip("asyncvnc", reason="asyncvnc is not installed (extra test)")

Talk = Callable[["asyncvnc.Client"], Awaitable[object]]


def with_client(machine: Machine, talk: Talk, password: str = "") -> object:
    """Let asyncvnc talk to the machine's server."""

    async def come(port: int) -> object:
        options = {"password": password} if password else {}
        async with asyncvnc.connect("127.0.0.1", port, **options) as client:
            result = await talk(client)
            await client.drain()
            return result

    return served(machine, lambda port: asyncio.run(come(port)), password)


async def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end
        await asyncio.sleep(0.01)


def scan_codes(machine: Machine, count: int, at: int = DATA) -> bytes:
    return bytes(machine.memory.map()[at : at + count])


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
def test_a_client_sees_the_screen_and_types(mode: str) -> None:
    machine = listening(mode)

    async def talk(client: asyncvnc.Client) -> np.ndarray:
        assert (client.video.width, client.video.height) == (720, 400)
        client.keyboard.write("aB!")
        client.keyboard.press("Ctrl", "Alt", "Del")
        await client.drain()
        await until(lambda: scan_codes(machine, 18)[-1] != 0)
        while True:  # until the last code is on the screen, and not only in memory
            picture = await client.screenshot()
            if (picture[16, 17 * 9 : 18 * 9] != picture[48, 17 * 9 : 18 * 9]).any():
                return picture

    seen = with_client(machine, talk)
    assert scan_codes(machine, 19) == bytes.fromhex(
        "1e9e" "2a30b0aa" "2a0282aa" "1d38e053e0d3b89d" "00"
    )  # fmt: skip
    shown = machine.screen.array
    assert seen.shape == (400, 720, 4) and len(np.unique(shown)) > 3
    assert (seen[:, 9:, :3] == shown[:, 9:]).all(), "all but the cursor's column"


@pytest.mark.parametrize("mode", MODES)
def test_only_what_changes_is_sent_again(mode: str) -> None:
    machine = listening(mode)

    async def talk(client: asyncvnc.Client) -> tuple[np.ndarray, np.ndarray]:
        first = (await client.screenshot()).copy()
        client.keyboard.write("x")
        while (client.video.as_rgba()[16:32] == first[16:32]).all():
            client.video.refresh()
            await client.drain()
            assert await client.read() is asyncvnc.UpdateType.VIDEO
        return first, client.video.as_rgba()

    first, last = with_client(machine, talk)
    differing = np.argwhere((first != last).any(axis=2))
    assert differing[:, 0].max() < 32, "only the first two rows, the cursor among them"


def test_the_mouse_moves_by_what_the_pointer_does() -> None:
    machine = listening("bare")

    async def talk(client: asyncvnc.Client) -> None:
        client.mouse.move(100, 100)  # from nowhere
        client.mouse.move(110, 95)
        await client.drain()
        await until(lambda: scan_codes(machine, 4, MOUSE)[3] != 0)
        client.mouse.click()
        await client.drain()
        await until(lambda: scan_codes(machine, 8, MOUSE)[7] != 0)

    with_client(machine, talk)
    reports = bytes.fromhex("fa" "080a05" "090000" "080000")
    machine.run(max_instructions=1_000_000)
    assert scan_codes(machine, 10, MOUSE) == reports


def vncdo(port: int, *words: str) -> subprocess.CompletedProcess[str]:
    pytest.importorskip("vncdotool", reason="vncdotool is not installed (extra test)")
    command = [sys.executable, "-m", "vncdotool.command", "-s", f"127.0.0.1::{port}", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)


def test_a_password_is_asked_for() -> None:
    machine = listening("bare")

    def clients(port: int) -> list[bool]:
        tries = [vncdo(port, "-p", word, "key", "x") for word in ("simsim", "sesame")]
        return [each.returncode == 0 for each in tries]

    assert served(machine, clients, password="sesame") == [False, True]
    machine.run(max_instructions=10_000_000)  # the key comes up
    assert scan_codes(machine, 3) == bytes.fromhex("2dad00"), "one of them typed"


@pytest.mark.parametrize("mode", MODES)
def test_vncdotool_captures_every_pixel(mode: str, tmp_path: Path) -> None:
    """It asks for ZRLE, and draws with Pillow."""
    machine = listening(mode)
    load(machine, setting(MODE_13) + """
        mov edi, 0xa0000; xor eax, eax
    fill:
        mov [edi], al; inc edi; mov eax, edi; shr eax, 3; xor eax, edi
        cmp edi, 0xaa000; jb fill
        here: jmp here
    """)  # fmt: skip
    machine.run(max_instructions=1_000_000)
    file = tmp_path / "seen.png"

    result = served(machine, lambda port: vncdo(port, "capture", str(file)))
    assert result.returncode == 0, result.stderr
    with Image.open(file) as picture:
        assert (np.asarray(picture.convert("RGB")) == machine.screen.array).all()
    assert machine.screen.array.any()


def test_a_screen_of_another_size_is_told() -> None:
    machine = listening("translate")
    with VncServer(machine, VncConfig(port=0)) as server, RawClient(server.port) as client:
        def first() -> None:
            assert client.greet() == (720, 400, "Virtual Platform")
            client.encodings(-223, -258, 0)
            client.ask(0, 0, 720, 400)
            assert client.update() == 2
            assert client.rectangle() == (0, 0, 720, 400, -258)
            assert client.rectangle() == (0, 0, 720, 400, 0)
            client.take(720 * 400 * 4)
            client.ask(0, 0, 720, 400, incremental=True)

        def then() -> bool:
            resized = False
            while True:
                for _ in range(client.update()):
                    *area, kind = client.rectangle()
                    if kind == -223:
                        assert area == [0, 0, 320, 200]
                        resized = True
                        continue
                    data = client.take(area[2] * area[3] * 4)
                    if area == [0, 0, 320, 200] and data == expected:
                        return resized
                client.ask(0, 0, 720, 400)

        beside(machine, first)
        load(machine, setting(MODE_13) + "mov byte ptr [0xa0000], 0x0f; here: jmp here")
        machine.run(max_instructions=10_000)
        shown = machine.screen.array.astype(np.uint32)
        assert shown.shape == (200, 320, 3) and (shown[0, 0] != shown[1, 0]).any()
        red, green, blue = np.moveaxis(shown, 2, 0)
        expected = (red << 16 | green << 8 | blue).astype("<u4").tobytes()
        assert beside(machine, then)


@pytest.mark.slow
def test_keys_of_a_client_are_among_what_a_rewound_run_is_given() -> None:
    machine = listening("bare")
    rewind = Rewind(machine, 64)
    begun = machine.instructions

    async def talk(client: asyncvnc.Client) -> None:
        client.keyboard.write("hey")
        await client.drain()
        await until(lambda: scan_codes(machine, 6)[-1] != 0)

    with_client(machine, talk)
    typed = scan_codes(machine, 6)
    assert typed == bytes.fromhex("23a312921595")
    end = machine.instructions
    assert rewind.run_back().kind == "beginning"
    assert (machine.instructions, scan_codes(machine, 6)) == (begun, bytes(6))
    machine.run(max_instructions=end - begun)
    assert scan_codes(machine, 6) == typed


def test_a_halted_guest_is_not_stuck_while_somebody_may_type() -> None:
    machine = listening("bare")
    board, kbc = machine.board, machine.board.pc.kbc
    board.devices.coming_irqs = lambda _open: iter(())  # type: ignore[method-assign]
    board.interrupts.would_interrupt = lambda irq: irq in (1, 12)  # type: ignore[method-assign]
    for enabled, lines in ((0, []), (1, [1]), (2, [12]), (3, [1, 12])):
        kbc.ram[0] = kbc.command_byte & ~3 | enabled
        assert list(kbc.typed_irqs()) == lines
        assert not board.can_interrupt()
        with VncServer(machine, VncConfig(port=0)):
            assert board.can_interrupt() is bool(lines)
    assert not board.can_interrupt()
