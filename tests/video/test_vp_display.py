"""`vp run --vga` and `--display`: a picture, the screen on a terminal, and what is wrong."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import subprocess
import sys
import termios
import time
from pathlib import Path

import numpy as np
import pytest
from patience import PATIENCE
from PIL import Image
from vga_modes import MODE_13, TEXT_80x25
from video_lab import CODE, assembled, setting
from vnc_lab import RawClient

from monitor.host.terminal_answers import QUERY

ROOT = Path(__file__).resolve().parents[2]
PRINT = """
    mov dword ptr [0xb8000 + 160*2], 0x1e691e48
    mov word ptr [0xb8000 + 160*2 + 4], 0x1e21
"""
#: Waits for the key A, says so, and for Escape, and ends with status 1.
KEYS = setting(TEXT_80x25) + PRINT + """
again:
    in al, 0x64; test al, 1; jz again
    in al, 0x60
    cmp al, 0x1e; jne other
    mov dword ptr [0xb8000 + 160*5], 0x0741074b
other:
    cmp al, 1; jne again
    xor al, al; out 0xf4, al
"""  # fmt: skip


def image_of(source: str, path: Path) -> str:
    (path / "guest.bin").write_bytes(assembled(source))
    return f"{path / 'guest.bin'}@{CODE:#x}"


def vp(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "monitor", "run", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE,
                          stdin=subprocess.DEVNULL, check=False)  # fmt: skip


def test_a_picture_of_the_end(tmp_path: Path) -> None:
    image = image_of(setting(MODE_13) + """
        mov dx, 0x3c8; mov al, 9; out dx, al; inc dx; mov al, 63; out dx, al; out dx, al; out dx, al
        mov edi, 0xa0000; mov al, 9; mov ecx, 320; cld; rep stosb
        xor al, al; out 0xf4, al
    """, tmp_path)  # fmt: skip
    file = tmp_path / "end.picture"
    result = vp("--flat", image, "--display", f"png:{file}", "--mode", "bare")
    assert result.returncode == 0, result.stderr
    with Image.open(file) as picture:
        assert picture.format == "PNG"
        pixels = np.asarray(picture)
    assert pixels.shape == (200, 320, 3)
    assert (pixels[0] == 255).all() and not pixels[1:].any()
    assert sorted(tmp_path.iterdir()) == [file, tmp_path / "guest.bin"]


def test_until_looks_at_the_screen(tmp_path: Path) -> None:
    image = image_of(setting(TEXT_80x25) + PRINT + "here: jmp here", tmp_path)
    result = vp("--flat", image, "--vga", "std", "--until", "Hi!")
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--display", "pgn:x"), "--display pgn:x: choose from none, terminal, window, png:FILE, "
                                 "vnc=HOST:PORT; did you mean png?"),
        (("--display", "png:"), "choose from none, terminal, window, png:FILE, vnc=HOST:PORT"),
        (("--display", "terminal:x"), "choose from none, terminal, window, png:FILE"),
        (("--display", "vnc=here"), "--display vnc=here: give vnc=HOST:PORT"),
        (("--display", "vnc=0.0.0.0:0"), "everybody could come in: add ,password=WORD"),
        (("--display", "vnc=192.0.2.1:0,password=x"), "vnc=192.0.2.1:0: cannot listen there: "),
        (("--record", "x.avi"), "x.avi: no recording has such a name: take FILE.gif, FILE.mp4 or"),
        (("--record", "{}/no/x.gif"), "cannot write the recording {}/no/x.gif: No such file"),
        (("--record", "{}/x.gif", "--vga", "none"), "--record {}/x.gif needs an adapter"),
        (("--display", "png:{}/no/x.png"), "cannot write --display png:{}/no/x.png: No such file"),
        (("--display", "terminal"), "standard input and output are no terminal of ours"),
        (("--display", "png:{}/x.png", "--vga", "none"), "needs an adapter: leave out --vga none"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_sentence(
    options: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    given = [option.format(tmp_path) for option in options]
    result = vp("--flat", image_of("hlt", tmp_path), *given)
    assert result.returncode == 2
    assert message.format(tmp_path) in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def test_a_recording(tmp_path: Path) -> None:
    image = image_of(setting(MODE_13) + "xor al, al; out 0xf4, al", tmp_path)
    result = vp("--flat", image, "--record", tmp_path / "all.gif")
    assert result.returncode == 0, result.stderr
    with Image.open(tmp_path / "all.gif") as picture:
        assert picture.format == "GIF"


def test_a_vnc_client_comes_and_ends_the_guest(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "monitor", "run", "--flat", image_of(KEYS, tmp_path),
               "--display", "vnc=127.0.0.1:0", "--serial", "null", "--quiet"]  # fmt: skip
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        line = process.stderr.readline()
        found = re.fullmatch(r"vp: the screen is at 127\.0\.0\.1:(\d+) \(VNC\)\n", line)
        assert found is not None, line
        with RawClient(int(found[1])) as client:
            assert client.greet()[2] == "guest.bin"
            client.send(bytes.fromhex("04010000" "0000ff1b"))
            assert process.wait(PATIENCE) == 0
            client.rest()


class OnTerminal:
    """`vp run --display terminal` on a pseudo-terminal of its own."""

    def __init__(self, *options: str) -> None:
        try:
            self.master, slave = pty.openpty()
        except OSError as error:
            pytest.skip(f"no pseudo-terminals here (is /dev/pts mounted?): {error}")
        self.before = termios.tcgetattr(slave)
        self.slave = slave
        environment = {**os.environ, "TERM": "xterm", "COLUMNS": "80", "LINES": "25"}
        self.seen = b""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "monitor", "run", *options], cwd=ROOT, env=environment,
            stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(slave, termios.TIOCSCTTY, 0),
        )  # fmt: skip

    def wait_for(self, text: bytes) -> None:
        end = time.monotonic() + PATIENCE
        while text not in self.seen:
            assert time.monotonic() < end, f"{text!r} never came, but {self.seen!r}"
            assert select.select([self.master], [], [], PATIENCE)[0], f"nothing after {self.seen!r}"
            self.seen += os.read(self.master, 4096)

    def type(self, keys: bytes) -> None:
        os.write(self.master, keys)

    def ends(self) -> int:
        end = time.monotonic() + PATIENCE
        while self.process.poll() is None:
            assert time.monotonic() < end, f"it never ended; seen: {self.seen!r}"
            if select.select([self.master], [], [], 0.02)[0]:
                self.seen += os.read(self.master, 4096)
        while select.select([self.master], [], [], 0)[0]:
            self.seen += os.read(self.master, 4096)
        return self.process.returncode

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.master)
        os.close(self.slave)


def test_screen_and_keys_on_a_terminal(tmp_path: Path) -> None:
    terminal = OnTerminal("--flat", image_of(KEYS, tmp_path), "--display", "terminal", "--quiet")
    try:
        terminal.wait_for(b"\x1b[?1049h")
        terminal.wait_for(b"\x1b[3;1H\x1b[0;93;44mHi!")
        terminal.type(b"a")
        terminal.wait_for(b"\x1b[6;1H\x1b[0;37;40mKA")
        terminal.type(b"\x01h")
        terminal.wait_for(b"leave the machine")
        terminal.type(b"a")  # the screen is there again
        terminal.wait_for(b"\x1b[2J")
        terminal.type(b"\x1b")
        assert terminal.ends() == 0
        assert terminal.seen.endswith(b"\x1b[?1049l")
        assert termios.tcgetattr(terminal.slave) == terminal.before
    finally:
        terminal.close()


def test_a_terminal_that_says_so_gets_pictures(tmp_path: Path) -> None:
    image = image_of(setting(MODE_13) + """
    again: in al, 0x64; test al, 1; jz again
        in al, 0x60; cmp al, 1; jne again
        xor al, al; out 0xf4, al
    """, tmp_path)  # fmt: skip
    terminal = OnTerminal("--flat", image, "--display", "terminal", "--quiet")
    try:
        terminal.wait_for(QUERY)
        terminal.type(b"\x1b_Gi=31;OK\x1b\\\x1b[4;400;640t\x1b[?62;4c")
        terminal.wait_for(b"\x1b_Ga=T,f=24,o=z,s=320,v=200,c=80,r=25,")
        terminal.type(b"\x1b")
        assert terminal.ends() == 0
    finally:
        terminal.close()


def test_the_terminal_is_the_screen_s_or_the_console_s(tmp_path: Path) -> None:
    terminal = OnTerminal("--flat", image_of("hlt", tmp_path), "--display", "terminal",
                          "--serial", "stdio")  # fmt: skip
    try:
        assert terminal.ends() == 2
        assert b"--serial stdio and --display terminal want one terminal" in terminal.seen
    finally:
        terminal.close()
