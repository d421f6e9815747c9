"""The translation cache as it is shown, against what the machine did."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree

import pytest
from IPython.lib.pretty import pretty
from patience import PATIENCE
from rich.console import Console
from watch_lab import ORIGIN, ROUNDS, assembled, embedded, flat

from bt.cache import SLOT_BYTES
from monitor import Machine
from monitor.lockstep import Lockstep, Stage
from monitor.vmm.errors import UserError
from monitor.watch.tc_model import CacheView, GuestRow
from monitor.watch.words import CHAIN, COPY, EXIT, FALLS, LOOKUP, STUB


def run(machine: Machine, counted: bool = True) -> Machine:
    if counted:
        machine.watch.count_entries()
    assert machine.run(timeout=PATIENCE).kind == "exit"
    return machine


def rows(view: CacheView) -> dict[str, GuestRow]:
    """By what they say; where several say the same, the first of the biggest block."""
    found: dict[str, GuestRow] = {}
    for block in view.blocks:
        for row in block.instructions:
            found.setdefault(row.text, row)
    return found


@pytest.fixture(scope="module")
def view() -> CacheView:
    return run(flat()).watch.tc()


BECAME = {
    "cli": STUB,
    "pushfd": STUB,
    "popfd": STUB,
    "sti": STUB,
    "mov eax, cr0": STUB,
    "in al, 0x21": STUB,
    "mov cr0, eax": EXIT,
    "inc ebx": COPY,
    "mov edi, 7": COPY,
    "ret": LOOKUP,
    "call eax": LOOKUP,
}


@pytest.mark.parametrize("text", BECAME)
def test_what_an_instruction_became(view: CacheView, text: str) -> None:
    assert rows(view)[text].became == BECAME[text]


@pytest.mark.parametrize("verb", ["loop", "jecxz", "jne", "call 0x"])
def test_direct_branches_are_chains(view: CacheView, verb: str) -> None:
    found = [row for text, row in rows(view).items() if text.startswith(verb)]
    assert found
    assert {row.became for row in found} == {CHAIN}


def test_hits_are_exact(view: CacheView) -> None:
    """The cache was empty at the start, so that every beginning was seen."""
    hits = {text: row.hits for text, row in rows(view).items()}
    assert hits["cli"] == hits["call eax"] == hits["dec esi"] == ROUNDS
    assert hits["inc ebp"] == hits["ret"] == 2 * ROUNDS
    assert hits["inc ebx"] == 3 * ROUNDS
    assert hits["mov cr0, eax"] == 1
    assert hits["nop"] == 0
    assert hits["mov edi, 7"] is None  # in the shadow of STI: no entry, so not counted


def test_hits_add_up_to_what_ran() -> None:
    """Every instruction was begun once, but those begun again after a shadow fill."""
    machine = run(flat())
    view, kinds = machine.watch.tc(), machine.statistics()["by_kind"]
    exits = machine.statistics()["exits"]
    in_cache = kinds["translated"] + kinds["stubs"]
    behind_sti = ROUNDS
    attempts = exits["emulate"] + exits["shadow fill"]
    begun = sum(block.work for block in view.blocks)
    assert begun == in_cache - behind_sti + attempts


def test_every_byte_of_a_translation_is_shown_once() -> None:
    """But for the unused rest of slots that are exits."""
    for block in run(embedded()).watch.tc().blocks:
        shown = sorted((each.address, len(each.code)) for row in block.rows
                       for each in row.translated)
        at = block.start
        for address, size in shown:
            assert address - at in (0, SLOT_BYTES - 1), f"{address:x} in {block.eip:x}"
            at = address + size
        assert block.end - at in (0, SLOT_BYTES - 1)


def test_guest_rows_are_the_guests_code(view: CacheView) -> None:
    code = assembled()
    for block in view.blocks:
        assert block.physical == block.eip
        mine = b"".join(row.code for row in block.instructions)
        assert mine == code[block.eip - ORIGIN : block.eip - ORIGIN + block.size]


def test_links_lead_where_the_bytes_lead() -> None:
    """A chained jump's own displacement goes to the block or instruction that is named."""
    view = run(embedded()).watch.tc()
    by_start = {row.translated[0].address: row.eip for block in view.blocks for row in block.rows}
    links = view.links()
    assert len(links) > 20
    code = {each.address: each.code for block in view.blocks for row in block.rows
            for each in row.translated}
    for link in links:
        raw = code[link.at]
        assert raw[0] == (0x0F if link.conditional else 0xE9)
        goes = link.at + len(raw) + int.from_bytes(raw[-4:], "little") & 0xFFFFFFFF
        assert by_start[goes] == link.target


