"""A [[guest]] of a spec: the options of `vp run` by their names, or guests of ours.

    [[guest]]
    bench = "nano"                # guests of vp bench
    only = ["callret", "in"]
    rounds = 500

    [[guest]]
    own = "popf.asm"              # operations of your own, as vp bench own has them
    set = { LENGTH = [0, 8] }
    ring = 0

    [[guest]]
    name = "linux"                # files beside the spec, and options as vp run has them
    kernel = "vmlinuz"
    initrd = "initramfs.cpio.gz"
    append = "console=ttyS0"
    firmware-state = "bios"
    memory = 64                   # or "64M"
    type = ["uname -a\\n", { after = "login: ", text = "root\\n" }]
    until = "i686"
    timeout = 300                 # or "5m"

    [[guest]]
    demo = true                   # the guest of vp demo

Sizes, times and counts may be text, as on the command line.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from monitor.bench.own_plan import INSTRUCTIONS
from monitor.bench.rows import Workload
from monitor.host.typist import TypedLine
from monitor.loaders.source import open_image
from monitor.settings import units
from monitor.settings.config import KINDS, ImageConfig, LimitConfig, parse_flat, parse_number
from monitor.settings.machine import MEMORY_MB, check_memory
from monitor.settings.toml_file import known, table
from monitor.settings.toml_file import texts as _texts
from monitor.sweep.guests import (
    ROUNDS,
    SUITES,
    BenchImage,
    DemoImage,
    FileImage,
    Guest,
    Image,
    bench_names,
)
from monitor.sweep.spec_own import read_own
from monitor.vmm.errors import UserError

TIME_LIMIT = 600.0
BENCH_MEMORY_MB = Workload.memory_mb
WHAT = (*KINDS, "bench", "own", "demo")
LIMITS = {"until": str, "timeout": (int, float), "max-instructions": int}
FIRMWARE_STATE = "firmware-state"
QUANTITIES: Mapping[str, Callable[[str], float]] = {
    "memory": units.mebibytes, "timeout": units.seconds, "max-instructions": units.count,
    "rounds": units.count,
}  # fmt: skip
COMMON = {"name": str, "memory": int, "type": list, **LIMITS}
OWN: Mapping[str, Mapping[str, Any]] = {
    "kernel": {"initrd": str, "append": str, FIRMWARE_STATE: str},
    "multiboot": {"append": str, "module": list, FIRMWARE_STATE: str},
    "elf": {FIRMWARE_STATE: str},
    "flat": {"entry": (int, str), FIRMWARE_STATE: str},
    "bench": {"only": list, "rounds": int},
    "own": {"only": list, "rounds": int, "ring": int, "set": dict},
    "demo": {},
}
OF_BENCH = ("bench", "own")  # guests with names and memory of their own
WORDS = {str: "text", int: "a whole number", list: "a list", bool: "true", dict: "a table"}
NAME = re.compile(r'[^,"\s][^,"\r\n]*')


def read_guests(data: Any, folder: Path, memory_axis: bool, where: str) -> list[Guest]:
    """All guests of a spec in `folder`. Raises UserError."""
    if not isinstance(data, list) or not data:
        raise UserError(f"{where}: guest: there is none; add a [[guest]]")
    guests: list[Guest] = []
    for number, entry in enumerate(data, 1):
        place = f"{where}: guest {number}"
        if memory_axis and "memory" in table(entry, place):
            raise UserError(f"{place}: memory: grid.memory says it for all guests already")
        guests += _read(table(entry, place), folder, place)
    names = [guest.name for guest in guests]
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"{where}: guest: two are named {name!r}; give one a `name`")
    return guests


def _read(entry: Mapping[str, Any], folder: Path, where: str) -> Iterator[Guest]:
    given = [key for key in WHAT if key in entry]
    if len(given) != 1:
        raise UserError(f"{where}: give one of {', '.join(WHAT)}")
    kind = given[0]
    types = {kind: bool if kind == "demo" else str, **COMMON, **OWN[kind]}
    known(entry, types, where)
    entry = {key: _quantity(key, value, f"{where}: {key}") for key, value in entry.items()}
    for key, value in entry.items():
        _check_type(value, types[key], f"{where}: {key}")
    if kind == "bench":
        images = _bench(entry, where)
    elif kind == "own":
        images = read_own(entry, folder, where)
    elif kind == "demo":
        images = {_name(entry, "demo", where): _demo(entry, where)}
    else:
        image = _files(kind, entry, folder, where)
        images = {_name(entry, image.config.path.name, where): image}
    memory = _memory(entry, BENCH_MEMORY_MB if kind in OF_BENCH else MEMORY_MB, where)
    most = INSTRUCTIONS if kind == "own" else None
    limits, typing = _limits(entry, most, where), _typing(entry.get("type", ()), f"{where}: type")
    for name, loaded in images.items():
        yield Guest(name, loaded, memory, limits, typing)


def _quantity(key: str, value: Any, where: str) -> Any:
    """A number instead of a text, where the key takes numbers."""
    if key not in QUANTITIES or not isinstance(value, str):
        return value
    try:
        return QUANTITIES[key](value)
    except UserError as error:
        raise UserError(f"{where}: {error}") from error


def _check_type(value: Any, wanted: Any, where: str) -> None:
    kinds = wanted if isinstance(wanted, tuple) else (wanted,)
    if type(value) not in kinds:
        words = " or ".join(WORDS[kind] for kind in kinds if kind in WORDS)
        raise UserError(f"{where}: must be {words}")


def _name(entry: Mapping[str, Any], otherwise: str, where: str) -> str:
    """A name that can stand in a table as it is."""
    name = entry.get("name", otherwise)
    if not NAME.fullmatch(name):
        raise UserError(f"{where}: name: {name!r}: give one without commas, quotes and line ends")
    return str(name)


def _memory(entry: Mapping[str, Any], otherwise: int, where: str) -> int:
    memory = int(entry.get("memory", otherwise))
    try:
        check_memory(memory)
    except UserError as error:
        raise UserError(f"{where}: memory: {str(error).removeprefix('memory ')}") from error
    return memory


# --- what it is -----------------------------------------------------------------------------------


def _bench(entry: Mapping[str, Any], where: str) -> dict[str, Image]:
    suite = entry["bench"]
    if suite not in SUITES:
        raise UserError(f"{where}: bench: {suite!r}: choose from {', '.join(SUITES)}")
    if "name" in entry:
        raise UserError(f"{where}: name: the guests of vp bench have names already")
    rounds = entry.get("rounds", ROUNDS[suite])
    if rounds < 1:
        raise UserError(f"{where}: rounds: must be 1 or more")
    only = _texts(entry.get("only", ()), f"{where}: only")
    try:
        return {name: BenchImage(suite, name, rounds) for name in bench_names(suite, only)}
    except UserError as error:
        raise UserError(f"{where}: only: {error}") from error


def _demo(entry: Mapping[str, Any], where: str) -> Image:
    if not entry["demo"]:
        raise UserError(f"{where}: demo: must be true")
    return DemoImage()


def _files(kind: str, entry: Mapping[str, Any], folder: Path, where: str) -> FileImage:
    with _KeysNamed(where):
        config = _config(kind, entry, where)
    wanted = {kind: config.path, "initrd": config.initrd}
    named = [(key, path) for key, path in wanted.items() if path is not None]
    contents = {}
    for key, path in (*named, *(("module", path) for path in config.modules)):
        try:
            contents[path] = open_image(folder / path, key).data
        except UserError as error:
            raise UserError(f"{where}: {key}: {error}") from error
    return FileImage(config, contents)


def _config(kind: str, entry: Mapping[str, Any], where: str) -> ImageConfig:
    path, address = Path(entry[kind]), 0
    if kind == "flat":
        path, address = parse_flat(entry[kind])
    initrd, begin = entry.get("initrd"), entry.get("entry")
    return ImageConfig(
        kind,
        path,
        entry.get("append", ""),
        None if initrd is None else Path(initrd),
        tuple(Path(name) for name in _texts(entry.get("module", ()), f"{where}: module")),
        address,
        None if begin is None else parse_number(str(begin), "--entry"),
        entry.get(FIRMWARE_STATE),
    )


# --- how long it runs, what is typed --------------------------------------------------------------


def _limits(entry: Mapping[str, Any], most: int | None, where: str) -> LimitConfig:
    timeout = float(entry.get("timeout", TIME_LIMIT))
    with _KeysNamed(where):
        return LimitConfig(entry.get("until"), timeout, entry.get("max-instructions", most))


def _typing(lines: Iterable[Any], where: str) -> tuple[TypedLine, ...]:
    return tuple(_line(line, where) for line in lines)


def _line(line: Any, where: str) -> TypedLine:
    if isinstance(line, str):
        return TypedLine(line.encode())
    if not isinstance(line, dict) or {*line} != {"after", "text"}:
        raise UserError(f"{where}: give texts, or tables with `after` and `text`")
    after, text = line["after"], line["text"]
    if not (isinstance(after, str) and after and isinstance(text, str)):
        raise UserError(f"{where}: `after` and `text` must be texts, and `after` not empty")
    return TypedLine(text.encode(), after.encode())


class _KeysNamed:
    """The options of `vp run` are the keys here: errors of theirs lose the two dashes."""

    def __init__(self, where: str) -> None:
        self._where = where

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, UserError):
            text = re.sub(r"(?<!\S)--(?=[a-z])", "", str(error))
            raise UserError(f"{self._where}: {text}") from error
