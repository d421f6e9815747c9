"""What is odd in a submission's source: things no lab needs, and cheats do.

Code that runs in the grader's process can reach everything in it. It cannot be kept from changing
its own grade, only be seen doing it; so whoever uses one of these is worth a look by a person.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

FLAG = "odd"
MODULES = frozenset({
    "_thread", "atexit", "builtins", "cffi", "ctypes", "faulthandler", "gc", "importlib",
    "inspect", "mmap", "monitor.grading", "monitor.labs.cases", "monitor.labs.check",
    "monitor.labs.report", "monitor.labs.submission", "multiprocessing", "os", "resource", "runpy",
    "shutil", "signal", "socket", "subprocess", "threading", "traceback", "unittest.mock",
})  # fmt: skip
NAMES = frozenset({
    "_getframe", "__builtins__", "__closure__", "__code__", "__globals__", "__import__",
    "__subclasses__", "addaudithook", "compile", "eval", "exec", "settrace", "setprofile",
})  # fmt: skip


def find(source: bytes) -> list[str]:
    """Their names, sorted; none where the source cannot be parsed."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    return sorted({name for node in ast.walk(tree) for name in _odd(node)})


def _odd(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield from _odd_module(alias.name)
    elif isinstance(node, ast.ImportFrom):
        module = node.module or ""
        yield from _odd_module(module)
        for alias in node.names:
            yield from _odd_module(f"{module}.{alias.name}")
    elif isinstance(node, ast.Attribute) and node.attr in NAMES - {"compile"}:
        yield node.attr  # re.compile is nobody's cheat
    elif isinstance(node, ast.Name) and node.id in NAMES:
        yield node.id


def _odd_module(name: str) -> Iterator[str]:
    parts = name.split(".")
    for count in range(1, len(parts) + 1):
        if ".".join(parts[:count]) in MODULES:
            yield ".".join(parts[:count])
            return
