"""The published list, and how what was derived compares with it.

Robin and Irvine (2000), section 3, go through the manual's entries and name seventeen instructions
that are sensitive and not privileged. One entry of the manual may have several opcodes, VERR and
VERW share one, and so do all forms of MOV; the comparison is by entry. Nothing of this file is used
in deriving.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from bt.instruction import Class
from bt.virtualizability.classify import Finding, Verdict

#: In the paper's order.
SEVENTEEN = (
    *("SGDT", "SIDT", "SLDT", "SMSW", "PUSHF", "POPF"),
    *("LAR", "LSL", "VERR/VERW", "POP", "PUSH", "CALL", "JMP", "INT n", "RET", "STR", "MOV"),
)

#: Mnemonics of the table that stand under another name in the manual.
ENTRIES = {
    "VERR": "VERR/VERW",
    "VERW": "VERR/VERW",
    "INT": "INT n",
    "INT3": "INT n",
    "INTO": "INT n",
    "INT1": "INT n",
    **dict.fromkeys(("LDS", "LES", "LFS", "LGS", "LSS"), "LDS/LES/LFS/LGS/LSS"),
}

#: Why an entry that is not among the seventeen was found.
EXPLANATIONS = {
    "IRET": "The far return that also loads the flags, counted with RET here. In ring 3 it leaves "
    "IF and IOPL as they are, as POPF does, and returns within ring 3 where ring 0 would have gone "
    "to an outer ring.",
    "LDS/LES/LFS/LGS/LSS": "They load a segment register as MOV and POP do, from memory.",
}

#: Why forms of an entry on the list were derived as innocuous.
STORES = (
    "Storing DS, ES, FS or GS (PUSH, MOV) shows a number that the program itself loaded; only CS "
    "and SS carry the CPL. The table marks all six, since in the translation cache FS or GS may "
    "hold what the guest did not load: a choice of the monitor, not a property of the instruction."
)
INTERRUPT_1 = (
    "INT1 (F1) belongs to the entry INT n and is derived with it. The table leaves it out, since a "
    "monitor gets it through the IDT."
)
COUNTERS = (
    "RDTSC and RDPMC show time and events, so they are sensitive, and CR4.TSD and CR4.PCE let a "
    "monitor have them trap. The table calls them innocuous: RDTSC runs as it is and answers with "
    "the guest's own time, and RDPMC leaves this monitor's engine, which has no counters."
)
X87 = (
    "Outside of the integer set, each x87 instruction but the control ones remembers the selector "
    "in CS, whose RPL is the CPL, and FNSTENV or FNSAVE show it later as FCS. Newer processors "
    "have deprecated FCS and store zero in its place."
)


@dataclass(frozen=True)
class Comparison:
    """By entry of the manual."""

    found: list[str]  #: of the seventeen
    missing: list[str]
    further: dict[str, str]  #: not among them, and why


def entry_of(mnemonic: str) -> str:
    """The manual's entry: "PUSH ES" and "CALL far" are PUSH and CALL."""
    first = mnemonic.split()[0]
    return ENTRIES.get(first, first)


def compare(findings: Iterable[Finding]) -> Comparison:
    """The integer forms that were derived as critical, and the seventeen."""
    entries = dict.fromkeys(
        entry_of(each.form.row.mnemonic)
        for each in findings
        if each.verdict is Verdict.CRITICAL and not each.form.x87
    )
    found = [name for name in SEVENTEEN if name in entries]
    missing = [name for name in SEVENTEEN if name not in entries]
    further = {name: EXPLANATIONS.get(name, "") for name in entries if name not in SEVENTEEN}
    return Comparison(found, missing, further)


def table_differences(findings: Iterable[Finding]) -> list[tuple[Finding, str]]:
    """Forms for which bt/table.py says something else, and why."""
    differ = []
    for each in findings:
        said = each.form.row.sensitivity
        if said is not EXPECTED[each.verdict]:
            differ.append((each, _why(each)))
    return differ


#: The table has one class for what traps, always or at the monitor's choice.
EXPECTED = {
    Verdict.INNOCUOUS: Class.INNOCUOUS,
    Verdict.PRIVILEGED: Class.PRIVILEGED,
    Verdict.SENSITIVE: Class.PRIVILEGED,
    Verdict.CRITICAL: Class.CRITICAL,
}


def _why(finding: Finding) -> str:
    name = finding.form.row.mnemonic
    if finding.form.x87:
        return X87
    if name == "INT1":
        return INTERRUPT_1
    if name in ("RDTSC", "RDPMC"):
        return COUNTERS
    if not finding.completes:
        return f"{finding.form.name} does not exist: it is undefined in every ring."
    if entry_of(name) in ("PUSH", "MOV") and finding.verdict is Verdict.INNOCUOUS:
        return STORES
    return ""
