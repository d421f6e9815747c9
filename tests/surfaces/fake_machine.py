"""A machine without a processor: it plays a guest that its image describes.

The image is text, one step a line:

    print TEXT            send TEXT and a line end to the console
    prompt TEXT           send TEXT without a line end
    read                  wait for a line of input, and echo it
    end KIND [STATUS]     the outcome
    spin                  run until stopped or out of time
    exit REASON           an exit to the monitor
    crash                 a bug: an exception that nobody expects

`python fake_machine.py ARGUMENTS` is `vp ARGUMENTS` with such a machine.
"""

from __future__ import annotations

import queue
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import monitor
from monitor.host.console import Console
from monitor.settings.machine import Settings
from monitor.vmm.errors import UserError
from monitor.vmm.events import ExitEvent
from monitor.vmm.outcome import Outcome

INSTRUCTIONS = 1234567
WRONG_ANSWERS = [
    {"mnemonic": "POPF", "count": 7, "first_eip": 0x100123, "got": 0x202, "want": 0x2},
    {"mnemonic": "PUSH CS", "count": 2, "first_eip": 0x100456, "got": 0x1B, "want": 0x8},
]


class FakeTools:
    """What the tools of the guest are told."""

    def __init__(self) -> None:
        self.machine_id: str | None = None
        self.guestinfo: dict[str, str] = {}
        self.options: dict[str, str] = {}

    def set_option(self, name: str, value: str) -> None:
        self.options[name] = value


class FakeCheckpoints:
    """Writes files that say when."""

    told: Callable[[Path, int], None]

    def watch(self) -> None:
        """From now on soon() may be called."""

    def soon(self, path: Path) -> None:
        self.told(path, self.save(path))

    def save(self, path: Path) -> int:
        return path.write_bytes(b"checkpoint")


