"""Images that cannot be run or scanned, through the whole command with a real machine: one clear
line, exit status 2, and nothing on standard output."""

from __future__ import annotations

import struct
import subprocess
import sys
from pathlib import Path

import pytest
from patience import PATIENCE

from monitor.cli import main

GUESTS = Path(__file__).parents[2] / "guests"
VMLINUZ, BUSYBOX = GUESTS / "vmlinuz", GUESTS / "busybox"
needs_guests = [
    pytest.mark.guest,
    pytest.mark.skipif(not VMLINUZ.exists(), reason="no guests/vmlinuz: `make guests`"),
    pytest.mark.skipif(not BUSYBOX.exists(), reason="no guests/busybox: `make guests`"),
]


def elf(bits: int) -> bytes:
    """An executable's header and nothing else, for i386 or x86-64."""
    wide = bits == 64
    ident = b"\x7fELF" + bytes((2 if wide else 1, 1, 1)) + bytes(9)
    words = "<HHIQQQIHHHHHH" if wide else "<HHIIIIIHHHHHH"
    header = (64, 56) if wide else (52, 32)
    machine = 62 if wide else 3
    return ident + struct.pack(words, 2, machine, 1, 0, header[0], 0, 0, *header, 1, 0, 0, 0)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with images of every wrong kind."""
    monkeypatch.chdir(tmp_path)
    files = {
        "empty": b"",
        "junk": bytes(range(256)) * 40,
        "elf32": elf(32),
        "elf64": elf(64),
    }
    if VMLINUZ.exists() and BUSYBOX.exists():
        kernel, program = VMLINUZ.read_bytes(), BUSYBOX.read_bytes()
        files |= {"kernel": kernel, "kernel-part": kernel[:100_000], "kernel-header": kernel[:300]}
        files |= {"program": program, "program-part": program[:5000]}
    for name, data in files.items():
        Path(name).write_bytes(data)
    Path("folder").mkdir()
    return tmp_path


def rows(*rows: tuple[str, str], real: bool = False) -> list[object]:
    marks = needs_guests if real else []
    return [pytest.param(command, words, marks=marks, id=command) for command, words in rows]


COMMANDS = rows(
    ("run --kernel gone", "gone: cannot read the kernel (no such file or directory)"),
    ("run --kernel folder", "folder: cannot read the kernel (is a directory)"),
    ("run --kernel empty", "the kernel is empty"),
    ("run --kernel junk", "not a Linux kernel"),
    ("run --kernel elf32", "an ELF file, not a Linux bzImage"),
    ("run --elf gone", "cannot read the executable"),
    ("run --elf empty", "the executable is empty"),
    ("run --elf junk", "not an ELF file"),
    ("run --elf elf32", "truncated"),
    ("run --elf elf64", "a 64-bit ELF file; build it for 32 bits"),
    ("run --multiboot junk", "no Multiboot header"),
    ("run --multiboot empty", "the kernel is empty"),
    ("run --flat empty@0x1000", "the flat image is empty"),
    ("run --flat junk@0x9FFFF", "is not all RAM"),
    ("run --flat junk@0x7FFFFFF0", "no size will do, 2048 MiB is the most (--memory)"),
    ("run --flat junk@0xFFFFFFF0", "no size will do, 2048 MiB is the most (--memory)"),
    ("run --flat junk@0x100000 --memory 1", "give it at least 2 MiB (--memory)"),
    ("run --flat junk@0x100000 --serial file:gone/x", "cannot write --serial file:gone/x"),
    ("run --flat junk@0x100000 --stats gone/x", "cannot write --stats gone/x"),
    ("run --flat junk@0x100000 --fly", "vp run has no option --fly"),
    ("scan gone", "cannot read the file to scan"),
    ("scan folder", "is a directory"),
    ("scan empty", "the file to scan is empty"),
    ("scan elf64", "a 64-bit ELF file"),
    ("scan junk --base x", "argument --base"),
    ("scan", "the following arguments are required: FILE"),
) + rows(
    ("run --kernel kernel-header", "too few for a Linux kernel"),
    ("run --kernel kernel-part", "truncated (100000 bytes, the header says"),
    ("run --kernel kernel --memory 16", "needs memory up to"),
    ("run --kernel kernel --initrd gone", "cannot read the initrd"),
    ("run --kernel kernel --initrd empty", "the initrd is empty"),
    ("run --kernel program", "an ELF file, not a Linux bzImage"),
    ("run --elf program --memory 2", "give it at least 129 MiB (--memory)"),
    ("run --elf program-part", "truncated"),
    ("run --elf kernel", "not an ELF file"),
    ("run --multiboot kernel", "no Multiboot header"),
    ("scan kernel-part", "truncated"),
    ("scan program-part", "truncated"),
    real=True,
)


@pytest.mark.parametrize(("command", "words"), COMMANDS)
def test_one_clear_line_and_status_2(
    command: str, words: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command.split()) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("vp: error: ") and told.err.count("\n") == 1, told.err
    assert words in told.err


def test_a_process_says_the_same(folder: Path) -> None:
    line = [sys.executable, "-m", "monitor", "run", "--kernel", "gone"]
    done = subprocess.run(line, capture_output=True, text=True, timeout=PATIENCE)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
