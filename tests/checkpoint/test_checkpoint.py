"""A machine put aside and taken up again goes on as if nothing had been.

`python -m benchmarks.checkpoints` does it at two hundred places, and with Linux.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from benchmarks.checkpoints import MODES, Trial, end_of
from bt.assembler import assemble
from devices.device import Chip
from devices.fields import BYTE, TIMER, fields
from monitor import Machine
from monitor.checkpoint import save
from monitor.checkpoint.format import READABLE, VERSION
from monitor.host.console import LIMIT
from monitor.settings.capabilities import X86_VMWARE_BACKDOOR, X86_VMWARE_HYPERCALL
from monitor.vmm.errors import UserError
from monitor.vmware.restrictions import Restrictions

TRIAL = Trial("embedded", 4, None)
BASE = 0x100000
SPIN = "again:\n inc eax\n jmp again"


def small(source: str, **settings: Any) -> Machine:
    machine = Machine(**{"memory_mb": 2, "mode": "bare", **settings})
    machine.load_flat(assemble(source, BASE), BASE, esp=0x90000)
    return machine


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
def test_the_embedded_guest_ends_the_same_from_anywhere(mode: str, tmp_path: Path) -> None:
    wanted = end_of(TRIAL.machine(mode), None)
    chance = random.Random(mode)
    machine = TRIAL.machine(mode)
    for number, at in enumerate(sorted(chance.randrange(520_000) for _ in range(8))):
        machine.run(max_instructions=at - machine.instructions)
        path = tmp_path / f"{at}.vpcheck"
        machine.checkpoints.save(path)
        turned = (*MODES, "trap")[number % 3]
        other = Machine.restore(path, mode=turned)
        assert other.mode == turned and other.instructions == at
        if turned != "trap":  # whose guest sees what it shall not
            assert end_of(other, None) == wanted, (at, turned)
    assert end_of(machine, None) == wanted  # saving it changed nothing


@pytest.mark.slow
def test_another_process_and_the_other_build(tmp_path: Path) -> None:
    machine = TRIAL.machine("translate")
    machine.run(max_instructions=515_000)
    path = tmp_path / "x.vpcheck"
    machine.checkpoints.save(path)
    wanted = end_of(machine, None)
    job = json.dumps({"path": str(path), "mode": "bare", "last": None})
    for pure in ("", "1"):
        done = subprocess.run([sys.executable, "-m", "benchmarks.checkpoints", "--job", job],
                              capture_output=True, text=True, check=True,
                              env={**os.environ, "VP_PURE": pure})  # fmt: skip
        assert json.loads(done.stdout) == wanted


def test_a_file_is_the_same_each_time_and_needs_no_machine(tmp_path: Path) -> None:
    machine = small(SPIN)
    machine.run(max_instructions=1001)
    one, two = machine.snapshot(), machine.snapshot()
    assert one.data == two.data and len(one) == len(one.data)
    one.save(tmp_path / "a")
    machine.checkpoints.save(tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes() == one.data
    del machine
    again = Machine.restore(one)
    assert again.instructions == 1001 and again.registers["eax"] == 501
    assert again.statistics()["by_kind"] == {"bare": 0, "restored": 1001}
    assert VERSION in READABLE


def test_settings_are_the_files_but_for_those_that_are_given() -> None:
    machine = small(SPIN, memory_mb=3, start_time=1_000_000_000)
    machine.run(max_instructions=1000)
    again = Machine.restore(machine.snapshot())
    assert (again.settings.memory_mb, again.mode, again.settings.clock) == (3, "bare", "icount")
    assert again.settings.start_time == 1_000_000_000
    others = {"mode": "translate", "without": ["chaining"], "clock": "host"}
    other = Machine.restore(machine.snapshot(), **others)  # type: ignore[arg-type]
    assert (other.mode, other.settings.without, other.settings.clock) == (
        "translate", ("chaining",), "host",
    )  # fmt: skip
    assert other.clock.now() >= machine.clock.now()
    with pytest.raises(UserError, match="goes with mode translate"):
        Machine.restore(machine.snapshot(), without=["chaining"])


def test_the_console_goes_on(tmp_path: Path) -> None:
    machine = small(SPIN)
    machine.serial.write(b"before " * (LIMIT // 3))
    machine.send("typed")
    again = Machine.restore(machine.snapshot())
    for each in (machine, again):
        each.serial.write(b"behind")
    assert again.output.digest() == machine.output.digest()
    assert again.output.total == machine.output.total
    assert again.console.endswith(b"before behind")
    assert again.input_waiting == machine.input_waiting == 4  # one is in the port already


def test_clock_and_halt() -> None:
    """Halted, with a timer to come: the time until then is the same."""
    machine = small("""
        mov al, 0x34
        out 0x43, al
        mov al, 0
        out 0x40, al
        out 0x40, al
        sti
        hlt
    """)
    machine.run(max_instructions=7)
    again = Machine.restore(machine.snapshot())
    for each in (machine, again):
        each.run(max_instructions=1, timeout=5)
    assert again.clock.now() == machine.clock.now()
    assert again.instructions == machine.instructions


def test_an_interrupt_shadow_is_still_there() -> None:
    """STI, an interrupt waiting: not before the instruction behind it."""
    machine = small("""
        sti
        nop
        nop
        nop
    """)
    machine.board.pc.pic.master.restore(
        {**machine.board.pc.pic.master.snapshot(), "imr": 0, "ready": True, "icw4": 1}
    )
    machine.lines.raise_irq(5)
    machine.run(max_instructions=1)
    again = Machine.restore(machine.snapshot(), mode="translate")
    assert not again.processor.interruptible() and not machine.processor.interruptible()
    assert again.board.bus.intr == machine.board.bus.intr


class Counting(Chip):
    """A device of somebody's own."""

    name = "counting"
    state = fields(value=BYTE, timer=TIMER)
    wiring = ()

    def __init__(self, bus: Any) -> None:
        self.value = 0
        self.timer = bus.timer(self._tick)
        bus.claim_ports(0x300, 1, self)

    def _tick(self) -> None:
        self.value = (self.value + 1) & 0xFF

    def reset(self) -> None:
        self.value = 0

    def read_port(self, offset: int, size: int) -> int:
        self.value += 1
        return self.value

    def write_port(self, offset: int, size: int, value: int) -> None:
        self.value = value


