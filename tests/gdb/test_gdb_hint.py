"""What --gdb says to type, and what --gdb-script writes: by the real gdb, from another folder."""

from __future__ import annotations

import re
import shlex
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from debuggee import ORIGIN, debuggee, executable
from gdb_session import GDB, needs_gdb
from patience import PATIENCE

from monitor.cli import main
from monitor.cli.gdb_hint import GdbHint
from monitor.settings.config import ImageConfig
from monitor.symbols.guest_file import file_for_gdb, linux_version, names_in_elf

VERSION = "6.1.0-9-686"


@contextmanager
def vp(*arguments: object) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """`vp run --gdb 0 --gdb-wait`, and the command that it says."""
    line = [sys.executable, "-m", "monitor", "run", "--gdb", "0", "--gdb-wait",
            "--serial", "null", "--timeout", PATIENCE]  # fmt: skip
    process = subprocess.Popen([*map(str, line), *map(str, arguments)],
                               stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)  # fmt: skip
    assert process.stderr is not None
    try:
        told = process.stderr.readline().decode()
        said = re.fullmatch(r"gdb: the guest waits on port \d+; in another terminal: (.*)\n", told)
        assert said is not None, told
        yield process, said[1]
    finally:
        process.kill()
        process.communicate()


def typed(command: str, folder: Path, *more: str) -> str:
    """What gdb prints: the command as it was said, in another folder, and more of gdb's."""
    program, *words = shlex.split(command)
    assert program == "gdb" and GDB is not None
    prepared = [GDB, "-q", "-nx", "-nh", "-batch", "-iex", f"set remotetimeout {PATIENCE:.0f}"]
    rest = [word for each in more for word in ("-ex", each)]
    done = subprocess.run([*prepared, *words, *rest], cwd=folder, capture_output=True,
                          text=True, stdin=subprocess.DEVNULL, timeout=PATIENCE)  # fmt: skip
    return done.stdout + done.stderr


ASK = ("info symbol flag_after", "print/x $eip", "x/i $pc", "kill")


@needs_gdb
def test_the_command_with_the_guest_s_own_symbols(tmp_path: Path) -> None:
    folder, file = tmp_path / "else where", tmp_path / "the guest's kernel.elf"
    folder.mkdir()
    executable(file)
    with vp("--elf", file) as (process, command):
        told = typed(command, folder, *ASK)
        assert process.wait(PATIENCE) == 0
    assert "flag_after in section .text" in told
    assert re.search(rf"= {debuggee().symbols['start']:#x}\n=> .*<start>:\s+cli", told), told


@needs_gdb
def test_the_command_without_symbols(tmp_path: Path) -> None:
    """And the instruction is decoded as an i386's: gdb knows what it talks to."""
    (tmp_path / "guest").write_bytes(b"\x40\xeb\xfd")
    with vp("--flat", f"{tmp_path / 'guest'}@0x100000") as (process, command):
        told = typed(command, tmp_path, "x/i $pc", "show architecture", "kill")
        assert process.wait(PATIENCE) == 0
    assert re.search(r"=> 0x100000:\s+inc +%eax", told), told
    assert "i386" in told and "x86-64" not in told


@needs_gdb
def test_the_script(tmp_path: Path) -> None:
    folder, file, script = tmp_path / "f", tmp_path / "a kernel.elf", tmp_path / "a script"
    folder.mkdir()
    executable(file)
    script.write_text("old")
    with vp("--elf", file, "--gdb-script", script) as (process, command):
        assert command == f"gdb -x {shlex.quote(str(script))}"
        text = script.read_text()
        told = typed(command, folder, *ASK)
        assert process.wait(PATIENCE) == 0
    assert re.search(rf"= {debuggee().symbols['start']:#x}\n=> .*<start>:\s+cli", told), told
    lines = text.splitlines()
    assert lines[1] == "set architecture i386"
    assert lines[2] == f"file {shlex.quote(str(file))}"
    assert re.fullmatch(r"target remote localhost:\d+", lines[3])
    assert "#   monitor exits       exits by reason, and the last ones" in lines
    assert "linux-symbols" not in text
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a kernel.elf", "a script", "f"]


@needs_gdb
def test_the_script_s_command_for_linux(tmp_path: Path) -> None:
    """gdb takes the definition, and our server the file's name, blanks and all."""
    script, image = tmp_path / "a b.gdb", tmp_path / "vmlinuz"
    image.write_bytes(bzimage())
    with vp("--kernel", image, "--memory", 16, "--gdb-script", script) as (process, command):
        told = typed(command, tmp_path, "help linux-symbols", "linux-symbols", "kill")
        assert process.wait(PATIENCE) == 0
    assert "The names of the Linux that runs" in told
    assert "there is no Linux kernel with a symbol table" in told
    assert not (tmp_path / "a b.sym").exists()


# --- the file -------------------------------------------------------------------------------------


