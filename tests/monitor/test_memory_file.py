"""Guest RAM's memory file: open for an engine to map, and closed when its machine has gone."""

from __future__ import annotations

import errno
import gc
import mmap
import os
from pathlib import Path

import pytest

from monitor import Machine
from monitor.vmm.memory import GuestMemory

FILES = Path("/proc/self/fd")


def open_files() -> set[str]:
    """Names of the memory files that are open, by descriptor."""
    found = set()
    for each in FILES.iterdir():
        try:
            target = os.readlink(each)
        except OSError:  # the descriptor of the folder itself
            continue
        if "guest-ram" in target:
            found.add(each.name)
    return found


@pytest.fixture
def before() -> set[str]:
    gc.collect()
    return open_files()


@pytest.mark.parametrize("mode", ["bare", "trap", "translate"])
def test_an_engine_can_map_what_the_guest_has(mode: str) -> None:
    """Place p is the file's byte file_offset + p, RAM and the monitor's memory alike."""
    machine = Machine(memory_mb=1, mode=mode)
    ram = machine.ram
    assert ram.file == machine.memory.file >= 0
    size = len(machine.memory.buffer)
    assert os.fstat(ram.file).st_size == ram.file_offset + size
    other = mmap.mmap(ram.file, size, offset=ram.file_offset)
    machine.write_physical(0x12345, b"hello")
    assert other[0x12345 : 0x12345 + 5] == b"hello"
    other[0x12345:0x1234A] = b"HELLO"
    assert machine.read_physical(0x12345, 5) == b"HELLO"


def test_children_do_not_have_it() -> None:
    assert not os.get_inheritable(GuestMemory(1 << 20).file)


def test_it_goes_with_the_machine(before: set[str]) -> None:
    for mode in ("bare", "trap", "translate") * 4:
        machine = Machine(memory_mb=1, mode=mode)
        assert open_files() - before
        machine.step()
        del machine
        gc.collect()
    assert open_files() == before


def test_it_can_be_closed_before(before: set[str]) -> None:
    """The memory stays; the map holds the file, not the descriptor."""
    memory = GuestMemory(1 << 20)
    one = memory.file
    memory.write(5, b"kept")
    memory.close()
    memory.close()
    assert memory.file == -1
    with pytest.raises(OSError, match="Bad file") as error:
        os.fstat(one)
    assert error.value.errno == errno.EBADF
    assert memory.read(5, 4) == b"kept"
    del memory
    gc.collect()
    assert open_files() == before


def test_a_descriptor_that_was_closed_is_nobody_elses(before: set[str]) -> None:
    """Closed once: by then its number may be another file's."""
    memory = GuestMemory(1 << 20)
    number = memory.file
    memory.close()
    taken = os.open("/dev/null", os.O_RDONLY)
    if taken != number:
        os.dup2(taken, number)
        os.close(taken)
    del memory
    gc.collect()
    os.fstat(number)
    os.close(number)


def test_without_memory_files_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(name: str) -> int:
        raise OSError(errno.ENOSYS, "no memory files here")

    monkeypatch.setattr(os, "memfd_create", refused)
    machine = Machine(memory_mb=1)
    assert machine.memory.file == machine.ram.file == -1
    machine.write_physical(0, b"x")
    assert machine.step().kind == "instructions"


def test_machines_that_nobody_has_give_their_files_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process may have so many: those of machines that are garbage are closed first."""
    real, tries = os.memfd_create, []

    def once_full(name: str) -> int:
        tries.append(name)
        if len(tries) == 1:
            raise OSError(errno.EMFILE, "too many open files")
        return real(name)

    monkeypatch.setattr(os, "memfd_create", once_full)
    assert GuestMemory(1 << 20).file >= 0
    assert len(tries) == 2


def test_files_that_are_too_long_are_closed(
    before: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(descriptor: int, size: int) -> None:
        raise OSError(errno.EFBIG, "file too large")

    monkeypatch.setattr(os, "ftruncate", refused)
    assert GuestMemory(1 << 20).file == -1
    monkeypatch.undo()
    assert open_files() == before
