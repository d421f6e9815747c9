"""Images of others that are started as Linux kernels are: memtest86+ and iPXE, as Debian has them.

memtest86+ draws on text memory, where this machine has no screen, but it can draw on a serial line
as well. iPXE is entered in real mode and asks the BIOS. What is here is enough for it to find
memory, to unpack itself and to come up in protected mode; then it executes FXSAVE, which came with
the Pentium II, and in its place a Pentium Pro raises #UD for ever.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

import pytest
from patience import PATIENCE

from monitor import Machine
from monitor.firmware import vectors
from monitor.guests.linux import GUESTS

MEMTEST, IPXE = GUESTS / "memtest86+.bin", GUESTS / "ipxe.lkrn"
SERIAL = "console=ttyS0,115200"
FXSAVE = b"\x0f\xae\x06"


def needs(name: str) -> Callable[..., object]:
    absent = not (GUESTS / name).exists()
    return pytest.mark.skipif(absent, reason=f"no guests/{name}: `make guests`")


def started(name: str, mode: str, cmdline: str = "", memory_mb: int = 8) -> Machine:
    machine = Machine(memory_mb=memory_mb, mode=mode)
    machine.load_linux(GUESTS / name, cmdline=cmdline)
    return machine


@pytest.mark.guest
@needs("memtest86+.bin")
@pytest.mark.parametrize("mode", ["bare", "translate"])
def test_memtest_is_started_at_its_32_bit_entry(mode: str) -> None:
    machine = started("memtest86+.bin", mode, SERIAL)
    registers = machine.registers
    assert registers["eip"] == 0x100000 and registers["cr0"] == 0x11
    assert (registers["cs"], registers["ss"], registers["ds"]) == (0x10, 0x18, 0x18)
    page = registers["esi"]
    assert [registers[name] for name in ("ebx", "ebp", "edi")] == [0, 0, 0]
    text = int.from_bytes(machine.read_physical(page + 0x228, 4), "little")
    assert machine.read_physical(text, len(SERIAL) + 1) == SERIAL.encode() + b"\0"
    image = MEMTEST.read_bytes()[3 * 512 :]
    assert len(image) % 16 == 8  # its last paragraph is half full
    assert machine.read_physical(0x100000, len(image)) == image
    # It moves itself, looks for a PCI bus and comes to measuring the processor by counter 2.
    written: list[tuple[int, int]] = []
    machine.board.on_access.append(
        lambda kind, port, size, value: written.append((port, value)) if kind == "out" else None
    )
    machine.run(max_instructions=350_000, timeout=PATIENCE)
    assert written[-3:] == [(0x43, 0xB0), (0x42, 0x0B), (0x42, 0xE9)]


@pytest.mark.guest
@pytest.mark.slow
@needs("memtest86+.bin")
def test_memtest_shows_its_screen_on_the_serial_line() -> None:
    """Most of the time goes into measuring the processor, which takes it 2.5 million port reads."""
    machine = started("memtest86+.bin", "translate", SERIAL)
    outcome = machine.run(until="Errors: 0", timeout=PATIENCE)
    assert outcome.kind == "until"
    screen = bytes(machine.console).decode("latin-1")
    assert "Memtest86+ v" in screen and "| Pentium Pro" in screen
    assert "Memory  :    8MB" in screen


@pytest.mark.guest
@pytest.mark.slow
@needs("ipxe.lkrn")
def test_ipxe_is_started_in_real_mode_and_comes_as_far_as_fxsave() -> None:
    ends = []
    for mode in ("bare", "translate"):
        machine = started("ipxe.lkrn", mode, "config")
        registers = machine.registers
        assert not registers["cr0"] & 1
        assert (registers["cs"], registers["eip"]) == (0x1020, 0)
        assert [registers[name] for name in ("ds", "es", "fs", "gs", "ss")] == [0x1000] * 5
        assert registers["esp"] == 0xE000 and not registers["eflags"] & 0x200
        assert machine.read_physical(0x1E000, 7) == b"config\0"
        payload = IPXE.read_bytes()[6 * 512 :]
        assert machine.read_physical(0x100000, len(payload)) == payload
        ends.append(_to_fxsave(machine))
    assert ends[0] == ends[1]


def _to_fxsave(machine: Machine) -> tuple[int, dict[str, int]]:
    """Run to the empty handler with FXSAVE as the place to return to."""
    empty = (vectors.SEGMENT << 4) + vectors.handlers().symbols["nothing"]
    for _ in range(1000):  # calls of the BIOS that are not there come to the same handler
        assert machine.run(until_address=empty, timeout=PATIENCE).kind == "address"
        registers = machine.registers
        stack = registers["ss"] * 16 + (registers["esp"] & 0xFFFF)
        ip, cs = struct.unpack("<HH", machine.read_physical(stack, 4))
        if machine.read_physical(cs * 16 + ip, 3) == FXSAVE:
            return machine.statistics()["instructions"], registers
        machine.step()
    pytest.fail("no FXSAVE")
