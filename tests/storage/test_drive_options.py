"""Drives by the command line, a configuration file and a .vmx file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from storage_lab import FLOPPY_AT, START_FLOPPY, code, floppy, iso, sectors

from monitor.cli import main
from monitor.settings.drives import Drive, drives_of, parse_drive
from monitor.settings.machine import Settings
from monitor.vmm.errors import UserError
from monitor.vmware.vmx.config_file import parse_vmx
from monitor.vmware.vmx.machine import VmxMachine

SHOW = f"""
 mov al, [{FLOPPY_AT:#x}]
 add al, 0x30
 mov edx, 0xE9
 out dx, al
 mov eax, 0
 out 0xF4, eax
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Images, and a guest that reads the third sector of the floppy and ends."""
    monkeypatch.chdir(tmp_path)
    source = START_FLOPPY + floppy(0x46, FLOPPY_AT, 3, 1) + SHOW
    Path("guest.bin").write_bytes(code(source))
    Path("dos.img").write_bytes(sectors(2880))
    Path("disk.img").write_bytes(sectors(64))
    Path("cd.iso").write_bytes(iso())
    return tmp_path


def vp_run(*options: str) -> int:
    return main(["run", "--flat", "guest.bin@0x100000", "--quiet", "--serial", "null", *options])


def test_options(folder: Path) -> None:
    assert vp_run("--fda", "dos.img", "--hda", "disk.img", "--cdrom", "cd.iso",
                  "--stats", "s.json") == 0  # fmt: skip
    assert json.loads(Path("s.json").read_text())["host_requests"]["floppy read"]["count"] == 1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--fda", "disk.img"), "disk.img: no floppy disk has 32,768 bytes"),
        (("--hda", "none"), "--hda none: a disk is not empty; leave the option out"),
        (("--cdrom", "cd.iso", "--hdc", "disk.img"), "--cdrom is where --hdc would be"),
        (("--cdrom", "cd.iso,persistent"), "--cdrom: a CD is not written"),
        (("--cdrom", "disk.img"), "disk.img: no CD image"),
        (("--hdb", ""), "--hdb: name the image, or say none"),
    ],
)
def test_wrong_ones(
    folder: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], words: str
) -> None:
    assert vp_run(*options) == 2
    told = capsys.readouterr()
    assert told.out == "" and words in told.err and told.err.count("\n") == 1


def test_names() -> None:
    assert parse_drive("fda", "a,b.img") == Drive("fda", "a,b.img")
    assert parse_drive("fda", "a.img,persistent") == Drive("fda", "a.img", True)
    assert parse_drive("hda", "a.img,nonpersistent") == Drive("hda", "a.img", False)
    assert parse_drive("cdrom", "none") == Drive("cdrom", None)
    with pytest.raises(UserError, match=r"drive 'hde': .*hda"):
        drives_of({"hde": "x"})
    with pytest.raises(UserError, match="--fda is there twice"):
        Settings(drives=[Drive("fda", None), Drive("fda", None)])
    with pytest.raises(UserError, match="these bytes are not written"):
        Drive("hda", bytes(512), persistent=True)


def test_a_configuration_file(folder: Path) -> None:
    (folder / "sub").mkdir()
    text = 'flat = "../guest.bin@0x100000"\nfda = "../dos.img"\ncdrom = "none"\n'
    text += 'serial = "null"\nquiet = true\n'
    (folder / "sub" / "x.toml").write_text(text)
    assert main(["run", "--config", "sub/x.toml"]) == 0


def test_resuming(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--fda", "dos.img", "--max-instructions", "2000", "--checkpoint", "x.vpcheck")
    resume = ["resume", "x.vpcheck", "--quiet", "--serial", "null"]
    assert vp_run(*options) == 0
    assert main([*resume, "--fda", "dos.img"]) == 0
    capsys.readouterr()
    assert main(resume) == 2
    assert "the machine has a drive fda: give --fda dos.img" in capsys.readouterr().err


VMX = """\
memsize = "16"
floppy0.present = "TRUE"
floppy0.fileName = "dos.img"
ide0:0.present = "TRUE"
ide0:0.fileName = "disk.img"
ide0:0.mode = "persistent"
ide1:0.present = "TRUE"
ide1:0.deviceType = "cdrom-image"
ide1:0.fileName = "cd.iso"
"""


def vmx(text: str, folder: Path) -> VmxMachine:
    return VmxMachine(parse_vmx(text.encode(), str(folder / "x.vmx")))


def test_a_vmx_file(folder: Path) -> None:
    machine = vmx(VMX, folder)
    assert machine.settings.drives == (
        Drive("fda", str(folder / "dos.img")),
        Drive("hda", str(folder / "disk.img"), persistent=True),
        Drive("cdrom", str(folder / "cd.iso")),
    )
    assert machine.account.used["ide0:0.fileName"] == "the image in hda, written"
    assert not machine.account.ignored and not machine.account.warnings
    (folder / "x.vmx").write_text(VMX)
    assert main(["run", "x.vmx", "--flat", "guest.bin@0x100000", "--quiet", "--fda", "dos.img",
                 "--serial", "null",
                 "--stats", "s.json"]) == 0  # fmt: skip
    told = json.loads(Path("s.json").read_text())["vmx"]
    assert told["ignored"]["floppy0.fileName"] == "--fda was given"
    assert told["used"]["ide1:0.present"] == "the drive cdrom"


@pytest.mark.parametrize(
    ("line", "drives", "word"),
    [
        ('floppy0.startConnected = "FALSE"', [Drive("fda", None)], ""),
        ('floppy0.fileType = "device"', [Drive("fda", None)], ""),
        ('floppy0.present = "FALSE"', [], ""),
        ('floppy0.fileName = "c:\\x.img"', [Drive("fda", None)], "is no file here; --fda FILE"),
    ],
)
def test_floppies_of_a_vmx_file(folder: Path, line: str, drives: list[Drive], word: str) -> None:
    lines = ['floppy0.present = "TRUE"', 'floppy0.fileName = "dos.img"']
    key = line.split(" =")[0]
    text = "\n".join([*(each for each in lines if not each.startswith(key)), line])
    machine = vmx(text, folder)
    assert list(machine.settings.drives) == drives
    assert word in "".join(machine.account.warnings)


def test_disks_of_a_vmx_file_that_are_not_ours(folder: Path) -> None:
    text = """\
ide0:0.present = "TRUE"
ide0:0.fileName = "disk.vmdk"
ide0:1.present = "TRUE"
ide0:1.fileName = "../disk.img"
ide0:1.mode = "persistent"
ide1:1.present = "TRUE"
ide1:1.deviceType = "cdrom-image"
scsi0:0.present = "TRUE"
ide2:0.present = "TRUE"
"""
    machine = vmx(text, folder)
    assert machine.settings.drives == (Drive("hdb", str(folder / "../disk.img")),)
    warnings = "\n".join(machine.account.warnings)
    assert "'disk.vmdk' is no raw image" in warnings and "not below the folder" in warnings
    assert "a CD-ROM drive is possible at ide1:0 only" in warnings
    assert machine.account.ignored["scsi0:0.present"] == "there is no such device yet"
    assert "ide2:0.present" in machine.account.ignored
