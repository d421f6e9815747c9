"""What a guest is said to be doing: by its processor's state, and by the names that it brings."""

from __future__ import annotations

import struct
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from patience import PATIENCE

from bt.engine import Interp, Ram
from bt.interp.state import CR4_PSE, CS
from monitor import Machine
from monitor.guests.linux import INITRD, KERNEL
from monitor.settings.config import ImageConfig
from monitor.symbols import kallsyms
from monitor.symbols.table import Symbol, SymbolTable
from monitor.symbols.whereabouts import Whereabouts
from monitor.vmm.errors import UserError

PROTECTED, PAGED = 0x11, 0x80000011
RAM = 8 << 20
DIRECTORY, TABLE = 0x1000, 0x2000
LOADED, LINKED, INIT_SIZE = 0x100000, 0x200000, 0x100000
LINUX = SymbolTable([
    Symbol(0xC0200000, "T", "_stext"), Symbol(0xC0200040, "t", "start"),
    Symbol(0xC0201000, "D", "not_code"), Symbol(0xC0202000, "T", "_etext"),
    Symbol(0xC0300000, "T", "_sinittext"), Symbol(0xC0300010, "t", "early"),
    Symbol(0xC0301000, "T", "_einittext"),
])  # fmt: skip


class Guest:
    """The part of a machine that is asked. Linear C0000000 is physical 0, in large pages."""

    def __init__(self) -> None:
        self.ram = np.zeros(RAM, np.uint8)
        self.cpu = Interp(Ram(self.ram, RAM, 4096))
        self.cpu.cr3, self.cpu.cr4 = DIRECTORY, CR4_PSE
        self.processor = SimpleNamespace(ideal=self.cpu)
        self.memory = SimpleNamespace(map=lambda: self.ram)
        self.entry(DIRECTORY + 4 * 0x300, 0x83)

    def entry(self, at: int, value: int) -> None:
        self.ram[at : at + 4] = np.frombuffer(struct.pack("<I", value), np.uint8)

    def at(self, eip: int, cr0: int = PAGED, cpl: int = 0, base: int = 0) -> Guest:
        self.cpu.set_segment(CS, 8, base, 0xFFFFFFFF, 0xC09B)
        self.cpu.eip, self.cpu.cr0 = eip, cr0
        self.cpu.set_privilege(cpl)
        return self


