"""What a mutant changes: small, plausible mistakes, on Python's syntax tree.

`changes(node, parent)` yields what could stand in a node's place, as source text. What cannot
change what the program does is no business of these operators: annotations, docstrings, messages,
`__all__`, `assert` (it only says what holds anyway) and code under TYPE_CHECKING; see `hidden`.
Nor is the number in `return -1`: that is the status of a fault, and whoever asks, asks for `< 0`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence

Place = tuple[int, int, int, int]

COMPARISONS: dict[type[ast.cmpop], str] = {
    ast.Eq: "!=",
    ast.NotEq: "==",
    ast.Lt: "<=",
    ast.LtE: "<",
    ast.Gt: ">=",
    ast.GtE: ">",
    ast.In: "not in",
    ast.NotIn: "in",
    ast.Is: "is not",
    ast.IsNot: "is",
}
SIGNS: dict[type[ast.cmpop], str] = {
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.In: "in",
    ast.NotIn: "not in",
    ast.Is: "is",
    ast.IsNot: "is not",
}
ARITHMETIC: dict[type[ast.operator], str] = {
    ast.Add: "-",
    ast.Sub: "+",
    ast.Mult: "//",
    ast.FloorDiv: "*",
    ast.Mod: "//",
    ast.LShift: ">>",
    ast.RShift: "<<",
    ast.BitAnd: "|",
    ast.BitOr: "&",
    ast.BitXor: "&",
}
TABLES = (ast.Tuple, ast.List, ast.Set)
DELETABLE = (ast.Expr, ast.Assign, ast.AugAssign, ast.AnnAssign, ast.Delete, ast.Raise,
             ast.Continue, ast.Break)  # fmt: skip


def hidden(node: ast.AST) -> bool:
    """Does nothing below this node decide what the program does?"""
    if isinstance(node, (ast.Assert, ast.JoinedStr, ast.Import, ast.ImportFrom)):
        return True
    if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
        return True
    if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
        return True
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name == "__repr__":
        return True
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _is_status(node: ast.AST, parent: ast.AST) -> bool:
    return isinstance(parent, ast.Return) and ast.unparse(node) == "-1"


def children(node: ast.AST) -> Iterator[ast.AST]:
    """A node's children, without annotations and decorators."""
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list", "bases", "type_comment"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST) and not hidden(child) and not _is_status(child, node):
                yield child


def changes(node: ast.AST, parent: ast.AST) -> Iterator[str]:
    """What could stand there instead."""
    if isinstance(node, ast.stmt):
        yield from _statement(node, parent)
    elif isinstance(node, ast.Compare) and len(node.ops) == 1:
        yield _compared(node)
    elif isinstance(node, ast.Compare):
        yield from _chain(node)
    elif isinstance(node, ast.BoolOp):
        yield from _junction(node)
    elif isinstance(node, ast.UnaryOp):
        if not isinstance(node.operand, ast.Constant):
            yield f"({ast.unparse(node.operand)})"
    elif isinstance(node, ast.BinOp):
        yield from _calculation(node)
    elif isinstance(node, ast.IfExp):
        yield f"({ast.unparse(node.body)})"
        yield f"({ast.unparse(node.orelse)})"
    elif isinstance(node, ast.Constant):
        yield from _constant(node)
    if isinstance(parent, (ast.If, ast.While)) and node is parent.test:
        yield "False"
        if isinstance(parent, ast.If):
            yield "True"


def _statement(node: ast.stmt, parent: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Return) and node.value is not None:
        if not isinstance(node.value, ast.Constant):
            yield "return None"
        elif isinstance(node.value.value, str):
            yield "return ''"
    elif isinstance(node, ast.AnnAssign) and node.value is None:
        return
    elif isinstance(node, DELETABLE) and not isinstance(parent, (ast.Module, ast.ClassDef)):
        yield "pass"


