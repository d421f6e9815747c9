"""docs/vmware.md lists the backdoor's commands as the table in the program does."""

from __future__ import annotations

import re
from pathlib import Path

from monitor import Machine
from monitor.vmware import callback
from monitor.vmware.commands import ROWS
from monitor.vmware.parts import counters, debug_output, input_injection, pointer
from monitor.vmware.restrictions import Restrictions
from monitor.vmware.tools import (
    channel,
    clipboard,
    events,
    host_clipboard,
    messages,
    reports,
    tclo,
)

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


def test_the_limits_of_the_channel_are_those_of_the_program() -> None:
    text = section("### Limits of the channel, the tools and the clipboard")
    limits = (
        f"| open channels | {messages.MAX_CHANNELS};",
        f"| {messages.IDLE_LIMIT // 10**9} seconds of the guest's time; then it is closed",
        f"| a message from the guest | {channel.MAX_IN_SIZE >> 10} KiB;",
        f"| `tools.setInfo.sizeLimit`, {Restrictions().set_info_size_limit >> 20} MiB by default",
        f"| a request to the guest | {channel.MAX_IN_SIZE >> 10} KiB |",
        f"| requests that wait for the guest | {tclo.MAX_WAITING};",
        f"| the answer to a request | {tclo.REPLY_SECONDS:g} seconds",
        f"| a text on the clipboard | {clipboard.MAX_SELECTION} bytes",
        f"| the newest {events.EVENTS_KEPT}, each text cut at {events.TEXT_KEPT} characters |",
        f"| {reports.MAX_CAPABILITIES}, with names cut at {reports.MAX_NAME} characters |",
        f"| {channel.MAX_OUT_SIZE >> 20} MiB, within {callback.LIMIT:g} seconds |",
        f"| a command of the host's clipboard | {host_clipboard.SECONDS:g} seconds |",
    )
    assert [limit for limit in limits if limit not in text] == []


def test_the_commands_of_rpci_are_those_of_the_program() -> None:
    first_column = re.findall(r"^\| (`[^|]*) \|", section("## The message channel"), re.M)
    listed = re.findall(r"`([A-Za-z_.-]+)[^`]*`", " ".join(first_column))
    # Names that begin as the one before are shortened to their ends.
    named = {f"vmx.capability{name}" if name.startswith(".") else name for name in listed}
    machine = Machine(memory_mb=1)
    machine.enable("X86_VMWARE_BACKDOOR")
    assert machine.vmware.tools.commands - named == set()
