"""Fetching guests' files: what is missing or damaged, from its package, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from monitor.guestbook import fetching
from monitor.guestbook.apt import Apt, AptError, Package
from monitor.guestbook.initramfs import READY

BUSYBOX = b"\x7fELF...\0usage\0\0[\0[[\0awk\0sh\0uniq\0\0more"
CONTENTS = {
    "busybox-static": {"bin/busybox": BUSYBOX},
    "memtest86+": {"boot/memtest86+ia32.bin": b"a", "usr/lib/memtest86+/memtest86+ia32.iso": b"b"},
    "linux-image-6.1.0-9-686": {"boot/vmlinuz-6.1.0-9-686": b"kernel"},
}


class FakeApt(Apt):
    """Packages that are made up, and which of them were downloaded."""

    def __init__(self, cache: Path) -> None:
        cache.mkdir(parents=True, exist_ok=True)
        self.cache = cache
        self.downloaded: list[str] = []

    def update(self) -> None:
        """The lists are in CONTENTS."""

    def resolve(self, name: str) -> dict[str, Package]:
        if name == "linux-image-686":
            name = "linux-image-6.1.0-9-686"
        if name not in CONTENTS:
            raise AptError(f"apt knows no package {name}")
        return {name: Package(name, "1", "i386")}

    def download(self, *packages: Package) -> list[Path]:
        self.downloaded += [package.name for package in packages]
        return [Path(package.name) for package in packages]

    def extract(self, archive: Path, folder: Path) -> None:
        for name, data in CONTENTS[archive.name].items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)


def fetched(folder: Path, *names: str, refresh: bool = False) -> list[str]:
    """The packages that were downloaded for these files."""
    apt = FakeApt(folder / ".cache")
    said: list[str] = []
    fetching.fetch(folder, said.append, names, refresh=refresh, apt=apt)
    assert all(any(f"/{name} " in line for line in said) for name in names)
    return apt.downloaded


def test_only_what_is_asked_for_comes_and_only_once(tmp_path: Path) -> None:
    assert fetched(tmp_path, "memtest86+.iso") == ["memtest86+"]
    assert (tmp_path / "memtest86+.iso").read_bytes() == b"b"
    assert not (tmp_path / "memtest86+.bin").exists()
    assert fetched(tmp_path, "memtest86+.iso") == []
    assert fetched(tmp_path, "memtest86+.iso", "memtest86+.bin", "vmlinuz") == [
        "linux-image-6.1.0-9-686", "memtest86+"
    ]  # fmt: skip
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert set(manifest) == {"memtest86+.iso", "memtest86+.bin", "vmlinuz"}
    assert manifest["vmlinuz"]["from"] == "linux-image-6.1.0-9-686 1"


@pytest.mark.parametrize("damage", ["changed", "gone", "manifest"])
def test_what_is_damaged_comes_again(tmp_path: Path, damage: str) -> None:
    fetched(tmp_path, "memtest86+.iso", "vmlinuz")
    if damage == "changed":
        (tmp_path / "vmlinuz").write_bytes(b"")
    elif damage == "gone":
        (tmp_path / "vmlinuz").unlink()
    else:
        (tmp_path / "manifest.json").write_text("[]")
    again = ["linux-image-6.1.0-9-686"] + ["memtest86+"] * (damage == "manifest")
    assert fetched(tmp_path, "memtest86+.iso", "vmlinuz") == again
    assert (tmp_path / "vmlinuz").read_bytes() == b"kernel"


def test_refreshing_asks_for_all(tmp_path: Path) -> None:
    fetched(tmp_path, "vmlinuz")
    assert fetched(tmp_path, "vmlinuz", refresh=True) == ["linux-image-6.1.0-9-686"]


def test_an_initramfs_is_made_from_its_busybox(tmp_path: Path) -> None:
    assert fetched(tmp_path, "initramfs.cpio.gz") == ["busybox-static"]
    import gzip

    assert READY.encode() in gzip.decompress((tmp_path / "initramfs.cpio.gz").read_bytes())
    assert (tmp_path / "busybox").stat().st_mode & 0o111
    assert fetched(tmp_path, "initramfs.cpio.gz") == []


def test_what_apt_lacks_is_said(tmp_path: Path) -> None:
    with pytest.raises(AptError, match="apt knows no package ipxe"):
        fetched(tmp_path, "ipxe.iso")
