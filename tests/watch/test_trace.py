"""Traces: complete, in order, the same bare and translated, and without effect on the guest."""

from __future__ import annotations

import json
from collections import Counter
from itertools import pairwise
from typing import Any

import pytest
from IPython.lib.pretty import pretty
from patience import PATIENCE
from watch_lab import ORIGIN, ROUNDS, embedded, flat

from monitor import Machine
from monitor.lockstep import Lockstep, Stage
from monitor.lockstep.pair import digest
from monitor.vmm.ablations import ABLATIONS
from monitor.vmm.errors import UserError
from monitor.watch.html import html_of
from monitor.watch.trace_chrome import ChromeWriter
from monitor.watch.trace_model import (
    BLOCK,
    DEVICE,
    EXIT,
    INSTRUCTION,
    INTERRUPT,
    KINDS,
    Filter,
    TraceEvent,
)
from monitor.watch.trace_text import trace_table

PART = 80_000  # instructions of the embedded guest: paging, both rings, code that rewrites itself
GOES = ("j", "call", "ret", "lret", "loop", "int", "iret", "into", "ljmp", "lcall", "bound", "rep")


def traced(machine: Machine, *kinds: str, count: int | None = None) -> list[TraceEvent]:
    with machine.watch.trace(*kinds) as trace:
        machine.run(timeout=PATIENCE, max_instructions=count)
    assert trace.lost == 0
    return trace.events


@pytest.fixture(scope="module")
def part() -> list[TraceEvent]:
    return traced(embedded(), count=PART)


def of(events: list[TraceEvent], *kinds: str) -> list[TraceEvent]:
    return [event for event in events if event.kind in kinds]


# --- what is in a trace ---------------------------------------------------------------------


def test_bare_and_translated_are_the_same(part: list[TraceEvent]) -> None:
    """But for exits, which a bare machine has none of: event for event, text and all."""
    bare = traced(embedded("bare"), count=PART)
    kinds = (INSTRUCTION, BLOCK, INTERRUPT, DEVICE)
    assert of(bare, *kinds) == of(part, *kinds)
    assert of(bare, EXIT) == []
    assert {event.kind for event in part} >= {INSTRUCTION, BLOCK, EXIT, DEVICE}
    assert {event.ring for event in part} == {0, 3}


@pytest.mark.slow
@pytest.mark.parametrize("without", ABLATIONS)
def test_without_a_technique_only_exits_differ(without: str, part: list[TraceEvent]) -> None:
    machine = embedded(without=(without,))
    kinds = (INSTRUCTION, BLOCK, INTERRUPT, DEVICE)
    assert traced(machine, *kinds, count=PART) == of(part, *kinds)


@pytest.mark.slow
def test_the_whole_embedded_guest() -> None:
    machines = embedded("bare"), embedded()
    bare, translated = (traced(machine, INSTRUCTION, INTERRUPT, DEVICE) for machine in machines)
    assert bare == of(translated, INSTRUCTION, INTERRUPT, DEVICE)
    counts = {event.count for event in bare if event.kind == INSTRUCTION}
    assert counts == set(range(machines[0].processor.count()))


def test_every_instruction_is_there(part: list[TraceEvent]) -> None:
    """Each number once; more often where one faulted and the handler's first has the same."""
    numbers = Counter(event.count for event in of(part, INSTRUCTION))
    assert set(numbers) == set(range(PART))
    faults = [number for number, times in numbers.items() if times > 1]
    assert len(faults) < 100


def test_events_are_in_order(part: list[TraceEvent]) -> None:
    counts = [event.count for event in part]
    assert counts == sorted(counts)


def test_the_text_is_the_instruction_that_ran(part: list[TraceEvent]) -> None:
    """Whatever page tables it ran under: execution goes elsewhere only where the text says so."""
    for one, other in pairwise(of(part, INSTRUCTION, BLOCK, INTERRUPT)):
        if other.kind == BLOCK and one.kind == INSTRUCTION and other.count > one.count:
            assert one.text.startswith(GOES), f"{one} then {other}"


def test_a_device_access_follows_its_instruction(part: list[TraceEvent]) -> None:
    for before, event in pairwise(of(part, INSTRUCTION, DEVICE)):
        if event.kind == DEVICE:
            assert (before.count, before.eip, before.ring) == (event.count, event.eip, event.ring)
            assert before.text.startswith(event.text.split()[0])


