"""MP table and ACPI tables: as their specifications have them, and as ACPICA and SeaBIOS read."""

from __future__ import annotations

import re
import shutil
import struct
import subprocess
from pathlib import Path

import pytest
from bios_lab import seabios
from firmware_lab import DONE, finish, real
from patience import PATIENCE

from bt.models import MODELS
from devices.apic.local_apic import LINT0, LINT1
from monitor import Machine
from monitor.firmware.tables import acpi, mp
from monitor.guests.linux import KERNEL
from monitor.vmm.errors import UserError

ROM = 0xF0000


def loaded(chipset: str = "i440fx", cpu: str = "pentium3", mode: str = "bare") -> Machine:
    machine = Machine(memory_mb=16, mode=mode, chipset=chipset, cpu=cpu, parts=["apic"])
    machine.load_flat(b"\xf4", 0x100000, firmware_state="bios")
    return machine


def rom_of(machine: Machine) -> bytes:
    """All that is there from F0000 to FFFFF."""
    return b"".join(
        machine.read_physical(at, 0x1000) if machine.physical_map.place(at) >= 0 else bytes(0x1000)
        for at in range(ROM, ROM + 0x10000, 0x1000)
    )


def found(memory: bytes, signature: bytes, there: int = 1) -> int:
    """Where a structure begins that is searched for, as systems search for it."""
    places = [at for at in range(0, len(memory), 16) if memory.startswith(signature, at)]
    assert len(places) == there, places
    return places[0]


def tables_of(machine: Machine) -> dict[str, bytes]:
    """All ACPI tables, by following pointers; each with a good checksum."""
    at = ROM + found(rom_of(machine), b"RSD PTR ")
    rsdp = machine.read_physical(at, 20)
    assert sum(rsdp) & 0xFF == 0
    tables = {"RSDP": rsdp}

    def follow(address: int) -> None:
        signature, length = struct.unpack("<4sI", machine.read_physical(address, 8))
        data = tables[signature.decode()] = machine.read_physical(address, length)
        if signature == b"FACS":
            assert address % 64 == 0
            return
        assert sum(data) & 0xFF == 0, signature
        if signature == b"RSDT":
            for (each,) in struct.iter_unpack("<I", data[36:]):
                follow(each)
        if signature == b"FACP":
            for each in struct.unpack_from("<2I", data, 36):
                follow(each)

    follow(struct.unpack_from("<I", rsdp, 16)[0])
    return tables


def test_the_acpi_tables() -> None:
    machine = loaded()
    tables = tables_of(machine)
    assert sorted(tables) == ["APIC", "DSDT", "FACP", "FACS", "RSDP", "RSDT"]
    facp = tables["FACP"]
    assert len(facp) == 116 and struct.unpack_from("<HIBB", facp, 46) == (9, 0xB2, 0xF1, 0xF0)
    event, _, control, _, _, timer, gpe, _ = struct.unpack_from("<8I", facp, 56)
    assert (event, control, timer, gpe) == (0x600, 0x604, 0x608, 0xAFE0)
    assert machine.chipset is not None
    assert machine.chipset.power.long(0x40) == event | 1, "that is where its ports are"
    before = machine.board.bus.read_port(timer, 4)
    assert before == machine.chipset.power.ticks


def test_the_state_that_belongs_to_them() -> None:
    machine = loaded()
    assert machine.board.apics is not None and machine.chipset is not None
    local, bus = machine.board.apics.local, machine.board.bus
    assert (local.svr, local.lvt[LINT0], local.lvt[LINT1]) == (0x10F, 0x700, 0x400)
    assert machine.board.apics.io.apic_id == 1
    assert list(machine.chipset.isa_bridge.config[0x60:0x64]) == [10, 10, 11, 11]
    assert (bus.read_port(0x4D1, 1), bus.read_port(0x4D0, 1)) == (0x0E, 0), "9, 10 and 11"


