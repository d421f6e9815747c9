"""`vp run --serial2`, `--parallel`: further ports, and what their cables lead to."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from patience import PATIENCE

from bt.assembler import assemble
from monitor import Machine
from monitor.checkpoint.rewind import Rewind

modes = pytest.mark.parametrize("mode", ["bare", "translate"])
ORIGIN = 0x100000

# Prints "Ok" on LPT1, polling; then sends on COM2 what it reads there, one more, until a "z".
GUEST = """
    mov  al, 0x4f
    call print
    mov  al, 0x6b
    call print
again:
    mov  dx, 0x2fd
    in   al, dx
    test al, 1
    jz   again
    mov  dx, 0x2f8
    in   al, dx
    mov  bl, al
    inc  al
    out  dx, al
    cmp  bl, 0x7a
    jne  again
    xor  eax, eax
    mov  dx, 0xf4
    out  dx, al
print:
    mov  dx, 0x378
    out  dx, al
    mov  dx, 0x37a
    mov  al, 0x0d
    out  dx, al
    mov  al, 0x0c
    out  dx, al
    mov  dx, 0x379
busy:
    in   al, dx
    test al, 0x80
    jz   busy
    ret
"""


def guest(folder: Path) -> str:
    image = folder / "guest"
    image.write_bytes(assemble(GUEST, ORIGIN))
    return f"{image}@{ORIGIN:#x}"


def vp(*arguments: object, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "monitor", *map(str, arguments)],
        input=given, capture_output=True, timeout=PATIENCE, check=False,
    )  # fmt: skip


@modes
def test_a_second_serial_port_and_a_printer(mode: str, tmp_path: Path) -> None:
    done = vp("run", "--flat", guest(tmp_path), "--mode", mode, "--serial", "null", "--serial2",
              "stdio", "--parallel", tmp_path / "paper", "--quiet", given=b"abcz")  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, b"bcd{", b"")
    assert (tmp_path / "paper").read_bytes() == b"Ok"


def test_a_command_gets_what_was_printed(tmp_path: Path) -> None:
    common = ("run", "--flat", guest(tmp_path), "--mode", "bare", "--serial", "null", "--serial2",
              "stdio", "--quiet", "--parallel")  # fmt: skip
    done = vp(*common, f"pipe:cat > {tmp_path}/paper", given=b"z")
    assert (done.returncode, done.stderr) == (0, b"")
    assert (tmp_path / "paper").read_bytes() == b"Ok"
    done = vp(*common, "pipe:exit 3", given=b"z")
    assert (done.returncode, done.stderr) == (
        2, b"vp: error: --parallel pipe:exit 3: it ended with status 3\n"
    )  # fmt: skip


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--serial2", "stdio"], "--serial2 stdio: --serial has the standard streams; give it"),
        (["--serial2", "fil:x"], "--serial2 fil:x: choose from stdio"),
        (["--serial2", "file:/nowhere/x"], "cannot write --serial2 file:/nowhere/x: No such file"),
        (["--serial3", "tcp:localhost"], "--serial3 tcp:localhost: say on which port"),
        (["--parallel", "/nowhere/x"], "cannot write --parallel /nowhere/x: No such file"),
        (["--parallel", "pipe:"], "--parallel pipe:: choose from FILE, pipe:COMMAND"),
    ],
)
def test_what_cannot_be(options: list[str], message: str, tmp_path: Path) -> None:
    done = vp("run", "--flat", guest(tmp_path), "--mode", "bare", *options)
    assert done.returncode == 2 and done.stderr.decode().startswith(f"vp: error: {message}")


def test_a_checkpoint_has_them(tmp_path: Path) -> None:
    file = tmp_path / "half.vpcheck"
    done = vp("run", "--flat", guest(tmp_path), "--serial", "null", "--serial2", "null",
              "--parallel", tmp_path / "first", "--quiet", "--max-instructions", 14,
              "--checkpoint", file)  # fmt: skip
    assert done.returncode == 0 and (tmp_path / "first").read_bytes() == b"O"
    resumed = ("resume", file, "--mode", "bare", "--serial", "null", "--quiet")
    done = vp(*resumed, "--serial2", "stdio", "--parallel", tmp_path / "second", given=b"z")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"{", b"")
    assert (tmp_path / "second").read_bytes() == b"k"
    done = vp(*resumed, "--serial4", "null")
    assert done.stderr == b"vp: error: --serial4: the machine in the checkpoint has no such port\n"


@modes
def test_going_back_prints_nothing_twice(mode: str) -> None:
    machine = Machine(memory_mb=2, mode=mode, parts=["parallel", "com2"])
    machine.load_flat(assemble(GUEST, ORIGIN), ORIGIN, esp=0x90000)
    paper: list[bytes] = []
    line: list[bytes] = []
    machine.cables["parallel"].listeners.append(paper.append)
    machine.cables["com2"].listeners.append(line.append)
    rewind = Rewind(machine)
    machine.run(max_instructions=500)
    for letter in b"abc":
        machine.cables["com2"].send(bytes((letter,)))
        machine.run(max_instructions=100)
    total, registers, state = machine.instructions, machine.registers, machine.board.snapshot()
    for count in (total - 120, 400, 5):
        rewind._to_count(count)
        machine.run(max_instructions=total - count)
        assert (machine.registers, machine.board.snapshot()) == (registers, state)
    assert b"".join(paper) == b"Ok" and b"".join(line) == b"bcd"
    assert machine.cables["com2"].output.tail == b"bcd"


def test_firmware_tells_of_them() -> None:
    machine = Machine(memory_mb=4, mode="bare", parts=["com2", "parallel"])
    machine.load_flat(b"\xf4", 0x100000, firmware_state="bios")
    area = memoryview(machine.read_physical(0x400, 0x80)).cast("H").tolist()
    assert area[:8] == [0x3F8, 0x2F8, 0, 0, 0x378, 0, 0, area[7]]
    assert area[8] >> 9 & 7 == 2 and area[8] >> 14 == 1
    assert machine.read_physical(0x478, 6).hex() == "140000000101"
