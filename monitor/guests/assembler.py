"""A small assembler layer over keystone, for the guests that this package carries as source.

keystone turns Intel-syntax text into bytes, and leaves four things to be done here:

* *files*: ``.include "name"``, ``;`` comments, and errors that name the file and the line;
* *names*: ``NAME = expression`` constants, local labels (``.loop`` belongs to the last label
  without a dot), and the table of symbols, which keystone keeps to itself;
* *literals*: ``mov esi, "text"`` loads the address of a string. The strings wait in a pool and
  are placed by ``.pool``, so that they can be put on a page that the code may read;
* *encodings* that keystone 0.9.2 gets wrong or refuses (see ``_REWRITES``).

Worked example::

    PORT = 0x3f8                        PORT is replaced by (0x3f8)
    start:  mov edx, PORT + 5
    .wait:  in al, dx                   .wait becomes start__wait
            jmp .wait
            mov esi, "hello"            mov esi, literal_0
            .pool                       literal_0: .asciz "hello"

The symbols are found by asking for them: the source gets one more line,
``.long start, start__wait, literal_0``, whose bytes are cut off the end of the result again.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import keystone

from bt.assembler import open_assembler

#: Gives the text of a source file by its name; FileNotFoundError where there is none.
SourceReader = Callable[[str], str]

_STRING = re.compile(r'"(?:\\.|[^"\\])*"')
_CHARACTER_OR_STRING = re.compile(r"""'(?:\\.|[^'\\])'|"(?:\\.|[^"\\])*\"""")
_LABEL = re.compile(r"(\.?[A-Za-z_]\w*):\s*")
_CONSTANT = re.compile(r"([A-Za-z_]\w*)\s*=\s*(.+)")
_NAME = re.compile(r"(?<![\w.])[A-Za-z_]\w*")
_LOCAL_NAME = re.compile(r"(?<![\w\])])\.([A-Za-z_]\w*)")
_INCLUDE = re.compile(r'\.include\s+"([^"]+)"')

#: Directives handed to keystone as they are.
DIRECTIVES = frozenset({"byte", "short", "long", "ascii", "asciz", "align", "space", "fill",
                        "rept", "endr"})  # fmt: skip
_REPEATED = re.compile(r"\.(?:space|fill|rept) (0x[\da-f]+|\d+)\b.*")
MOST_REPEATED = 1 << 20  # keystone would try


class AssemblyError(Exception):
    """A source line that cannot be assembled; says which and why."""


@dataclass(frozen=True)
class SourceLine:
    """One source line without its comment, and where it came from."""

    text: str
    file: str
    number: int

    def error(self, why: str) -> AssemblyError:
        return AssemblyError(f"{self.file}:{self.number}: {why}: {self.text.strip()}")


@dataclass(frozen=True)
class Assembly:
    """What came out: the bytes, the address of every label, and the constants."""

    origin: int
    image: bytes
    symbols: dict[str, int]
    constants: dict[str, int]


def assemble(read: SourceReader, name: str, origin: int, bits: int = 32) -> Assembly:
    """Assemble the file ``name``, and what it includes, to run at ``origin``.

    ``bits`` is 32 or 16; in 16-bit code, the rewritten table registers, far transfers and PUSH of a
    name are not to be had.
    """
    source = _Source()
    for line in _read(read, name, ()):
        source.add(line)
    source.flush_literals(SourceLine("", name, 0))
    image, addresses = _assemble_statements(source.statements, source.labels, origin, bits)
    symbols = dict(zip(source.labels, addresses, strict=True))
    return Assembly(origin, image, symbols, dict(source.constants))


def _read(read: SourceReader, name: str, including: tuple[str, ...]) -> Iterator[SourceLine]:
    """The lines of a file with its includes in place."""
    if name in including:
        raise AssemblyError(f"{including[-1]}: {name} includes itself")
    try:
        text = read(name)
    except FileNotFoundError:
        by = f", included by {including[-1]}" if including else ""
        raise AssemblyError(f"no source file {name}{by}") from None
    for number, raw in enumerate(text.splitlines(), start=1):
        line = SourceLine(_without_comment(raw), name, number)
        include = _INCLUDE.fullmatch(line.text.strip())
        if include:
            yield from _read(read, include[1], (*including, name))
        elif line.text.strip():
            yield line


def _without_comment(raw: str) -> str:
    """Cut at the first ``;`` that is in no string and no character constant."""
    quoted = [match.span() for match in _CHARACTER_OR_STRING.finditer(raw)]
    for at, character in enumerate(raw):
        if character == ";" and not any(start < at < end for start, end in quoted):
            return raw[:at]
    return raw