class FakeMachine:
    """The part of Machine that the command uses."""

    made: ClassVar[list[FakeMachine]] = []

    def __init__(
        self,
        memory_mb: int = 128,
        mode: str = "translate",
        engine: str = "interp",
        clock: str = "icount",
        start_time: int = 0,
        without: Sequence[str] = (),
        chipset: str = "isa",
    ) -> None:
        self.chipset = chipset
        self.firmware_log = SimpleNamespace(listeners=[])
        self.without = tuple(without)
        self.settings = {"memory_mb": memory_mb, "mode": mode, "engine": engine, "clock": clock}
        self.start_time = start_time
        self.enabled: dict[str, tuple[object, dict[str, object]]] = {}
        self.vmware = SimpleNamespace(tools=FakeTools())
        self.mode = mode
        self.loaded: dict[str, Any] = {}
        self.firmware_state = ""
        self.limits: dict[str, Any] = {}
        self.typed = bytearray()
        self.serial = SimpleNamespace(listeners=[], input_open=False)
        self.keys = SimpleNamespace(give=lambda strokes: self.typed.extend(str(strokes).encode()))
        self.debug = SimpleNamespace(where=self.where)
        self.loop = SimpleNamespace(chores=[], look_soon=lambda: None)
        self.checkpoints = FakeCheckpoints()
        self.guest: dict[str, str] = {}
        self.on_exit: list[Callable[[ExitEvent], None]] = []
        self.board = SimpleNamespace(
            take_input=lambda: None,
            bus=SimpleNamespace(
                port_ranges=lambda: [(0x3F8, 0x3FF, "uart16550"), (0xF4, 0xF4, "debug")],
                memory_ranges=list,
            )
        )
        self.output = Console()
        flat = SimpleNamespace(eip=0x100000, cpl=0, cr0=1, cr3=0, segment=lambda _number: (8, 0))
        self.processor = SimpleNamespace(ideal=flat)
        self._input: queue.Queue[bytes] = queue.Queue()
        self._stop = threading.Event()
        self._steps: list[str] = []
        self.made.append(self)

    @classmethod
    def of(cls, settings: Settings) -> FakeMachine:
        return cls(settings.memory_mb, settings.mode, settings.engine, settings.clock,
                   settings.start_time, tuple(settings.without), settings.chipset)  # fmt: skip

    @property
    def screen(self) -> Any:
        raise UserError("there is no screen")

    def enable(self, capability: str, value: object = True, **options: object) -> None:
        self.enabled[capability] = value, options

    # --- loading

    def load_bios(self, bios: Path, **options: object) -> None:
        self.loaded = {"bios": bios, **options}
        self._steps = []

    def load_flat(
        self, data: bytes, address: int, *, eip: int | None = None, firmware_state: str
    ) -> None:
        self.firmware_state = firmware_state
        self.loaded = {"kind": "flat", "address": address, "eip": eip}
        self._steps = data.decode().splitlines()

    def load_linux(
        self, kernel: Path, initrd: Path | None = None, cmdline: str = "", *, firmware_state: str
    ) -> None:
        self.firmware_state = firmware_state
        self.loaded = {"kind": "linux", "initrd": initrd, "cmdline": cmdline}
        self._steps = Path(kernel).read_text().splitlines()

    def load_multiboot(
        self,
        image: Path,
        cmdline: str = "",
        modules: list[tuple[str, bytes]] | None = None,
        *,
        firmware_state: str,
    ) -> None:
        self.firmware_state = firmware_state
        self.loaded = {"kind": "multiboot", "cmdline": cmdline, "modules": modules}
        self._steps = Path(image).read_text().splitlines()

    def load_elf(self, image: Path, *, firmware_state: str) -> None:
        self.firmware_state = firmware_state
        self.loaded = {"kind": "elf"}
        self._steps = Path(image).read_text().splitlines()

    # --- running

    def run(
        self,
        until: bytes | None = None,
        timeout: float | None = None,
        max_instructions: int | None = None,
    ) -> Outcome:
        self.limits = {"until": until, "timeout": timeout, "max_instructions": max_instructions}
        end = None if timeout is None else time.monotonic() + timeout
        for step in self._steps:
            outcome = self._play(step, end)
            if outcome is None and until is not None and until in self.output.tail:
                outcome = Outcome("until", detail="the text was seen")
            if outcome is not None:
                return outcome
        return Outcome("stuck", detail="halted with interrupts off: nothing can wake the guest")

    def _play(self, step: str, end: float | None) -> Outcome | None:
        verb, _, rest = step.partition(" ")
        if verb == "print":
            self._output(rest.encode() + b"\r\n")
        elif verb == "prompt":
            self._output(rest.encode())
        elif verb == "end":
            kind, _, status = rest.partition(" ")
            return Outcome(kind, int(status) if status else None, f"the guest's end: {kind}")
        elif verb == "exit":
            for listener in self.on_exit:
                listener(ExitEvent(rest, 0x100000, 7))
        elif verb == "crash":
            raise ZeroDivisionError("a bug")
        else:
            return self._wait(verb == "read", end)
        return None

    def _wait(self, for_a_line: bool, end: float | None) -> Outcome | None:
        while end is None or time.monotonic() < end:
            if self._stop.is_set():
                return Outcome("stopped", detail="stopped on request")
            try:
                data = self._input.get(timeout=0.01)
            except queue.Empty:
                continue
            self.typed += data
            self._output(data.replace(b"\n", b"\r\n"))
            if for_a_line and (b"\n" in data or b"\r" in data):
                return None
        return Outcome("timeout", detail="the time limit was reached")

    def _output(self, data: bytes) -> None:
        self.output.write(data)
        for listener in self.serial.listeners:
            listener(data)

    def send(self, data: bytes) -> None:
        self._input.put(data)

    @property
    def input_waiting(self) -> int:
        return sum(map(len, tuple(self._input.queue)))

    def stop(self) -> None:
        self._stop.set()

    # --- looking

    @property
    def instructions(self) -> int:
        return INSTRUCTIONS

    @property
    def console(self) -> bytes:
        return self.output.tail

    def where(self) -> str:
        return "eip=00100000\ncode at eip:\n  00100000  [ud2]"

    def statistics(self) -> dict[str, Any]:
        figures: dict[str, Any] = {
            "mode": self.mode,
            "engine": "interp",
            "clock": "icount",
            "instructions": INSTRUCTIONS,
            "seconds": 9999.5,
            "mips": 2.469,
        }
        if self.mode == "bare":
            return figures
        figures |= {
            "by_kind": {"direct": 1000000, "translated": 200000, "stubs": 34000, "emulated": 567},
            "exits": {"page fault": 12, "general protection": 4000},
            "patches": {"POPF": 3, "CLI": 9} if self.mode == "translate" else {},
            "tc": {"bytes": 4096, "blocks": 20, "hits": 999},
            "shadow": {"fills": 77, "flushes": 5},
            "world_switches": 42,
            "wrong_answers": WRONG_ANSWERS if self.mode == "trap" else [],
        }
        return figures


def install() -> None:
    """Let `from monitor import Machine` give the fake, in this process."""
    vars(monitor)["Machine"] = FakeMachine


if __name__ == "__main__":
    from monitor.cli import main

    install()
    sys.exit(main())
