"""The physical map: what answers where, and that it may change under a guest that runs."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bt.assembler import assemble
from devices.bus import Bus, BusError
from monitor import Machine
from monitor.lockstep.pair import Pair
from monitor.vmm.errors import UserError
from monitor.vmm.memory import PAGE
from monitor.vmm.physical_map import HOLE, SHADOW, DeviceMemory, Kind

ORIGIN, MIB = 0x100000, 1 << 20
MODES = ("bare", "trap", "translate")
modes = pytest.mark.parametrize("mode", MODES)
ROM, BUFFER, PORT = 0xC8000, 0xE0000000, 0x300
MOST = 200_000


def regions(machine: Machine) -> list[tuple[int, int, Kind]]:
    return [(each.first, each.end, each.kind) for each in machine.physical_map.regions()]


# --- what is where ------------------------------------------------------------------------------


def test_an_empty_pc() -> None:
    assert regions(Machine(memory_mb=4)) == [
        (0, 0xA0000, Kind.RAM),
        (0xA0000, 0x100000, Kind.OPEN_BUS),
        (0x100000, 4 * MIB, Kind.RAM),
        (4 * MIB, 1 << 32, Kind.OPEN_BUS),
    ]
    assert regions(Machine(memory_mb=1))[0] == (0, 0xA0000, Kind.RAM)
    assert len(regions(Machine(memory_mb=1))) == 2


def test_all_kinds_at_once() -> None:
    machine = Machine(memory_mb=4)
    machine.roms.add(ROM, bytes(3 * PAGE))
    machine.load_rom(bytes(2 * PAGE))
    machine.devices.plug_memory(0xFED00004, 8)
    machine.devices.make_memory(2 * PAGE, "picture").show(BUFFER)
    machine.physical_map.shadow(range(ROM + PAGE, ROM + 2 * PAGE), True, True)
    found = [str(each) for each in machine.physical_map.regions() if each.kind != Kind.OPEN_BUS]
    assert found == [
        "00000000 to 0009ffff: RAM",
        "000c8000 to 000c8fff: ROM",
        "000c9000 to 000c9fff: shadow RAM",
        "000ca000 to 000cafff: ROM",
        "000fe000 to 000fffff: ROM",
        "00100000 to 003fffff: RAM",
        "e0000000 to e0001fff: picture",
        "fed00004 to fed0000b: registers",
        "ffffe000 to ffffffff: firmware",
    ]
    assert machine.physical_map.at(BUFFER + 5).kind is Kind.DEVICE_MEMORY
    assert machine.physical_map.at(0xB0000).name == "open bus"


def test_the_hole_stands_in_one_place() -> None:
    """Nobody else knows where RAM is missing: the number is said once."""
    root = Path(__file__).resolve().parents[2]
    found = subprocess.run(
        ["grep", "-rlniE", r"\b0xA0000\b", "--include=*.py", "monitor", "bt", "devices"],
        cwd=root, capture_output=True, text=True, check=False,
    ).stdout.split()  # fmt: skip
    said = [name for name in found if "HOLE" in (root / name).read_text()]
    assert "monitor/vmm/physical_map.py" in said
    definitions = [
        name for name in said
        if any(line.startswith("HOLE") and "0x" in line
               for line in (root / name).read_text().splitlines())
    ]  # fmt: skip
    assert definitions == ["monitor/vmm/physical_map.py"]


def test_bytes_across_regions() -> None:
    machine = Machine(memory_mb=4)
    machine.roms.add(0xFF000, b"rom")
    machine.write_physical(0xFFFFE, b"abcd")
    assert machine.read_physical(0xFFFFE, 4) == b"abcd"
    buffer = machine.devices.make_memory(2 * PAGE)
    buffer.show(4 * MIB)
    machine.write_physical(4 * MIB - 2, b"wxyz")
    assert machine.read_physical(4 * MIB - 2, 4) == b"wxyz"
    assert bytes(buffer.bytes[:2]) == b"yz"
    for address, size in ((0x9FFFF, 2), (0xFEFFF, 2), (4 * MIB + 2 * PAGE - 1, 2), (-1, 1),
                          ((1 << 32) - 1, 2)):  # fmt: skip
        with pytest.raises(UserError, match="no guest RAM"):
            machine.read_physical(address, size)
        with pytest.raises(UserError, match="no guest RAM"):
            machine.write_physical(address, bytes(size))


def test_places_of_frames() -> None:
    machine = Machine(memory_mb=4, mode="bare")
    machine.load_rom(bytes(PAGE))
    buffer = machine.devices.make_memory(PAGE)
    buffer.show(BUFFER)
    frames = np.array([0, 0xA0, 0xFF, 0x100, 0x400, BUFFER // PAGE, 0xFFFFF])
    assert machine.physical_map.places_of(frames).tolist() == [
        0, -1, 0xFF, 0x100, -1, buffer.place // PAGE, 0xFF,
    ]  # fmt: skip


def test_what_cannot_be() -> None:
    machine = Machine(memory_mb=4)
    buffer = machine.devices.make_memory(2 * PAGE, "picture")
    for bad in ((1,), (BUFFER + 4,), (BUFFER, 1), (BUFFER, 0, 100), (BUFFER, PAGE, 2 * PAGE),
                (1 << 32,), ((1 << 32) - PAGE,), (-PAGE,), (BUFFER, 0, 0)):  # fmt: skip
        with pytest.raises(UserError, match="picture"):
            buffer.show(*bad)
    with pytest.raises(UserError, match="32 MiB between them"):
        machine.devices.make_memory(33 << 20)
    for place in (range(0xB0000, 0xC1000), range(0xC0000, 0x101000), range(0xC0000, 0xC0800)):
        with pytest.raises(UserError, match="shadow RAM"):
            machine.physical_map.shadow(place, True, True)
    buffer.show(BUFFER)
    with pytest.raises(UserError, match="picture is at 0xe0000000"):
        machine.devices.plug_memory(BUFFER + PAGE, 4)


# --- a guest and a port that changes the map ----------------------------------------------------


Change = Callable[[Machine, int], object]


def live(
    mode: str,
    source: str,
    change: Change,
    prepare: Callable[[Machine], object],
    origin: int = ORIGIN,
) -> Machine:
    """Flat code; a byte to PORT calls `change` in the middle of the instruction."""
    machine = Machine(memory_mb=4, mode=mode)
    prepare(machine)
    machine.devices.plug_ports(
        PORT, 1, write=lambda offset, size, value: change(machine, value) and None
    )
    machine.load_flat(assemble(source, origin), origin, esp=0x90000)
    outcome = machine.run(max_instructions=MOST)
    assert outcome.kind == "stuck", (mode, outcome, machine.debug.where())
    return machine


def agree(
    source: str,
    change: Change = lambda *_: None,
    prepare: Change | None = None,
    trap: bool = True,
    origin: int = ORIGIN,
) -> Machine:
    """In every mode the same; the bare machine."""
    machines = []

    def make(mode: str) -> Machine:
        ready = prepare or (lambda *_: None)
        machines.append(live(mode, source, change, lambda machine: ready(machine, 0), origin))
        return machines[-1]

    for other in ("trap", "translate") if trap else ("translate",):
        pair = Pair(make, ("bare", other))
        assert pair.agree(), pair.rows()
    return machines[0]


def memory_of(machine: Machine) -> DeviceMemory:
    return machine.buffer  # type: ignore[attr-defined, no-any-return]


def with_buffer(machine: Machine, _: int) -> None:
    buffer = machine.buffer = machine.devices.make_memory(4 * PAGE)  # type: ignore[attr-defined]
    buffer.show(BUFFER)


PLACES = (BUFFER, 0xE1000000, 0xD0000, 0x200000)


def moves(machine: Machine, value: int) -> None:
    memory_of(machine).move(PLACES[value])


def test_a_frame_buffer_moves() -> None:
    """Where it was there is the open bus again; where RAM is, RAM stays."""
    machine = agree(
        f"""
        mov  edx, {PORT}
        mov  dword ptr [{BUFFER}], 0x11111111
        mov  eax, [{PLACES[1]}]
        mov  [0x5000], eax
        mov  al, 1
        out  dx, al
        mov  eax, [{BUFFER}]
        mov  [0x5004], eax
        mov  eax, [{PLACES[1]}]
        mov  [0x5008], eax
        add  dword ptr [{PLACES[1]}], 1
        mov  al, 2
        out  dx, al
        mov  eax, [{PLACES[2]}]
        mov  [0x500c], eax
        mov  dword ptr [{PLACES[3]}], 0x22222222
        mov  al, 3
        out  dx, al
        mov  eax, [{PLACES[3]}]
        mov  [0x5010], eax
        mov  eax, [{PLACES[2]}]
        mov  [0x5014], eax
        hlt
        """,
        moves, with_buffer,
    )  # fmt: skip
    seen = np.frombuffer(machine.read_physical(0x5000, 24), np.uint32).tolist()
    ones = 0xFFFFFFFF
    assert seen == [ones, ones, 0x11111111, 0x11111112, 0x22222222, ones]


CODE = assemble("inc ebx; ret", 0)
OTHER = assemble("dec ebx; ret", 0)


def test_code_in_a_region_that_moves() -> None:
    """Decoded, chained and translated code of what was there before is not run."""
    def prepare(machine: Machine, _: int) -> None:
        with_buffer(machine, 0)
        buffer = memory_of(machine)
        buffer.bytes[: len(CODE)] = bytearray(CODE)
        buffer.wrote(0, len(CODE))
        machine.write_physical(PLACES[3], OTHER)
        machine.roms.add(0xD0000, OTHER)

    machine = agree(
        f"""
        mov  esi, 20
        xor  ebx, ebx
    again:
        mov  ecx, {PLACES[0]}
        call ecx
        mov  ecx, {PLACES[3]}
        call ecx
        call ecx
        dec  esi
        jnz  again
        mov  edx, {PORT}
        mov  al, 1
        out  dx, al
        mov  ecx, {PLACES[1]}
        call ecx
        mov  al, 2
        out  dx, al
        mov  ecx, {PLACES[2]}
        call ecx
        hlt
        """,
        moves, prepare, trap=False,
    )  # fmt: skip
    assert machine.registers["ebx"] == (20 - 40 + 1 - 1) & 0xFFFFFFFF


def test_the_code_that_runs_is_taken_away() -> None:
    """The bank that holds the running code is switched: the next instruction is the other's."""
    def banks(machine: Machine, value: int) -> None:
        memory_of(machine).show(0xD0000, value * PAGE, PAGE)

    def prepare(machine: Machine, _: int) -> None:
        with_buffer(machine, 0)
        buffer = memory_of(machine)
        head = assemble(f"mov edx, {PORT}; mov al, 1; out dx, al", 0)
        for bank, rest in enumerate((OTHER, CODE)):
            code = head + rest
            buffer.bytes[bank * PAGE : bank * PAGE + len(code)] = bytearray(code)
        buffer.wrote(0, buffer.size)
        banks(machine, 0)

    source = "xor ebx, ebx; mov ecx, 0xd0000; call ecx; call ecx; hlt"
    assert agree(source, banks, prepare, trap=False).registers["ebx"] == 2


