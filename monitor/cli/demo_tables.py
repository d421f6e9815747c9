"""The demo's tables: the lives of one guest, side by side, and what to learn from them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from monitor.cli.demo_life import Life
from monitor.cli.report import WRONG, counts_table, number, wrong_answers_table
from monitor.writing.whole_table import Table

KINDS = ("direct", "translated", "stubs", "emulated")

WHY = (
    "A kernel in ring 3 is safe to run only if every instruction that could tell it so, or that "
    "needs ring 0, traps. On x86 some do not: they go on with a wrong answer, and nobody is told."
)
CURE = (
    "Translation replaces such instructions by stubs that work on the virtual processor's state; "
    "the rest of the kernel's code is copied as it is, and user code runs directly."
)
REASONS = (  # first words of an instruction, and why it is critical
    (("popf",), "POPF changes IF and IOPL in ring 0 only. In ring 3 it leaves them as they are, "
     "and no fault says so: the kernel thinks that interrupts are off again, and they are on."),
    (("pushf",), "PUSHF stores the real IF, which stays on in ring 3 whatever the kernel did "
     "with CLI; what it saves and restores is not its own."),
    (("sgdt", "sidt", "sldt", "str"), "SGDT, SIDT, SLDT and STR show the monitor's tables in "
     "place of the kernel's: storing the registers is allowed in every ring."),
    (("smsw",), "SMSW shows the real CR0, not the one that the kernel loaded."),
    (("lar", "lsl", "verr", "verw"), "LAR, LSL, VERR and VERW look into the monitor's descriptors, "
     "and with the privilege of ring 3: a kernel segment seems out of reach."),
    (("push", "mov"), "The low two bits of CS and SS are the ring: stored from ring 3 they say 3."),
    (("pop",), "A segment register loaded in ring 3 is checked for ring 3."),
    (("call", "jmp", "ret", "lcall", "ljmp", "lret"), "A far call or jump leaves ring 3 in CS and "
     "on the stack, and a far return checks against it."),
    (("int", "iret"), "INT and IRET save and restore a ring and an IF that are not the kernel's."),
)


def comparison(lives: Sequence[Life]) -> RenderableType:
    """Everything that `vp demo` shows."""
    parts: list[RenderableType] = []
    if any(each.wrong for each in lives):
        parts.append(checks_table(lives))
    parts.append(figures_table(lives))
    for each in lives:
        if each.statistics.get(WRONG):
            parts.append(wrong_answers_table(each.statistics[WRONG]))
        for key, title in (("exits", "Exits"), ("patches", "Patched instructions")):
            if each.statistics.get(key):
                parts.append(counts_table(f"{title}, {each.mode}", key, each.statistics[key]))
    parts.append(explanation(lives))
    return Group(*parts)


def checks_table(lives: Sequence[Life]) -> Table:
    """The checks that went wrong in some mode."""
    table = Table(title="Checks that went wrong")
    table.add_column("check")
    names = dict.fromkeys(name for each in lives for name in each.wrong)
    results = [each.checks for each in lives]
    for each in lives:
        table.add_column(each.mode)
    for name in names:
        table.add_row(name, *(_result(checks.get(name)) for checks in results))
    return table


def _result(result: str | None) -> Text:
    if result is None:
        return Text("not reached", style="yellow")
    return Text(result, style="green" if result == "ok" else "red")


def figures_table(lives: Sequence[Life]) -> Table:
    """What each mode did and cost."""
    table = Table(title="The embedded guest's life")
    table.add_column("")
    for each in lives:
        table.add_column(each.mode, justify="right")
    bare = next((each for each in lives if each.mode == "bare"), None)
    for name, figure in _rows(bare):
        cells = [figure(each) for each in lives]
        if any(cells):
            table.add_row(name, *cells)
    return table


def _rows(bare: Life | None) -> list[tuple[str, Callable[[Life], str]]]:
    return [
        ("checks right", lambda each: str(len(each.checks) - len(each.wrong))),
        ("checks wrong", lambda each: str(len(each.wrong))),
        ("checks not reached", lambda each: str(len(each.not_reached))),
        ("it ended with", lambda each: each.outcome.kind),
        ("guest instructions", lambda each: _count(each, "instructions")),
        ("  against bare", lambda each: _ratio(each, bare, "instructions")),
        ("seconds", lambda each: _count(each, "seconds")),
        ("  against bare", lambda each: _ratio(each, bare, "seconds")),
        *((f"instructions, {kind}", _kind(kind)) for kind in KINDS),
        ("exits", lambda each: _sum(each, "exits")),
        ("TC bytes", lambda each: _tc(each, "bytes")),
        ("TC dispatches, hits", lambda each: _hits(each, "dispatch_hits", "dispatches")),
        ("TC lookups, hits", lambda each: _hits(each, "lookup_hits", "lookups")),
        ("patched places", lambda each: _sum(each, "patches")),
        ("world switches", lambda each: _count(each, "world_switches")),
        ("wrong answers", lambda each: _wrong_answers(each)),
    ]


def _tc(each: Life, key: str) -> str:
    cache = each.statistics.get("tc")
    return number(cache[key]) if cache else ""


def _hits(each: Life, hits: str, all_: str) -> str:
    """How often the translation cache had what was wanted."""
    cache = each.statistics.get("tc")
    return f"{cache[hits] / cache[all_]:.1%}" if cache and cache[all_] else ""


def _count(each: Life, key: str) -> str:
    return number(each.statistics[key]) if key in each.statistics else ""


def _kind(kind: str) -> Callable[[Life], str]:
    def count(each: Life) -> str:
        kinds: dict[str, Any] = each.statistics.get("by_kind", {})
        return number(kinds[kind]) if kind in kinds else ""

    return count


def _sum(each: Life, key: str) -> str:
    return number(sum(each.statistics[key].values())) if key in each.statistics else ""


def _wrong_answers(each: Life) -> str:
    if WRONG not in each.statistics:
        return ""
    return number(sum(row["count"] for row in each.statistics[WRONG]))


def _ratio(each: Life, bare: Life | None, key: str) -> str:
    """How many times bare's figure; only between lives that did the same."""
    if bare is None or each is bare or not (each.right and bare.right):
        return ""
    whole = bare.statistics.get(key, 0)
    return f"{each.statistics[key] / whole:.3f} x" if whole else ""


def explanation(lives: Sequence[Life]) -> Text:
    """In plain words, for the instructions that gave this guest a wrong answer."""
    text = Text()
    mnemonics = [row["mnemonic"] for each in lives for row in each.statistics.get(WRONG, ())]
    reasons = dict.fromkeys(filter(None, map(reason, mnemonics)))
    if any(each.mode == "trap" for each in lives):
        text.append(f"\n{WHY}\n")
        for why in reasons:
            text.append(f"  - {why}\n")
    if any(each.mode == "translate" for each in lives):
        text.append(f"{CURE}\n")
    return text


def reason(mnemonic: str) -> str:
    """Why this instruction is critical; nothing for one that is not."""
    word = mnemonic.lower().split()[0]
    for beginnings, why in REASONS:
        if word in beginnings or word[:-1] in beginnings:  # POPF, and POPFD or POPFW
            return why
    return ""
