"""Where a page is served, as `--listen` says it: HOST:PORT, on this machine only.

>>> parse_listen("127.0.0.1:8080"), parse_listen("[::1]:0"), parse_listen(":80")
(('127.0.0.1', 8080), ('::1', 0), ('127.0.0.1', 80))
"""

from __future__ import annotations

from monitor.vmm.errors import UserError

LOOPBACK = "127.0.0.1"
NAMES = {"": LOOPBACK, "localhost": LOOPBACK, LOOPBACK: LOOPBACK, "::1": "::1"}
MAX_PORT = 65535


def parse_listen(text: str) -> tuple[str, int]:
    """Address and port. UserError."""
    name, colon, port = text.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or int(port) > MAX_PORT:
        raise UserError(f"--listen {text}: give HOST:PORT, a port from 0 (any free one) "
                        f"to {MAX_PORT}")  # fmt: skip
    host = NAMES.get(name.removeprefix("[").removesuffix("]"))
    if host is None:
        raise UserError(
            f"--listen {text}: what is sent is not encrypted, so it stays on this machine: "
            "choose 127.0.0.1 or [::1]; from elsewhere, use ssh -L"
        )
    return host, int(port)
