"""Which room may know which: dependencies point one way."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OURS = ("bt", "devices", "monitor")
MACHINE = ROOT / "monitor" / "machine.py"


def imported(path: Path) -> Iterator[str]:
    """Full names of our modules that a file imports, wherever it does."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: relative imports hide who knows whom"
            module = node.module or ""
            if module.split(".")[0] in OURS:
                yield from (f"{module}.{name.name}" for name in node.names)
        elif isinstance(node, ast.Import):
            yield from (name.name for name in node.names if name.name.split(".")[0] in OURS)


def files(room: str) -> list[Path]:
    found = sorted((ROOT / room).rglob("*.py"))
    assert found, room
    return found


def strangers(room: str, *friends: str) -> list[str]:
    """What files of a room import from outside of it and its friends."""
    known = tuple(friend.replace("/", ".") + "." for friend in (room, *friends))
    return [
        f"{path.relative_to(ROOT)}: {name}"
        for path in files(room)
        for name in imported(path)
        if not f"{name}.".startswith(known)
    ]


@pytest.mark.parametrize(
    ("room", "friends"),
    [
        ("bt", ()),
        ("devices", ()),
        ("monitor/vmm", ("bt", "devices")),
        ("monitor/settings", ("monitor/vmm",)),
        ("monitor/host", ("monitor/vmm", "monitor/settings", "monitor/Machine")),
        ("monitor/embedding", ("monitor/vmm", "monitor/host", "monitor/vmware", "monitor/loaders",
                               "monitor/settings", "monitor/extensions", "monitor/watch",
                               "bt", "devices")),
    ],
)  # fmt: skip
def test_nobody_knows_the_rooms_above(room: str, friends: tuple[str, ...]) -> None:
    assert strangers(room, *friends) == []


def room_of(name: str) -> str:
    """bt, devices, a folder of monitor/ or, for what lies in its root, the file."""
    parts = name.split(".")
    if parts[0] != "monitor":
        return parts[0]
    return "monitor" if len(parts) == 1 else parts[1]


def needed_at_import(path: Path) -> Iterator[str]:
    """Our modules without which a file cannot be imported: not for types, not in functions."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names = [name.name for name in node.names]
            if isinstance(node, ast.ImportFrom):
                names = [f"{node.module}.{name}" for name in names]
            yield from (name for name in names if name.split(".")[0] in OURS)


def test_there_is_no_circle_of_rooms() -> None:
    graph: dict[str, set[str]] = {}
    for package in OURS:
        for path in files(package):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            here = graph.setdefault(room_of(name), set())
            here |= {room_of(other) for other in needed_at_import(path)} - {room_of(name)}
    list(TopologicalSorter(graph).static_order())  # CycleError


def test_engines_stand_in_the_settings_by_their_names() -> None:
    """`vp --help` lists them and must not load them."""
    from bt.engine import ENGINES as MADE
    from monitor.settings.machine import ENGINES

    assert (*MADE, "auto") == ENGINES


@pytest.mark.parametrize("package", ["monitor", "devices", "bt"])
def test_no_two_files_of_a_package_need_each_other(package: str) -> None:
    """Not even for types, or later: who reads one has an order to read the others in."""
    paths = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
        for path in files(package)
    }
    graph = {
        name: {each if each in paths else each.rpartition(".")[0] for each in imported(path)}
        - {name}
        for name, path in paths.items()
    }
    for name, others in graph.items():  # a machine makes checkpoints, and is made of them
        if name.startswith("monitor.checkpoint."):
            others.discard("monitor.machine")
    list(TopologicalSorter(graph).static_order())
