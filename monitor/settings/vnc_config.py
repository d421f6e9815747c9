"""Where a VNC server listens, as `--display vnc=` says it.

    127.0.0.1:5900            host and port; port 0 is one that is free
    :1                        display 1 of the loopback: port 5901, as QEMU counts
    0.0.0.0:5900,password=W   others than this host have to know a word

>>> parse_vnc(":1"), parse_vnc("[::1]:0")
(VncConfig(host='127.0.0.1', port=5901, password=''), VncConfig(host='::1', port=0, password=''))
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from monitor.vmm.errors import UserError

LOOPBACK = "127.0.0.1"
FIRST_PORT = 5900
LAST_PORT = 0xFFFF
LONGEST_PASSWORD = 8  # RFC 6143, 7.2.2: it is a key of DES
FORM = "vnc=HOST:PORT"


@dataclass(frozen=True)
class VncConfig:
    """Host and port, and what a client must know; an empty password is none."""

    host: str = LOOPBACK
    port: int = 0
    password: str = ""

    @property
    def shown(self) -> str:
        """HOST:PORT."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_vnc(text: str, option: str = "--display vnc") -> VncConfig:
    """What stands behind `vnc=`. UserError."""
    place, *options = text.split(",")
    password = ""
    for each in options:
        name, _, password = each.partition("=")
        if name != "password" or not password:
            raise UserError(f"{option}={place},{each}: what may follow is ,password=WORD")
    host, colon, number = place.rpartition(":")
    if not (colon and number.isascii() and number.isdigit()):
        raise UserError(f"{option}={place}: give {FORM}, as in vnc=127.0.0.1:5900 or vnc=:1")
    port = int(number[:9]) + (0 if host else FIRST_PORT)
    if port > LAST_PORT:
        raise UserError(f"{option}={place}: a port goes up to {LAST_PORT}")
    if not (password.isascii() and len(password) <= LONGEST_PASSWORD):
        raise UserError(f"{option}: VNC's passwords have at most {LONGEST_PASSWORD} characters")
    config = VncConfig(host.strip("[]") or LOOPBACK, port, password)
    if not password and not is_loopback(config.host):
        raise UserError(f"{option}={place}: everybody could come in: add ,password=WORD, or "
                        f"listen on {LOOPBACK}")  # fmt: skip
    return config


def is_loopback(host: str) -> bool:
    """Can only this computer reach it?"""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
