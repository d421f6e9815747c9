"""`vp run` of a PC that begins at its reset vector, through the whole command, real machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from monitor.cli import main

EXIT = bytes.fromhex("b000e6f4ebfe")  # debug exit 0
POWER_OFF = bytes.fromhex(
    "baf80c66b8400b008066efbafc0c66b801b0000066ef"  # PMBA B000
    "baf80c66b8040b008066efbafc0cb001ee"  # I/O space on
    "baf80c66b8800b008066efbafc0cb001ee"  # PMIOSE
    "ba04b0b80020efebfe"  # SLP_EN
)
OPTION_ROM = b"\x55\xaa\x01".ljust(511, b"\xcb")
OPTION_ROM += bytes((-sum(OPTION_ROM) & 0xFF,))  # its sum is 0


def bios(code: bytes, size: int = 128 << 10) -> bytes:
    """16-bit code at F000:0000, which the reset vector jumps to."""
    rom = (b"\xff" * (size - 0x10000) + code).ljust(size - 16, b"\xff")
    return rom + b"\xea\x00\x00\x00\xf0".ljust(16, b"\xff")


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Images good and bad in the current folder, and no SeaBIOS anywhere."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("monitor.firmware.rom_files.FOLDERS", (Path("found"),))
    for name, data in {
        "exit.rom": bios(EXIT),
        "exit256.rom": bios(EXIT, 256 << 10),
        "off.rom": bios(POWER_OFF),
        "option.rom": OPTION_ROM,
        "empty": b"",
        "short": bytes(1000),
        "blank": b"\xff" * (128 << 10),
        "long": bytes(300 << 10),
        "flat": b"\xf4",
    }.items():
        Path(name).write_bytes(data)


@pytest.mark.parametrize("mode", ["bare", "translate"])
@pytest.mark.parametrize("rom", ["exit.rom", "exit256.rom"])
def test_a_bios_is_begun(rom: str, mode: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--bios", rom, "--mode", mode, "--serial", "null"]) == 0
    assert f"running BIOS {rom} in mode {mode}, 128 MiB" in capsys.readouterr().err


def test_soft_off_is_an_end_as_asked(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--bios", "off.rom", "--serial", "null"]) == 0
    assert "the guest switched itself off" in capsys.readouterr().err


@pytest.mark.parametrize("options", [["--boot", "order=dca"], ["--option-rom", "option.rom"]])
def test_it_finds_a_bios_by_itself(options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    Path("found").mkdir()
    Path("found/bios.bin").write_bytes(bios(EXIT))
    assert main(["run", *options, "--serial", "null"]) == 0
    assert "running BIOS found/bios.bin" in capsys.readouterr().err


def test_a_configuration_file_may_say_all_of_it(tmp_path: Path) -> None:
    folder = tmp_path / "there"
    folder.mkdir()
    (folder / "own.rom").write_bytes(bios(EXIT))
    (folder / "card.rom").write_bytes(OPTION_ROM)
    (folder / "pc.toml").write_text(
        'bios = "own.rom"\noption-rom = ["card.rom", "card.rom@0xd0000"]\nboot = "dca"\n'
        'serial = "null"\nquiet = true\n'
    )
    assert main(["run", "--config", "there/pc.toml"]) == 0


WRONG = [
    ("--bios gone", "gone: cannot read the BIOS (no such file or directory); check the path"),
    ("--bios empty", "empty: the BIOS is empty"),
    ("--bios short", "short: 1000 bytes are no BIOS: it has 64, 128, 256 KiB"),
    ("--bios long", "long: 307200 bytes are no BIOS"),
    ("--bios blank", "blank: no BIOS: there is no code at the reset vector"),
    ("--boot dca", "there is no SeaBIOS here: install Debian's package seabios"),
    ("--bios exit.rom --boot x", "--boot x: no drive 'x': a is the floppy, c the disk"),
    ("--bios exit.rom --boot order=aa", "name one to three drives, each once"),
    ("--bios exit.rom --boot menu=1", "write it as order=dca or order=dca,menu=on"),
    ("--bios exit.rom --vgabios short", "short: no VGA BIOS: it does not begin with the bytes"),
    ("--bios exit.rom --option-rom empty", "empty: the option ROM is empty"),
    ("--bios exit.rom --option-rom option.rom@x", "--option-rom FILE@ x: not a 32-bit number"),
    ("--bios exit.rom --option-rom option.rom@0x9f000", "a place from 0xa0000 to 0xfffff"),
    ("--bios exit.rom --chipset isa", "--chipset isa: a BIOS needs i440fx"),
    ("--bios exit.rom --flat flat@0x7c00", "more than one guest: give one of"),
    ("--boot c --flat flat@0x7c00", "--boot goes with --bios, not with --flat"),
    ("--option-rom option.rom --flat flat@0x7c00", "--option-rom goes with --bios, not with"),
    ("--bios exit.rom --initrd flat", "--initrd goes with --kernel, not with --bios"),
]


@pytest.mark.parametrize(("options", "words"), WRONG, ids=[row[0] for row in WRONG])
def test_what_is_wrong_is_one_sentence(
    options: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status = main(["run", *options.split(), "--serial", "null"])
    said = capsys.readouterr()
    assert (status, said.out) == (2, "")
    assert said.err.startswith("vp: error: ") and said.err.count("\n") == 1
    assert words in said.err


def test_the_log_has_what_the_firmware_says() -> None:
    say = b"\xba\x02\x04" + b"".join(b"\xb0%c\xee" % byte for byte in b"hello\nrest")
    Path("says.rom").write_bytes(bios(say + EXIT))
    assert main(["run", "--bios", "says.rom", "--log", "log", "--quiet", "--serial", "null"]) == 0
    lines = Path("log").read_text().splitlines()
    assert [line for line in lines if "firmware:" in line] == ["event   firmware: hello"]
