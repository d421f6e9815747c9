"""A writer for the "newc" cpio archive, the format of a Linux initramfs.

Format: the kernel's Documentation/driver-api/early-userspace/buffer-format.rst. Each entry is an
ASCII header of the magic "070701" and thirteen 8-digit hexadecimal fields, the name with its NUL,
and the contents; name and contents each end on a multiple of four bytes. An entry called
"TRAILER!!!" closes the archive. A device node is an entry without contents, so none has to exist
on this machine and no root is needed.

Everything that could differ from one run to the next (times, owners, order) is fixed, so the same
entries always give the same bytes.
"""

from __future__ import annotations

import stat
from dataclasses import dataclass


@dataclass(frozen=True)
class Entry:
    """One file, folder, link or device node of the archive."""

    mode: int
    data: bytes = b""
    device: tuple[int, int] = (0, 0)


def folder() -> Entry:
    """A directory anyone may read."""
    return Entry(stat.S_IFDIR | 0o755)


def program(data: bytes) -> Entry:
    """An executable file."""
    return Entry(stat.S_IFREG | 0o755, data)


def plain(data: bytes) -> Entry:
    """A file that is only read."""
    return Entry(stat.S_IFREG | 0o644, data)


def link(target: str) -> Entry:
    """A symbolic link."""
    return Entry(stat.S_IFLNK | 0o777, target.encode())


def character_device(major: int, minor: int, permissions: int = 0o600) -> Entry:
    """A character device node."""
    return Entry(stat.S_IFCHR | permissions, device=(major, minor))


def archive(entries: dict[str, Entry]) -> bytes:
    """The whole archive, entries sorted by name so that a folder precedes what is in it."""
    parts = [_record(number, name, entries[name]) for number, name in enumerate(sorted(entries), 1)]
    return b"".join(parts) + _record(0, "TRAILER!!!", Entry(0))


def _record(number: int, name: str, entry: Entry) -> bytes:
    encoded = name.encode() + b"\0"
    fields = (
        number,  # inode
        entry.mode,
        0,  # owner
        0,  # group
        2 if stat.S_ISDIR(entry.mode) else 1,  # links
        0,  # modification time
        len(entry.data),
        0,  # device the archive was made on, major
        0,  # and minor
        *entry.device,
        len(encoded),
        0,  # checksum, unused by this magic
    )
    header = b"070701" + b"".join(b"%08X" % field for field in fields)
    return _padded(header + encoded) + _padded(entry.data)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)
