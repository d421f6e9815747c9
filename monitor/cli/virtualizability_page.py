"""`vp virtualizability --markdown`: the chapter docs/virtualizability.md.

The words on method are those of the package bt/virtualizability; everything else comes out of the
survey. Nothing in it depends on the computer that prints it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby

import bt.virtualizability
from bt.virtualizability.classify import Finding, Verdict
from bt.virtualizability.explain import explain, reasons, situation
from bt.virtualizability.published import SEVENTEEN, X87, table_differences
from bt.virtualizability.survey import Group, Survey
from bt.virtualizability.umip import PREVENTED
from bt.virtualizability.worlds import (
    GUEST,
    LENIENT,
    MONITOR,
    PROTECTED,
    SETTINGS,
    VARIANTS,
    VIRTUAL_0,
    VIRTUAL_3,
    World,
)

OPENING = """\
# Virtualizability

This chapter is printed by the program, which has none of the results written down:

```sh
vp virtualizability
vp virtualizability --only POPF --only "INT n"
vp virtualizability --all --json forms.json
vp virtualizability --markdown
```

Every form of the instruction table runs in ring 0, in ring 3 and in virtual-8086 mode on the
interpreter, and in ring 3 also on the processor of the computer at hand (not in this chapter, which
is the same everywhere). What follows from the outcomes is compared with the list that Robin and
Irvine published in 2000. The source is `bt/virtualizability/`.
"""

AWKWARD = "Where x86 and the definitions of 1974 meet awkwardly:"

HOST = """\
## On a real processor

