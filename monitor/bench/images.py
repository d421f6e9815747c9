"""The benchmarks' guests, assembled from the sources in guests/."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files

from monitor.bench.rows import Workload
from monitor.guests.assembler import Assembly, assemble

LOAD_ADDRESS = 0x100000
HANDLERS = ("divide_error", "page_fault", "system_call")


def workload(name: str, rounds: int, **parts: str) -> Workload:
    """A guest out of nano.asm: `loop` and `operation` name the files that stand for those."""
    return _workload(name, rounds, _assembled(rounds, tuple(sorted(parts.items()))))


def written(name: str, rounds: int, operation: str, *, loop: str) -> Workload:
    """The same around an operation given as assembly text, which uses ECX as it finds it."""
    return _workload(name, rounds, assembled(rounds, (("loop", loop),), operation))


def _workload(name: str, rounds: int, assembly: Assembly) -> Workload:
    handlers = tuple(assembly.symbols[label] for label in HANDLERS)
    return Workload(name, assembly.image, rounds, assembly.symbols["body"], handlers)


@lru_cache(maxsize=64)
def _assembled(rounds: int, parts: tuple[tuple[str, str], ...]) -> Assembly:
    return assembled(rounds, parts)


def assembled(
    rounds: int, parts: tuple[tuple[str, str], ...], operation: str | None = None
) -> Assembly:
    """The guest with its symbols; `operation` is the text of an operation that has no file."""
    names: Mapping[str, str] = {f"{part}.asm": f"{name}.asm" for part, name in parts}

    def read(name: str) -> str:
        if name == "settings.asm":
            return f"ROUNDS = {rounds}\n"
        if name == "operation.asm" and operation is not None:
            return operation
        source = files("monitor.bench.guests").joinpath(names.get(name, name))
        return source.read_text(encoding="utf-8")

    return assemble(read, "nano.asm", LOAD_ADDRESS)
