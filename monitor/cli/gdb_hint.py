"""What to type into gdb: as a line for another terminal, and as a script for `gdb -x`.

    gdb: the guest waits on port 1234; in another terminal: gdb /home/ann/kernel.elf -ex '...'

The file is the one with the guest's symbols, where there is one (monitor/symbols/guest_file.py).
A Linux without its vmlinux carries its names in memory once it runs, and `monitor symbols` writes
them down: the script has a command for that.
"""

from __future__ import annotations

import shlex
from pathlib import Path

from monitor.gdb.monitor_commands import COMMANDS
from monitor.settings.config import ImageConfig
from monitor.symbols.guest_file import file_for_gdb

HOST = "localhost"
WORTH_KNOWING = ("exits", "tc", "shadow", "where", "registers", "statistics", "physical", "help")
NO_KASLR = "nokaslr"


class GdbHint:
    """For one guest."""

    def __init__(self, image: ImageConfig, script: Path | None = None) -> None:
        self._image = image
        self._script = None if script is None else script.resolve()
        symbols = file_for_gdb(image)
        self._symbols = None if symbols is None else symbols.resolve()

    def line(self, port: int, waits: bool) -> str:
        """For the person: where the server listens, and the command."""
        state = "the guest waits" if waits else "listening"
        return f"gdb: {state} on port {port}; in another terminal: {self.command(port)}"

    def command(self, port: int) -> str:
        """For a shell, in any folder."""
        if self._script is not None:
            return f"gdb -x {shlex.quote(str(self._script))}"
        file = "" if self._symbols is None else f"{shlex.quote(str(self._symbols))} "
        return f"gdb {file}-ex 'target remote {HOST}:{port}'"

    def script(self, port: int) -> str:
        """For `gdb -x`."""
        lines = [
            f"# gdb -x this file: attaches to the guest of `vp run --gdb {port}`.",
            "set architecture i386",
            *self._file_lines(),
            f"target remote {HOST}:{port}",
            "",
            *self._linux_lines(),
            "# What the machine behind the guest answers:",
            *(f"#   monitor {name:11} {COMMANDS[name].help}" for name in WORTH_KNOWING),
        ]
        return "\n".join(lines) + "\n"

    def _file_lines(self) -> list[str]:
        if self._symbols is None:
            return []
        lines = [f"file {shlex.quote(str(self._symbols))}"]
        if self._image.kind == "kernel" and NO_KASLR not in self._image.cmdline.split():
            lines.insert(0, "# Linux puts itself elsewhere than its vmlinux says, "
                            "unless --append has nokaslr.")  # fmt: skip
        return lines

    def _linux_lines(self) -> list[str]:
        """A command that fetches the running kernel's names; nothing for other guests."""
        if self._image.kind != "kernel" or self._script is None:
            return []
        names = shlex.quote(str(self._script.with_suffix(".sym")))
        return [
            "define linux-symbols",
            f"  monitor symbols {names}",
            f"  symbol-file {names}",
            "end",
            "document linux-symbols",
            "The names of the Linux that runs, as it has them in memory: once it is decompressed.",
            "end",
            "",
        ]
