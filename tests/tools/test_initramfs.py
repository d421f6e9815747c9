"""The initramfs writer: what a kernel would unpack from it."""

from __future__ import annotations

import gzip
import stat

import pytest

from monitor.guestbook import initramfs
from monitor.loaders import cpio

BUSYBOX = b"\x7fELF...\0usage\0\0[\0[[\0awk\0sh\0uniq\0\0more"
HEADER_BYTES = 110


def unpack(archive: bytes) -> dict[str, tuple[int, bytes, tuple[int, int]]]:
    """Read a newc archive by its specification: name to mode, contents and device numbers."""
    entries = {}
    at = 0
    while True:
        assert archive[at : at + 6] == b"070701"
        fields = [int(archive[at + 6 + 8 * n : at + 14 + 8 * n], 16) for n in range(13)]
        size, name_size = fields[6], fields[11]
        name = archive[at + HEADER_BYTES : at + HEADER_BYTES + name_size - 1].decode()
        data_at = -(-(at + HEADER_BYTES + name_size) // 4) * 4
        if name == "TRAILER!!!":
            assert len(archive) == data_at
            return entries
        entries[name] = (fields[1], archive[data_at : data_at + size], (fields[9], fields[10]))
        at = -(-(data_at + size) // 4) * 4


def test_archive_holds_programs_links_and_devices() -> None:
    entries = unpack(gzip.decompress(initramfs.build(BUSYBOX)))
    assert entries["bin/busybox"][1] == BUSYBOX
    assert entries["bin/awk"][1] == b"busybox" and stat.S_ISLNK(entries["bin/awk"][0])
    assert entries["dev/console"] == (stat.S_IFCHR | 0o600, b"", (5, 1))
    assert entries["dev/ttyS0"][2] == (4, 64)
    assert stat.S_IMODE(entries["init"][0]) == 0o755
    assert initramfs.READY.encode() in entries["init"][1]


def test_folders_come_before_what_is_in_them() -> None:
    names = list(unpack(gzip.decompress(initramfs.build(BUSYBOX))))
    for name in names:
        parent = name.rpartition("/")[0]
        assert not parent or names.index(parent) < names.index(name)


def test_same_busybox_gives_same_bytes() -> None:
    assert initramfs.build(BUSYBOX) == initramfs.build(BUSYBOX)


def test_applets_are_read_from_the_binary() -> None:
    assert initramfs.applets(BUSYBOX) == ["[", "[[", "awk", "sh", "uniq"]


def test_binary_without_applets_is_refused() -> None:
    with pytest.raises(ValueError, match="no table of applets"):
        initramfs.applets(b"\x7fELF nothing here")


@pytest.mark.parametrize("length", range(5))
def test_contents_of_every_length_are_padded(length: int) -> None:
    data = b"x" * length
    entries = unpack(cpio.archive({"a": cpio.program(data), "b": cpio.link("a")}))
    assert entries["a"][1] == data and entries["b"][1] == b"a"
