"""Which files a submission's process sees: landlock(7), Linux 5.13 and later, no privileges needed.

Reading is allowed below the folders that are named; all else is not, and writing nowhere. Names,
sizes and times of other files can still be looked up by who knows their paths (stat(2)).
"""

from __future__ import annotations

import os
import struct
import sys
from collections.abc import Iterable
from pathlib import Path

from monitor.grading import linux

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same on every architecture
_VERSION, _PATH_BENEATH = 1, 1
_EXECUTE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 2, 1 << 3

#: How many rights over files there are, by version of the interface (uapi/linux/landlock.h).
_FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
_NETWORK, _SCOPES = 0b11, 0b11  # TCP: bind, connect; abstract sockets, signals
_NETWORK_SINCE, _SCOPES_SINCE = 4, 6


def version() -> int:
    """Of the interface; 0 where the kernel has none or was started without."""
    if sys.platform != "linux":
        return 0
    try:
        return linux.system_call(_CREATE_RULESET, None, 0, _VERSION)
    except OSError:
        return 0


def restrict(readable: Iterable[Path]) -> None:
    """From here on, for this process. Needs PR_SET_NO_NEW_PRIVS. Paths that are gone are left out.

    OSError where the kernel has no Landlock.
    """
    have = version()
    rights = (1 << _FILE_RIGHTS[min(have, max(_FILE_RIGHTS))]) - 1 if have else 0
    handled = struct.pack("<Q", rights)
    if have >= _NETWORK_SINCE:
        handled += struct.pack("<Q", _NETWORK)
    if have >= _SCOPES_SINCE:
        handled += struct.pack("<Q", _SCOPES)
    rules = linux.system_call(_CREATE_RULESET, handled, len(handled), 0)
    try:
        for path in readable:
            _allow(rules, path)
        linux.system_call(_RESTRICT_SELF, rules, 0)
    finally:
        os.close(rules)


def _allow(rules: int, path: Path) -> None:
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        folder = os.path.isdir(path)
        rights = _READ_FILE | (_EXECUTE | _READ_DIR if folder else 0)
        linux.system_call(_ADD_RULE, rules, _PATH_BENEATH, struct.pack("<Qi", rights, place), 0)
    finally:
        os.close(place)
