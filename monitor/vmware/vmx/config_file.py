"""VMware's configuration file: lines of `name = "value"` (open-vm-tools: lib/dict/dictll.c).

    #!/usr/bin/vmware
    .encoding = "Shift_JIS"
    memsize = "64"                  # a comment
    displayName = "The |22big|22 one"

A value without quotes ends at a blank. |XX is the byte of that hexadecimal number; VMware writes
quotes, bars and control characters so. Names do not mind upper and lower case. As in VMware's own
reader, a line is cut into bytes first and decoded afterwards: the second byte of a Japanese
character may be a bar.

VMware refuses a file that sets a name twice ("corrupt"). Here the same value twice is a warning,
and two values are an error that names both lines: either may be the one that was meant, and it may
be the one that denies the guest something.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike, fspath

from monitor.vmm.errors import UserError
from monitor.vmware.vmx.encoding import UTF_8, WESTERN, codec_of

MAX_BYTES = 4 << 20  # VMware itself lets a guest's own variables grow to 1 MiB
MAX_ENTRIES = 20_000
SHOWN = 40  # characters of the file in a message

ENTRY = re.compile(rb'([^ \t=#]+)[ \t]*=[ \t]*(?:"([^"]*)"|([^ \t#"]*))[ \t]*(?:#.*)?', re.DOTALL)
COMMENT = re.compile(rb"#.*|", re.DOTALL)
ESCAPE = re.compile(rb"\|([0-9a-fA-F]{2})")
ENCODING = b".encoding"
ENCRYPTED = ("encryption.keysafe", "encryption.data")
TYPOGRAPHIC = "\u201c\u201d\u201e\u00ab\u00bb"  # what word processors make of quotes
HOW = 'write it as name = "value"'


@dataclass(frozen=True)
class Entry:
    """One setting, as the file spells it."""

    name: str
    value: str
    line: int


@dataclass(frozen=True)
class VmxFile:
    """A file as read. `entries` is keyed by the names in lower case, in the file's order."""

    name: str
    encoding: str
    entries: Mapping[str, Entry]
    warnings: tuple[str, ...]

    def error(self, entry: Entry, problem: str) -> UserError:
        """What to raise for a setting that makes no sense."""
        return UserError(f"{self.name}: line {entry.line}: {entry.name}: {problem}")


def read_vmx(path: str | PathLike[str]) -> VmxFile:
    """Read a file; UserError if it cannot be read or is no such file."""
    name = fspath(path)
    try:
        with open(name, "rb") as file:
            data = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        raise UserError(f"{name}: cannot read the .vmx file ({reason}); check the path") from error
    return parse_vmx(data, name)


def parse_vmx(data: bytes, name: str) -> VmxFile:
    """The file's contents as settings. `name` is what messages call the file."""
    if len(data) > MAX_BYTES:
        raise UserError(f"{name}: more than {MAX_BYTES >> 20} MiB: this is no .vmx file")
    return _Parser(name).parse(data)


@dataclass(frozen=True)
class _Raw:
    """A setting before decoding."""

    name: bytes
    value: bytes
    line: int
    quoted: bool