def test_what_an_access_says() -> None:
    accesses = of(traced(flat()), DEVICE)
    assert [event.text for event in accesses] == ["in 0x21 -> 0xff", "out 0xf4 <- 0x00"]
    assert accesses[1].data == {"port": 0xF4, "size": 1, "value": 0}


@pytest.mark.parametrize("mode", ["bare", "translate"])
def test_registers_in_memory(mode: str) -> None:
    """One event for an access, and the instruction is there once, however it was run."""
    machine = flat(mode, source="nop; mov eax, [0xfed00004]; mov [0xfed00000], al; nop; hlt")
    machine.devices.plug_memory(0xFED00000, 8, read=lambda offset, size: 0x1234)
    events = traced(machine, INSTRUCTION, DEVICE)
    assert [event.text for event in of(events, DEVICE)] == [
        "read 0xfed00004 -> 0x00001234", "write 0xfed00000 <- 0x34",
    ]  # fmt: skip
    assert of(events, DEVICE)[0].data == {"address": 0xFED00004, "size": 4, "value": 0x1234}
    assert [event.count for event in of(events, INSTRUCTION)] == [0, 1, 2, 3, 4]


def test_exits_are_those_of_the_statistics() -> None:
    machine = embedded()
    events = traced(machine, EXIT, INTERRUPT)
    statistics = machine.statistics()
    found = Counter(event.text for event in events if event.kind == EXIT)
    counted = {reason: count for reason, count in statistics["exits"].items()
               if reason != "traced bytes written"}  # counted, and no exit by itself
    assert found == counted
    assert len(of(events, INTERRUPT)) == statistics["interrupts"] > 0


def test_instructions_that_ran_again_in_the_cache() -> None:
    """A loop of known length, an instruction behind STI, one that is emulated."""
    events = traced(flat(), INSTRUCTION)
    found = Counter(event.text for event in events)
    assert found["cli"] == found["mov edi, 7"] == found["sti"] == ROUNDS
    assert found["inc ebx"] == 3 * ROUNDS
    assert found["mov cr0, eax"] == 1
    assert found["nop"] == 0


# --- filters and limits ------------------------------------------------------------------------


def kept(events: list[TraceEvent], **wanted: Any) -> list[TraceEvent]:
    chosen = Filter(**wanted)
    return [event for event in events if chosen.lets(event)]


def test_filters_by_address_and_ring(part: list[TraceEvent]) -> None:
    machine = embedded()
    with machine.watch.trace(addresses=[(ORIGIN, ORIGIN + 0x200)], rings=[0]) as trace:
        machine.run(max_instructions=PART)
    expected = [event for event in part
                if ORIGIN <= event.eip < ORIGIN + 0x200 and event.ring == 0]
    assert trace.events == expected
    assert 0 < len(expected) < len(part)


def test_filter_by_reason(part: list[TraceEvent]) -> None:
    fills = kept(part, kinds=[EXIT], reasons=("shadow*",))
    assert {event.text for event in fills} == {"shadow fill"}
    ports = kept(part, kinds=[DEVICE], reasons=("out 0x3f8 *",))
    assert {event.data["port"] for event in ports} == {0x3F8}


def test_a_limit_stops_the_machine_which_can_go_on() -> None:
    machine, alone = flat(), flat()
    with machine.watch.trace(INSTRUCTION, limit=50) as trace:
        assert machine.run(timeout=PATIENCE).kind == "stopped"
    assert trace.full
    assert [event.count for event in trace.events] == list(range(50))
    assert machine.run(timeout=PATIENCE) == alone.run(timeout=PATIENCE)
    assert machine.processor.count() == alone.processor.count()


def test_a_limit_that_is_reached_at_the_end_stops_nothing() -> None:
    machine = flat()
    with machine.watch.trace(INSTRUCTION, limit=10) as trace:
        machine.run(max_instructions=10)
    assert trace.full
    assert machine.run(timeout=PATIENCE).kind == "exit"


def test_one_trace_at_a_time() -> None:
    machine = flat()
    with machine.watch.trace(), pytest.raises(UserError, match="already"):
        machine.watch.trace().__enter__()


