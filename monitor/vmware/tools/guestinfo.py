"""guestinfo.*: named values that the guest and the host both read and write.

    tools.guestinfo["name"] = "value"     # the guest: info-get guestinfo.name
    tools.guestinfo["answer"]             # the guest: info-set guestinfo.answer 42

Names are without the prefix; upper and lower case are the same, as in a .vmx file. Values are bytes
for the guest; here they are text, in which bytes that are not UTF-8 come as lone surrogates
(`surrogateescape`), so that everything survives a round trip.
"""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from typing import Any

from devices.shapes import Hex, Record, Text, some
from monitor.vmm.errors import UserError
from monitor.vmware.host import Host
from monitor.vmware.tools.events import Events, GuestInfoSet, kept

PREFIX = "guestinfo."


def text_of(data: bytes) -> str:
    """A guest's C string, with or without its NUL."""
    return data.split(b"\0", 1)[0].decode("utf-8", "surrogateescape")


def bytes_of(text: str) -> bytes:
    """What the guest gets of a text."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise UserError(f"text that no guest can have: {error}") from None


class TooMuch(Exception):
    """It does not fit in tools.setInfo.sizeLimit."""


class GuestInfo(MutableMapping[str, str]):
    """One machine's values. The guest may not add to them once all names and values together take
    `set_info_size_limit` bytes; the host may."""

    def __init__(self, host: Host, events: Events) -> None:
        self.host = host
        self.events = events
        self.used = 0
        self._values: dict[str, tuple[str, bytes]] = {}

    def __getitem__(self, key: str) -> str:
        return self._values[key.lower()][1].decode("utf-8", "surrogateescape")

    def __setitem__(self, key: str, value: str) -> None:
        if not key or any(character.isspace() or character == "\0" for character in key):
            raise UserError(f"guestinfo: {key!r} is not a name: it may hold no space")
        self._store(key, bytes_of(value))

    def __delitem__(self, key: str) -> None:
        self.used -= _size(*self._values.pop(key.lower()))

    def __iter__(self) -> Iterator[str]:
        return iter([key for key, _ in self._values.values()])

    def __len__(self) -> int:
        return len(self._values)

    shape = some(Record({"key": Text(1 << 20), "value": Hex(1 << 21)}), 1 << 16)

    def snapshot(self) -> list[dict[str, str]]:
        """All of them, in order."""
        return [{"key": key, "value": value.hex()} for key, value in self._values.values()]

    def restore(self, saved: Any) -> None:
        """Have these. WrongField."""
        values = self.shape.check(saved)
        self.used = 0
        self._values = {}
        for each in values:
            self._store(each["key"], bytes.fromhex(each["value"]))

    def guest_get(self, name: str) -> bytes | None:
        """What `info-get` finds under a whole name."""
        found = self._values.get(_key(name).lower())
        return None if found is None else found[1]

    def guest_set(self, name: str, value: bytes) -> bool:
        """What `info-set` does to a whole name. False: only guestinfo.* is the guest's to set."""
        key = _key(name)
        if not key:
            return False
        growth = self._growth(key, value)
        if growth > 0 and self.used + growth > self.host.restrictions.set_info_size_limit:
            raise TooMuch
        self._store(key, value)
        self.events.append(GuestInfoSet(self.host.now(), kept(key), len(value)))
        return True

    def _growth(self, key: str, value: bytes) -> int:
        """Bytes that a value takes beyond what its name took before."""
        old = self._values.get(key.lower())
        return _size(key, value) - (_size(*old) if old else 0)

    def _store(self, key: str, value: bytes) -> None:
        self.used += self._growth(key, value)
        self._values[key.lower()] = key, value


def _key(name: str) -> str:
    """Without the prefix; empty if it has none."""
    return name[len(PREFIX) :] if name.lower().startswith(PREFIX) else ""


def _size(key: str, value: bytes) -> int:
    return len(PREFIX) + len(key) + len(value)
