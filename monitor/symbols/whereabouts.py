"""What a guest is doing, in a few words, for the display of a run: `kernel: do_initcalls`.

    says = Whereabouts(machine, image)
    says()                                  # "decompressing the kernel"

It may be asked from another thread while the machine runs. So it reads what the ideal processor
holds, which is the guest's state when the monitor last had it, a moment ago, and nothing else of
the machine but RAM; it changes nothing. Where nobody knows a name it says the address.

Names come with the guest (monitor/symbols/guest_file.py). A Linux kernel's are the table that the
running kernel has in memory, wherever it has put itself; or, where there is none that we can read,
the System.map beside it, if the kernel was told to stay where it was linked (nokaslr).
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Protocol

from bt.interp.state import CS
from monitor.loaders.setup_header import SetupHeader, parse
from monitor.loaders.source import open_image
from monitor.settings.config import ImageConfig
from monitor.symbols.guest_file import (
    CodeNames,
    names_in_elf,
    names_in_map,
    names_of_linux,
    system_map,
)
from monitor.symbols.kallsyms import KERNEL_SPACE, Memory, read_kallsyms
from monitor.vmm.errors import UserError
from monitor.vmm.memory import GuestMemory

PROTECTION, PAGING = 1, 1 << 31  # CR0
USER = 3
PAGE = 4096
TRIES = 2  # to find a kernel's own table; a search takes some tenths of a second
LOOKS_BETWEEN = 8  # between two of them


class IdealProcessor(Protocol):
    """What is read of one."""

    eip: int
    cpl: int
    cr0: int

    def segment(self, number: int) -> tuple[int, int, int, int]: ...

    def peek_translation(self, la: int) -> int: ...


class HasIdeal(Protocol):
    @property
    def ideal(self) -> IdealProcessor: ...


class Subject(Protocol):
    """What is read of a machine."""

    @property
    def processor(self) -> HasIdeal: ...

    @property
    def memory(self) -> GuestMemory: ...


class Whereabouts:
    """Of one machine, in which an image was loaded."""

    def __init__(self, machine: Subject, image: ImageConfig) -> None:
        self._machine = machine
        self._cmdline = image.cmdline.split()
        self._names: CodeNames | None = None
        self._kernel: _Kernel | None = None
        with suppress(UserError):  # whoever loads it says what is wrong with it
            self._open(image)

    def _open(self, image: ImageConfig) -> None:
        if image.kind == "kernel":
            header = parse(open_image(image.path, "kernel"))
            if header.payload[1]:  # compressed, as every Linux is; memtest86+ is not
                self._kernel = _Kernel(header, image.path, "nokaslr" in self._cmdline)
        elif image.kind in ("elf", "multiboot"):
            self._names = names_in_elf(open_image(image.path, "guest").data)

    def __call__(self) -> str:
        """A few words."""
        cpu = self._machine.processor.ideal
        if not cpu.cr0 & PROTECTION:
            return "in real mode"
        if cpu.cpl == USER:
            return "in user code"
        linear = cpu.segment(CS)[1] + cpu.eip & 0xFFFFFFFF
        if self._kernel is not None:
            return self._kernel.describe(self._machine, linear)
        name = self._names.name(linear) if self._names is not None else None
        return f"in {name}" if name else f"at {linear:#010x}"


class _Kernel:
    """A Linux kernel, from its compressed image to its last system call."""

    def __init__(self, header: SetupHeader, path: Path, stays: bool) -> None:
        self._header = header
        self._path = path
        self._stays = stays
        self._names: CodeNames | None = None
        self._tries, self._looks = TRIES, 0

    def describe(self, machine: Subject, linear: int) -> str:
        if not machine.processor.ideal.cr0 & PAGING:
            begin, end = self._header.load_address, self._header.runtime_start
            if begin <= linear < end + self._header.init_size:
                return "decompressing the kernel"
            return f"before paging, at {linear:#010x}"
        if linear < KERNEL_SPACE:
            return f"at {linear:#010x}"
        if self._names is None:
            self._names = self._find(machine, linear)
        name = self._names.name(linear) if self._names is not None else None
        return f"kernel: {name}" if name else f"kernel, at {linear:#010x}"

    def _find(self, machine: Subject, linear: int) -> CodeNames | None:
        """Every few looks, and not for ever: while it is looked for, the guest stands still."""
        self._looks += 1
        if not self._tries or (self._looks - 1) % LOOKS_BETWEEN:
            return None
        self._tries -= 1
        with suppress(UserError):
            return names_of_linux(read_kallsyms(self._around(machine, linear)))
        path = system_map(self._path) if self._stays else None
        return None if path is None else names_in_map(_read(path))

    def _around(self, machine: Subject, linear: int) -> Memory:
        """As much memory around the code as the kernel can fill."""
        memory = machine.memory.map()
        physical = machine.processor.ideal.peek_translation(linear)
        if physical < 0:
            raise UserError("nothing is mapped there")
        reach = self._header.init_size
        return memory[max(0, physical - reach) & -PAGE : physical + reach & -PAGE]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