# ---------------------------------------------------------------------------- names and literals


@dataclass
class _Source:
    """The statements for keystone, and the names met while they were collected."""

    statements: list[SourceLine] = field(default_factory=list)
    labels: dict[str, SourceLine] = field(default_factory=dict)
    constants: dict[str, int] = field(default_factory=dict)
    _pool: dict[str, str] = field(default_factory=dict)
    _scope: str = ""
    _literals: int = 0

    def add(self, line: SourceLine) -> None:
        rest = line.text.strip()
        while label := _LABEL.match(rest):
            self._add_label(label[1], line)
            rest = rest[label.end() :]
        constant = _CONSTANT.fullmatch(rest)
        if constant:
            self._add_constant(constant[1], constant[2], line)
        elif rest == ".pool":
            self.flush_literals(line)
        elif rest:
            text = self._resolve(self._take_literals(rest, line))
            self._emit(_rewrite(text, line), line)

    def flush_literals(self, line: SourceLine) -> None:
        """Place the strings that wait; each gets its label here."""
        for string, label in self._pool.items():
            self._define(label, line)
            self._emit(f".asciz {string}", line)
        self._pool.clear()

    def _add_label(self, name: str, line: SourceLine) -> None:
        if name.startswith("."):
            if name[1:] in DIRECTIVES:
                raise line.error(f"{name} is a directive and cannot be a label")
            name = self._scope + "__" + name[1:]
        else:
            self._scope = name
        self._define(name, line)

    def _define(self, name: str, line: SourceLine) -> None:
        if name in self.labels or name in self.constants:
            raise line.error(f"{name} is defined twice")
        self.labels[name] = line
        self._emit(f"{name}:", line)

    def _add_constant(self, name: str, expression: str, line: SourceLine) -> None:
        if name in self.constants or name in self.labels:
            raise line.error(f"{name} is defined twice")
        self.constants[name] = _evaluate(expression, self.constants, line)

    def _take_literals(self, text: str, line: SourceLine) -> str:
        """Give every string operand of an instruction a label in the pool."""
        if text.startswith("."):
            return text

        def label_of(match: re.Match[str]) -> str:
            if match[0] not in self._pool:
                self._pool[match[0]] = f"literal_{self._literals}"
                self._literals += 1
            return self._pool[match[0]]

        return _STRING.sub(label_of, text)

    def _resolve(self, text: str) -> str:
        """Put values for constants and full names for local labels, outside strings."""
        head, tail = _split_directive(text)
        pieces, at = [head], 0
        for string in _CHARACTER_OR_STRING.finditer(tail):
            pieces += [self._resolve_names(tail[at : string.start()]), string[0]]
            at = string.end()
        return "".join([*pieces, self._resolve_names(tail[at:])])

    def _resolve_names(self, text: str) -> str:
        text = _LOCAL_NAME.sub(lambda match: f"{self._scope}__{match[1]}", text)
        return _NAME.sub(self._constant_or_name, text)

    def _constant_or_name(self, match: re.Match[str]) -> str:
        value = self.constants.get(match[0])
        return match[0] if value is None else f"{value:#x}"

    def _emit(self, text: str, line: SourceLine) -> None:
        self.statements.append(SourceLine(text, line.file, line.number))


def _split_directive(text: str) -> tuple[str, str]:
    """``.long a, b`` into ``.long`` and the rest: the directive is no local label."""
    head, space, tail = text.partition(" ")
    return (head + space, tail) if head[1:] in DIRECTIVES else ("", text)