def entries_of(memory: bytes) -> list[bytes]:
    """The entries of an MP configuration table, whose checksum and count are right."""
    (length,), (count,) = (struct.unpack_from("<H", memory, each) for each in (4, 34))
    assert memory.startswith(b"PCMP") and sum(memory[:length]) & 0xFF == 0
    entries, at = [], 44
    while at < length:
        size = 20 if memory[at] == 0 else 8
        entries.append(memory[at : at + size])
        at += size
    assert len(entries) == count and at == length
    return entries


def mp_table_of(memory: bytes, there: int = 1) -> bytes:
    """The configuration table that is found, by a floating pointer which is right."""
    at = found(memory, b"_MP_", there)
    pointer = memory[at : at + 16]
    assert sum(pointer) & 0xFF == 0 and pointer[8:] == bytes((1, 4, pointer[10], 0, 0, 0, 0, 0))
    at = struct.unpack_from("<I", pointer, 4)[0] - ROM
    return memory[at : at + struct.unpack_from("<H", memory, at + 4)[0]]


@pytest.mark.parametrize("chipset", ["isa", "i440fx"])
def test_the_mp_table(chipset: str) -> None:
    machine = loaded(chipset)
    rom = rom_of(machine)
    entries = entries_of(mp_table_of(rom))
    assert [each[0] for each in entries] == sorted(each[0] for each in entries)
    processor = entries[0]
    assert struct.unpack_from("<BBBI", processor, 1) == (0, 0x11, 3, 0x686)
    buses = {each[1]: each[2:].decode().strip() for each in entries if each[0] == 1}
    assert buses == ({0: "PCI", 1: "ISA"} if chipset == "i440fx" else {0: "ISA"})
    isa = max(buses)
    wires = {(each[4], each[5]): each[7] for each in entries if each[0] == 3}
    assert {line: pin for (bus, line), pin in wires.items() if bus == isa} == {
        0: 2, **{line: line for line in range(1, 16) if line != 2}}  # fmt: skip
    if chipset == "i440fx":
        assert wires[0, 1 << 2 | 0] == 10 and wires[0, 1 << 2 | 2] == 11
    assert [each[1:] for each in entries if each[0] == 4] == [
        bytes((3, 0, 0, isa, 0, 0xFF, 0)), bytes((1, 0, 0, isa, 0, 0xFF, 1))]  # fmt: skip
    if chipset == "isa":
        assert b"RSD PTR " not in rom


@pytest.mark.parametrize("mode", ["bare", "translate"])
def test_the_8259a_goes_on_interrupting(mode: str) -> None:
    """The BIOS's clock ticks, through LINT0."""
    source = "sti\n again: hlt\n cmp byte ptr [0x46c], {count}\n jb again\n" + DONE
    machine = real(source.format(count=3), mode, parts=["apic"])  # type: ignore[arg-type]
    machine.write_physical(0x46C, bytes(4))
    assert finish(machine).kind == "exit"
    assert machine.loop.interrupts >= 3


def test_a_rom_in_their_place() -> None:
    machine = Machine(memory_mb=16, mode="bare", parts=["apic"])
    machine.roms.add(0xF0000, bytes(0x10000))
    with pytest.raises(UserError, match="a ROM at 0xf0000"):
        machine.load_flat(b"\xf4", 0x100000, firmware_state="bios")


def test_none_without_apics() -> None:
    machine = Machine(memory_mb=16, mode="bare", chipset="i440fx")
    machine.load_flat(b"\xf4", 0x100000, firmware_state="bios")
    assert not machine.roms.ranges


@pytest.mark.skipif(shutil.which("iasl") is None, reason="no iasl: Debian's package acpica-tools")
def test_what_acpica_makes_of_them(tmp_path: Path) -> None:
    """Its disassembler knows the tables, and its compiler has nothing to say against the source."""
    for name, data in tables_of(loaded()).items():
        if name in ("RSDP", "FACS"):
            continue
        file = tmp_path / f"{name}.aml"
        file.write_bytes(data)
        said = subprocess.run(
            ["iasl", "-d", file], capture_output=True, text=True, timeout=PATIENCE
        )
        assert said.returncode == 0, said.stderr
        source = file.with_suffix(".dsl").read_text()
        assert not re.search("incorrect|invalid|unknown|error", source, re.IGNORECASE), source
    said = subprocess.run(["iasl", "-tc", "-p", tmp_path / "again", tmp_path / "DSDT.dsl"],
                          capture_output=True, text=True, timeout=PATIENCE)  # fmt: skip
    assert "0 Errors, 0 Warnings" in said.stdout + said.stderr
    assert "Package (0x80)" in (tmp_path / "DSDT.dsl").read_text()


