"""Images: what is none, what is written over one, and drives that change while the machine is."""

from __future__ import annotations

import os
import random
import struct
from pathlib import Path

import pytest
from storage_lab import iso, sectors

from devices.storage.medium import MediumError
from monitor import Machine
from monitor.embedding.images import open_image
from monitor.host.disk_image import Bytes, RawFile
from monitor.host.overlay import CHUNK, Overlay
from monitor.vmm.errors import UserError
from monitor.vmm.medium import SwitchedMedium
from monitor.vmm.world_switch import WorldSwitch


def test_an_overlay_is_the_image_with_what_was_written() -> None:
    """Any order, any size, across chunks and up to an end that is no chunk's."""
    dice = random.Random(10)
    image = dice.randbytes(CHUNK * 5 + 1536)
    overlay, want = Overlay(Bytes(image)), bytearray(image)
    for _ in range(400):
        offset = dice.randrange(len(image))
        size = min(dice.choice((1, 512, 3000, CHUNK, CHUNK * 2 + 7)), len(image) - offset)
        if dice.random() < 0.4:
            data = dice.randbytes(size)
            overlay.write(offset, data)
            want[offset : offset + size] = data
        assert overlay.read(offset, size) == want[offset : offset + size]
    before = overlay.chunks()
    overlay.write(0, bytes(len(image)))
    assert overlay.read(0, len(image)) == bytes(len(image))
    overlay.put_back(before)
    assert overlay.read(0, len(image)) == want
    assert sum(map(len, overlay.chunks().values())) <= len(image)


def boot_sector(total: int) -> bytes:
    """Of a file system with so many sectors, or of none."""
    parameters = struct.pack("<11xH6xH", 512, total) if total else b""
    return parameters.ljust(510, b"\0") + b"\x55\xaa"


def images(folder: Path) -> dict[str, Path]:
    cut = iso()[:-4096]
    data = {
        "empty": b"", "odd": bytes(1000), "long": bytes(1474560 + 512), "cut.iso": cut,
        "short.iso": bytes(2048), "none.iso": bytes(2048 * 20), "good.img": sectors(2880),
        "begun": boot_sector(0), "begun.cut": boot_sector(1440) + bytes(1000 * 512),
    }  # fmt: skip
    for name, content in data.items():
        (folder / name).write_bytes(content)
    (folder / "folder").mkdir()
    os.mkfifo(folder / "pipe")
    (folder / "huge").touch()
    os.truncate(folder / "huge", 3 << 40)
    return {name: folder / name for name in (*data, "folder", "pipe", "huge", "absent")}


WRONG = [
    ("fda", "empty", "the floppy disk's image is empty; give one with something in it"),
    ("fda", "odd", "no floppy disk has 1,000 bytes; an image has 163,840, "),
    ("fda", "begun.cut", "disk's image is cut off: 1,001 of its 1,440 sectors are there"),
    ("fda", "long", "no floppy disk has 1,475,072 bytes"),
    ("fda", "huge", "no floppy disk has 3,298,534,883,328 bytes"),
    ("fda", "absent", "cannot read the floppy disk's image (no such file or directory); check"),
    ("fdb", "folder", "the floppy disk's image is no file; give one"),
    ("hda", "pipe", "the hard disk's image is no file; give one"),
    ("hda", "empty", "the hard disk's image is empty"),
    ("hda", "odd", "the disk's image is cut off: 488 bytes beyond its last whole sector of 512"),
    ("hdd", "huge", "3,298,534,883,328 bytes are more than a disk has here: 2 TiB"),
    ("cdrom", "empty", "the CD's image is empty"),
    ("cdrom", "none.iso", "no CD image: there is no ISO 9660 volume at sector 16"),
    ("cdrom", "short.iso", "no CD image: there is no ISO 9660 volume at sector 16"),
    ("cdrom", "cut.iso", "the CD's image is cut off: 38 of its 40 blocks are there"),
    ("cdrom", "huge", "3,298,534,883,328 bytes are more than a disc has: 9 GiB"),
]


@pytest.mark.parametrize(("plug", "name", "words"), WRONG)
def test_images_that_are_none(tmp_path: Path, plug: str, name: str, words: str) -> None:
    path = images(tmp_path)[name]
    with pytest.raises(UserError) as caught:
        Machine(memory_mb=1, drives={plug: path})
    assert str(caught.value).startswith(f"{path}: ") and words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_beginning_of_a_disk_that_boots_is_a_whole_one(tmp_path: Path) -> None:
    """As GRUB's rescue floppy comes: what `dd` would write onto a 1.44M disk."""
    machine = Machine(memory_mb=1, drives={"fda": images(tmp_path)["begun"]})
    drive = machine.storage["fda"]
    assert drive.size == 1474560 and drive.unit.medium is not None
    assert drive.unit.medium.read(0, 1024) == boot_sector(0) + bytes(512)
    drive.unit.medium.write(1474048, b"last")
    assert drive.unit.medium.read(1474048, 4) == b"last", "kept in memory, as everywhere"
    with pytest.raises(UserError, match="no floppy disk has 512 bytes"):
        open_image("floppy", str(tmp_path / "begun"), writable=True)


