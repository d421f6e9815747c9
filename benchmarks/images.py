"""Guest images for the benchmarks, built with gcc into out/benchmarks.

The integer mix comes in three forms from the same two sources: a static i386 program for the host
itself, an ELF file with a Multiboot header, and that ELF's bytes as a flat image for 0x100000.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.timing import BenchmarkError
from monitor.guests import assembler

SOURCES = Path(__file__).resolve().parent / "guests"
SHARED = Path(__file__).resolve().parent.parent / "monitor" / "bench" / "guests"
LAYOUT = {"TABLES": 4, "ARRAYS": 0x400000}  # 16 MiB mapped, of which 12 are the benchmark's
OUT = Path(__file__).resolve().parent.parent / "out" / "benchmarks"
LOAD_ADDRESS = 0x100000

CFLAGS = [
    *("-m32", "-march=i686", "-mno-sse", "-mno-mmx"),
    *("-O2", "-ffreestanding", "-nostdlib", "-fno-pic"),
    *("-fno-stack-protector", "-fno-asynchronous-unwind-tables"),
    *("-Wall", "-Wextra", "-Werror"),
]
LDFLAGS = ["-m", "elf_i386", "-z", "noexecstack", "-z", "max-page-size=4096"]


@dataclass(frozen=True)
class IntegerMix:
    """One build of the integer mix."""

    rounds: int
    elf: Path

    @property
    def flat(self) -> Path:
        """The loaded bytes from 0x100000 on, without .bss, which the guest clears itself."""
        return self.elf.with_suffix(".bin")

    @property
    def entry(self) -> int:
        """Where it starts: e_entry of the ELF header."""
        return int.from_bytes(self.elf.read_bytes()[24:28], "little")


def integer_mix(rounds: int, variant: str = "bare") -> IntegerMix:
    """Build the mix: variant "bare", "paging" (bare with 4 KiB pages) or "native"."""
    defines = [f"-DROUNDS={rounds}"]
    if variant != "bare":
        defines.append(f"-D{variant.upper()}")
    OUT.mkdir(parents=True, exist_ok=True)
    stem = OUT / f"intmix-{variant}-{rounds}"
    objects = []
    for name in ("start.S", "intmix.c"):
        target = stem.with_name(f"{stem.name}-{Path(name).stem}.o")
        tool(["gcc", *CFLAGS, *defines, "-c", str(SOURCES / name), "-o", str(target)])
        objects.append(str(target))
    elf = stem.with_suffix(".elf")
    # -n: the headers stay out of the segments; they would land below 1 MiB, where a PC has no RAM.
    layout = [] if variant == "native" else ["-n"]
    tool(["ld", *LDFLAGS, *layout, f"-Ttext={LOAD_ADDRESS:#x}", "-o", str(elf), *objects])
    image = IntegerMix(rounds, elf)
    tool(["objcopy", "-O", "binary", str(elf), str(image.flat)])
    return image


def assembly(name: str, settings: Mapping[str, int]) -> Path:
    """Assemble one of the small guests, its settings in place of settings.asm."""
    lines = "".join(f"{key} = {value:#x}\n" for key, value in {**LAYOUT, **settings}.items())

    def read(file: str) -> str:
        if file == "settings.asm":
            return lines
        return ((SOURCES if (SOURCES / file).exists() else SHARED) / file).read_text()

    OUT.mkdir(parents=True, exist_ok=True)
    suffix = "-".join(f"{value:x}" for value in settings.values())
    target = OUT / f"{name}-{suffix}.bin"
    target.write_bytes(assembler.assemble(read, f"{name}.asm", LOAD_ADDRESS).image)
    return target


def boot_floppy(image: IntegerMix) -> Path:
    """A 1.44 MB floppy whose boot sector loads the flat image and jumps into it."""
    payload = image.flat.read_bytes()
    sectors = -(-len(payload) // 512)
    stem = image.elf.with_name(f"{image.elf.stem}-boot")
    target = stem.with_suffix(".o")
    defines = [f"-DSECTORS={sectors}", f"-DENTRY={image.entry:#x}"]
    source = str(SOURCES / "boot_sector.S")
    tool(["gcc", "-m32", *defines, "-c", source, "-o", str(target)])
    tool(["ld", *LDFLAGS, "-Ttext=0x7C00", "-o", f"{stem}.elf", str(target)])
    tool(["objcopy", "-O", "binary", "-j", ".text", f"{stem}.elf", f"{stem}.bin"])
    floppy = stem.with_suffix(".img")
    boot = Path(f"{stem}.bin").read_bytes()
    floppy.write_bytes((boot + payload).ljust(80 * 2 * 18 * 512, b"\0"))
    return floppy


def tool(command: Sequence[str]) -> None:
    """Run one build tool."""
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise BenchmarkError(f"{command[0]} is missing (apt install gcc binutils)") from error
    except subprocess.CalledProcessError as error:
        raise BenchmarkError(f"{' '.join(command)} failed:\n{error.stderr}") from error
