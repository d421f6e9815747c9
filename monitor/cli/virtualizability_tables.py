"""`vp virtualizability` in the terminal."""

from __future__ import annotations

from collections import Counter

from rich import box
from rich.console import Console

from bt.virtualizability.classify import Verdict
from bt.virtualizability.explain import explain, situation
from bt.virtualizability.native import Host, key
from bt.virtualizability.published import SEVENTEEN
from bt.virtualizability.survey import ORDER, Group, Survey
from bt.virtualizability.umip import PREVENTED
from bt.virtualizability.worlds import PROTECTED, VIRTUAL_0, VIRTUAL_3
from monitor.cli.pieces import plain_console
from monitor.writing.whole_table import Table

COLOURS = {
    Verdict.CRITICAL: "red",
    Verdict.SENSITIVE: "yellow",
    Verdict.PRIVILEGED: "green",
    Verdict.INNOCUOUS: "default",
}
MOST_NAMES = 4


def show(result: Survey, everything: bool, whole: bool, seconds: float) -> None:
    """`whole`: all instructions were looked at, so that totals mean something."""
    console = plain_console()
    groups = result.groups()
    critical = [g for g in groups if g.verdict(PROTECTED.name) is Verdict.CRITICAL]
    integer = [g for g in critical if not g.first.form.x87]
    if everything or not whole:
        console.print(_all_table(result, groups))
    if critical:
        console.print(_critical_table(result, integer if whole else critical))
    if whole:
        _print_summary(console, result, len(critical) - len(integer))
    _print_host(console, result, whole)
    console.print(
        f"{len(result.forms)} forms, {result.experiments} experiments, {result.runs} runs on the "
        f"interpreter; {seconds:.1f} s."
    )


def _critical_table(result: Survey, groups: list[Group]) -> Table:
    table = Table(keys=2, box=box.SIMPLE, title="Critical: sensitive, and ring 3 does not trap")
    for title in ("entry", "instruction", "with", "ring 0", "ring 3", "with UMIP"):
        table.add_column(title)
    if result.host is not None:
        table.add_column("host")
    for group in groups:
        finding = group.telling(PROTECTED.name)
        if finding.witness is None:
            continue
        ring0, ring3 = explain(finding.witness)
        prevented = finding.form.row.mnemonic in PREVENTED
        umip = "#GP(0)" if prevented else "the same"
        row = [group.entry, group.name, situation(finding.witness), ring0, ring3, umip]
        if result.host is not None:
            row.append(_host_word(result.host, group))
        table.add_row(*row)
    return table


def _all_table(result: Survey, groups: list[Group]) -> Table:
    table = Table(box=box.SIMPLE)
    for title in ("instruction", "forms", "ring 3", "changes", "depends on"):
        table.add_column(title)
    for setting in (VIRTUAL_0, VIRTUAL_3):
        table.add_column(setting.name)
    if result.host is not None:
        table.add_column("host")
    for group in groups:
        verdict = group.verdict(PROTECTED.name)
        finding = group.telling(PROTECTED.name)
        row = [
            group.name,
            str(len(group.members)),
            _word(group, PROTECTED.name),
            _few(finding.control),
            _few(finding.behaviour),
            _word(group, VIRTUAL_0.name),
            _word(group, VIRTUAL_3.name),
        ]
        if result.host is not None:
            row.append(_host_word(result.host, group))
        table.add_row(*row, style=COLOURS[verdict])
    return table


def _word(group: Group, setting: str) -> str:
    if not any(finding.completes for finding in group.findings(setting)):
        return "undefined"
    return group.verdict(setting).value


def _few(names: list[str]) -> str:
    more = f" +{len(names) - MOST_NAMES}" if len(names) > MOST_NAMES else ""
    return ", ".join(names[:MOST_NAMES]) + more


def _host_word(host: Host, group: Group) -> str:
    members = [member[PROTECTED.name] for member in group.members]
    trials = [each for finding in members for each in host.trials.get(key(finding), [])]
    if not trials:
        return "not run"
    wrong = [each.disagreement for each in trials if each.disagreement]
    if wrong:
        return wrong[0]
    if host.umip and members[0].form.row.mnemonic in PREVENTED:
        return "UMIP; the system answers"
    return "agrees"


def _print_summary(console: Console, result: Survey, x87: int) -> None:
    compared = result.comparison
    console.print(
        f"Of the {len(SEVENTEEN)} of Robin and Irvine {len(compared.found)} were found"
        + (f"; not found: {', '.join(compared.missing)}." if compared.missing else ".")
    )
    for entry, why in compared.further.items():
        console.print(f"Critical besides: {entry}. {why}")
    console.print(f"Critical besides, not in the integer set: {x87} x87 instructions, through FCS.")
    left = result.umip_comparison.found
    console.print(
        f"With UMIP {len(left)} of the {len(SEVENTEEN)} are left: {', '.join(left)}."
    )
    for setting in (VIRTUAL_0, VIRTUAL_3):
        names = _names(result, setting.name)
        console.print(f"Critical in {setting.name}, for a guest in real mode: {', '.join(names)}.")
    counts = Counter(finding.verdict for finding in result.protected)
    console.print("; ".join(f"{counts[each]} forms {each.value}" for each in ORDER) + ".")


def _names(result: Survey, setting: str) -> list[str]:
    groups = [g for g in result.groups() if g.verdict(setting) is Verdict.CRITICAL]
    return list(dict.fromkeys(group.first.form.row.mnemonic for group in groups))


def _print_host(console: Console, result: Survey, whole: bool) -> None:
    host = result.host
    if host is None:
        console.print(f"No column for this computer's processor: {result.no_host}.")
        return
    wrong = host.disagreements
    console.print(
        f"This computer's processor ran {host.count} of them in ring 3 and agrees with the "
        f"interpreter on {host.count - len(wrong)}"
        + (f"; {host.refused} would call a hypervisor and were not run." if host.refused else ".")
    )
    if host.umip:
        console.print(
            "It has UMIP on: SGDT, SIDT, SLDT, SMSW and STR trap, and the system answers in the "
            "processor's place with values of its own."
        )
    elif whole:
        console.print("It shows no UMIP: SGDT, SIDT, SLDT, SMSW and STR tell of its own state.")
    for each in wrong:
        form = each.experiment.form
        console.print(f"  {form.name} {each.experiment.label}: {each.disagreement}")


