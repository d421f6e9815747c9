"""Files that hold no code as it runs: known by what they are, and code is not taken for one."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import random
import tarfile
import zipfile
from pathlib import Path

import pytest

from bt.assembler import assemble
from monitor import Machine
from monitor.cli import main
from monitor.guests.embedded import embedded_image
from monitor.loaders.images import code_regions
from monitor.loaders.packed import recognise
from monitor.vmm.errors import UserError

CODE = assemble("pushf; cli; popf; sti; smsw eax; hlt", 0x1000) * 40
GUESTS = Path(__file__).parents[2] / "guests"


def tar(kind: int) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=kind) as archive:
        entry = tarfile.TarInfo("program")
        entry.size = len(CODE)
        archive.addfile(entry, io.BytesIO(CODE))
    return stream.getvalue()


def old_tar() -> bytes:
    """As before POSIX: no magic, only the checksum."""
    header = bytearray(tar(tarfile.USTAR_FORMAT)[:512])
    header[257:265] = bytes(8)
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header) + CODE


def zipped() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("program", CODE)
    return stream.getvalue()


def old_cpio() -> bytes:
    """The binary format: 13 words, the name's length the eleventh."""
    words = [0o070707, 1, 2, 0o100644, 0, 0, 1, 0, 0, 0, len(b"program\0"), 0, len(CODE)]
    return b"".join(word.to_bytes(2, "little") for word in words) + b"program\0" + CODE


def windows() -> bytes:
    header = bytearray(b"MZ" + bytes(62))
    header[0x3C] = 0x40
    return bytes(header) + b"PE\0\0\x4c\x01" + CODE


FILES = {
    "gzip": (gzip.compress(CODE), "compressed with gzip"),
    "bzip2": (bz2.compress(CODE), "compressed with bzip2"),
    "empty bzip2": (bz2.compress(b""), "compressed with bzip2"),
    "xz": (lzma.compress(CODE), "compressed with xz"),
    "lzma": (lzma.compress(CODE, lzma.FORMAT_ALONE), "compressed with lzma"),
    "lzip": (b"LZIP\1\x0c" + CODE, "compressed with lzip"),
    "zstd": (b"\x28\xb5\x2f\xfd\x04\x00" + CODE, "compressed with zstd"),
    "pzstd": (b"\x50\x2a\x4d\x18\4\0\0\0abcd\x28\xb5\x2f\xfd" + CODE, "compressed with zstd"),
    "lz4": (b"\x04\x22\x4d\x18\x64\x40" + CODE, "compressed with lz4"),
    "old lz4": (b"\x02\x21\x4c\x18" + CODE, "compressed with lz4, in its old format"),
    "lzop": (b"\x89LZO\0\r\n\x1a\n\x10\x40" + CODE, "compressed with lzop"),
    "compress": (b"\x1f\x9d\x90" + CODE, "compressed with compress"),
    "zip": (zipped(), "a ZIP archive"),
    "7z": (b"7z\xbc\xaf\x27\x1c\0\4" + CODE, "a 7z archive"),
    "rar": (b"Rar!\x1a\x07\1\0" + CODE, "a RAR archive"),
    "cab": (b"MSCF\0\0\0\0" + CODE, "a cabinet archive"),
    "tar": (tar(tarfile.USTAR_FORMAT), "a tar archive"),
    "GNU tar": (tar(tarfile.GNU_FORMAT), "a tar archive"),
    "old tar": (old_tar(), "a tar archive"),
    "cpio": (b"070701" + b"0" * 104 + CODE, "a cpio archive"),
    "odc cpio": (b"070707" + b"0" * 70 + CODE, "a cpio archive"),
    "old cpio": (old_cpio(), "a cpio archive"),
    "ar": (b"!<arch>\nprogram/        " + CODE, "an ar archive"),
    "thin ar": (b"!<thin>\n", "an ar archive"),
    "rpm": (b"\xed\xab\xee\xdb\3\0" + CODE, "an RPM archive"),
    "squashfs": (b"hsqs" + bytes(24) + b"\4\0\0\0" + CODE, "a squashfs file system"),
    "ISO": (bytes(0x8001) + b"CD001" + CODE, "an image of a CD"),
    "qcow2": (b"QFI\xfb\0\0\0\3" + CODE, "a qcow2 image of a disk"),
    "VMDK": (b"KDMV\1\0\0\0" + CODE, "a VMDK image of a disk"),
    "PE": (windows(), "a program for Windows or EFI (PE)"),
}


