"""Everything at once: all settings, UMIP, the published list, and the host if it can.

    >>> result = survey()
    >>> result.comparison.missing
    []
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from bt.virtualizability.classify import Finding, Verdict, classify, derive
from bt.virtualizability.forms import Form, all_forms
from bt.virtualizability.native import Host, run_on_host, unavailable
from bt.virtualizability.published import Comparison, compare, entry_of
from bt.virtualizability.umip import with_umip
from bt.virtualizability.worlds import PROTECTED, SETTINGS, Setting

STEPS = len(SETTINGS) + 1  # of a survey: its settings, and the host
ORDER = (Verdict.CRITICAL, Verdict.SENSITIVE, Verdict.PRIVILEGED, Verdict.INNOCUOUS)


@dataclass
class Survey:
    """What was derived. Findings are by setting's name, in the order of `forms`."""

    forms: list[Form]
    findings: dict[str, list[Finding]]
    with_umip: dict[str, list[Finding]]
    comparison: Comparison
    umip_comparison: Comparison
    host: Host | None = None
    no_host: str = ""  #: why there is none
    runs: int = 0

    @property
    def protected(self) -> list[Finding]:
        """The findings that compare ring 0 with ring 3 in protected mode."""
        return self.findings[PROTECTED.name]

    @property
    def experiments(self) -> int:
        """How many there were, in all settings."""
        return sum(len(f.trials) for rows in self.findings.values() for f in rows)

    def groups(self) -> list[Group]:
        """The findings by the name of their form, in the table's order."""
        groups: dict[str, Group] = {}
        for number, form in enumerate(self.forms):
            group = groups.setdefault(form.name, Group(form.name))
            group.members.append({name: rows[number] for name, rows in self.findings.items()})
        return list(groups.values())


@dataclass
class Group:
    """Forms of one name: their sizes, in memory and in registers."""

    name: str
    members: list[dict[str, Finding]] = field(default_factory=list)

    @property
    def first(self) -> Finding:
        """Its first form's, in protected mode."""
        return self.members[0][PROTECTED.name]

    @property
    def entry(self) -> str:
        """The manual's entry; for x87 forms their own mnemonic."""
        form = self.first.form
        return self.name.split()[0] if form.x87 else entry_of(form.row.mnemonic)

    def verdict(self, setting: str) -> Verdict:
        """The gravest one."""
        found = {member[setting].verdict for member in self.members}
        return next(each for each in ORDER if each in found)

    def telling(self, setting: str) -> Finding:
        """A member with that verdict."""
        verdict = self.verdict(setting)
        return next(m[setting] for m in self.members if m[setting].verdict is verdict)

    def findings(self, setting: str) -> Iterator[Finding]:
        """Its forms' findings in a setting."""
        return (member[setting] for member in self.members)


def survey(
    names: Sequence[str] = (),
    with_host: bool = True,
    done: Callable[[str], None] | None = None,
) -> Survey:
    """Derive everything; with `names` only for forms of these mnemonics or entries of the manual.

    With `with_host` the ring-3 half runs on this computer's processor as well, where that is
    possible; `no_host` says why not. Names that no form has are passed over: unknown() finds them.
    It takes seconds, and the result is the same every time. `done` is called with the name of each
    of the STEPS that is done.
    """
    tell = done or (lambda _step: None)
    forms = [form for form in all_forms() if not names or _is_named(form, names)]
    findings = {}
    for setting in SETTINGS:
        findings[setting.name] = derive(setting, forms)
        tell(setting.name)
    prevented = {s.name: _again(s, findings[s.name]) for s in SETTINGS}
    first = PROTECTED.name
    result = Survey(
        forms, findings, prevented, compare(findings[first]), compare(prevented[first])
    )
    result.runs = sum(len(f.trials) * len(s.worlds) for s in SETTINGS for f in findings[s.name])
    if with_host:
        result.no_host = unavailable() or ""
    else:
        result.no_host = "not asked for"
    if not result.no_host:
        result.host = run_on_host(findings[first])
    tell("this computer's processor")
    return result


def _again(setting: Setting, findings: Sequence[Finding]) -> list[Finding]:
    return [classify(setting, each.form, each.trials, with_umip) for each in findings]


def unknown(names: Sequence[str]) -> list[str]:
    """Those of the names that no form has."""
    forms = all_forms()
    return [name for name in names if not any(_is_named(form, [name]) for form in forms)]


def _is_named(form: Form, names: Sequence[str]) -> bool:
    own = {form.name, form.name.split()[0], form.row.mnemonic, entry_of(form.row.mnemonic)}
    wanted = {name.upper() for name in names}
    return bool({each.upper() for each in own} & wanted)
