"""A [[guest]] of a spec that is an operation of the user's own, or several: FILE.asm.

    [[guest]]
    own = "popf.asm"
    only = ["popf"]
    rounds = 2000
    ring = 0
    set = { LENGTH = [0, 8, 64] }

Each is looked at before anything runs, as `vp bench own` does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from monitor.bench import own_file, own_trial
from monitor.bench.nano import ROUNDS
from monitor.bench.own_loop import RINGS, OwnOperation
from monitor.settings.toml_file import read, texts
from monitor.sweep.guests import Image, OwnImage
from monitor.vmm.errors import UserError


def read_own(entry: Mapping[str, Any], folder: Path, where: str) -> dict[str, Image]:
    """The operations by name. Raises UserError, which names the key."""
    if "name" in entry:
        raise UserError(f"{where}: name: the labels of the file are names already")
    ring, rounds = entry.get("ring", 0), entry.get("rounds", ROUNDS)
    if ring not in RINGS:
        raise UserError(f"{where}: ring: {ring}: choose 0 or 3")
    if rounds < 1:
        raise UserError(f"{where}: rounds: must be 1 or more")
    settings = {name: _numbers(value, f"{where}: set.{name}")
                for name, value in entry.get("set", {}).items()}  # fmt: skip
    only = texts(entry.get("only", ()), f"{where}: only")
    try:
        text = read(folder / entry["own"], "assembly file")
        operations = own_file.operations(text, entry["own"], settings, RINGS[ring])
        chosen = own_file.choose(operations, only)
        _look_at(chosen)
    except UserError as error:
        raise UserError(f"{where}: own: {error}") from error
    return {one.name: OwnImage(one, rounds, text.encode()) for one in chosen}


def _look_at(operations: Sequence[OwnOperation]) -> None:
    for operation in operations:
        own_trial.check(operation)


def _numbers(value: Any, where: str) -> list[int]:
    numbers = value if isinstance(value, list) else [value]
    if not numbers or not all(type(n) is int and 0 <= n < 1 << 32 for n in numbers):
        raise UserError(f"{where}: must be a number of 32 bits, or a list of them")
    if len(set(numbers)) < len(numbers):
        raise UserError(f"{where}: a number is there twice")
    return numbers
