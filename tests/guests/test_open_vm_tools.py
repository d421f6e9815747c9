"""Debian's kernel and open-vm-tools find VMware's interfaces, and use them.

One life in each mode is looked at by all tests; each thing that the tools were asked is a test.
"""

from __future__ import annotations

import re

import pytest
from boots import GUESTS, PROMPT, Boot, live
from test_boots import needed
from vmware_boots import HALT, OFF, ON, SIZES, START, Tools, numbers

from monitor.vmware.tools.events import Answered, LogLine, StateChanged

pytestmark = [pytest.mark.guest, pytest.mark.slow]
in_both_modes = pytest.mark.parametrize("mode", ON.modes)


def asked(row: Boot) -> pytest.MarkDecorator:
    """A test for each line of the dialogue."""
    numbers = range(len(row.dialogue))
    return pytest.mark.parametrize("number", numbers, ids=[line for line, _ in row.dialogue])


def check_answer(row: Boot, mode: str, number: int) -> None:
    needed(row)
    answers = live(row, mode).answers()
    assert len(answers) > number, live(row, mode).text[-2000:]
    _, expected = row.dialogue[number]
    assert isinstance(expected, str)
    assert re.search(expected, answers[number], re.MULTILINE), answers[number]


@in_both_modes
@asked(ON)
def test_with_the_backdoor(mode: str, number: int) -> None:
    check_answer(ON, mode, number)


@in_both_modes
@asked(OFF)
def test_without_the_backdoor(mode: str, number: int) -> None:
    check_answer(OFF, mode, number)


def documented() -> list[tuple[str, str]]:
    """The session that the user guide shows: each command and its output."""
    guide = (GUESTS.parent / "docs" / "user-guide.md").read_text(encoding="utf-8")
    session = guide.partition("## VMware's tools in a guest")[2].partition("```text\n")[2]
    commands = session.partition("```")[0].split(PROMPT)[1:]
    return [(command, output) for command, _, output in (text.partition("\n") for text in commands)]


@in_both_modes
def test_the_session_in_the_user_guide(mode: str) -> None:
    needed(ON)
    commands = [command for command, _ in ON.dialogue]
    outputs = live(ON, mode).outputs()
    assert len(documented()) > 5
    for command, output in documented():
        assert outputs[commands.index(command)] == output, command


@in_both_modes
def test_the_kernel_takes_its_frequency_from_the_backdoor(mode: str) -> None:
    needed(ON)
    messages = live(ON, mode).text
    assert "Hypervisor detected: VMware" in messages
    assert "vmware: TSC freq read from hypervisor : 200.000 MHz" in messages
    assert "tsc: Detected 200.000 MHz processor" in messages
    assert "calibration" not in messages


@in_both_modes
def test_off_means_that_the_kernel_measures_for_itself(mode: str) -> None:
    needed(OFF)
    messages = live(OFF, mode).text
    assert "vmware: " not in messages and "Hypervisor detected" not in messages
    assert "tsc: Fast TSC calibration using PIT" in messages


@in_both_modes
def test_the_host_reads_what_the_guest_set(mode: str) -> None:
    needed(ON)
    assert live(ON, mode).host[START] == {size: numbers(size) for size in SIZES}


@in_both_modes
def test_the_daemon_registers_and_obeys(mode: str) -> None:
    needed(ON)
    tools = live(ON, mode).host[HALT]
    assert isinstance(tools, Tools)
    assert tools.version is not None and tools.version.startswith("12.")
    assert tools.running == {"toolbox"}
    assert tools.capabilities.keys() >= {"statechange", "softpowerop_retry"}
    answered = {event.command: event for event in tools.events if isinstance(event, Answered)}
    assert {"Capabilities_Register", "Set_Option synctime 1", "OS_Halt"} <= answered.keys()
    assert all(event.success for event in answered.values())
    lines = [event.text for event in tools.events if isinstance(event, LogLine)]
    assert "hello from the guest" in lines and "Initiating halt." in lines
    changes = [event for event in tools.events if isinstance(event, StateChanged)]
    assert [(change.state, change.success) for change in changes] == [("halt", True)]


@pytest.mark.parametrize("row", [ON, OFF], ids=lambda row: row.name)
def test_the_modes_give_the_same_life(row: Boot) -> None:
    needed(row)
    first, other = (live(row, mode) for mode in row.modes)
    assert first.outcome == other.outcome and first.outcome.kind == row.ends
    assert other.text == first.text
    assert other.statistics["instructions"] == first.statistics["instructions"]
    assert other.registers == first.registers
    assert other.memory == first.memory