def test_pieces_of_machine_language() -> None:
    from monitor.firmware.tables import aml

    assert aml.integer(0x12345) == b"\x0c\x45\x23\x01\x00"
    assert aml.buffer(bytes(100))[:5] == b"\x11\x48\x06\x0a\x64", "a length of two bytes"
    with pytest.raises(ValueError, match="32 bits"):
        aml.integer(1 << 32)
    tables = acpi.build(16 << 20, 0x600)
    assert tables.located(0)[1] != tables.located(0x1000)[1] != bytes(tables.blob)


@pytest.mark.slow
@pytest.mark.guest
@pytest.mark.skipif(seabios("bios.bin") is None, reason="no SeaBIOS: `make guests`")
@pytest.mark.parametrize("image", ["bios.bin", "bios-256k.bin"])
@pytest.mark.parametrize("mode", ["bare", "translate"])
def test_seabios_puts_them_into_memory(mode: str, image: str) -> None:
    machine = Machine(memory_mb=32, mode=mode, chipset="i440fx", parts=["apic"])
    machine.load_bios(seabios(image))
    machine.run(until="No bootable device", max_instructions=10_000_000, timeout=PATIENCE)
    tables = tables_of(machine)
    assert machine.chipset is not None and machine.board.apics is not None
    (event,) = struct.unpack_from("<I", tables["FACP"], 56)
    assert machine.chipset.power.long(0x40) == event | 1
    assert list(machine.chipset.isa_bridge.config[0x60:0x64]) == [10, 10, 11, 11]
    assert machine.board.apics.local.lvt[LINT0] == 0x8700, "virtual wire"
    memory = rom_of(machine)
    assert mp_table_of(memory, there=2) == mp.table(
        MODELS["pentiumpro"], machine.board.bus, pci=True
    ), "SeaBIOS's own is not the first"


@pytest.mark.slow
@pytest.mark.guest
@pytest.mark.skipif(seabios("bios.bin") is None or not KERNEL.exists(), reason="`make guests`")
@pytest.mark.parametrize(
    ("more", "cpu", "said"),
    [
        ("", "pentium3", "ACPI: Using IOAPIC for interrupt routing"),
        ("acpi=off", "pentium3", "IOAPIC[0]: apic_id 1, version 17"),
        ("acpi=off", "pentium4", "IOAPIC[0]: apic_id 1, version 17"),
    ],
)
def test_linux_takes_those_of_seabios(more: str, cpu: str, said: str) -> None:
    """ACPI's or the MP table, which are ours: a P6 shares a bus and its IDs with the I/O APIC."""
    machine = Machine(memory_mb=64, mode="translate", chipset="i440fx", cpu=cpu, parts=["apic"])
    machine.load_bios(seabios("bios-256k.bin"))
    machine.run(until="No bootable device", max_instructions=10_000_000, timeout=PATIENCE)
    cmdline = f"console=ttyS0,115200 panic=1 cryptomgr.notests noisapnp mitigations=off {more}"
    machine.load_linux(KERNEL, cmdline=cmdline, firmware_state="raw")
    assert machine.run(until="Unable to mount root", timeout=PATIENCE).kind == "until"
    text = machine.console.decode("latin-1")
    assert said in text and "IOAPIC[0]" in text, text[-3000:]
    assert "..TIMER: vector=0x30 apic1=0 pin1=2" in text
    assert not re.search(r"ACPI (BIOS )?(Error|Warning|Exception)|8254 timer not connected", text)