def test_a_file_that_becomes_shorter_is_a_sector_that_cannot_be_read(tmp_path: Path) -> None:
    path = images(tmp_path)["good.img"]
    door = WorldSwitch()
    medium = SwitchedMedium(door, "floppy", RawFile(str(path), "floppy disk", False))
    assert medium.read(512, 4) == b"\1\0\0\0" and door.count == 1
    os.truncate(path, 1000)
    with pytest.raises(MediumError, match="shorter than it was"):
        medium.read(512, 512)
    with pytest.raises(MediumError):
        medium.write(0, b"x")
    with pytest.raises(MediumError, match="4 bytes at 1474558 of 1474560"):
        medium.read(1474558, 4)
    assert door.count == 3, "who asks for what there is not, does not cross"


def test_an_image_that_must_not_be_written(tmp_path: Path) -> None:
    path = images(tmp_path)["good.img"]
    image = open_image("floppy", str(path), writable=True)
    image.write(512, b"here")
    image.flush()
    assert path.read_bytes()[512:516] == b"here"
    with pytest.raises(UserError, match="another machine uses this floppy disk; end it, or leave"):
        open_image("floppy", str(path), writable=False)


def test_changing_and_ejecting(tmp_path: Path) -> None:
    paths = images(tmp_path)
    machine = Machine(memory_mb=1, drives={"fda": None, "cdrom": iso()})
    assert list(machine.storage) == ["fda", "cdrom"] and machine.storage["fda"].size is None
    machine.storage["fda"].change(paths["good.img"])
    assert machine.storage["fda"].source == str(paths["good.img"])
    with pytest.raises(UserError, match=r'fda: a 1\.44M 3\.5" drive takes no disk of 368640'):
        machine.storage["fda"].change(bytes(368640))
    with pytest.raises(UserError, match="no floppy disk has 1,000 bytes"):
        machine.storage["fda"].change(paths["odd"])
    assert machine.storage["fda"].size == 1474560, "it is still there"
    machine.storage["fda"].eject()
    assert machine.storage["fda"].size is None
    drive = machine.storage["cdrom"]
    drive.unit.locked = True
    with pytest.raises(UserError, match="the guest has locked the drive; eject with force"):
        drive.eject()
    drive.eject(force=True)
    with pytest.raises(UserError, match="there is no drive 'hda'; there are: fda, cdrom"):
        machine.storage["hda"]
    with pytest.raises(UserError, match="a hard disk is not changed while it runs"):
        Machine(memory_mb=1, drives={"hda": bytes(512)}).storage["hda"].change(bytes(512))


def test_what_the_cmos_memory_says(tmp_path: Path) -> None:
    drives = {"fda": bytes(1474560), "fdb": bytes(2949120), "hda": bytes(512 * 63 * 16 * 100),
              "hdd": bytes(512)}  # fmt: skip
    machine = Machine(memory_mb=1, drives=drives)
    cmos = machine.devices["rtc"].cmos
    assert cmos[0x10] == 0x45 and cmos[0x14] & 0xC1 == 0x41
    assert cmos[0x12] == 0xF0 and cmos[0x19] == 47 and cmos[0x39] == 0
    assert cmos[0x1B:0x24] == [100, 0, 16, 0xFF, 0xFF, 0xC8, 100, 0, 63]
    assert cmos[0x2E] << 8 | cmos[0x2F] == sum(cmos[0x10:0x2E])
    huge = tmp_path / "huge"
    huge.touch()
    os.truncate(huge, 8 << 30)
    cmos = Machine(memory_mb=1, drives={"hda": huge, "hdb": bytes(512)}).devices["rtc"].cmos
    assert cmos[0x12] == 0xFF and cmos[0x39] == 0x01 and cmos[0x1B:0x1D] == [0xFF, 0x3F]
    assert list(Machine(memory_mb=1).storage) == []
    assert Machine(memory_mb=1).devices["rtc"].cmos[0x10] == 0


def test_controllers_are_there_for_drives() -> None:
    machine = Machine(memory_mb=1, drives={"hdc": bytes(512)})
    assert "ide1" in machine.devices and "ide0" not in machine.devices
    assert "fdc" not in machine.devices
    assert machine.board.bus.owner_of(0x177) == "ide-channel"