def _compared(node: ast.Compare) -> str:
    left, right = ast.unparse(node.left), ast.unparse(node.comparators[0])
    return f"({left} {COMPARISONS[type(node.ops[0])]} {right})"


def _chain(node: ast.Compare) -> Iterator[str]:
    """a < b < c: each of its comparisons another."""
    for index in range(len(node.ops)):
        text = ast.unparse(node.left)
        for i, (op, right) in enumerate(zip(node.ops, node.comparators, strict=True)):
            sign = COMPARISONS[type(op)] if i == index else SIGNS[type(op)]
            text += f" {sign} {ast.unparse(right)}"
        yield f"({text})"


def _junction(node: ast.BoolOp) -> Iterator[str]:
    parts = [_operand(value) for value in node.values]
    other = " or " if isinstance(node.op, ast.And) else " and "
    same = " and " if isinstance(node.op, ast.And) else " or "
    yield f"({other.join(parts)})"
    for index in range(len(parts)):
        yield f"({same.join(parts[:index] + parts[index + 1 :])})"


def _calculation(node: ast.BinOp) -> Iterator[str]:
    other = ARITHMETIC.get(type(node.op))
    if other is not None and not isinstance(node.left, ast.JoinedStr):
        yield f"({_operand(node.left)} {other} {_operand(node.right)})"


def _operand(node: ast.expr) -> str:
    simple = isinstance(node, (ast.Name, ast.Constant, ast.Attribute, ast.Call, ast.Subscript))
    return ast.unparse(node) if simple else f"({ast.unparse(node)})"


def _constant(node: ast.Constant) -> Iterator[str]:
    value = node.value
    if isinstance(value, bool):
        yield str(not value)
    elif isinstance(value, int):
        yield from map(str, numbers(value))


def numbers(value: int) -> list[int]:
    """A bit less, a bit more; of a mask of several bits, the lowest and the highest gone."""
    if value > 0xFF and value.bit_count() > 1:
        return [value & (value - 1), value ^ 1 << value.bit_length() - 1]
    return [value + 1, value - 1] if value > 1 else [value + 1]


def cuts(node: ast.AST, parent: ast.AST) -> Iterator[tuple[Place, str]]:
    """A table without one of its elements: what to cut out, and what to leave there."""
    if isinstance(node, ast.Dict):
        firsts = [key or value for key, value in zip(node.keys, node.values, strict=True)]
        yield from _cut(node, firsts, list(node.values), "{}")
    elif isinstance(node, TABLES) and _is_table(node, parent):
        empty = {ast.Tuple: "()", ast.List: "[]", ast.Set: "set()"}[type(node)]
        yield from _cut(node, node.elts, node.elts, empty)


def _is_table(node: ast.expr, parent: ast.AST) -> bool:
    """Not what is assigned to, and not as many values as there are names."""
    if isinstance(parent, ast.Assign):
        return node is parent.value and not isinstance(parent.targets[0], ast.Tuple)
    return isinstance(parent, (ast.AnnAssign, ast.Compare))


def _cut(
    node: ast.expr, firsts: Sequence[ast.expr], lasts: Sequence[ast.expr], empty: str
) -> Iterator[tuple[Place, str]]:
    if not firsts:
        return
    if len(firsts) == 1:
        yield place(node), empty
    elif isinstance(node, ast.Tuple) and len(firsts) == 2:
        for kept in reversed(firsts):
            yield place(node), f"({ast.unparse(kept)},)"
    else:
        yield place(firsts[0])[:2] + place(firsts[1])[:2], ""
        for index in range(1, len(firsts)):
            yield place(lasts[index - 1])[2:] + place(lasts[index])[2:], ""


def place(node: ast.expr | ast.stmt) -> Place:
    """Where a node's text begins and ends: line, column, line, column (columns in UTF-8)."""
    assert node.end_lineno is not None and node.end_col_offset is not None
    return node.lineno, node.col_offset, node.end_lineno, node.end_col_offset
