"""One mutant put into a process: into functions that are there already, or by importing it.

A function that exists keeps its identity: only its code is exchanged, so whoever holds it (a table,
another module, a bound method) runs the mutant. What is computed while a module is imported cannot
be exchanged so; then `Importer` hands out the mutated source before anybody imports the module.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import sys
import types
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tools.mutation.mutants import ROOT


def module_name(file: str) -> str:
    return file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def exchange(file: str, function: str, source: str) -> bool:
    """Give a function of an imported module the code it has in `source`; False: it cannot be."""
    module = sys.modules[module_name(file)]
    code = _code(compile(source, str(ROOT / file), "exec"), function.split("."))
    found = list(_function(module, function.split(".")))
    if code is None or len(found) != 1:
        return False
    if len(code.co_freevars) != len(found[0].__code__.co_freevars):
        return False
    found[0].__code__ = code
    forget_results(file)
    return True


def _code(module: types.CodeType, names: Sequence[str]) -> types.CodeType | None:
    """The code object of a function, from the names that lead there."""
    code = module
    for name in names:
        inner = [each for each in code.co_consts
                 if isinstance(each, types.CodeType) and each.co_name == name]  # fmt: skip
        if len(inner) != 1:
            return None
        code = inner[0]
    return code


def _function(module: types.ModuleType, names: Sequence[str]) -> Iterator[types.FunctionType]:
    """The function itself, whatever it is wrapped in; only functions of modules and classes."""
    place: Any = module
    for name in names:
        place = vars(place).get(name) if hasattr(place, "__dict__") else None
    for name in ("fget", "__func__", "__wrapped__"):
        place = getattr(place, name, place)
    if isinstance(place, types.FunctionType):
        yield place


def forget_results(file: str) -> None:
    """What functions of a module have remembered may be the mutant's business."""
    module = sys.modules.get(module_name(file))
    for value in vars(module).values() if module else ():
        if hasattr(value, "cache_clear") and value.__module__ == module_name(file):
            value.cache_clear()


class Importer(importlib.abc.MetaPathFinder, importlib.abc.SourceLoader):  # type: ignore[misc]
    """Finds one module, and hands out another source for it."""

    def __init__(self, file: str, source: str) -> None:
        self.name = module_name(file)
        self.path = str(ROOT / file)
        self.source = source

    def install(self) -> None:
        assert self.name not in sys.modules
        sys.meta_path.insert(0, self)

    def find_spec(
        self, name: str, path: object, target: object = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name != self.name:
            return None
        return importlib.util.spec_from_file_location(
            name, self.path, loader=self,
            submodule_search_locations=[str(Path(self.path).parent)]
            if self.path.endswith("__init__.py") else None,
        )  # fmt: skip

    def get_filename(self, name: str) -> str:
        return self.path

    def get_data(self, path: str | bytes) -> bytes:
        return self.source.encode()

    def path_stats(self, path: str | bytes) -> dict[str, Any]:
        raise OSError  # so that nothing is cached
