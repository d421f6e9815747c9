"""Files that are no firmware and no drives' images: one sentence, and status 2."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from bios_lab import MODES, bios, said, seabios
from patience import PATIENCE

from monitor import Machine
from monitor.cli import main

HALT = "cli\nhlt\n"
GOOD_ROM = b"\x55\xaa\x01\xcb".ljust(511, b"\0") + b"\x35"
DISC = bytes(0x8000) + b"\x01CD001\x01" + bytes(0x8000 - 7)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every kind of wrong file, and some that are right."""
    monkeypatch.chdir(tmp_path)
    assert sum(GOOD_ROM) & 0xFF == 0
    files = {
        "good.bin": bios(HALT), "good.rom": GOOD_ROM, "empty": b"", "odd.bin": bios(HALT)[:-1],
        "big.bin": bytes(512 << 10), "blank.bin": b"\xff" * (128 << 10),
        "unsigned.rom": b"\x55\xab" + GOOD_ROM[2:], "cut.rom": b"\x55\xaa\x02" + GOOD_ROM[3:],
        "sum.rom": GOOD_ROM[:-1] + b"\x36", "short.rom": b"\x55\xaa", "cut.img": bytes(1474559),
        "text.iso": b"this is no disc\n" * 4096, "cut.hd": bytes(1000),
    }  # fmt: skip
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "huge").touch()
    os.truncate(tmp_path / "huge", 3 << 40)
    return tmp_path


BIOSES = [
    ("odd.bin", "131071 bytes are no BIOS: it has 64, 128, 256 KiB"),
    ("big.bin", "524288 bytes are no BIOS"),
    ("blank.bin", "there is no code at the reset vector"),
    ("empty", "the BIOS is empty"),
    ("folder", "the BIOS is no file; give one"),
    ("pipe", "the BIOS is no file; give one"),
    ("/dev/zero", "the BIOS is no file; give one"),
    ("huge", "3,298,534,883,328 bytes are no BIOS"),
    ("absent", "cannot read the BIOS (no such file or directory)"),
]
ROMS = [
    ("unsigned.rom", "it does not begin with the bytes 55 AA"),
    ("short.rom", "it does not begin with the bytes 55 AA"),
    ("cut.rom", "its header says 1024 bytes, the file has 512"),
    ("sum.rom", "its bytes do not sum to 0 modulo 256"),
    ("empty", "is empty"),
    ("folder", "is no file; give one"),
    ("pipe", "is no file; give one"),
    ("huge", "bytes are no "),
    ("absent", "no such file or directory"),
]
DRIVES = [
    ("--fda", "empty", "the floppy disk's image is empty"),
    ("--fda", "cut.img", "no floppy disk has 1,474,559 bytes"),
    ("--fdb", "huge", "no floppy disk has 3,298,534,883,328 bytes"),
    ("--fda", "pipe", "the floppy disk's image is no file"),
    ("--hda", "cut.hd", "the disk's image is cut off"),
    ("--hda", "huge", "more than a disk has here"),
    ("--hdb", "folder", "the hard disk's image is no file"),
    ("--hda", "/dev/zero", "the hard disk's image is no file"),
    ("--cdrom", "text.iso", "no CD image: there is no ISO 9660 volume"),
    ("--cdrom", "huge", "more than a disc has"),
    ("--cdrom", "absent", "no such file or directory"),
]
WRONG = [
    *(("--bios", name, words) for name, words in BIOSES),
    *(("--vgabios", name, words) for name, words in ROMS),
    *(("--option-rom", name, words) for name, words in ROMS),
    ("--option-rom", "sum.rom@0xd0000", "its bytes do not sum to 0 modulo 256"),
    *DRIVES,
]


@pytest.mark.parametrize(("option", "name", "words"), WRONG)
def test_one_sentence_and_status_2(
    folder: Path, capsys: pytest.CaptureFixture[str], option: str, name: str, words: str
) -> None:
    line = ["run", "--bios", "good.bin", "--serial", "null", "--vga", "std", "--quiet"]
    if option == "--bios":
        del line[1:3]
    elif option != "--vgabios":
        line += ["--vgabios", "good.rom"]
    assert main([*line, option, name]) == 2
    told = capsys.readouterr()
    assert told.out == "" and told.err.count("\n") == 1
    assert name.partition("@")[0] in told.err and words in told.err


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
@pytest.mark.parametrize("option", ["--bios", "--vgabios", "--option-rom", "--fda", "--cdrom"])
def test_what_may_not_be_read(
    folder: Path, capsys: pytest.CaptureFixture[str], option: str
) -> None:
    (folder / "secret").write_bytes(bytes(512))
    (folder / "secret").chmod(0)
    assert main(["run", "--serial", "null", "--vga", "std", "--quiet", option, "secret"]) == 2
    assert "permission denied" in capsys.readouterr().err


@pytest.mark.guest
@pytest.mark.skipif(seabios("bios.bin") is None,
                    reason="no SeaBIOS: Debian's package seabios, or `make guests`")  # fmt: skip
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("plug", "image", "words"),
    [("cdrom", DISC, b"Boot failed: Could not read from CDROM"),
     ("fda", bytes(1474560), b"Boot failed: not a bootable disk"),
     ("hda", bytes(1 << 20), b"Boot failed: not a bootable disk")],
)  # fmt: skip
def test_what_cannot_be_booted_is_the_bios_s_message(
    plug: str, image: bytes, words: bytes, mode: str
) -> None:
    machine = Machine(memory_mb=16, mode=mode, chipset="i440fx", vga="std", drives={plug: image})
    machine.load_bios(boot={"cdrom": "order=d", "fda": "order=a", "hda": "order=c"}[plug])
    while b"No bootable device." not in said(machine):
        machine.run(max_instructions=1_000_000, timeout=PATIENCE)
        assert machine.instructions < 60_000_000, said(machine)[-500:]
    assert words in said(machine)
    assert "No bootable device." in machine.screen.text
