"""Numbers as one writes them at the console: `$esp + 4*ecx`, with registers and C's operators.

The parser is Python's own (`ast`), whose precedence of these operators is C's; all values are 64
bits wide and without sign.

>>> value("0x10 + 2*3", {})
22
>>> hex(value("$eip & ~0xfff", {"eip": 0xC0101234}))
'0xc0101000'
>>> value("$eip / 0", {"eip": 1})
Traceback (most recent call last):
    ...
monitor.vmm.errors.UserError: $eip / 0: division by zero
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Mapping

from monitor.vmm.errors import UserError

M64 = (1 << 64) - 1
LONGEST = 200  # characters
REGISTER = re.compile(r"\$(\w+)")
NUMBER = re.compile(r"\b0([0-7]+)\b")
WHAT = "no expression of numbers, $registers and + - * / % & | ^ ~ << >> ( )"

BINARY: Mapping[type[ast.operator], Callable[[int, int], int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.floordiv,
    ast.Mod: operator.mod,
    ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_,
    ast.BitXor: operator.xor,
    ast.LShift: lambda a, b: a << b if b < 64 else 0,
    ast.RShift: operator.rshift,
}
UNARY: Mapping[type[ast.unaryop], Callable[[int], int]] = {
    ast.UAdd: operator.pos,
    ast.USub: operator.neg,
    ast.Invert: operator.invert,
}


def value(text: str, registers: Mapping[str, int]) -> int:
    """What an expression gives. UserError: it is none, or names a register that there is not."""
    if not text.strip():
        raise UserError("an address or a number is missing")
    if len(text) > LONGEST:
        raise UserError(f"an expression of {len(text)} characters: {LONGEST} at most")
    try:
        # A register's name becomes one that no number can be; a leading 0 is C's octal.
        plain = NUMBER.sub(r"0o\1", REGISTER.sub(r"r_\1", text))
        tree = ast.parse(plain.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise UserError(f"{text.strip()}: {WHAT}") from None
    return _of(tree, text.strip(), registers) & M64


def _of(node: ast.expr, text: str, registers: Mapping[str, int]) -> int:
    if isinstance(node, ast.Constant) and type(node.value) is int:
        return node.value & M64
    if isinstance(node, ast.Name) and node.id.startswith("r_"):
        name = node.id.removeprefix("r_").lower()
        if name not in registers:
            raise UserError(f"{text}: there is no register ${name}: `info registers` shows all")
        return registers[name]
    if isinstance(node, ast.UnaryOp) and type(node.op) in UNARY:
        return UNARY[type(node.op)](_of(node.operand, text, registers)) & M64
    if isinstance(node, ast.BinOp) and type(node.op) in BINARY:
        left, right = (_of(each, text, registers) for each in (node.left, node.right))
        try:
            return BINARY[type(node.op)](left, right) & M64
        except ZeroDivisionError:
            raise UserError(f"{text}: division by zero") from None
    raise UserError(f"{text}: {WHAT}")