def test_an_unknown_kind() -> None:
    with pytest.raises(UserError, match="choose from"):
        flat().watch.trace("everything")


# --- tracing changes nothing --------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["bare", "translate", "trap"])
def test_tracing_does_not_change_the_run(mode: str) -> None:
    watched, alone = embedded(mode), embedded(mode)
    traced(watched, count=PART)
    alone.run(max_instructions=PART)
    assert digest(watched) == digest(alone)
    assert watched.console == alone.console
    mine, its = watched.statistics(), alone.statistics()
    for section in ("exits", "by_kind", "devices", "interrupts"):
        assert mine.get(section) == its.get(section)


def test_lockstep_while_tracing() -> None:
    def make(mode: str) -> Machine:
        machine = embedded(mode)
        if mode == "translate":
            machine.watch.trace(INSTRUCTION, sink=lambda event: None).__enter__()
        return machine

    report = Lockstep(make).run(Stage(instructions=20_000, step=37, memory_every=100))
    assert report.difference is None, report.difference


def test_counting_and_tracing_together() -> None:
    machine = flat()
    machine.watch.count_entries()
    traced(machine, INSTRUCTION)
    plain = flat()
    plain.run(timeout=PATIENCE)
    assert machine.statistics()["by_kind"] == plain.statistics()["by_kind"]
    assert machine.statistics()["tc"]["lookups"] == plain.statistics()["tc"]["lookups"]


def test_nothing_is_left_behind() -> None:
    machine = flat()
    traced(machine, count=100)
    assert machine.on_exit == machine.board.on_access == []
    assert machine.loop.on_turn is None
    machine.run(max_instructions=500)
    assert machine.processor.take_record() == []


# --- forms ---------------------------------------------------------------------------------------


def chrome(events: list[TraceEvent]) -> dict[str, Any]:
    parts: list[str] = []
    writer = ChromeWriter(parts.append)
    for event in events:
        writer(event)
    writer.finish()
    return dict(json.loads("".join(parts)))


NEEDED = {"M": {"name", "args"}, "X": {"name", "cat", "ts", "dur", "args"}, "E": {"ts"},
          "B": {"name", "cat", "ts", "args"}, "i": {"name", "cat", "ts", "s", "args"}}


@pytest.mark.parametrize("kinds", [KINDS, (BLOCK,), (EXIT, DEVICE), ()])
def test_chrome_json(part: list[TraceEvent], kinds: tuple[str, ...]) -> None:
    """The trace-event format's rules: fields by phase, begins and ends in pairs, times in order."""
    events = [event for event in part[:20_000] if event.kind in kinds]
    document = chrome(events)
    assert set(document) == {"traceEvents", "displayTimeUnit", "otherData"}
    depth: Counter[int] = Counter()
    times: dict[int, int] = {}
    for event in document["traceEvents"]:
        assert set(event) == NEEDED[event["ph"]] | {"ph", "pid", "tid"}
        assert isinstance(event["pid"], int) and isinstance(event["tid"], int)
        if event["ph"] == "M":
            assert event["name"] in ("process_name", "thread_name")
            continue
        assert event["ts"] >= times.get(event["tid"], 0)
        times[event["tid"]] = event["ts"]
        depth[event["tid"]] += {"B": 1, "E": -1}.get(event["ph"], 0)
        assert depth[event["tid"]] in (0, 1)
        assert event["ph"] != "i" or event["s"] in "gpt"
    assert set(depth.values()) <= {0}
    shown = [event for event in document["traceEvents"] if event["ph"] not in "ME"]
    assert [event["ts"] for event in shown] == [event.count for event in events]


def test_operands_are_no_markup() -> None:
    """Of "[ebx]" a table of rich's makes a style, and shows nothing."""
    table = trace_table([TraceEvent(1, INSTRUCTION, 0x1000, 0, "mov eax, dword ptr [ebx]")], 1)
    assert "dword ptr [ebx]" in html_of(table)


def test_in_a_notebook() -> None:
    machine = flat()
    with machine.watch.trace() as trace:
        machine.run(timeout=PATIENCE)
    html = trace._repr_html_()
    assert "pushfd" in html
    assert f"and {len(trace.events) - 200:,} more" in html
    assert pretty(trace) == f"Trace: {len(trace.events):,} events"
