"""Where the guest's serial console goes, as `--serial` says it.

    stdio, null, file:NAME
    pty                                     a pseudo-terminal, made at the start
    tcp:HOST:PORT[,server][,nowait]         HOST may be left out, [::1] is IPv6
    socket:PATH[,server][,nowait]           a Unix domain socket

Without `server` the machine connects to who listens there; with it the machine listens, and waits
for somebody to connect before the guest starts, unless `nowait` is given. The words are QEMU's
(QEMU's manual, -chardev), who calls the last one `unix:`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from monitor.settings.did_you_mean import question
from monitor.vmm.errors import UserError

PLAIN = ("stdio", "null", "pty")
SOCKETS = ("tcp", "socket")
LINKS = ("pty", *SOCKETS)
FORMS = ("stdio", "null", "file:NAME", "pty", "tcp:HOST:PORT[,server][,nowait]",
         "socket:PATH[,server][,nowait]")  # fmt: skip
SERIAL_PATHS = ("file", "socket")  # kinds that name a place in the file system
ONE_WAY = ("null", "file")  # kinds on which nothing comes
FLAGS = ("server", "nowait")
OTHER_NAMES = {"unix": "socket", "telnet": "tcp"}
LOOPBACK = "localhost"
MAX_PORT = 65535


@dataclass(frozen=True)
class SerialConfig:
    """stdio, null, a file (which is emptied first unless `append` says to keep what it holds), a
    pseudo-terminal, or a connection: `path` or `host` and `port` name it."""

    kind: str
    path: Path | None = None
    append: bool = False
    host: str = LOOPBACK
    port: int = 0
    server: bool = False
    wait: bool = True
    option: str = "--serial"  # that says so

    @property
    def name(self) -> str:
        """ "serial", or which other one it is."""
        return self.option.removeprefix("--")


def parse_serial(text: str, option: str = "--serial") -> SerialConfig:
    """What `--serial`, or its like for another port, says. UserError."""
    try:
        return replace(_parse(text), option=option)
    except UserError as error:
        raise UserError(str(error).replace("--serial", option, 1)) from error


def parse_console(text: str) -> SerialConfig:
    """What `--monitor` says: as for a serial port, but somebody has to answer. UserError."""
    config = parse_serial(text, "--monitor")
    if config.kind in ONE_WAY:
        forms = ", ".join(form for form in FORMS if form.partition(":")[0] not in ONE_WAY)
        raise UserError(f"--monitor {text}: nobody could ask there; choose from {forms}")
    return config


def _parse(text: str) -> SerialConfig:
    if text in PLAIN:
        return SerialConfig(text)
    kind, colon, rest = text.partition(":")
    if kind == "file" and rest:
        return SerialConfig("file", Path(rest))
    if kind not in SOCKETS or not rest:
        raise UserError(f"--serial {text}: {_choose(kind if colon else text)}")
    name, server, wait = _flags(text, rest)
    if kind == "socket":
        return SerialConfig(kind, Path(name), server=server, wait=wait)
    host, port = _address(text, name)
    return SerialConfig(kind, host=host, port=port, server=server, wait=wait)


def _choose(kind: str) -> str:
    listed = f"choose from {', '.join(FORMS)}"
    known = {form.partition(":")[0] for form in FORMS}
    if kind in known:
        return listed
    meant = OTHER_NAMES.get(kind)
    asked = f"did you mean {meant}:?" if meant else question(kind, sorted(known))
    return f"{listed}; {asked}" if asked else listed


def _flags(text: str, rest: str) -> tuple[str, bool, bool]:
    """The name before the flags, and what they say. Commas elsewhere belong to the name."""
    name, *flags = rest.split(",")
    for flag in flags:
        if flag not in FLAGS:
            asked = question(flag, FLAGS)
            raise UserError(f"--serial {text}: no flag {flag!r}: choose from {', '.join(FLAGS)}"
                            + (f"; {asked}" if asked else ""))  # fmt: skip
    server = "server" in flags
    if "nowait" in flags and not server:
        raise UserError(f"--serial {text}: nowait goes with server: say who listens")
    if not name:
        raise UserError(f"--serial {text}: {_choose(text.partition(':')[0])}")
    return name, server, "nowait" not in flags


def _address(text: str, name: str) -> tuple[str, int]:
    host, colon, port = name.rpartition(":")
    if not colon:
        raise UserError(f"--serial {text}: say on which port, as tcp:localhost:5555")
    if not port.isascii() or not port.isdigit() or int(port) > MAX_PORT:
        raise UserError(f"--serial {text}: choose a port from 0 (any that is free) to {MAX_PORT}")
    return host.removeprefix("[").removesuffix("]") or LOOPBACK, int(port)
