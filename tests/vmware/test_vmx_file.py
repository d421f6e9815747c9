"""VMware's configuration file: how it is cut, decoded, and refused."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import pytest

from monitor.vmm.errors import UserError
from monitor.vmware.vmx import config_file
from monitor.vmware.vmx.config_file import parse_vmx, read_vmx
from monitor.vmware.vmx.encoding import KNOWN, codec_of


def values(data: bytes) -> dict[str, str]:
    """The settings, as the file spells their names."""
    return {entry.name: entry.value for entry in parse_vmx(data, "x.vmx").entries.values()}


def refusal(data: bytes) -> str:
    """Why the file is refused."""
    with pytest.raises(UserError) as caught:
        parse_vmx(data, "x.vmx")
    return str(caught.value)


WELL_FORMED = [
    (b"", {}),
    (b"\n\n  \t\n", {}),
    (b"#!/usr/bin/vmware\n", {}),
    (b'memsize = "64"', {"memsize": "64"}),
    (b'memsize="64"', {"memsize": "64"}),
    (b' \tmemsize\t = \t"64" \t', {"memsize": "64"}),
    (b'memsize = "64" # a comment', {"memsize": "64"}),
    (b'memsize = "64"#a comment', {"memsize": "64"}),
    (b'note = "# no comment"', {"note": "# no comment"}),
    (b'note = "a = b"', {"note": "a = b"}),
    (b"memsize = 64", {"memsize": "64"}),
    (b"memsize = 64 # a comment", {"memsize": "64"}),
    (b"memsize = 64#a comment", {"memsize": "64"}),
    (b"path = a=b", {"path": "a=b"}),
    (b"empty =", {"empty": ""}),
    (b'empty = ""', {"empty": ""}),
    (b"empty = # nothing", {"empty": ""}),
    (b'a = "1"\r\nb = "2"\r\n', {"a": "1", "b": "2"}),
    (b'a = "1"\rb = "2"\r', {"a": "1", "b": "2"}),
    (b'a = "1"\nb = "2"', {"a": "1", "b": "2"}),
    (b'\xef\xbb\xbfa = "1"', {"a": "1"}),
    (b'scsi0:0.fileName = "E:\\vm\\a.vmdk"', {"scsi0:0.fileName": "E:\\vm\\a.vmdk"}),
    (b'note = "say |22hello|22"', {"note": 'say "hello"'}),
    (b'note = "a|0Ab|0a"', {"note": "a\nb\n"}),
    (b'note = "|7C|7c22"', {"note": "||22"}),
    (b'note = "|2|zz|"', {"note": "|2|zz|"}),
    (b"note = a|20b", {"note": "a b"}),
    (b'note = "\xc2\xabx\xc2\xbb"', {"note": "\u00abx\u00bb"}),
]


@pytest.mark.parametrize(("data", "wanted"), WELL_FORMED)
def test_well_formed_lines(data: bytes, wanted: dict[str, str]) -> None:
    assert values(data) == wanted


MALFORMED = [
    (b"hello", "line 1: 'hello' has no \"=\"; write it as name = \"value\", or put a # before it"),
    (b"\n\nhello", "line 3: 'hello' has no \"=\""),
    (b'= "64"', "line 1: nothing before the \"=\"; write it as name = \"value\""),
    (b'mem size = "64"', "line 1: 'mem size' is no name: it holds blanks or a #"),
    (b'"memsize" = x y', "line 1: 'x y' is no value; put it in quotes"),
    (b"me#m = 64", "line 1: 'me#m' is no name"),
    (b'\x1b[2J = "64"', "line 1: '\\x1b[2J' is no name"),
    (b'memsize = "64', "line 1: the quote before '64' is not closed; add a \" after it"),
    (b'memsize = 64"', "line 1: '64\"' is no value; put it in quotes"),
    (b'note = "a"b"', "line 1: 'b\"' after the closing quote; write a quote inside as |22"),
    (b"path = /my files/a", "line 1: '/my files/a' is no value; put it in quotes"),
    (b"a\0b", "line 1: a NUL byte: this is no text file; give a .vmx file"),
    (b'ok = "1"\n\x7fELF\1\1\1\0', "line 2: a NUL byte"),
    (b'note = "|00"', "line 1: |00 in the value: no value can hold a NUL byte; remove it"),
    (b'<?xml version="1.0"?>', "line 1: this is XML (a .vmxf or .ovf file?); give the .vmx file"),
    ("a = \u201cb\u201d".encode(), "line 1: typographic quotes around '\u201cb\u201d'"),
    (b"\xff\xfea\0=\0", "line 1: this is UTF-16; save the file as UTF-8"),
    (b"\xfe\xff\0a\0=", "line 1: this is UTF-16; save the file as UTF-8"),
    (b'a = "1"\nA = "2"', "line 2: 'A' is '2', but '1' in line 1; remove one of them"),
    (b'encryption.keySafe = "x"', "line 1: the virtual machine is encrypted; remove"),
    (b'a = "b"\nencryption.data = "x"', "line 2: the virtual machine is encrypted"),
    (b'.encoding = "klingon"', "line 1: .encoding 'klingon' is not known here; save the file"),
    (b'.encoding = "UTF-16"', "line 1: .encoding 'UTF-16' is not known here"),
    (b'.encoding = "\xff"', "line 1: .encoding '\ufffd' is not known here"),
    (b'.encoding = ""', "line 1: .encoding '' is not known here"),
    (b'.encoding = "UTF-8"\na = "\xe9"', "line 2: the bytes e9 are no utf-8 text; correct"),
    (b'a = "\x81"', "line 1: the bytes 81 are no cp1252 text"),
    (b".encoding = UTF-8\n.ENCODING = GBK", "line 2: '.ENCODING' is 'GBK', but 'UTF-8' in line 1"),
]


@pytest.mark.parametrize(("data", "message"), MALFORMED)
def test_malformed_files_are_refused_by_line(data: bytes, message: str) -> None:
    assert refusal(data).startswith(f"x.vmx: {message}")


@pytest.mark.parametrize(("data", "message"), MALFORMED)
def test_refusals_say_what_to_do(data: bytes, message: str) -> None:
    text = refusal(data)
    words = ("give", "write", "put", "add", "remove", "save", "use", "correct")
    assert any(f" {word} " in text for word in words)


# --- characters -----------------------------------------------------------------------------------

TEXTS = [
    ("UTF-8", "Größe 機械", "utf-8"),
    ("windows-1252", "Größe €", "cp1252"),
    ("Shift_JIS", "ポンプ 機械 ①", "cp932"),  # the second byte of the first letter is a bar
    ("GBK", "虚拟机", "gbk"),
    ("GB18030", "虚拟机 \U00020000", "gb18030"),
    ("Big5", "虛擬機", "cp950"),
    ("EUC-KR", "가상 기계", "cp949"),
    ("windows-949", "가상 똠", "cp949"),
    ("EUC-JP", "仮想機械", "euc_jp"),
    ("windows-1251", "машина", "cp1251"),
    ("ISO-8859-15", "Größe €", "iso8859-15"),
]


@pytest.mark.parametrize(("name", "text", "codec"), TEXTS)
@pytest.mark.parametrize("last", [False, True])
def test_the_encoding_counts_wherever_it_stands(
    name: str, text: str, codec: str, last: bool
) -> None:
    lines = [f'.encoding = "{name}"'.encode(), b'displayName = "' + text.encode(codec) + b'"']
    file = parse_vmx(b"\n".join(reversed(lines) if last else lines), "x.vmx")
    assert (file.entries["displayname"].value, file.encoding) == (text, codec)
    assert not file.warnings


@pytest.mark.parametrize(("name", "text", "codec"), TEXTS)
def test_bars_are_bytes_not_characters(name: str, text: str, codec: str) -> None:
    """VMware escapes the bytes of the file, so that the half of a character may be escaped."""
    escaped = b"".join(b"|%02X" % byte for byte in text.encode(codec))
    data = f'.encoding = "{name}"\n'.encode() + b'displayName = "' + escaped + b'"'
    assert values(data)["displayName"] == text


def test_a_file_of_the_early_years_has_no_encoding() -> None:
    file = parse_vmx(b'displayName = "Gr\xf6\xdfe"', "x.vmx")
    assert file.entries["displayname"].value == "Größe"
    assert file.warnings == ("no .encoding, and not UTF-8: read as windows-1252",)


def test_a_byte_order_mark_beats_the_encoding() -> None:
    file = parse_vmx(b'\xef\xbb\xbf.encoding = "GBK"\na = "\xc3\xa9"', "x.vmx")
    assert file.entries["a"].value == "é"
    assert file.warnings == (
        "line 1: .encoding says GBK, but the file starts as UTF-8 files do: read as UTF-8",
    )


@pytest.mark.parametrize(
    "name", ["", "UTF-16", "UTF-7", "utf-32", "idna", "punycode", "rot13", "base64", "hex", "mbcs",
             "unicode_escape", "undefined", "cp037", "ISO-2022-JP", "HZ", "a\0b", "x" * 100_000]
)
def test_character_sets_without_ascii_are_unknown(name: str) -> None:
    assert codec_of(name) is None


def test_every_known_character_set_contains_ascii() -> None:
    printable = bytes((9, *range(32, 127)))
    for name in KNOWN:
        codec = codec_of(name)
        assert codec is not None
        assert printable.decode(codec).encode(codec) == printable
        assert printable.decode(codec)[1:60] == printable.decode("ascii")[1:60]


# --- the whole file -------------------------------------------------------------------------------


def test_names_do_not_mind_their_case() -> None:
    assert parse_vmx(b'MemSize = "64"', "x.vmx").entries["memsize"].name == "MemSize"


def test_the_same_value_twice_is_a_warning() -> None:
    file = parse_vmx(b'msg.autoAnswer = "TRUE"\n\nmsg.autoanswer = TRUE', "x.vmx")
    assert file.warnings == ("line 3: 'msg.autoanswer' is set again, as in line 1",)


def test_the_order_is_the_file_s() -> None:
    assert list(values(b"b = 1\na = 2\nc = 3")) == ["b", "a", "c"]


def test_a_huge_file_is_refused() -> None:
    assert "more than 4 MiB: this is no .vmx file" in refusal(b"#" * (config_file.MAX_BYTES + 1))


def test_a_file_of_the_greatest_size_is_read() -> None:
    value = "x" * (config_file.MAX_BYTES - 6)
    assert values(f'a = "{value}"'[: config_file.MAX_BYTES].encode()) == {"a": value}


def test_too_many_settings_are_refused() -> None:
    lines = "".join(f"a{number} = 1\n" for number in range(config_file.MAX_ENTRIES + 1))
    assert "more than 20000 settings; remove some" in refusal(lines.encode())


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    for path, reason in ((tmp_path / "none.vmx", "no such file"), (tmp_path, "is a directory")):
        with pytest.raises(UserError, match=rf"cannot read the \.vmx file \({reason}.*check the"):
            read_vmx(path)
    with pytest.raises(UserError, match="null byte"):
        read_vmx("a\0.vmx")


@pytest.mark.skipif(sys.platform == "win32", reason="there is no such file")
def test_an_endless_file_is_refused() -> None:
    with pytest.raises(UserError, match="more than 4 MiB"):
        read_vmx("/dev/zero")


# --- properties -----------------------------------------------------------------------------------

PIECES = [*(bytes((byte,)) for byte in b'a=B"|#\n\r \t2Cc.0\x83\xe9\xff'), b'a = "', b'"\n', b" = ",
          b"|7C", b"|4", b'.encoding = "GBK"\n', b"\r\n", b"# x\n", "\u201c".encode(), b"\0"]


def marshalled(name: str, value: str, codec: str) -> bytes:
    """A line as VMware writes it: quotes, bars and control characters but the tab are escaped."""
    escaped = b"".join(
        b"|%02X" % byte if byte in b'"|\x7f' or (byte < 32 and byte != 9) else bytes((byte,))
        for byte in value.encode(codec)
    )
    return name.encode() + b' = "' + escaped + b'"'


@pytest.mark.parametrize(("name", "text", "codec"), TEXTS)
def test_what_vmware_writes_is_read_back(name: str, text: str, codec: str) -> None:
    pick = random.Random(name)
    alphabet = text + "".join(map(chr, range(1, 128)))
    wanted = {
        f"key{number}.x": "".join(pick.choices(alphabet, k=pick.randrange(40)))
        for number in range(200)
    }
    lines = [marshalled(key, value, codec) for key, value in wanted.items()]
    lines.insert(pick.randrange(len(lines)), f'.encoding = "{name}"'.encode())
    ending = pick.choice((b"\n", b"\r\n"))
    assert values(ending.join(lines)) == wanted | {".encoding": name}


def test_any_bytes_are_read_or_refused() -> None:
    """Only a UserError, whose message is one line without control characters."""
    pick = random.Random(2026)
    refused = 0
    for _ in range(20_000):
        data = b"".join(pick.choices(PIECES, k=pick.randrange(12)))
        if pick.random() < 0.2:
            data += pick.randbytes(pick.randrange(60))
        if pick.random() < 0.1:
            data = pick.choice((b"\xef\xbb\xbf", b"#", b"\xff\xfe")) + data
        try:
            file = parse_vmx(data, "x.vmx")
        except UserError as error:
            refused += 1
            assert str(error).isprintable()
        else:
            assert all(name == entry.name.lower() for name, entry in file.entries.items())
            assert all("\0" not in entry.value for entry in file.entries.values())
    assert 2000 < refused < 18_000  # both ways out were taken
