"""docs/vmware.md lists the backdoor's commands as the table in the program does."""

from __future__ import annotations

import re
from pathlib import Path

from monitor.vmware import counters, debug_output, input_injection, pointer
from monitor.vmware.commands import ROWS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "vmware.md"
ROW = re.compile(r"^\| (\d+) \| (\w+) \| ([^|]+) \| ([^|]+) \|(.*)\|$", re.MULTILINE)


def section(heading: str) -> str:
    """A heading's text, with what is below it."""
    level, text = heading.split(" ", 1)
    page = PAGE.read_text(encoding="utf-8")
    match = re.search(rf"^{level} {text}\n(.*?)(?=^#{{1,{len(level)}}} |\Z)", page, re.M | re.S)
    assert match, f"{PAGE.name} has no heading {heading}"
    return match[1]


def test_the_commands_are_those_of_the_program() -> None:
    listed = [found[:4] for found in ROW.findall(section("## Commands"))]
    assert listed == [(str(row.number), row.name, row.who.value, row.where.value) for row in ROWS]


def test_what_is_supported_is_described() -> None:
    described = {name: bool(text.strip()) for _, name, _, _, text in ROW.findall(PAGE.read_text())}
    assert described == {row.name: bool(row.handler) for row in ROWS}


def test_the_limits_are_those_of_the_program() -> None:
    text = section("### Limits")
    assert f"| {pointer.QUEUE_WORDS}, that is {pointer.QUEUE_WORDS // 4} packets;" in text
    assert f"| the last {debug_output.TEXT_LIMIT >> 10} KiB |" in text
    assert f"| the first {debug_output.CONSOLE_LIMIT >> 20} MiB |" in text
    assert f"| {debug_output.REPORT_LIMIT}; further ones are only counted |" in text
    assert f"| {input_injection.TYPED_LIMIT}; further ones are not taken |" in text


def test_the_counters_are_those_of_the_program() -> None:
    listed = re.findall(
        r"^\| (\w+) \| BDOOR_PMC_", section("### Pseudo performance counters"), re.M
    )
    assert [int(index, 16) for index in listed] == [
        counters.HOST_TSC,
        counters.REAL_NS,
        counters.APPARENT_NS,
        counters.PSEUDO_TSC,
    ]
