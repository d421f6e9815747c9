"""The notebooks' figures: names clear of each other, every part named, and the same every time."""

from __future__ import annotations

import io
from itertools import combinations, pairwise
from types import SimpleNamespace
from typing import Any

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from monitor import figures
from monitor.bench import figure_style as style
from monitor.figures.lines import apart

MILLION = 1_000_000


def extents(figure: Any) -> dict[str, Any]:
    """Where each text ends up when the figure is drawn."""
    FigureCanvasAgg(figure).draw()
    found = {}
    for axes in figure.axes:
        for text in axes.texts:
            if text.get_text():
                found[text.get_text()] = text.get_window_extent()
    return found


def overlapping(found: dict[str, Any]) -> list[tuple[str, str]]:
    return [(one, two) for one, two in combinations(found, 2) if found[one].overlaps(found[two])]


@pytest.mark.parametrize("places", [
    [], [3.0], [0, 0, 0, 0], [0, 5, 9, 50, 51, 200], [1, 1, 12, 13], [0, 10, 30],
])  # fmt: skip
def test_places_are_moved_apart_and_no_further(places: list[float]) -> None:
    moved = apart(places, 10)
    assert all(b - a >= 10 - 1e-9 for a, b in pairwise(moved))
    assert sum(moved) == pytest.approx(sum(places)) and moved == sorted(moved)
    if all(b - a >= 10 for a, b in pairwise(places)):
        assert moved == places


@pytest.mark.parametrize("log", ["", "y", "xy"])
def test_names_of_lines_keep_clear_of_each_other(log: str) -> None:
    curves = [figures.Line([1, 10, 100], [1, 5, 90 + n], style.BLUE, f"line {n}") for n in range(6)]
    found = extents(figures.lines(curves, x="x", y="y", log=log, ticks={"moments": [2, 90]}))
    assert len(found) == 7 and overlapping(found) == []


