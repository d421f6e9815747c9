"""What makes two sweeps the same: their specs, the files these name, and this program.

Kept with the rows as flat text, so that it can be said in which key two sweeps differ.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from monitor.bench.model import Model
from monitor.sweep.guests import FileImage, Guest, OwnImage

Identity = Mapping[str, str]
ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("bt", "devices", "monitor")
NO_ROWS_CHANGE = ("monitor/cli/", "monitor/watch/", "monitor/gdb/")  # they only show, or ask
SOURCES = (".py", ".asm")


def identity(
    spec: Mapping[str, Any], guests: Sequence[Guest], models: Sequence[Model]
) -> dict[str, str]:
    """Of the keys of a spec that say something about its rows, and of what they name."""
    found = dict(_flat(spec, ""))
    for guest in guests:
        if isinstance(guest.image, FileImage):
            for path, data in guest.image.contents.items():
                found[f"contents of {path}"] = sha256(data).hexdigest()
        if isinstance(guest.image, OwnImage):
            file = guest.image.operation.file
            found[f"contents of {file}"] = sha256(guest.image.text).hexdigest()
    for model in models:
        prices = json.dumps(asdict(model), sort_keys=True)
        found[f"contents of model {model.name}"] = sha256(prices.encode()).hexdigest()
    return found | {"the program": program()}


def _flat(data: Mapping[str, Any], before: str) -> Iterator[tuple[str, str]]:
    for key, value in data.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{before}{key}.")
        elif key == "guest":
            for number, entry in enumerate(value, 1):
                yield from _flat(entry, f"guest {number}.")
        else:
            yield before + key, json.dumps(value)


def differences(before: Identity, now: Identity) -> list[str]:
    """In words, key by key."""
    found = []
    for key in sorted({*before, *now}):
        was, is_now = before.get(key), now.get(key)
        if was == is_now:
            continue
        if key.startswith(("contents of ", "the program")) and was and is_now:
            found.append(f"{key} changed")
        else:
            found.append(f"{key} was {was or 'not there'}, and is {is_now or 'not there'}")
    return found


@lru_cache(maxsize=1)
def program() -> str:
    """A digest of the sources on which a row depends: two versions must not share a table."""
    state = sha256()
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*")):
            name = path.relative_to(ROOT).as_posix()
            if path.suffix in SOURCES and not name.startswith(NO_ROWS_CHANGE):
                state.update(f"{name} {path.stat().st_size}\n".encode())
                state.update(path.read_bytes())
    return state.hexdigest()