def bzimage(version: str = VERSION) -> bytes:
    """A header with a version, and code that spins."""
    image = bytearray(5 * 512)
    image[0x1F1] = 4
    struct.pack_into("<I", image, 0x1F4, 1)
    struct.pack_into("<H", image, 0x1FE, 0xAA55)
    image[0x200:0x206] = b"\xeb\x6aHdrS"
    struct.pack_into("<H", image, 0x206, 0x0206)
    image[0x211] = 1
    struct.pack_into("<I", image, 0x214, 0x100000)
    struct.pack_into("<H", image, 0x20E, 0x100)
    text = f"{version} (ann@home) #1\0".encode()
    image[0x300 : 0x300 + len(text)] = text
    return bytes(image) + b"\xeb\xfe" + bytes(14)


def vmlinux(path: Path, version: str = VERSION, machine: int = 3) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    head = b"\x7fELF\1\1\1" + bytes(9) + struct.pack("<HH", 2, machine)
    path.write_bytes(head + bytes(500) + f"Linux version {version} (ann@home)".encode())
    return path


def kernel(path: Path, cmdline: str = "") -> ImageConfig:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bzimage())
    return ImageConfig("kernel", path, cmdline)


@pytest.mark.parametrize(("name", "file"), [
    ("vmlinuz-6.1", "vmlinux-6.1"), ("vmlinuz-6.1", "vmlinux"), ("vmlinuz", "vmlinux"),
    ("arch/x86/boot/bzImage", "vmlinux"),
])  # fmt: skip
def test_the_vmlinux_of_a_kernel(tmp_path: Path, name: str, file: str) -> None:
    image = kernel(tmp_path / name)
    assert file_for_gdb(image) is None
    found = vmlinux(tmp_path / file)
    assert file_for_gdb(image) == found
    assert GdbHint(image).command(7) == f"gdb {found} -ex 'target remote localhost:7'"


@pytest.mark.parametrize("other", [
    {"version": f"{VERSION}-pae"}, {"version": "6.1.0-8-686"}, {"machine": 62},
])  # fmt: skip
def test_a_vmlinux_of_another_kernel(tmp_path: Path, other: dict[str, object]) -> None:
    vmlinux(tmp_path / "vmlinux", **other)  # type: ignore[arg-type]
    assert file_for_gdb(kernel(tmp_path / "vmlinuz")) is None


@pytest.mark.parametrize("contents", [b"", b"\x7fELF", b"no"])
def test_what_is_no_vmlinux_at_all(tmp_path: Path, contents: bytes) -> None:
    (tmp_path / "vmlinux").write_bytes(contents)
    assert file_for_gdb(kernel(tmp_path / "vmlinuz")) is None


def test_a_kernel_of_no_known_version() -> None:
    assert linux_version(bzimage()) == VERSION
    assert linux_version(bzimage("")[:0x300]) == linux_version(b"") == ""


@pytest.mark.parametrize(("cmdline", "warned"), [("nokaslr quiet", False), ("quiet", True)])
def test_the_script_warns_of_addresses_that_move(
    tmp_path: Path, cmdline: str, warned: bool
) -> None:
    image = kernel(tmp_path / "vmlinuz", cmdline)
    vmlinux(tmp_path / "vmlinux")
    script = GdbHint(image, tmp_path / "script").script(7)
    assert ("unless --append has nokaslr" in script) is warned
    assert f"file {tmp_path / 'vmlinux'}\n" in script


def test_functions_of_an_executable(tmp_path: Path) -> None:
    """Its code, by the ranges of its sections; a stripped one has none."""
    executable(tmp_path / "elf")
    names = names_in_elf((tmp_path / "elf").read_bytes())
    symbols = debuggee().symbols
    assert names is not None
    assert names.name(symbols["flag_after"]) == "flag_after"
    assert names.name(symbols["count_up"] + 1) == "count_up"
    assert names.name(ORIGIN - 1) is None
    assert names.name(ORIGIN + len(debuggee().image)) is None
    stripped = (tmp_path / "elf").read_bytes()[:32] + bytes(4) + bytes(12) + bytes(4)
    assert names_in_elf(stripped) is None
    assert names_in_elf(b"\xf4") is None


# --- trouble --------------------------------------------------------------------------------------


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["run", *arguments]) == 2
    return capsys.readouterr().err


def test_a_script_for_nobody(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "--gdb-script needs --gdb" in refused(
        capsys, "--flat", f"{tmp_path}/x@0", "--gdb-script", str(tmp_path / "s"))  # fmt: skip


@pytest.mark.parametrize("place", ["/dev/full", "nowhere/s"])
def test_a_script_that_cannot_be_written(
    tmp_path: Path, place: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Said before the guest runs; a server that nobody needs any more is closed."""
    (tmp_path / "guest").write_bytes(b"\xeb\xfe")
    script = str(tmp_path / place)
    err = refused(capsys, "--flat", f"{tmp_path / 'guest'}@0x1000", "--gdb", "0",
                  "--gdb-script", script)  # fmt: skip
    assert err.startswith(f"vp: error: cannot write --gdb-script {script}: ")


def test_a_port_that_is_taken_leaves_the_old_script(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import socket

    script = tmp_path / "script"
    script.write_text("old")
    (tmp_path / "guest").write_bytes(b"\xeb\xfe")
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        assert "cannot listen there" in refused(
            capsys, "--flat", f"{tmp_path / 'guest'}@0x1000", "--gdb", port,
            "--gdb-script", str(script))  # fmt: skip
    assert script.read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["guest", "script"]