def kernel(folder: Path, cmdline: str = "", payload: int = 1) -> ImageConfig:
    """A bzImage with a header and nothing else (boot.rst)."""
    image = bytearray(5 * 512 + 4096)
    image[0x1F1] = 4
    struct.pack_into("<I", image, 0x1F4, 4096 // 16)
    struct.pack_into("<H", image, 0x1FE, 0xAA55)
    image[0x200:0x206] = b"\xeb\x6aHdrS"
    struct.pack_into("<HHHH", image, 0x206, 0x020F, 0, 0, 0x2000)
    image[0x211] = 1
    struct.pack_into("<I", image, 0x214, LOADED)
    struct.pack_into("<IIBBHI", image, 0x22C, 0x7FFFFFFF, 0x10000, 1, 16, 0, 2047)
    struct.pack_into("<II", image, 0x248, 0, payload)
    struct.pack_into("<QI", image, 0x258, LINKED, INIT_SIZE)
    path = folder / "vmlinuz-6.1"
    path.write_bytes(image)
    return ImageConfig("kernel", path, cmdline)


def linux(folder: Path, cmdline: str = "") -> tuple[Guest, Whereabouts]:
    guest = Guest()
    return guest, Whereabouts(guest, kernel(folder, cmdline))


def test_what_any_guest_may_be_at(tmp_path: Path) -> None:
    (tmp_path / "flat").write_bytes(b"\xf4")
    guest = Guest()
    says = Whereabouts(guest, ImageConfig("flat", tmp_path / "flat"))
    guest.at(0x7C00, 0x10)
    assert says() == "in real mode"
    guest.at(0x8048000, PAGED, cpl=3)
    assert says() == "in user code"
    guest.at(0x1234, PROTECTED, base=0xFFFFF000)
    assert says() == "at 0x00000234", "linear, modulo 4 GiB"


def test_decompressing_is_said_of_the_places_where_that_is_done(tmp_path: Path) -> None:
    guest, says = linux(tmp_path)
    for eip in (LOADED, LINKED + INIT_SIZE - 1):
        guest.at(eip, PROTECTED)
        assert says() == "decompressing the kernel"
    for eip in (LOADED - 1, LINKED + INIT_SIZE):
        guest.at(eip, PROTECTED)
        assert says() == f"before paging, at {eip:#010x}"
    guest.at(LOADED, PAGED)
    assert says() == f"at {LOADED:#010x}"


def test_a_kernel_that_is_not_compressed_decompresses_nothing(tmp_path: Path) -> None:
    """As memtest86+, which is started like one."""
    guest = Guest()
    says = Whereabouts(guest, kernel(tmp_path, payload=0))
    guest.at(LOADED, PROTECTED)
    assert says() == f"at {LOADED:#010x}"


def test_the_kernel_s_own_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Looked for once, around the code; modules lie outside of what the kernel names."""
    searched: list[int] = []

    def read(memory: np.ndarray) -> SymbolTable:
        searched.append(len(memory))
        return LINUX

    monkeypatch.setattr("monitor.symbols.whereabouts.read_kallsyms", read)
    guest, says = linux(tmp_path)
    for eip, words in ((0xC0200044, "kernel: start"), (0xC0201004, "kernel: start"),
                       (0xC0300044, "kernel: early"), (0xC0202000, "kernel, at 0xc0202000"),
                       (0xF8000000, "kernel, at 0xf8000000")):  # fmt: skip
        guest.at(eip)
        assert says() == words
    assert searched == [2 * INIT_SIZE]
    assert kallsyms.KERNEL_SPACE <= 0xC0000000


def test_names_that_are_nowhere_are_not_looked_for_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = []

    def look(_memory: np.ndarray) -> SymbolTable:
        looks.append(1)
        raise UserError("no names")

    monkeypatch.setattr("monitor.symbols.whereabouts.read_kallsyms", look)
    guest, says = linux(tmp_path)
    guest.at(0xC0200044)
    assert {says() for _ in range(100)} == {"kernel, at 0xc0200044"}
    assert len(looks) == 2


@pytest.mark.parametrize("entries", [
    {DIRECTORY + 4 * 0x300: 0}, {DIRECTORY + 4 * 0x300: TABLE | 3},
    {DIRECTORY + 4 * 0x300: 0xFFFFF003},
])  # fmt: skip
def test_tables_that_lead_nowhere(tmp_path: Path, entries: dict[int, int]) -> None:
    """Not mapped by directory or table; a table outside RAM. Nothing is raised."""
    guest, says = linux(tmp_path)
    for at, value in entries.items():
        guest.entry(at, value)
    guest.at(0xC0200044)
    assert says() == "kernel, at 0xc0200044"


def test_small_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[np.ndarray] = []
    monkeypatch.setattr("monitor.symbols.whereabouts.read_kallsyms",
                        lambda memory: seen.append(memory) or LINUX)  # fmt: skip
    guest, says = linux(tmp_path)
    guest.entry(DIRECTORY + 4 * 0x300, TABLE | 3)
    guest.entry(TABLE + 4 * 0x200, 0x400003)
    guest.ram[0x400123] = 77
    guest.at(0xC0200123)
    assert says() == "kernel: start"
    assert seen[0][INIT_SIZE + 0x123] == 77, "the middle of what is searched is the code"


@pytest.mark.parametrize(("cmdline", "words"), [
    ("console=ttyS0 nokaslr", "kernel: start"), ("console=ttyS0", "kernel, at 0xc0200044"),
])  # fmt: skip
def test_a_system_map_holds_only_where_the_kernel_stays(
    tmp_path: Path, cmdline: str, words: str
) -> None:
    lines = [f"{symbol.address:08x} {symbol.kind} {symbol.name}\n" for symbol in LINUX]
    (tmp_path / "System.map-6.1").write_text("".join(lines))
    guest, says = linux(tmp_path, cmdline)
    guest.at(0xC0200044)
    assert says() == words


# --- Linux itself ---------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.guest
@pytest.mark.skipif(not KERNEL.exists(), reason="no guests/vmlinuz: make guests")
def test_debian_s_kernel() -> None:
    cmdline = "console=ttyS0,115200 earlyprintk=serial,ttyS0,115200"
    machine = Machine(memory_mb=128, mode="bare")
    machine.load_linux(KERNEL, initrd=INITRD, cmdline=cmdline)
    says = Whereabouts(machine, ImageConfig("kernel", KERNEL, cmdline))
    machine.run(max_instructions=1_000_000)
    assert says() == "decompressing the kernel"
    assert machine.run(until="Linux version", timeout=PATIENCE).kind == "until"
    name = machine.watch.linux_symbols().at(machine.registers["eip"])
    assert name is not None and says() == f"kernel: {name.name}"