def test_what_lines_are_compared_with_is_named() -> None:
    figure = figures.lines(
        [figures.Line([0, 1], [0, 50], style.BLUE, said=["none", "all"])], x="x", y="y",
        rules={"a level": 30}, bands={"a band": (0, 10)}, shades={"a stretch": (0.2, 0.4)},
        points={"a point": (0.8, 40)}, yticks=[0, 50], unit="%",
    )  # fmt: skip
    found = extents(figure)
    assert set(found) == {"none", "all", "a level", "a band", "a stretch", "a point"}
    [axes] = figure.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["0%", "50%"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("x", "y")


PARTS = {"a": ("a long word for a part", style.BLUE), "b": ("b", style.GREEN),
         "c": ("never seen", style.SKY)}  # fmt: skip


@pytest.mark.parametrize("percent", [False, True])
@pytest.mark.parametrize("rows", [
    {"one": {"a": 900, "b": 100}}, {"one": {"a": 5, "b": 95}, "two": {"b": 20, "a": 1, "c": 0}},
    {"one": {"b": 10, "a": -3}},
])  # fmt: skip
def test_each_part_of_a_bar_is_named_where_there_is_room(
    rows: dict[str, dict[str, float]], percent: bool
) -> None:
    figure = figures.stacked(rows, PARTS, x="x", percent=percent, ends={"one": "the end"})
    [axes] = figure.axes
    found = extents(figure)
    bars = [bar.get_window_extent() for bar in axes.patches]
    inside = {text.split("\n")[0]: box for text, box in found.items() if text != "the end"}
    for box in inside.values():
        assert any(bar.x0 <= box.x0 and box.x1 <= bar.x1 for bar in bars), "a word sticks out"
    legend = axes.get_legend()
    above = {text.get_text() for text in legend.get_texts()} if legend else set()
    drawn = {PARTS[part][0] for values in rows.values() for part, n in values.items() if n > 0}
    assert drawn <= {*inside, *above} and not above & set(inside) and "never seen" not in above
    assert "the end" in found


def test_states_of_pages_are_named_inside_their_colour() -> None:
    order = ("absent", "narrower", "same", "stale")
    samples = [[order[min((n + late) // 60, 3)] for late in (0, 20, 5, 9)] for n in range(240)]
    figure = figures.page_states(samples, [(60, 0)], [(200, 1)], {0: "begins", 100: "goes on"})
    found = extents(figure)
    assert {"begins", "goes on", "true fault"} <= set(found)
    words = ("not filled in", "filled in, not writable yet", "as in the guest's tables", "behind")
    for word, state in zip(words, order, strict=True):
        text = next(each for each in figure.axes[0].texts if each.get_text() == word)
        x, page = text.get_position()
        assert samples[int(x)][page] == state


def boot(bursts: list[figures.Burst]) -> Any:
    colours = {"IRET": style.ORANGE, "MOV to CR": style.YELLOW}
    rates = {"IRET": [50_000.0, 0, 30_000, 30_000] + [0.0] * 176, "MOV to CR": [900.0] * 180}
    return figures.boot(
        [3, 50 * MILLION, 90 * MILLION], (40 * MILLION, 400 * MILLION), 2 * MILLION, rates, colours,
        bursts, [(0, 0), (400 * MILLION, 5000)], {"start": 41 * MILLION, "prompt": 390 * MILLION},
    )  # fmt: skip


def test_bursts_are_named_clear_of_each_other() -> None:
    spans = ((40, 42), (44, 48), (44, 47), (200, 210), (390, 400))
    bursts = [figures.Burst("IRET", f"burst {first} {last}", first * MILLION, last * MILLION)
              for first, last in spans]  # fmt: skip
    found = {text: box for text, box in extents(boot(bursts)).items() if text.startswith("burst")}
    assert len(found) == 5 and overlapping(found) == []


def test_codes_and_flags_are_what_they_are() -> None:
    figure = figures.bit_rows({"word": 0b101}, names=("C", "B", "A"), wrong={"word": 4}, said="bad")
    assert [text.get_text() for text in figure.axes[0].texts] == ["word", "1", "0", "1", "C", "B",
                                                                  "A", "bad"]  # fmt: skip
    line = SimpleNamespace(code=b"\x0f\x84", text="je", note="")
    later = SimpleNamespace(code=b"\x0f\x85", text="jne", note="n")
    rows = (SimpleNamespace(translated=[each]) for each in (line, later))
    figure = figures.patched(*rows, titles=("before", "after"))
    fills = [box.get_facecolor() for box in figure.axes[0].patches]
    assert len(set(fills[:3])) == 1 and fills[3] != fills[2]


def every() -> dict[str, Any]:
    """A figure of each kind that needs no machine."""
    return {
        "lines": figures.lines([figures.Line([1, 2], [3, 4], style.BLUE, "a")], x="x", y="y"),
        "stacked": figures.stacked({"one": {"exit": 300, "stub": 9}}, x="cycles"),
        "pairs": figures.pairs({"one": figures.Pair(1, "1%", 10, "under 10%", at_most=True)},
                               x="percent", names=("ours", "theirs")),
        "heat": figures.heat({("a", "b"): 7}, ["a"], {"b": "b"}, x="cycles"),
        "counts": figures.counts({"POPF": (5238, "many"), "STR": (1, "one")}, x="answers"),
        "levels": figures.levels({"bare": [1, 0], "trap": [1, 1]}, ["sti", "cli"], y="IF"),
        "conversation": figures.conversation([("OPEN", "RPCI", False, style.INK)], ("a", "b")),
        "registers": figures.registers({"call": ({"eax": 1}, {"eax": 2}, "one")}, ["eax"]),
        "discs": figures.circles_and_discs({"POPF": ({"IF"}, {"IF"}), "STR": ({"TR"}, set())},
                                           {"IF": "IF", "TR": "TR"}, said=("shows", "changes"),
                                           below={"STR"}, below_said="these trap"),
        "modes": figures.by_mode({"in": {"bare": 300, "trap": 900, "translate": 78}},
                                 {("in", "trap")}, {"in": 0.26}, x="cycles", ratio="ratio"),
        "shares": figures.shares_and_parts({"f": 7}, {"g": {"IRET": 2, "INVLPG": 1}},
                                           {"IRET": style.ORANGE, "INVLPG": style.VERMILION},
                                           x=("percent", "exits")),
        "map": figures.opcode_map({(False, 0x9D): ("POPF", style.SKY)}, {"critical": style.SKY}),
        "page": figures.page_traces([(0x1000, 90)], 0x1000, data={"counter": 460},
                                    code={"routine": 0}, titles=["bytes", "page"]),
        "boot": boot([]),
    }  # fmt: skip


def picture(figure: Any) -> bytes:
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=40, metadata={"Software": None})
    return stream.getvalue()


def test_a_figure_is_the_same_every_time() -> None:
    again = every()
    for kind, figure in every().items():
        assert picture(figure) == picture(again[kind]), kind
