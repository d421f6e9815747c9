"""What a machine is made of, checked: one place for `vp`, .vmx files, sweeps and Python.

Nothing heavy is imported, since `vp --help` needs the choices too.

>>> Settings(memory_mb=64, without=("stubs", "chaining")).without
('chaining', 'stubs')
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from monitor.settings.did_you_mean import choose
from monitor.settings.drives import Drive, Source, drives_of
from monitor.vmm.ablations import ABLATIONS
from monitor.vmm.errors import UserError

MODES = ("translate", "trap", "bare")
ENGINES = ("interp", "auto")  # the best one first; bt/engine.py has all but "auto"
CLOCKS = ("icount", "host")
CHIPSETS = ("isa", "i440fx")
CPUS = ("486", "pentium", "pentiumpro", "pentium2", "pentium3", "pentium4")  # bt/models.py has rows
CPU = "pentiumpro"
VGAS = ("none", "std")  # display adapters
# What a machine may have beside the chips that every one has, in the order in which it is put in.
PARTS = ("mouse", "com2", "com3", "com4", "parallel", "speaker", "sb16", "apic")
MEMORY_MB = 128
MIN_MEMORY_MB, MAX_MEMORY_MB = 1, 2048


@dataclass(frozen=True)
class Settings:
    """The machine itself. UserError for settings that make no machine.

    * `memory_mb`: guest RAM in MiB, 1 to 2048.
    * `mode`: "translate" (the whole monitor), "trap" (no translation), "bare" (no monitor).
    * `engine`: what runs guest code in the first two; "auto" is the best there is.
    * `clock`: "icount", where time is the number of instructions (5 ns each) and every run repeats
      exactly, or "host", where it is real.
    * `start_time`: what the real-time clock shows at power-on, in seconds since 1970, UTC.
    * `parts`: what it has beside the chips that every machine has: "mouse" (PS/2), "com2" to
      "com4" (serial ports), "parallel" (a printer's port), "speaker" (that one hears it), "sb16"
      (a Sound Blaster 16), "apic" (a local APIC in the processor and an I/O APIC, with the tables
      that tell of them).
    * `without`: techniques to leave out in mode translate, by name (`monitor.vmm.ablations`).
    * `chipset`: "isa", the chips of a PC/AT; or "i440fx", with PCI, shadow RAM, power management
      and what firmware asks of a virtual machine (`monitor.vmm.chipset`).
    * `drives`: floppy, disk and CD-ROM drives by plug ("fda", "hda", "cdrom"), and what is in each:
      an image's name, perhaps with ",persistent" behind it, bytes, or None (`settings.drives`).
    * `cpu`: the model of the processor, by name (`bt.models`; `vp cpus` shows them).
    * `vga`: "std", a display adapter (VGA and the Bochs VBE extensions), or "none".
    """

    memory_mb: int = MEMORY_MB
    mode: str = "translate"
    engine: str = "auto"
    clock: str = "icount"
    start_time: int = 0
    without: Collection[str] = ()
    cpu: str = CPU
    chipset: str = "isa"
    vga: str = VGAS[0]
    parts: Collection[str] = ()
    drives: Mapping[str, Source] | Iterable[Drive] = ()

    def __post_init__(self) -> None:
        check_memory(self.memory_mb)
        for name, value, choices in (
            ("mode", self.mode, MODES),
            ("engine", self.engine, ENGINES),
            ("clock", self.clock, CLOCKS),
            ("chipset", self.chipset, CHIPSETS),
            ("cpu", self.cpu, CPUS),
            ("vga", self.vga, VGAS),
        ):
            if value not in choices:
                raise UserError(f"{name} {value!r}: {choose(value, choices)}")
        check_ablations(self.mode, self.without)
        object.__setattr__(self, "without", tuple(sorted(set(self.without))))
        object.__setattr__(self, "drives", drives_of(self.drives))
        for part in self.parts:
            if part not in PARTS:
                raise UserError(f"part {part!r}: {choose(part, PARTS)}")
        object.__setattr__(self, "parts", tuple(each for each in PARTS if each in self.parts))
        if "apic" in self.parts and self.cpu == "486":
            raise UserError("a 486 has no local APIC: choose another cpu, from pentium on")
        if self.engine == "auto":
            object.__setattr__(self, "engine", ENGINES[0])


def check_memory(memory_mb: int) -> None:
    """UserError for a size of RAM in MiB that no machine has."""
    if not MIN_MEMORY_MB <= memory_mb <= MAX_MEMORY_MB:
        limits = f"{MIN_MEMORY_MB} to {MAX_MEMORY_MB}"
        raise UserError(f"memory {memory_mb}: choose from {limits} (MiB)")


def check_ablations(mode: str, without: Collection[str]) -> None:
    """UserError for a technique that there is not, or a mode that has none to leave out."""
    for name in without:
        if name not in ABLATIONS:
            raise UserError(f"without {name!r}: {choose(name, ABLATIONS)}")
    if without and mode != "translate":
        raise UserError(f"without {', '.join(without)}: goes with mode translate, not {mode}")