def test_links_are_known_at_both_ends() -> None:
    view = run(embedded()).watch.tc()
    out = {link for block in view.blocks for link in block.links_out}
    assert out == {link for block in view.blocks for link in block.links_in}


def test_where_a_block_falls_through() -> None:
    """More instructions than a block takes."""
    view = run(flat(source="inc eax;" * 60 + "sti;" * 40 + "xor eax, eax; out 0xf4, al")).watch.tc()
    falling = [row for block in view.blocks for row in block.rows if row.became == FALLS]
    assert falling
    for row in falling:
        note = row.translated[0].note
        assert note in (f"exit: chain to {row.eip:#x}", f"chained to {row.eip:#x}")


# --- techniques left out ----------------------------------------------------------------------

LEFT_OUT = {  # technique: an instruction, and what it becomes without
    "stubs": ("cli", EXIT),
    "window": ("sti", EXIT),
    "lookup": ("ret", LOOKUP),  # it looks, and finds nothing
    "chaining": ("loop 0x100012", CHAIN),
}


@pytest.mark.parametrize("without", LEFT_OUT)
def test_without_a_technique(without: str) -> None:
    """What became of it shows, and what was counted is the same."""
    text, became = LEFT_OUT[without]
    view, plain = (run(flat(without=names)).watch.tc() for names in ((without,), ()))
    assert rows(view)[text].became == became
    assert rows(view)[text].hits == rows(plain)[text].hits
    if without == "chaining":
        assert view.links() == []
        assert rows(view)[text].translated[-1].note.startswith("exit: chain")
    elif without == "lookup":
        assert any(block.landings for block in plain.blocks)
        assert not any(block.landings for block in view.blocks)
    else:
        assert rows(plain)[text].became != became


# --- filters and forms ---------------------------------------------------------------------


def test_filters(view: CacheView) -> None:
    first = view.blocks[0]
    inside = first.eip + first.size - 1
    assert first in view.at(inside).blocks
    assert first in view.at(first.start).blocks
    assert view.at(0x10).blocks == ()
    assert len(view.top(2).blocks) == 2
    assert view.top(2).total == view.total == len(view.blocks)
    patched = view.only_patched().blocks
    assert 0 < len(patched) < len(view.blocks)
    assert all({STUB, EXIT} & {row.became for row in block.rows} for block in patched)


def test_the_biggest_hits_come_first(view: CacheView) -> None:
    hits = [block.hits or 0 for block in view.blocks]
    assert hits == sorted(hits, reverse=True)
    assert hits[0] >= 2 * ROUNDS


def test_slots_have_names_by_the_register_that_is_reserved() -> None:
    """The other one is the guest's own, whatever its offsets look like."""
    machine = flat(source="mov eax, gs:[0]\n" * 3 + "cli\nmov eax, fs:[4]\nhlt")
    machine.run(max_instructions=100)
    rows = {row.text: [each.text for each in row.translated]
            for row in machine.watch.tc().blocks[0].rows}  # fmt: skip
    assert rows["cli"] == ["mov dword ptr fs:[VSYS], 0"]
    assert rows["mov eax, dword ptr gs:[0]"] == ["mov eax, dword ptr gs:[0]"]
    through = rows["mov eax, dword ptr fs:[4]"]
    assert through[0] == "mov dword ptr fs:[SAVE_ECX], ecx"
    assert "bound ecx, qword ptr fs:[READ_BOUNDS_4]" in through
    assert "mov ecx, dword ptr fs:[SEGMENT_SHIFT]" in through


