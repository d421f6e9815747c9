"""What a machine starts, and when it stops: options as values, wrong ones as UserError.

The machine itself is settings/machine.py. Nothing heavy is imported, since `vp --help` needs the
choices too.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from monitor.vmm.errors import UserError

KINDS = ("kernel", "multiboot", "elf", "flat")  # what loaders put into a machine
BIOS = "bios"  # what begins at the reset vector
FIRMWARE_STATES = ("bios", "raw")
# The boot protocols of the first two have a BIOS before them; the others promise nothing.
FIRMWARE_STATE = {"kernel": "bios", "multiboot": "bios", "elf": "raw", "flat": "raw"}


def check_firmware_state(name: str) -> None:
    """UserError for a state of the hardware at a guest's start that there is not."""
    if name not in FIRMWARE_STATES:
        raise UserError(f"firmware state {name!r}: choose from {', '.join(FIRMWARE_STATES)}")


def parse_names(text: str) -> tuple[str, ...]:
    """Names with commas between them.

    >>> parse_names("chaining, stubs")
    ('chaining', 'stubs')
    """
    return tuple(name.strip() for name in text.split(",") if name.strip())


@dataclass(frozen=True)
class ImageConfig:
    """What the machine starts: exactly one of a kernel, a Multiboot, ELF or flat image, a BIOS."""

    kind: str
    path: Path
    cmdline: str = ""
    initrd: Path | None = None
    modules: tuple[Path, ...] = ()
    address: int = 0
    entry: int | None = None
    firmware_state: str | None = None  # None: as the image's kind has it
    vgabios: Path | None = None
    option_roms: tuple[tuple[Path, int | None], ...] = ()
    boot: str = ""

    def __post_init__(self) -> None:
        if self.firmware_state is not None:
            check_firmware_state(self.firmware_state)
        self._belongs("--firmware-state", self.firmware_state is not None, *KINDS)
        self._belongs("--initrd", self.initrd is not None, "kernel")
        self._belongs("--append", bool(self.cmdline), "kernel", "multiboot")
        self._belongs("--module", bool(self.modules), "multiboot")
        self._belongs("--entry", self.entry is not None, "flat")

    def _belongs(self, option: str, given: bool, *kinds: str) -> None:
        if given and self.kind not in kinds:
            wanted = " or ".join(f"--{kind}" for kind in kinds)
            raise UserError(f"{option} goes with {wanted}, not with --{self.kind}")


@dataclass(frozen=True)
class LimitConfig:
    """When to stop, apart from the guest's own end."""

    until: str | None = None
    timeout: float | None = None
    max_instructions: int | None = None

    def __post_init__(self) -> None:
        if self.until == "":
            raise UserError("--until needs a text to wait for")
        # The comparisons are written so that "nan" fails them too.
        if self.timeout is not None and not 0 < self.timeout < float("inf"):
            raise UserError(f"--timeout {self.timeout:g}: give a number of seconds above 0")
        if self.max_instructions is not None and self.max_instructions < 1:
            raise UserError(f"--max-instructions {self.max_instructions}: give a number above 0")


def parse_number(text: str, option: str) -> int:
    """An address or a count: decimal, or hexadecimal with 0x.

    >>> parse_number("0x100000", "--entry")
    1048576
    """
    try:
        value = int(text, 0)
    except ValueError:
        value = -1
    if not 0 <= value < 1 << 32:
        raise UserError(f"{option} {text}: not a 32-bit number; write it as 4096 or 0x1000")
    return value


def parse_option_rom(text: str) -> tuple[Path, int | None]:
    """FILE or FILE@ADDR.

    >>> parse_option_rom("ne2k.rom@0xd0000")
    (PosixPath('ne2k.rom'), 851968)
    """
    name, at, address = text.rpartition("@")
    if not at:
        return Path(text), None
    return Path(name), parse_number(address, "--option-rom FILE@")


def parse_flat(text: str) -> tuple[Path, int]:
    """FILE@ADDR. The file's name may hold an @ itself: the last one counts.

    >>> parse_flat("hello.bin@0x7c00")
    (PosixPath('hello.bin'), 31744)
    """
    name, at, address = text.rpartition("@")
    if not (name and at):
        raise UserError(f"--flat {text}: say where to load it, as FILE@ADDR (hello.bin@0x100000)")
    return Path(name), parse_number(address, "--flat FILE@")


ESCAPE = re.compile(rb"\\(x[0-9a-fA-F]{2}|.?)", re.DOTALL)
NAMED = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"e": b"\x1b", b"\\": b"\\"}


def unescape(text: str, option: str) -> bytes:
    r"""Text with \n, \r, \t, \e (escape), \xNN and \\ written out, as bytes.

    >>> unescape(r"ls /\n", "--type")
    b'ls /\n'
    """

    def one(escape: re.Match[bytes]) -> bytes:
        name = escape[1]
        if name in NAMED:
            return NAMED[name]
        if len(name) == 3:
            return bytes((int(name[1:], 16),))
        raise UserError(
            rf"{option} {text!r}: after a backslash comes n, r, t, e, xNN or another backslash"
        )

    return ESCAPE.sub(one, os.fsencode(text))
