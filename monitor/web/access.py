"""Who may see the page: whoever has its token, on this machine, from the page itself.

A page on another site that is open in the same browser can send requests here, too. It has no
token; its websocket has another Origin; and if it has its own name lead to the loopback (DNS
rebinding) the Host is another one. RFC 6454 is on origins, RFC 6455 section 10.2 on websockets'.

>>> access = Access("secret", "127.0.0.1")
>>> access.host("127.0.0.1:8080"), access.host("localhost"), access.host("evil.example:8080")
(True, True, False)
>>> access.origin("http://127.0.0.1:8080", "127.0.0.1:8080"), access.origin(None, "127.0.0.1:8080")
(True, False)
>>> access.token("secret"), access.token("wrong"), access.token("")
(True, False, False)
"""

from __future__ import annotations

import hmac
import secrets

LOOPBACK = ("127.0.0.1", "localhost", "::1")


def new_token() -> str:
    """One that nobody guesses."""
    return secrets.token_urlsafe(16)


class Access:
    """To one page."""

    def __init__(self, token: str, name: str) -> None:
        self._token = token.encode()
        self._names = {*LOOPBACK, name}

    def token(self, given: str) -> bool:
        """Is it ours?"""
        return hmac.compare_digest(given.encode("utf-8", "replace"), self._token)

    def host(self, header: str | None) -> bool:
        """Has the browser gone to this machine by its own name? Ports may differ, in tunnels."""
        return header is not None and _name_of(header) in self._names

    def origin(self, header: str | None, host: str | None) -> bool:
        """Does the page itself ask?"""
        return header is not None and header == f"http://{host}"


def _name_of(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].lower()