@pytest.mark.parametrize("mode", ["bare", "translate"])
def test_a_frame_buffer_is_as_fast_as_ram(mode: str) -> None:
    """Whole runs of elements, no access by itself; translated, none emulated."""
    machine = live(
        mode,
        f"""
        mov  ebx, 20
    again:
        mov  edi, {BUFFER}
        mov  ecx, 4096
        mov  eax, ebx
        cld
        .byte 0xf3, 0xab
        dec  ebx
        jnz  again
        hlt
        """,
        lambda *_: None,
        lambda machine: with_buffer(machine, 0),
    )
    assert bytes(memory_of(machine).bytes[-4:]) == b"\1\0\0\0"
    assert machine.statistics()["devices"]["memory_writes"] == 0
    assert machine.statistics()["by_kind"].get("emulated", 0) < 10


@modes
def test_dirty_pages_are_told(mode: str) -> None:
    """Once each, by whatever wrote them: a first write, a run, a write behind a snapshot."""
    said: list[list[int]] = []

    def look(machine: Machine, _: int) -> None:
        said.append(memory_of(machine).written_pages())

    live(
        mode,
        f"""
        mov  edx, {PORT}
        out  dx, al
        mov  byte ptr [{BUFFER + 5}], 1
        mov  byte ptr [{BUFFER + 6}], 1
        mov  dword ptr [{BUFFER + 3 * PAGE - 2}], 1
        out  dx, al
        out  dx, al
        mov  byte ptr [{BUFFER + 7}], 1
        inc  byte ptr [{BUFFER + 8}]
        out  dx, al
        mov  eax, [{BUFFER + PAGE}]
        out  dx, al
        mov  edi, {BUFFER + PAGE + 0x800}
        mov  ecx, 0x800
        cld
        .byte 0xf3, 0xab
        out  dx, al
        hlt
        """,
        look,
        lambda machine: with_buffer(machine, 0),
    )
    pages = [[page // PAGE for page in each] for each in said]
    assert pages == [[], [0, 2, 3], [], [0], [], [1, 2, 3]]


def test_a_page_that_a_device_wrote_is_told_as_well() -> None:
    machine = Machine(memory_mb=4)
    with_buffer(machine, 0)
    buffer = memory_of(machine)
    buffer.wrote(PAGE, 1)
    assert buffer.written_pages() == [PAGE]
    machine.board.bus.memory.write(BUFFER + 2 * PAGE - 1, b"ab")
    assert buffer.written_pages() == [PAGE, 2 * PAGE]
    machine.write_physical(BUFFER, b"c")
    assert buffer.written_pages() == [0]


def test_a_device_has_memory_by_its_bus_and_takes_it_along() -> None:
    class Screen:
        name = "screen"

        def __init__(self, bus: Bus) -> None:
            self.picture = bus.make_memory("picture", PAGE)
            self.picture.show(BUFFER)

    machine = Machine(memory_mb=4, devices=[Screen])
    assert machine.physical_map.at(BUFFER).name == "picture"
    machine.devices.unplug("screen")
    assert machine.physical_map.at(BUFFER).kind is Kind.OPEN_BUS
    with pytest.raises(BusError, match="no memory on this board"):
        Bus(machine.clock).make_memory("picture", PAGE)


def test_two_windows_on_the_same_memory() -> None:
    def prepare(machine: Machine, _: int) -> None:
        with_buffer(machine, 0)
        memory_of(machine).show(0xA0000, 2 * PAGE, 2 * PAGE)

    machine = agree(
        f"""
        mov  dword ptr [0xa0004], 0x1234
        mov  eax, [{BUFFER + 2 * PAGE + 4}]
        mov  dword ptr [{BUFFER + 3 * PAGE}], 0x5678
        mov  ebx, [0xa1000]
        mov  ecx, [0xa2000]
        hlt
        """,
        prepare=prepare,
    )
    values = machine.registers
    assert (values["eax"], values["ebx"], values["ecx"]) == (0x1234, 0x5678, 0xFFFFFFFF)


# --- shadow RAM ---------------------------------------------------------------------------------


def chipset(machine: Machine, value: int) -> None:
    machine.physical_map.shadow(range(ROM, ROM + 2 * PAGE), bool(value & 1), bool(value & 2))


def with_rom(machine: Machine, _: int) -> None:
    image = assemble("mov eax, 1; ret", 0).ljust(16, b"\x90") + b"rom!" * 2
    machine.roms.add(ROM, image.ljust(PAGE, b"\x11"))


def test_a_bios_makes_its_shadow() -> None:
    """Reads from ROM, writes to the RAM below: it copies itself onto itself, and goes on there."""
    machine = agree(
        f"""
        mov  edx, {PORT}
        mov  ebp, {ROM}
        call ebp
        mov  [0x5000], eax
        mov  al, 2                          # reads find the ROM, writes the RAM
        out  dx, al
        mov  esi, {ROM}
        mov  edi, esi
        mov  ecx, {PAGE // 4}
        cld
        .byte 0xf3, 0xa5
        mov  byte ptr [{ROM + 1}], 2
        call ebp
        mov  [0x5004], eax
        mov  al, 3
        out  dx, al
        call ebp
        mov  [0x5008], eax
        mov  byte ptr [{ROM + 1}], 3
        call ebp
        mov  [0x500c], eax
        mov  al, 1                          # read only
        out  dx, al
        mov  byte ptr [{ROM + 1}], 4
        call ebp
        mov  [0x5010], eax
        mov  al, 0                          # off: the ROM as it was
        out  dx, al
        call ebp
        mov  [0x5014], eax
        mov  byte ptr [{ROM + 1}], 5
        mov  al, 1
        out  dx, al
        call ebp
        mov  [0x5018], eax
        mov  eax, [{ROM + 16}]
        hlt
        """,
        chipset, with_rom, trap=False,
    )  # fmt: skip
    seen = np.frombuffer(machine.read_physical(0x5000, 28), np.uint32).tolist()
    assert seen == [1, 1, 2, 3, 3, 1, 3]
    assert machine.registers["eax"] == int.from_bytes(b"rom!", "little")


def test_shadow_ram_where_there_is_no_rom() -> None:
    """Writes go there while reads find the open bus."""
    machine = agree(
        f"""
        mov  edx, {PORT}
        mov  al, 2
        out  dx, al
        mov  dword ptr [{ROM + PAGE}], 0x1234
        inc  byte ptr [{ROM + PAGE + 4}]
        mov  ebx, [{ROM + PAGE}]
        mov  al, 1
        out  dx, al
        mov  ecx, [{ROM + PAGE}]
        mov  esi, [{ROM + PAGE + 4}]
        hlt
        """,
        chipset,
    )
    values = machine.registers
    assert (values["ebx"], values["ecx"], values["esi"]) == (0xFFFFFFFF, 0x1234, 0)
    assert machine.physical_map.shadowed(ROM) == (True, False)
    assert machine.physical_map.shadowed(ROM - 1) == (False, False)


def test_firmware_below_4_gib_stays_rom() -> None:
    machine = Machine(memory_mb=4, mode="bare")
    machine.load_rom(b"\x11" * PAGE)
    machine.physical_map.shadow(range(0xFF000, 0x100000), True, True)
    machine.write_physical(0xFF000, b"\x22")
    assert machine.read_physical(0xFF000, 1) == b"\x22"
    assert machine.read_physical(0xFFFFF000, 1) == b"\x11"


def test_what_a_device_reaches() -> None:
    """DMA: ROM is read and not written, shadow RAM by its switches, registers neither."""
    machine = Machine(memory_mb=4, mode="bare")
    with_rom(machine, 0)
    machine.devices.plug_memory(0xD0000, 4)
    board = machine.physical_map

    def found(pieces: object) -> list[tuple[bool, int]]:
        return [(span is not None, n) for span, n in pieces]  # type: ignore[attr-defined]

    assert found(board.readable(0x9F000, 0x2000)) == [(True, PAGE), (False, PAGE)]
    assert found(board.writable(ROM - PAGE, 3 * PAGE)) == [(False, PAGE)] * 3
    assert found(board.readable(ROM, 2 * PAGE)) == [(True, PAGE), (False, PAGE)]
    chipset(machine, 2)
    assert found(board.writable(ROM, 2 * PAGE)) == [(True, PAGE), (True, PAGE)]
    chipset(machine, 1)
    assert found(board.writable(ROM, PAGE)) == [(False, PAGE)]
    assert found(board.readable(ROM, 2 * PAGE)) == [(True, 2 * PAGE)]
    assert found(board.readable((1 << 32) - PAGE, 2 * PAGE)) == [(False, 2 * PAGE)]
    (span, _), = board.writable(0x5000, 4)
    assert span is not None
    span[:] = 7
    board.written(0x5000, 4)
    assert machine.read_physical(0x5000, 4) == b"\7\7\7\7"


def test_all_of_shadow_ram_and_its_bytes() -> None:
    machine = Machine(memory_mb=4)
    machine.physical_map.shadow(SHADOW, True, True)
    machine.write_physical(SHADOW.start, b"x" * len(SHADOW))
    (name, memory), *_ = machine.physical_map.hidden_memory()
    assert name == "shadow RAM" and (memory == ord("x")).all()
    assert not machine.memory.map()[HOLE.start : HOLE.stop].any()


def test_a_map_is_saved_and_put_back() -> None:
    """In a machine of the same devices; the bytes apart."""
    def make() -> Machine:
        machine = Machine(memory_mb=4)
        with_buffer(machine, 0)
        return machine

    machine = make()
    chipset(machine, 3)
    memory_of(machine).show(0xA0000, PAGE, PAGE)
    state = json.loads(json.dumps(machine.physical_map.snapshot()))
    other = make()
    other.physical_map.restore(state)
    assert regions(other) == regions(machine)
    assert other.physical_map.snapshot() == state
    other.physical_map.restore(make().physical_map.snapshot())
    assert regions(other) == regions(make())

    bad: list[dict[str, object]] = [
        {"memories": []}, {"memories": [{"name": "other", "size": 4 * PAGE, "shown": []}]},
        {"memories": [{"name": "device", "size": 4 * PAGE, "shown": [[1, 0, PAGE]]}]},
        {"shadow_reads": [0xBF]}, {"shadow_writes": [0x100]},
    ]  # fmt: skip
    for change in bad:
        with pytest.raises(UserError):
            other.physical_map.restore({**state, **change})


# --- registers that come and go -----------------------------------------------------------------


def test_registers_and_memory_beside_each_other() -> None:
    """Memory hides registers in its pages; gone, they are there."""
    def prepare(machine: Machine, _: int) -> None:
        with_buffer(machine, 0)
        machine.devices.plug_memory(PLACES[2] + 0x10, 8, read=lambda offset, size: 0x77)

    machine = agree(
        f"""
        mov  edx, {PORT}
        mov  bl, [{PLACES[2] + 0x10}]
        mov  al, 2
        out  dx, al
        mov  bh, [{PLACES[2] + 0x10}]
        mov  al, 1
        out  dx, al
        mov  cl, [{PLACES[2] + 0x10}]
        hlt
        """,
        moves, prepare,
    )  # fmt: skip
    assert machine.registers["ebx"] & 0xFFFF == 0x0077
    assert machine.registers["ecx"] & 0xFF == 0x77


def test_the_a20_gate_and_memory_above_it() -> None:
    """Closed, physical bit 20 is 0 wherever memory lies."""
    def prepare(machine: Machine, _: int) -> None:
        machine.devices.make_memory(PAGE).show(0xE0000000)
        machine.devices.make_memory(PAGE).show(0xE0100000)

    machine = agree(
        f"""
        mov  edx, {PORT}
        mov  dword ptr [0xe0000000], 1
        mov  dword ptr [0xe0100000], 2
        xor  eax, eax
        out  dx, al
        mov  ebx, [0xe0100000]
        inc  eax
        out  dx, al
        mov  ecx, [0xe0100000]
        hlt
        """,
        lambda machine, value: machine.processor.set_a20(bool(value)),
        prepare,
        origin=0x10000,
    )
    assert (machine.registers["ebx"], machine.registers["ecx"]) == (1, 2)
