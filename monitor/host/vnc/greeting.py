"""How a conversation begins: versions, and a word that is known. Manual: RFC 6143, 7.1 and 7.2.

    3.3   the server says which security there is; nothing is answered if there is none
    3.7   it has a list, and the client chooses
    3.8   the same, and an answer in every case, with a reason if it is no

VNC's password encrypts a challenge with DES, the bits of each byte of the key reversed.
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Callable, Generator

from monitor.host.vnc.messages import (
    CHALLENGE_BYTES,
    FAILED,
    LENGTH,
    NO_SECURITY,
    OK,
    VERSION,
    VERSION_BYTES,
    VNC_AUTHENTICATION,
    text,
)
from monitor.vmm.errors import UserError

#: A conversation: it yields how many bytes it wants next, and is sent them.
Talk = Generator[int, bytes, None]
KEY_BYTES = 8


class Ended(Exception):
    """We hang up."""


def greet(send: Callable[[bytes], None], password: str) -> Talk:
    """Until the client may go on. Ended."""
    send(VERSION)
    minor = _minor((yield VERSION_BYTES))
    security = VNC_AUTHENTICATION if password else NO_SECURITY
    if minor < 7:
        send(LENGTH.pack(security))
    else:
        send(bytes((1, security)))
        if (yield 1) != bytes((security,)):
            if minor >= 8:
                send(LENGTH.pack(FAILED) + text("There is no such security type here."))
            raise Ended
    if password:
        challenge = os.urandom(CHALLENGE_BYTES)
        send(challenge)
        answer = yield CHALLENGE_BYTES
        if not hmac.compare_digest(answer, encrypted(challenge, password)):
            send(LENGTH.pack(FAILED) + (text("Wrong password.") if minor >= 8 else b""))
            raise Ended
    if password or minor >= 8:
        send(LENGTH.pack(OK))


def _minor(version: bytes) -> int:
    """3, 7 or 8: others are taken for 3, and later ones for 8 (7.1.1)."""
    if version[:8] != b"RFB 003." or not version[8:11].isdigit() or version[11:] != b"\n":
        raise Ended
    said = int(version[8:11])
    return min(said, 8) if said >= 7 else 3


def encrypted(challenge: bytes, password: str) -> bytes:
    """What a client that knows the password answers. UserError: nobody here can tell."""
    try:
        from Cryptodome.Cipher import DES
    except ImportError as error:
        raise UserError(
            "a VNC password needs the package pycryptodomex: pip install 'virtual-platform[vnc]'"
        ) from error
    key = password.encode()[:KEY_BYTES].ljust(KEY_BYTES, b"\0")
    reversed_bits = bytes(int(f"{byte:08b}"[::-1], 2) for byte in key)
    answer: bytes = DES.new(reversed_bits, DES.MODE_ECB).encrypt(challenge)
    return answer