def test_as_text(view: CacheView) -> None:
    console = Console(width=150, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    with console.file:
        console.print(view)
    text = console.export_text()
    assert "mov dword ptr gs:[VSYS], 0" in text
    assert "exit: emulate" in text
    assert f"entered {2 * ROUNDS} times" in text


def test_as_json(view: CacheView) -> None:
    document = json.loads(json.dumps(view.as_dict()))
    assert [block["eip"] for block in document["blocks"]] == [b.eip for b in view.blocks]
    assert document["blocks"][0]["rows"][0]["code"] == view.blocks[0].rows[0].code.hex()


def test_as_a_picture(view: CacheView) -> None:
    tree = ElementTree.fromstring(view.svg())
    texts = {element.text for element in tree.iter("{http://www.w3.org/2000/svg}text")}
    for block in view.blocks:
        assert f"{block.eip:08x}" in texts
        assert f"{block.start:08x}" in texts
    height = float(tree.attrib["height"])
    places = [float(element.attrib["y"]) for element in tree.iter() if "y" in element.attrib]
    assert min(places) >= 0
    assert max(places) < height


def test_an_empty_picture() -> None:
    ElementTree.fromstring(flat().watch.tc().svg())


def test_as_dot(view: CacheView) -> None:
    lines = view.dot().splitlines()
    assert lines[0] == "digraph translation_cache {"
    assert lines[-1] == "}"
    edges = [line for line in lines if " -> " in line]
    assert len(edges) == len(view.links()) > 0
    nodes = {line.split()[0] for line in lines if "[label=" in line}
    assert {end for line in edges for end in (line.split()[0], line.split()[2])} <= nodes


def test_in_a_notebook(
    view: CacheView, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is shown once: rich by itself shows what it prints where it finds a notebook."""
    monkeypatch.setattr("rich.console._is_jupyter", lambda: True)
    html = view._repr_html_()
    assert html.startswith("<pre")
    assert "VSYS" in html
    assert capsys.readouterr().out == ""
    assert pretty(view.top(1)).startswith(f"CacheView: 1 of {view.total} blocks after ")


# --- watching changes nothing ---------------------------------------------------------------


@pytest.mark.parametrize("make", [flat, embedded])
def test_counting_does_not_change_the_run(make: object) -> None:
    plain, counted = run(make(), counted=False), run(make())  # type: ignore[operator]
    assert counted.console == plain.console
    assert counted.processor.count() == plain.processor.count()
    mine, its = plain.statistics(), counted.statistics()
    for section in ("by_kind", "exits", "patches", "interrupts", "devices"):
        assert mine[section] == its[section]


def test_looking_between_steps_does_not_change_the_run() -> None:
    watched, alone = flat(), flat()
    for _ in range(50):
        watched.run(max_instructions=7)
        watched.watch.tc().svg()
        alone.run(max_instructions=7)
    assert watched.registers == alone.registers
    assert watched.statistics()["exits"] == alone.statistics()["exits"]


def test_lockstep_while_counting() -> None:
    def make(mode: str) -> Machine:
        machine = embedded(mode)
        if mode == "translate":
            machine.watch.count_entries()
        return machine

    report = Lockstep(make).run(Stage(instructions=20_000, step=37, memory_every=100))
    assert report.difference is None, report.difference


def test_counting_can_be_switched_off() -> None:
    machine = flat()
    machine.watch.count_entries()
    machine.run(max_instructions=500)
    assert machine.watch.tc().counted
    machine.watch.count_entries(False)
    machine.run(max_instructions=500)
    view = machine.watch.tc()
    assert not view.counted
    assert all(row.hits is None for block in view.blocks for row in block.rows)


@pytest.mark.parametrize("mode", ["bare", "trap"])
def test_other_modes_have_no_cache(mode: str) -> None:
    with pytest.raises(UserError, match="no translation cache"):
        flat(mode).watch.tc()
