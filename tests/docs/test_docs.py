"""The documentation is right: its links lead somewhere, its examples run, its names exist.

A fenced block's language says what is done with it. `pycon` runs as a doctest (the blocks of one
page share their names, and an ellipsis stands for any text), and of `sh` every line has to be a
command that would be accepted: a make target, or a `vp` command line with options that exist.
Nothing of `sh` is executed.
"""

from __future__ import annotations

import argparse
import doctest
import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from patience import PATIENCE

from bt.contract import AddressSpace, Engine, FrameTable
from bt.engine import Interp, Ram
from bt.policy import CONTEXTS
from bt.vcpu_page import FAR_LANDINGS, NEAR_LANDINGS, VCPU_BYTES, VSYS
from monitor import Machine
from monitor.cli import build_parser
from monitor.guestbook import bringing
from monitor.guestbook.rows import BY_NAME
from monitor.vmm.shadow import HIDDEN_BASE, VCPU_LINEAR, vcpu_linear

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
ARCHITECTURE = ROOT / "docs" / "architecture.md"
TECHNIQUES = ROOT / "docs" / "techniques.md"
PACKAGES = ("bt", "monitor", "devices")

FENCE = re.compile(r"^```([\w{}-]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
TEXT = re.compile(r"<text [^>]*>([^<]*)<")
CODE = re.compile(r"`([^`\n]+)`")
FILE_NAME = re.compile(
    r"[\w./-]*\w\.(?:py|asm|md|cfg|toml|pyx|pxi)|(?:bt|monitor|devices|tests)/[\w/]*"
)
NOT_COMMITTED = {"_compiled.pyx"}

pages = pytest.mark.parametrize(
    "page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix().removeprefix("docs/")
)


def prose(page: Path) -> str:
    """A page without its fenced blocks."""
    return FENCE.sub("", page.read_text(encoding="utf-8"))


def blocks(page: Path, language: str) -> list[str]:
    fenced = FENCE.findall(page.read_text(encoding="utf-8"))
    return [text for kind, text in fenced if kind == language]


def anchor(heading: str) -> str:
    """The anchor that a heading gets where Markdown is shown."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


# --- links ----------------------------------------------------------------------------------------


@pages
def test_links_lead_somewhere(page: Path) -> None:
    for target in LINK.findall(prose(page)):
        if "://" in target:
            continue
        name, _, fragment = target.partition("#")
        file = page.parent / name if name else page
        assert file.exists(), f"{page.name} links to {target}"
        if fragment:
            found = {anchor(heading) for heading in HEADING.findall(prose(file))}
            assert fragment in found, f"{page.name} links to {target}"


# --- names ----------------------------------------------------------------------------------------


@cache
def base_names() -> frozenset[str]:
    folders = (*PACKAGES, "tests", "tools", "benchmarks", "docs")
    found = {path.name for folder in folders for path in (ROOT / folder).rglob("*.*")}
    return frozenset(found | {path.name for path in ROOT.iterdir()})


@pages
def test_files_exist(page: Path) -> None:
    for name in CODE.findall(prose(page)):
        if not FILE_NAME.fullmatch(name) or name in NOT_COMMITTED:
            continue
        exists = (ROOT / name).exists() if "/" in name else name in base_names()
        assert exists, f"{page.name} names {name}"


@pages
def test_names_of_the_engine_contract_exist(page: Path) -> None:
    classes: dict[str, type] = {"Interp": Interp, "Ram": Ram, "Machine": Machine}
    classes |= {"Engine": Engine, "FrameTable": FrameTable, "AddressSpace": AddressSpace}
    for owner, name in re.findall(rf"`({'|'.join(classes)})\.(\w+)", prose(page)):
        kind = classes[owner]  # uncompiled, a field is an annotation only
        assert hasattr(kind, name) or name in kind.__annotations__, f"{page.name}: {owner}.{name}"


def reading_order() -> list[str]:
    """Every module that the architecture page's tables list."""
    rows = re.findall(r"^\| `([\w/]+\.py)` \|", prose(ARCHITECTURE), re.MULTILINE)
    return [name for name in rows if name.split("/")[0] in PACKAGES]


def test_the_reading_order_is_complete() -> None:
    listed = reading_order()
    modules = {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        if path.name != "__init__.py"
    }
    assert sorted(modules - set(listed)) == [], "add a row to the reading order"
    assert sorted(set(listed) - modules) == []
    assert len(listed) == len(set(listed)), "a file is listed twice"


def test_the_first_ten_files_are_ten() -> None:
    rows = re.findall(r"^\| (\d+) \| `([\w/]+\.py)` \|", prose(ARCHITECTURE), re.MULTILINE)
    assert [int(number) for number, _ in rows] == list(range(1, 11))
    assert {name for _, name in rows} <= set(reading_order())
    lines = sum((ROOT / name).read_text(encoding="utf-8").count("\n") for _, name in rows)
    said = re.search(r"([\d,]+) lines, in this order", prose(ARCHITECTURE))
    assert said and abs(int(said[1].replace(",", "")) - lines) < lines / 10


def test_the_names_beside_techniques_are_in_their_files() -> None:
    named = re.findall(r"`([\w.]+)`(?: and `([\w.]+)`)? in `([\w/]+\.py)`", prose(TECHNIQUES))
    assert len(named) >= 12
    for *names, file in named:
        text = (ROOT / file).read_text(encoding="utf-8")
        for part in ".".join(filter(None, names)).split("."):
            assert re.search(rf"\b{part}\b", text), f"{part} is not in {file}"


# --- examples -------------------------------------------------------------------------------------


@pages
def test_python_examples_run(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # where examples leave their files
    names: dict[str, object] = {}
    for text in blocks(page, "pycon"):
        test = doctest.DocTestParser().get_doctest(text, names, page.name, str(page), 0)
        report: list[str] = []
        runner = doctest.DocTestRunner(verbose=False, optionflags=doctest.ELLIPSIS)
        runner.run(test, out=report.append, clear_globs=False)
        assert runner.failures == 0, "".join(report)
        names = test.globs
    for drawn in tmp_path.glob("*.svg"):
        committed = ROOT / "docs" / "images" / drawn.name
        if committed.exists():
            assert same_picture(drawn.read_text("utf-8"), committed.read_text("utf-8")), (
                f"{page.name} draws another {committed.name} than is committed"
            )


def same_picture(one: str, other: str) -> bool:
    """In what is written in them: where lines run to the last digit depends on the host's fonts."""
    return bool(TEXT.findall(one)) and TEXT.findall(one) == TEXT.findall(other)


def test_a_picture_is_compared_by_its_words() -> None:
    drawn = "<svg><path d='M 0 0'/><text x='1'>62</text></svg>"
    assert same_picture(drawn, drawn.replace("M 0 0", "M 0 1"))
    assert not same_picture(drawn, drawn.replace("62", "63"))
    assert not same_picture("<svg/>", "<svg/>")


def test_there_are_examples() -> None:
    count = sum(text.count(">>>") for page in PAGES for text in blocks(page, "pycon"))
    assert count >= 30


def commands(page: Path) -> Iterator[list[str]]:
    for text in blocks(page, "sh"):
        for line in text.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            if words:
                yield words


@cache
def make_targets() -> frozenset[str]:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    return frozenset(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))


@pages
def test_commands_would_be_accepted(page: Path) -> None:
    for words in commands(page):
        if words[0] == "make":
            assert set(words[1:]) <= make_targets(), f"{page.name}: {words}"
        else:
            assert words[0] in ("vp", ".venv/bin/vp"), f"{page.name}: {words}"
            if words[1:3] == ["guest", "run"] and bringing.missing(BY_NAME[words[3]]):
                continue  # its files are looked for with its options
            args = build_parser().parse_args(words[1:])  # leaves with SystemExit where it is wrong
            assert callable(args.run)


def options_of(parser: argparse.ArgumentParser) -> Iterator[str]:
    """Of a parser and of the verbs below it."""
    for action in parser._actions:
        yield from action.option_strings
        for below in action.choices.values() if isinstance(action.choices, dict) else ():
            yield from options_of(below)


@pages
def test_options_exist(page: Path) -> None:
    known = set(options_of(build_parser()))
    for name in re.findall(r"`(--[\w-]+)", prose(page)):
        assert name in known | {"--help", "--version"}, f"{page.name} names {name}"


# --- addresses and figures ------------------------------------------------------------------------


def test_the_map_of_the_hidden_region() -> None:
    starts = [HIDDEN_BASE, *(vcpu_linear(context) for context in CONTEXTS)]
    ends = [VCPU_LINEAR, *(start + VCPU_BYTES for start in starts[1:])]
    text = prose(ARCHITECTURE)
    for start, end in zip(starts, ends, strict=True):
        assert f"| `{start:08X}` to `{end - 1:08X}` |" in text
    assert f"| `{ends[-1]:08X}` to `FFFFFFFF` | not mapped |" in text
    for offset in (0, VSYS, NEAR_LANDINGS, FAR_LANDINGS):
        assert f"| `{offset:05x}` |" in text


@pytest.mark.parametrize("mode", ["bare", "trap", "translate"])
def test_every_statistics_field_is_explained(mode: str) -> None:
    machine = Machine(memory_mb=4, mode=mode)
    machine.load_flat(bytes.fromhex("9c fa 58 f4"), 0x100000)
    machine.run(timeout=PATIENCE)
    named = set(CODE.findall(prose(ARCHITECTURE)))
    for field, value in machine.statistics().items():
        assert field in named, f"architecture.md does not explain {field}"
        if isinstance(value, dict) and field not in ("by_kind", "exits", "patches"):
            assert set(value) <= named, f"architecture.md does not explain all of {field}"