_OPERATORS: dict[type[ast.AST], Callable[..., int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
    ast.LShift: operator.lshift,
    ast.RShift: operator.rshift,
    ast.BitOr: operator.or_,
    ast.BitAnd: operator.and_,
    ast.BitXor: operator.xor,
    ast.Invert: operator.invert,
    ast.USub: operator.neg,
}


def _evaluate(expression: str, constants: dict[str, int], line: SourceLine) -> int:
    """The value of a constant expression: numbers, earlier constants and ``+ - * // << >> | &``."""

    def value(node: ast.AST) -> int:
        match node:
            case ast.Expression(body=body):
                return value(body)
            case ast.Constant(value=int(number)):
                return number
            case ast.Name(id=name) if name in constants:
                return constants[name]
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
                return _OPERATORS[type(op)](value(left), value(right))
            case ast.UnaryOp(op=op, operand=operand) if type(op) in _OPERATORS:
                return _OPERATORS[type(op)](value(operand))
            case _:
                raise line.error("a constant is made of numbers and earlier constants")

    try:
        return value(ast.parse(expression.strip(), mode="eval")) & 0xFFFFFFFF
    except SyntaxError:
        raise line.error("not a constant expression") from None


# ------------------------------------------------------------------------------------- encodings

_SEGMENT_STACK = {
    "push es": 0x06, "push cs": 0x0E, "push ss": 0x16, "push ds": 0x1E,
    "pop es": 0x07, "pop ss": 0x17, "pop ds": 0x1F,
}  # fmt: skip
_TABLE_REGISTER = {"sgdt": 0x05, "sidt": 0x0D, "lgdt": 0x15, "lidt": 0x1D}
_FAR_DIRECT = {"call": 0x9A, "jmp": 0xEA}

#: Statements that keystone 0.9.2 does not assemble as a 32-bit assembler should. Each is written
#: out as bytes and, where there is one, the address that follows them.
_REWRITES: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], str]], ...] = (
    # It puts an operand-size prefix before these, so that they move 16 bits of the stack.
    (
        re.compile(r"(?:push|pop) (?:cs|ds|es|ss)"),
        lambda match: f".byte {_SEGMENT_STACK[match[0]]:#x}",
    ),
    # The same prefix cuts the base to 24 bits here. ModRM 00 reg 101: a 32-bit address follows.
    (
        re.compile(r"(sgdt|sidt|lgdt|lidt) \[([\w +-]+)\]"),
        lambda match: f".byte 0x0f, 0x01, {_TABLE_REGISTER[match[1]]:#x}; .long {match[2]}",
    ),
    # It knows no direct far transfer. The offset comes before the selector.
    (
        re.compile(r"(call|jmp) far (0x[\da-f]+|\d+):([\w +-]+)"),
        lambda match: f".byte {_FAR_DIRECT[match[1]]:#x}; .long {match[3]}; .short {match[2]}",
    ),
    (re.compile(r"(call|jmp) far (\[.+\])"), lambda match: f"l{match[1]} {match[2]}"),
    # It takes MOVSD for the SSE2 instruction.
    (re.compile(r"(rep )?movsd"), lambda match: ".byte 0xf3, 0xa5" if match[1] else ".byte 0xa5"),
)
_PUSH_NAME = re.compile(r"push (?!e?(?:[abcd]x|[sd]i|[bs]p)$|[fg]s$)([A-Za-z_]\w*)")
_TABLE_OPERAND = re.compile(r"(?:sgdt|sidt|lgdt|lidt) .*\b(?:e?[abcd]x|e?[sd]i|e?[bs]p)\b")


def _rewrite(text: str, line: SourceLine) -> str:
    """The statement in a form that keystone encodes rightly."""
    text = re.sub(r"\s+", " ", text) if not text.startswith(".") else text
    if (repeated := _REPEATED.fullmatch(text)) and int(repeated[1], 0) > MOST_REPEATED:
        raise line.error(f"{MOST_REPEATED:,} times at most")
    if _TABLE_OPERAND.match(text):
        raise line.error("SGDT, SIDT, LGDT and LIDT take an absolute address here")
    for pattern, replacement in _REWRITES:
        if match := pattern.fullmatch(text):
            return replacement(match)
    if match := _PUSH_NAME.fullmatch(text):
        return f".byte 0x68; .long {match[1]}"  # it would make room for one byte of address
    return text


# -------------------------------------------------------------------------------------- keystone


def _assemble_statements(
    statements: list[SourceLine], labels: Iterable[str], origin: int, bits: int
) -> tuple[bytes, list[int]]:
    """The bytes of the statements, and the address of each label."""
    names = list(labels)
    text = "\n".join(line.text for line in statements)
    if names:
        text += "\n.long " + ", ".join(names)
    assembler = open_assembler(bits)
    try:
        encoding, _ = assembler.asm(text, origin, as_bytes=True)
    except keystone.KsError as error:
        raise _find_culprit(statements, set(names), str(error), bits) from None
    image = bytes(encoding or b"")
    table = image[len(image) - 4 * len(names) :]
    addresses = [int.from_bytes(table[at : at + 4], "little") for at in range(0, len(table), 4)]
    return image[: len(image) - len(table)], addresses


def _find_culprit(
    statements: list[SourceLine], labels: set[str], why: str, bits: int
) -> AssemblyError:
    """keystone does not say which line it stopped at: try each alone, with the labels known."""
    stand_ins = "".join(f"{name}:\n" for name in sorted(labels))
    assembler = open_assembler(bits)
    for line in statements:
        if line.text.endswith(":") or line.text.startswith((".rept", ".endr")):
            continue
        try:
            assembler.asm(stand_ins + line.text, 0x100000)
        except keystone.KsError as error:
            return line.error(str(error))
    return AssemblyError(f"{statements[-1].file}: {why}")