def test_devices_of_ones_own() -> None:
    machine = small(SPIN, devices=[Counting])
    machine.devices["counting"].value = 42
    snapshot = machine.snapshot()
    again = Machine.restore(snapshot, devices=[Counting])
    assert again.devices["counting"].value == 42
    with pytest.raises(UserError, match="counting"):
        Machine.restore(snapshot)


def test_a_device_without_a_snapshot_is_named() -> None:
    machine = small(SPIN)
    machine.devices.plug_ports(0x300, 1, read=lambda offset, size: 7, name="seven")
    with pytest.raises(UserError, match="'seven' cannot be saved"):
        machine.snapshot()


def test_roms_are_there_again() -> None:
    machine = small(SPIN)
    machine.roms.add(0xC8000, b"\x55\xaa")
    machine.roms.add_firmware(bytes(range(16)) * 4096)
    again = Machine.restore(machine.snapshot(), mode="translate")
    assert again.roms.ranges == machine.roms.ranges
    assert again.read_physical(0xC8000, 3) == b"\x55\xaa\xff"
    assert again.processor.ideal.read_physical(0xFFFFFFF0, 4) == 0x03020100


def test_vmware_s_interfaces_are_as_they_were() -> None:
    machine = Machine(memory_mb=2)
    machine.enable(
        X86_VMWARE_BACKDOOR, restrictions=Restrictions(copy_disable=True), uuid=b"u" * 16
    )
    machine.enable(X86_VMWARE_HYPERCALL, "magic", serve=True)
    tools = machine.vmware.tools
    tools.guestinfo["Name"] = "value \udcff"
    tools.machine_id = "mine"
    tools.clipboard = "text"
    tools.set_option("synctime", "1")
    tools.send("OS_Halt")
    backdoor = machine.vmware.backdoor
    backdoor.pointer.enabled = True
    backdoor.pointer.move(3, 4)
    backdoor.entropy.dice.bits()
    again = Machine.restore(machine.snapshot())
    assert again.snapshot().data == machine.snapshot().data
    assert again.vmware.tools.guestinfo["name"] == "value \udcff"
    assert again.vmware.tools.clipboard == "text"
    assert again.vmware.backdoor.host.uuid == b"u" * 16
    assert again.vmware.backdoor.host.restrictions.copy_disable
    assert again.vmware.backdoor.entropy.dice.bits() == backdoor.entropy.dice.bits()


def test_not_from_within_an_instruction() -> None:
    machine = small("in al, 0x80\nhlt")
    machine.hooks.on_port(range(0x80, 0x81), lambda *_: machine.snapshot())
    with pytest.raises(UserError, match="between two instructions"):
        machine.run(max_instructions=1)


# --- while it runs --------------------------------------------------------------------------------


