"""The references: the command's is what its parsers say, and what Python's shows has docstrings."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from monitor.cli import VERBS, verbs
from tools.docs import cli_reference
from tools.docs.docstrings import to_rst

REFERENCE = Path(__file__).resolve().parents[2] / "docs" / "reference"
DIRECTIVE = re.compile(
    r"^\.\. auto(module|class):: ([\w.]+)\n((?:   :.*\n)*)", re.MULTILINE
)
MEMBERS = re.compile(r"^   :members:(.*)$", re.MULTILINE)


# --- the command ----------------------------------------------------------------------------------


def test_the_page_is_what_the_parsers_say() -> None:
    assert cli_reference.PAGE.read_text(encoding="utf-8") == cli_reference.page(), (
        f"write it anew: {cli_reference.COMMAND}"
    )


def test_every_verb_has_all_its_parts() -> None:
    for verb, module in zip(verbs(), VERBS, strict=True):
        assert module == verb.NAME
        assert verb.EXAMPLES, f"vp {verb.NAME} has no EXAMPLES"
        assert all(line.startswith(f"vp {verb.NAME}") for line in verb.EXAMPLES)
        assert "Exit status: " in (verb.__doc__ or ""), f"vp {verb.NAME}: say its exit statuses"


def test_every_option_says_what_it_does() -> None:
    page = cli_reference.page()
    assert page.count("| `--") > 50
    assert re.findall(r"^\| `--.*\|  ?\|$", page, re.MULTILINE) == []


# --- Python ---------------------------------------------------------------------------------------


def shown() -> Iterator[tuple[str, object]]:
    """Every class and function that the Python reference shows, by its full name."""
    for page in sorted(REFERENCE.glob("*.md")):
        for kind, name, options in DIRECTIVE.findall(page.read_text(encoding="utf-8")):
            if kind == "class":
                module_name, _, class_name = name.rpartition(".")
                yield name, getattr(importlib.import_module(module_name), class_name)
                continue
            module = importlib.import_module(name)
            members = MEMBERS.search(options)
            if members:
                yield from members_of(module, members[1].replace(",", " ").split())


def members_of(module: ModuleType, names: list[str]) -> Iterator[tuple[str, object]]:
    for name in names or [name for name in vars(module) if not name.startswith("_")]:
        value = getattr(module, name)  # what is listed exists
        own = getattr(value, "__module__", None) == module.__name__
        if own and (inspect.isclass(value) or inspect.isfunction(value)):
            yield f"{module.__name__}.{name}", value


def described(value: object) -> bool:
    text = getattr(value, "__doc__", None) or ""
    generated = dataclasses.is_dataclass(value) and text.startswith(f"{value.__name__}(")  # type: ignore[union-attr]
    return bool(text) and not generated


NAMES = dict(shown())


def test_the_reference_shows_much() -> None:
    assert len(NAMES) > 120
    for name in ("monitor.machine.Machine", "bt.assembler.assemble", "devices.bus.Bus",
                 "bt.virtualizability.survey.survey", "monitor.watch.Watch"):  # fmt: skip
        assert name in NAMES


def test_modules_and_what_they_show_have_docstrings() -> None:
    silent = [name for name, value in NAMES.items() if not described(value)]
    silent += [name for name in {name.rpartition(".")[0] for name in NAMES}
               if not importlib.import_module(name).__doc__]  # fmt: skip
    assert silent == []


#: A chip's answers to the bus are described once, in devices/device.py.
OF_EVERY_CHIP = {"read_port", "write_port", "reset", "snapshot", "restore", "restored",
                 "coming_irqs", "port_widths"}  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_methods_have_docstrings(name: str) -> None:
    value = NAMES[name]
    if not inspect.isclass(value):
        return
    for method, found in vars(value).items():
        function = found.fget if isinstance(found, property) else found
        function = getattr(function, "__func__", function)
        if method.startswith("_") or not inspect.isfunction(function):
            continue
        if dataclasses.is_dataclass(value) and method in value.__dataclass_fields__:
            continue  # the default of a field
        if name.startswith("devices.") and method in OF_EVERY_CHIP:
            continue
        inherited = (getattr(base, method, None) for base in value.__mro__[1:])
        assert function.__doc__ or any(getattr(each, "__doc__", "") for each in inherited), (
            f"{name}.{method} has no docstring"
        )


# --- docstrings -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "rst"),
    [
        ("Two\nlines.", "Two\nlines.\n"),
        ("See `names`, x_ and *, a | b.", "See ``names``, x\\_ and \\*, a \\| b.\n"),
        ("*One two* and \"INT *\", *.", "*One two* and \"INT \\*\", \\*.\n"),
        ("As:\n\n    one\n\n    two", "As:\n\n::\n\n    one\n\n    two\n"),
        ("As::\n\n    one", "As:\n\n::\n\n    one\n"),
        ("* one\n  more\n* two * three", "* one\n  more\n* two \\* three\n"),
        (">>> 6 * 7\n42\n\nThat.", ">>> 6 * 7\n42\n\nThat.\n"),
        ("So:\n\n    >>> 6 * 7\n    42", "So:\n\n    >>> 6 * 7\n    42\n"),
    ],
)
def test_docstrings_become_what_they_mean(text: str, rst: str) -> None:
    assert "\n".join(to_rst(text.split("\n"))) == rst