`vp virtualizability` runs each experiment of the protected setting in ring 3 on the computer's own
processor too, in a child process that owns nothing (`bt/hostcpu/`). The interpreter, in a world
like that of a program under Linux, has to end the same way: trap or no trap, the same vector and
error code, the same registers, flags and memory. A disagreement is printed, and makes the exit
status 1. Not compared are undefined flags, and values that are the host's own, as SGDT, RDTSC and
CPUID store them. VMCALL and VMMCALL are not run, since they could reach a hypervisor below the
host. Virtual-8086 mode does not exist under a 64-bit system. Where the host cannot run 32-bit code
at all, the column is left out, and a line says so; `--no-host` asks for that.
"""


def page(result: Survey) -> str:
    """The whole chapter."""
    groups = result.groups()
    critical = [g for g in groups if g.verdict(PROTECTED.name) is Verdict.CRITICAL]
    integer = [g for g in critical if not g.first.form.x87]
    parts = (
        OPENING,
        _method(),
        _worlds(),
        _figures(result),
        _seventeen(result, integer),
        _besides(result, integer, len(critical) - len(integer)),
        _table_differs(result),
        _choice(groups),
        _privileged(groups),
        _virtual_8086(groups),
        _umip(result),
        HOST,
    )
    return "\n".join(parts)


# --- words and worlds -----------------------------------------------------------------------------


def _method() -> str:
    text = (bt.virtualizability.__doc__ or "").split("\n", 2)[2].strip()
    method, awkward = text.split(AWKWARD)
    return (
        f"## How it is derived\n\n{method.strip()}\n\n## Where it is awkward\n\n"
        f"{AWKWARD}\n\n{awkward.strip()}\n"
    )


def _worlds() -> str:
    rows = [
        (world.name, world.cpl, int(world.interrupts), world.iopl, f"{world.cr0:08X}",
         f"{world.cr4:X}", _choices(world), world.kernel_dpl)
        for world in (GUEST, MONITOR, LENIENT)
    ]  # fmt: skip
    titles = ("world", "CPL", "IF", "IOPL", "CR0", "CR4", "GDTR IDTR LDTR TR",
              "DPL of kernel segments")  # fmt: skip
    names = ", ".join(world.name for world in VARIANTS)
    return (
        f"## The worlds\n\n{_table(titles, rows)}\nThe guest's world with one thing changed, for "
        f"what a result depends on: {names}.\n"
    )


def _choices(world: World) -> str:
    registers = (world.gdtr, world.idtr, world.ldtr, world.tr)
    return "the monitor's" if all(registers) else "the guest's"


def _figures(result: Survey) -> str:
    rows = []
    for setting in SETTINGS:
        findings = result.findings[setting.name]
        counts = [sum(f.verdict is each for f in findings) for each in Verdict]
        trials = sum(len(f.trials) for f in findings)
        rows.append((setting.name, len(findings), trials, len(setting.worlds), *counts))
    titles = ("setting", "forms", "experiments", "worlds", *(each.value for each in Verdict))
    return (
        f"## Figures\n\n{_table(titles, rows)}\nA form is a row of the instruction table at one "
        "operand size, on memory or on registers. One that does not exist (#UD in every ring) is "
        "counted as innocuous.\n"
    )


# --- critical -------------------------------------------------------------------------------------


def _seventeen(result: Survey, groups: Sequence[Group]) -> str:
    found = len(result.comparison.found)
    words = f"## The {len(SEVENTEEN)}\n\nOf the {len(SEVENTEEN)} published, {found} were found"
    missing = ", ".join(result.comparison.missing)
    words += f"; not found: {missing}.\n" if missing else ".\n"
    words += (
        "\nEach stands here with one experiment that shows why: what it did in ring 0, "
        "in a world that the guest believes in, and in ring 3 under the monitor. *With* says which "
        "of several operands it had. A segment's rights are bits 8 to 23 of its descriptor's upper "
        "half. What both did alike is left out.\n\n"
    )
    listed = [group for entry in SEVENTEEN for group in groups if group.entry == entry]
    return words + _critical_table(listed)


def _critical_table(groups: Iterable[Group]) -> str:
    rows = []
    for group in groups:
        witness = group.telling(PROTECTED.name).witness
        if witness is not None:
            ring0, ring3 = explain(witness)
            why = reasons(group.telling(PROTECTED.name))
            rows.append((group.entry, group.name, why, situation(witness), ring0, ring3))
    return _table(("entry", "instruction", "sensitive, for it", "with", "ring 0", "ring 3"), rows)


def _besides(result: Survey, groups: Sequence[Group], x87: int) -> str:
    words = "## Critical besides\n"
    for entry, why in result.comparison.further.items():
        rows = _critical_table(group for group in groups if group.entry == entry)
        words += f"\n**{entry}.** {why}\n\n{rows}"
    return f"{words}\n**{x87} x87 instructions.** {X87}\n"


def _table_differs(result: Survey) -> str:
    """By explanation."""
    words = (
        "## Where the instruction table says something else\n\nThe classes in `bt/table.py` are "
        "what the translator and the scanner work with. These forms were derived otherwise:\n\n"
    )
    found = [each for each in table_differences(result.protected) if not each[0].form.x87]
    found.sort(key=lambda each: each[1])
    rows = []
    for why, members in groupby(found, key=lambda each: each[1]):
        findings = [finding for finding, _ in members]
        derived = ", ".join(dict.fromkeys(each.verdict.value for each in findings))
        rows.append((", ".join(dict.fromkeys(f.form.name for f in findings)), derived, why))
    return words + _table(("instructions", "derived", "why"), rows)


# --- the other classes ----------------------------------------------------------------------------


def _choice(groups: Sequence[Group]) -> str:
    rows = []
    for group in groups:
        if group.verdict(PROTECTED.name) is Verdict.SENSITIVE:
            finding = group.telling(PROTECTED.name)
            trap = finding.trials[0].outcomes[MONITOR.name].trap
            what = ", ".join(finding.control) or "nothing"
            rows.append((group.name, what, ", ".join(finding.behaviour) or "nothing", trap))
    return (
        "## Sensitive, and trapped as the monitor chooses\n\nThese trap in the monitor's world "
        "and go through in the lenient one.\n\n"
        + _table(("instruction", "changes", "depends on", "in ring 3"), rows)
    )


def _privileged(groups: Sequence[Group]) -> str:
    names = [g.name for g in groups if g.verdict(PROTECTED.name) is Verdict.PRIVILEGED]
    return f"## Privileged\n\nThese trap in every world of ring 3: {', '.join(names)}.\n"


def _virtual_8086(groups: Sequence[Group]) -> str:
    rows = []
    for group in groups:
        words = [_word(group, setting.name) for setting in (PROTECTED, VIRTUAL_0, VIRTUAL_3)]
        grave = (Verdict.CRITICAL.value, Verdict.SENSITIVE.value)
        if not group.first.form.x87 and set(words) & set(grave):
            rows.append((group.name, *words))
    return (
        "## Virtual-8086 mode\n\nFor a guest in real mode. With IOPL 0 a monitor gets everything "
        "that touches IF, and of what is critical then INT3, INTO and INT1 still go through its "
        "IDT. With IOPL 3 nothing that touches IF traps any more. *Undefined* is #UD in real mode "
        "already.\n\n"
        + _table(("instruction", "ring 3", VIRTUAL_0.name, VIRTUAL_3.name), rows)
    )


def _word(group: Group, setting: str) -> str:
    if not any(finding.completes for finding in group.findings(setting)):
        return "undefined"
    return group.verdict(setting).value


def _umip(result: Survey) -> str:
    left = result.umip_comparison.found
    virtual = {
        setting.name: _critical_names(result.with_umip[setting.name])
        for setting in (VIRTUAL_0, VIRTUAL_3)
    }
    words = "; ".join(f"in {name}, {', '.join(names)}" for name, names in virtual.items())
    return (
        "## What UMIP changes\n\nUser-mode instruction prevention, CR4 bit 11 of newer processors, "
        f"makes {', '.join(sorted(PREVENTED))} privileged: #GP(0) in ring 3. With them trapping, "
        f"the same outcomes were classified once more. Of the {len(SEVENTEEN)}, {len(left)} are "
        f"left: {', '.join(left)}. Of the integer set are left: {words}. So x86 does not become "
        "virtualizable by it; it only stops telling where the tables are. Linux, moreover, answers "
        "SGDT and its like in the processor's place, so that a program sees no trap.\n"
    )


def _critical_names(findings: Iterable[Finding]) -> list[str]:
    critical = (f for f in findings if f.verdict is Verdict.CRITICAL and not f.form.x87)
    return list(dict.fromkeys(finding.form.row.mnemonic for finding in critical))


def _table(titles: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [titles, ["---"] * len(titles), *rows]
    return "".join(f"| {' | '.join(str(cell) for cell in line)} |\n" for line in lines)