@pytest.mark.parametrize("name", list(FILES))
def test_it_is_refused_in_one_sentence(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, what = FILES[name]
    path = tmp_path / "a file"
    path.write_bytes(data)
    assert main(["scan", str(path)]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith(f"vp: error: {path}: {what}; ")
    assert f"'{path}'" in told.err.partition("; ")[2]  # a command to be pasted
    assert told.err.endswith(", or scan its bytes as they are (--raw)\n")
    assert told.err.count("\n") == 1


def test_it_is_scanned_all_the_same_where_that_is_wanted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "packed"
    path.write_bytes(FILES["gzip"][0])
    assert main(["scan", str(path), "--raw", "--summary"]) == 0
    assert f"{len(FILES['gzip'][0])} bytes of code in 1 region" in capsys.readouterr().out


def test_raw_is_for_every_file() -> None:
    elf = b"\x7fELF" + bytes(100)
    with pytest.raises(UserError):
        code_regions(elf)
    assert [region.code for region in code_regions(elf, raw=True)] == [elf]


@pytest.mark.parametrize("option", ["--kernel", "--elf", "--multiboot"])
def test_a_compressed_guest_is_named_too(
    option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for data in (gzip.compress(CODE), gzip.compress(random.Random(1).randbytes(4000))):
        path = tmp_path / "kernel.gz"
        path.write_bytes(data)
        assert main(["run", option, str(path)]) == 2
        assert capsys.readouterr().err == (
            f"vp: error: {path}: compressed with gzip; unpack it first (`gzip -dc {path} > OUT`)\n"
        )


# --- what is none of them -------------------------------------------------------------------------

BEGINNINGS = {  # of raw code, or cut so short that nothing follows from them
    "gzip": b"\x1f\x8b\x07",
    "compress": b"\x1f\x9d\x40",
    "bzip2": b"BZh9" + CODE,
    "lzma": b"\x5d\x00\x00\x10\x00" + CODE,
    "lzma size": b"\x5d\x00\x00\x80\x00" + b"\0" * 8 + b"\0" + CODE,
    "lzma dictionary": b"\x5d\x01\x00\x00\x00" + b"\xff" * 8 + b"\0" + CODE,
    "lzma coder": b"\x5d\x00\x00\x80\x00" + b"\xff" * 8 + b"\x90" + CODE,
    "MZ": b"MZ" + CODE,
    "cpio": b"\xc7\x71" + CODE,
    "cpio without a name": b"\xc7\x71" + bytes(100),
    "tar with another sum": b"q" + old_tar()[1:],
    "hsqs": b"hsqs" + CODE,
    "KDMV": b"KDMV" + CODE,
    "PK": b"PK\x03\x04\x90" + CODE,
    "skipped": b"\x50\x2a\x4d\x18" + CODE,
    "spaces": b" " * 600,
    "zeros": bytes(600),
}


@pytest.mark.parametrize("name", list(BEGINNINGS))
def test_code_that_begins_like_one(name: str) -> None:
    assert recognise(BEGINNINGS[name]) is None


def test_nothing_is_taken_from_beginnings_that_are_cut() -> None:
    for data, _ in FILES.values():
        for length in range(1, 40):
            recognise(data[:length])  # and nothing is read behind the end


def test_a_kernel_for_efi_is_judged_by_the_loader_that_gets_it() -> None:
    with pytest.raises(UserError, match="not an ELF file"):
        Machine(memory_mb=4).load_elf(windows())


def test_code_is_none() -> None:
    assert recognise(embedded_image().image) is None
    assert recognise(CODE) is None
    chance = random.Random(5)
    assert not any(recognise(chance.randbytes(700)) for _ in range(5000))


@pytest.mark.guest
@pytest.mark.skipif(not GUESTS.exists(), reason="no guests: `make guests`")
@pytest.mark.parametrize("name", ["vmlinuz", "busybox"])
def test_real_programs_are_none(name: str) -> None:
    assert code_regions(GUESTS / name)
