"""A guest reads a floppy by DMA, a disk by PIO and bus master, a CD by packets; in every mode."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
from storage_lab import (
    CD_AT,
    DISK_AT,
    FLOPPY_AT,
    MASTER_AT,
    MODES,
    START_FLOPPY,
    boot,
    cd,
    fit_master,
    floppy,
    iso,
    master,
    modes,
    pio,
    run,
    sectors,
)

from monitor import Machine
from monitor.vmm.errors import UserError

FLOPPY, DISK, CD = sectors(2880), sectors(4096, salt=3), iso()
DRIVES = {"fda": FLOPPY, "hda": DISK, "cdrom": CD}
READS = (START_FLOPPY + floppy(0x46, FLOPPY_AT, 3, 4) + pio(0x20, 1000, 3, DISK_AT)
         + master(0xC8, 2000, 20, MASTER_AT) + cd(20, 3, CD_AT))  # fmt: skip
WRITES = (START_FLOPPY + floppy(0x45, DISK_AT, 1, 2) + pio(0x30, 8, 2, DISK_AT)
          + master(0xCA, 64, 4, DISK_AT))  # fmt: skip


def check_reads(machine: Machine) -> None:
    read = machine.read_physical
    assert read(FLOPPY_AT, 2048) == FLOPPY[2 * 512 : 6 * 512]
    assert read(DISK_AT, 1536) == DISK[1000 * 512 : 1003 * 512]
    assert read(MASTER_AT, 20 * 512) == DISK[2000 * 512 : 2020 * 512]
    assert read(CD_AT, 3 * 2048) == CD[20 * 2048 : 23 * 2048]


def test_reading_in_every_mode() -> None:
    lives: list[Any] = []
    for mode in MODES:
        machine = boot(mode, READS, DRIVES)
        run(machine)
        check_reads(machine)
        memory = hashlib.sha256(machine.memory.map().tobytes()).hexdigest()
        lives.append((machine.instructions, machine.registers, machine.clock.now(), memory))
        requests = machine.statistics()["host_requests"]
        assert requests["floppy read"]["count"] == 4 and requests["disk read"]["count"] == 4
        assert requests["cdrom read"]["count"] == 1
        assert machine.statistics()["world_switches"] == 9
    assert lives[0] == lives[1] == lives[2]


@modes
def test_what_is_written_is_forgotten(mode: str, tmp_path: Path) -> None:
    paths = {"fda": tmp_path / "a.img", "hda": tmp_path / "c.img"}
    paths["fda"].write_bytes(FLOPPY)
    paths["hda"].write_bytes(DISK)
    machine = boot(mode, WRITES, paths)
    data = sectors(4, salt=99)
    machine.write_physical(DISK_AT, data)
    run(machine)
    floppy_, disk = (machine.storage[plug].unit.medium for plug in ("fda", "hda"))
    assert floppy_ is not None and floppy_.read(0, 2048) == data[:1024] + FLOPPY[1024:2048]
    assert disk is not None and disk.read(7 * 512, 2048) == (
        DISK[7 * 512 : 8 * 512] + data[:1024] + DISK[10 * 512 : 11 * 512]
    )
    assert disk.read(64 * 512, 2048) == data
    assert paths["fda"].read_bytes() == FLOPPY and paths["hda"].read_bytes() == DISK


def test_or_kept(tmp_path: Path) -> None:
    paths = {"fda": tmp_path / "a.img", "hda": tmp_path / "c.img"}
    paths["fda"].write_bytes(FLOPPY)
    paths["hda"].write_bytes(DISK)
    kept = {plug: f"{path},persistent" for plug, path in paths.items()}
    machine = boot("bare", WRITES, kept)
    data = sectors(4, salt=99)
    machine.write_physical(DISK_AT, data)
    run(machine)
    assert paths["fda"].read_bytes() == data[:1024] + FLOPPY[1024:]
    disk = paths["hda"].read_bytes()
    assert disk[8 * 512 : 10 * 512] == data[:1024] and disk[64 * 512 : 68 * 512] == data
    assert len(disk) == len(DISK)
    with pytest.raises(UserError, match="another machine uses this hard disk"):
        Machine(memory_mb=4, drives={"hda": paths["hda"]})


@modes
def test_snapshots_in_the_middle(mode: str) -> None:
    """Wherever it is put aside, in a seek, a transfer or a packet, it goes on in any mode."""
    whole = busy(mode)
    run(whole)
    machine = busy(mode)
    shares = (0.2, 0.7, 0.9, 0.96, 0.99)
    snapshots = []
    for share in shares:
        machine.run(max_instructions=int(whole.instructions * share) - machine.instructions)
        snapshots.append(machine.snapshot())
    for snapshot in snapshots:
        again = restored(snapshot, MODES[(MODES.index(mode) + 1) % 3], DRIVES)
        run(again)
        assert again.registers == whole.registers and again.instructions == whole.instructions
        assert again.clock.now() == whole.clock.now()
        for plug in DRIVES:
            assert content(again, plug) == content(whole, plug)
        assert again.read_physical(0, 0x80000) == whole.read_physical(0, 0x80000)


def busy(mode: str) -> Machine:
    """A guest that writes and reads all of its drives."""
    disks = pio(0x30, 8, 2, DISK_AT) + master(0xCA, 64, 4, DISK_AT) + master(0xC8, 60, 9, MASTER_AT)
    source = START_FLOPPY + floppy(0x46, FLOPPY_AT, 3, 2) + disks + cd(20, 3, CD_AT) + disks
    machine = boot(mode, source, DRIVES)
    machine.write_physical(DISK_AT, sectors(4, salt=99))
    return machine


def content(machine: Machine, plug: str) -> bytes:
    medium = machine.storage[plug].unit.medium
    assert medium is not None
    return medium.read(0, medium.size)


def restored(snapshot: Any, mode: str, drives: Any) -> Machine:
    machine = Machine.restore(snapshot, mode=mode, drives=drives)
    fit_master(machine)
    return machine


def test_a_checkpoint_wants_its_images_again() -> None:
    machine = boot("bare", READS, DRIVES)
    machine.run(max_instructions=1000)
    snapshot = machine.snapshot()
    with pytest.raises(UserError, match="the machine has a drive fda: give --fda FILE"):
        Machine.restore(snapshot)
    with pytest.raises(UserError, match="fda held 1,474,560 bytes, not 737,280 bytes: give --fda"):
        Machine.restore(snapshot, drives=DRIVES | {"fda": bytes(737280)})
    with pytest.raises(UserError, match="has no drive hdb: leave it out"):
        Machine.restore(snapshot, drives=DRIVES | {"hdb": bytes(512)})


def test_going_back_takes_back_what_was_written() -> None:
    from monitor.checkpoint.rewind import Rewind

    machine = boot("bare", WRITES, DRIVES)
    machine.write_physical(DISK_AT, sectors(4, salt=99))
    rewind = Rewind(machine)
    before = content(machine, "hda")
    run(machine)
    assert content(machine, "hda") != before
    rewind._restore(0)
    assert content(machine, "hda") == before and content(machine, "fda") == FLOPPY
    run(machine)
    assert content(machine, "hda")[64 * 512 : 68 * 512] == sectors(4, salt=99)


def test_no_going_back_with_a_disk_that_keeps(tmp_path: Path) -> None:
    from monitor.checkpoint.rewind import Rewind

    (tmp_path / "c.img").write_bytes(DISK)
    machine = Machine(memory_mb=4, drives={"hda": f"{tmp_path / 'c.img'},persistent"})
    with pytest.raises(UserError, match="needs disks that forget: leave ,persistent out"):
        Rewind(machine)