def test_at_a_number_of_instructions_and_at_a_text(tmp_path: Path) -> None:
    source = """
        mov dx, 0x3f8
        mov ecx, 1000
    again:
        mov al, 'a'
        out dx, al
        mov al, 'b'
        out dx, al
        loop again
        cli
        hlt
    """
    ends = []
    for mode in MODES:
        machine = small(source, mode=mode)
        machine.checkpoints.when(tmp_path / "count", instructions=1234)
        machine.checkpoints.when(tmp_path / "text", text="abab")
        assert machine.run().kind == "stuck"
        for name, console in (("count", b""), ("text", b"abab")):
            again = Machine.restore(tmp_path / name)
            assert again.console.startswith(console)
            ends.append((name, again.instructions, again.console))
    assert ends[:2] == ends[2:]
    assert ends[0][1] == 1234 and ends[1][2] == b"abab"
    with pytest.raises(UserError, match="are over"):
        machine.checkpoints.when(tmp_path / "late", instructions=5)


def test_soon_from_another_thread_and_what_went_wrong(tmp_path: Path) -> None:
    machine = small(SPIN)
    told: list[object] = []
    machine.checkpoints.watch()
    machine.checkpoints.told = lambda path, result: told.append(result)
    machine.checkpoints.soon(tmp_path / "x")
    machine.checkpoints.soon(tmp_path / "nowhere" / "x")
    machine.run(max_instructions=1000)
    assert told[0] == (tmp_path / "x").stat().st_size
    assert "no checkpoint was written: No such file" in str(told[1])


KILLED = """
import sys
from monitor import Machine
from monitor.checkpoint import ram
machine = Machine(memory_mb=16, mode="bare")
machine.memory.map()[:] = memoryview(bytes(range(256)) * (16 << 12))
chunks = ram.chunks
def slowly(*args):
    for number, each in enumerate(chunks(*args)):
        print(number, flush=True)
        if number == int(sys.argv[2]):
            sys.stdin.read()
        yield each
import monitor.checkpoint.save as save
save.chunks = slowly
machine.checkpoints.save(sys.argv[1])
"""


@pytest.mark.parametrize("there", [False, True])
def test_killed_while_it_is_written_there_is_the_old_one_or_none(
    tmp_path: Path, there: bool
) -> None:
    path = tmp_path / "x.vpcheck"
    if there:
        small(SPIN).checkpoints.save(path)
    before = path.read_bytes() if there else None
    child = subprocess.Popen([sys.executable, "-c", KILLED, str(path), "3"],
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # fmt: skip
    assert child.stdout is not None and child.stdin is not None
    while child.stdout.readline() != b"3\n":
        pass
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdin.close()
    child.stdout.close()
    if before is None:
        assert not path.exists()
    else:
        assert path.read_bytes() == before
        assert Machine.restore(path).registers["eip"] == BASE


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(save, "write", full)
    machine = small(SPIN)
    with pytest.raises(UserError, match="No space left on device"):
        machine.checkpoints.save(tmp_path / "x")
    assert not list(tmp_path.iterdir())


def test_no_second_copy_of_ram(tmp_path: Path) -> None:
    """64 MiB that are all in use, which do not compress: memory grows by a few chunks."""
    import tracemalloc

    import numpy as np

    machine = Machine(memory_mb=64, mode="bare")
    machine.memory.map()[:] = np.random.default_rng(1).integers(0, 256, 64 << 20, np.uint8)
    path = tmp_path / "x"
    tracemalloc.start()
    try:
        machine.checkpoints.save(path)
        saving = tracemalloc.get_traced_memory()[1]
        tracemalloc.reset_peak()
        again = Machine.restore(path)
        restoring = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert path.stat().st_size > 60 << 20
    assert np.array_equal(again.memory.map(), machine.memory.map())
    assert saving < 24 << 20 and restoring < 24 << 20


def test_what_was_never_touched_is_not_looked_at() -> None:
    from monitor.checkpoint.ram import CHUNK, touched

    machine = Machine(memory_mb=64, mode="bare")
    ram = machine.memory.map()
    ram[5 * CHUNK + 1] = ram[9 * CHUNK - 1] = ram[9 * CHUNK] = ram[-1] = 1
    found = touched(machine.memory, machine.memory.size)
    assert {5, 8, 9, 63} <= {*found} and found == sorted(set(found))
    assert touched(machine.memory, machine.memory.size) == found
    again = Machine.restore(machine.snapshot())
    assert (again.memory.map() == ram).all()


def test_time_goes_on_where_it_was() -> None:
    machine = small(SPIN, clock="host")
    machine.run(timeout=0.05)
    now = machine.clock.now()
    again = Machine.restore(machine.snapshot())
    time.sleep(0.01)
    assert now + 10_000_000 <= again.clock.now() < now + 60_000_000_000