class _Parser:
    """Reads one file; errors know where they are."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._warnings: list[str] = []

    def parse(self, data: bytes) -> VmxFile:
        marked = data.startswith(codecs.BOM_UTF8)
        text = data.removeprefix(codecs.BOM_UTF8)
        if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            raise self._error(1, "this is UTF-16; save the file as UTF-8")
        raw = self._cut(text)
        encoding = self._encoding(raw, text, marked)
        entries = self._unique([self._decode(item, encoding) for item in raw])
        self._refuse_encrypted(entries)
        return VmxFile(self._name, encoding, entries, tuple(self._warnings))

    def _error(self, line: int, problem: str) -> UserError:
        return UserError(f"{self._name}: line {line}: {problem}")

    # --- lines into names and values --------------------------------------------------------

    def _cut(self, text: bytes) -> list[_Raw]:
        found = []
        for number, line in enumerate(text.splitlines(), 1):
            stripped = line.strip(b" \t")
            if b"\0" in stripped:
                raise self._error(number, "a NUL byte: this is no text file; give a .vmx file")
            match = ENTRY.fullmatch(stripped)
            if match:
                quoted = match[2] is not None
                value = self._unescape(match[2] if quoted else match[3], number)
                found.append(_Raw(match[1], value, number, quoted))
            elif not COMMENT.fullmatch(stripped):
                raise self._error(number, _what_is_wrong(stripped))
            if len(found) > MAX_ENTRIES:
                raise self._error(number, f"more than {MAX_ENTRIES} settings; remove some")
        return found

    def _unescape(self, value: bytes, line: int) -> bytes:
        result = ESCAPE.sub(lambda escape: bytes((int(escape[1], 16),)), value)
        if b"\0" in result:
            raise self._error(line, "|00 in the value: no value can hold a NUL byte; remove it")
        return result

    # --- bytes into text --------------------------------------------------------------------

    def _encoding(self, raw: list[_Raw], text: bytes, marked: bool) -> str:
        named = next((item for item in raw if item.name.lower() == ENCODING), None)
        if named is None:
            return UTF_8 if marked else self._guess(text)
        wanted = named.value.decode("ascii", "replace")
        codec = codec_of(wanted)
        if codec is None:
            raise self._error(named.line, f".encoding {shown(wanted)} is not known here; "
                              'save the file as UTF-8 and write .encoding = "UTF-8"')
        if marked and codec != UTF_8:
            self._warnings.append(f"line {named.line}: .encoding says {wanted}, but the file "
                                  "starts as UTF-8 files do: read as UTF-8")
            return UTF_8
        return codec

    def _guess(self, text: bytes) -> str:
        """Files of VMware's early years have no .encoding, and hold whatever their host had."""
        try:
            text.decode(UTF_8)
        except UnicodeDecodeError:
            self._warnings.append("no .encoding, and not UTF-8: read as windows-1252")
            return WESTERN
        return UTF_8

    def _decode(self, raw: _Raw, encoding: str) -> Entry:
        try:
            entry = Entry(raw.name.decode(encoding), raw.value.decode(encoding), raw.line)
        except UnicodeDecodeError as error:
            bad = error.object[error.start : error.end].hex(" ")
            raise self._error(raw.line, f"the bytes {bad} are no {encoding} text; "
                              "correct .encoding, or save the file as UTF-8") from error
        if not entry.name.isprintable():
            raise self._error(raw.line, f"{shown(entry.name)} is no name; {HOW}")
        if not raw.quoted and entry.value and entry.value[0] in TYPOGRAPHIC:
            raise self._error(raw.line, f"typographic quotes around {shown(entry.value)}; "
                              'use plain ones: "')
        return entry

    # --- the whole --------------------------------------------------------------------------

    def _unique(self, found: list[Entry]) -> dict[str, Entry]:
        entries: dict[str, Entry] = {}
        for entry in found:
            first = entries.setdefault(entry.name.lower(), entry)
            if first.value != entry.value:
                raise self._error(entry.line, f"{shown(entry.name)} is {shown(entry.value)}, "
                                  f"but {shown(first.value)} in line {first.line}; "
                                  "remove one of them")
            if first is not entry:
                self._warnings.append(f"line {entry.line}: {shown(entry.name)} is set again, "
                                      f"as in line {first.line}")
        return entries

    def _refuse_encrypted(self, entries: Mapping[str, Entry]) -> None:
        for name in ENCRYPTED:
            if name in entries:
                raise self._error(entries[name].line, "the virtual machine is encrypted; "
                                  "remove the encryption with the product that made it")


def _what_is_wrong(line: bytes) -> str:
    """Why a line is no setting."""
    name, equals, value = line.partition(b"=")
    if line.startswith(b"<"):
        return "this is XML (a .vmxf or .ovf file?); give the .vmx file"
    if not equals:
        return f'{_bytes_shown(line)} has no "="; {HOW}, or put a # before it'
    if not name.strip(b" \t"):
        return f'nothing before the "="; {HOW}'
    if b"#" in name or len(name.split()) != 1:
        return f"{_bytes_shown(name)} is no name: it holds blanks or a #; {HOW}"
    value = value.strip(b" \t")
    if value.startswith(b'"'):
        rest = value[1:].partition(b'"')
        if rest[1]:
            return f"{_bytes_shown(rest[2])} after the closing quote; write a quote inside as |22"
        return f'the quote before {_bytes_shown(rest[0])} is not closed; add a " after it'
    return f"{_bytes_shown(value)} is no value; put it in quotes, a quote inside written as |22"


def _bytes_shown(text: bytes) -> str:
    return shown(text.strip(b" \t").decode(UTF_8, "replace"))


def shown(text: str) -> str:
    """A piece of the file for a message, on one line whatever it holds."""
    return repr(text if len(text) <= SHOWN else text[:SHOWN] + "...")
