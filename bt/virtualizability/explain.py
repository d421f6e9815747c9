"""A witness in words: the two outcomes side by side.

    >>> explain(witness)
    ("IF 1 -> 0", "IF stays 1, no trap")
"""

from __future__ import annotations

from bt.virtualizability.classify import Finding, Witness
from bt.virtualizability.outcome import (
    PRIVILEGED,
    ExperimentOutcome,
    MemoryNames,
    visible_differences,
)

MOST = 3  # differences that are told; the others are counted
SMALL = frozenset(("CPL", "IF", "IOPL", "VM", "VIF", "VIP", "RF", "CS RPL", "SS RPL", "halted"))
NO_TRAP = "no trap"
#: With a change of CPL come other segments; they are not worth telling.
FOLLOWS_CPL = frozenset(
    name for name in PRIVILEGED if name.split()[-1] in ("RPL", "rights", "base", "limit")
)
PSEUDO_DESCRIPTORS = ("sgdt", "sidt")  # they store a word, then a doubleword

Change = tuple[str, "int | str", "int | str"]


def explain(witness: Witness) -> tuple[str, str]:
    """What the guest's ring 0 did, and what ring 3 did."""
    guest, monitor, place = witness.guest, witness.monitor, witness.experiment.place
    if guest.trap is not None:
        return f"{guest.trap}", _joined([*_changed(monitor), "completes", NO_TRAP])
    first = 2 if witness.experiment.form.row.body in PSEUDO_DESCRIPTORS else 0
    memory = MemoryNames(place.window, place.stack, place.operand, first)
    differences = visible_differences(guest.visible, monitor.visible, memory)
    if not differences and guest.changes() == monitor.changes():
        return _joined(_changed(guest)), f"the same, {NO_TRAP}"
    ours = [f"{name} {value}" for name, value, _ in differences]
    theirs = [f"{name} {value}" for name, _, value in differences]
    ours = _cut(_privileged(guest, monitor) + ours)
    theirs = _cut(_privileged(monitor, guest) + theirs)
    if guest.gate is not None:
        ours.insert(0, f"to the guest's gate {guest.gate}")
    if monitor.gate is not None:
        theirs.insert(0, f"to the real gate {monitor.gate}")
    return _joined(ours), _joined([*theirs, NO_TRAP])


def reasons(finding: Finding) -> str:
    """What makes it sensitive: the privileged state that it changes, and that it shows."""
    parts = []
    if finding.control:
        parts.append(f"changes {_joined(_cut(finding.control))}")
    if finding.behaviour:
        parts.append(f"depends on {_joined(_cut(finding.behaviour))}")
    return "; ".join(parts)


def situation(witness: Witness) -> str:
    """The state that the witness begins with, where it matters."""
    return witness.experiment.label


def _changed(outcome: ExperimentOutcome) -> list[str]:
    return _cut([_change(each) for each in outcome.changes()])


def _privileged(one: ExperimentOutcome, other: ExperimentOutcome) -> list[str]:
    """What `one` changed, and what `other` changed and it did not."""
    mine = {change[0]: change for change in one.changes()}
    theirs = {change[0]: change for change in other.changes()}
    names = dict.fromkeys((*mine, *theirs))
    if "CPL" in names:
        names = {name: None for name in names if name not in FOLLOWS_CPL}
    state = dict(zip(PRIVILEGED, one.before, strict=True))
    found = []
    for name in names:
        if name in mine and name in theirs and mine[name] == theirs[name]:
            continue
        if name in mine:
            found.append(_change(mine[name]))
        else:
            found.append(f"{name} stays {_value(name, state[name])}")
    return found


def _change(change: Change) -> str:
    name, before, after = change
    if name in ("port writes", "descriptor tables"):
        return name
    if name == "halted":
        return "halts"
    return f"{name} {_value(name, before)} -> {_value(name, after)}"


def _value(name: str, value: int | str) -> str:
    if isinstance(value, str):
        return value
    if name in SMALL:
        return str(value)
    if name.endswith("rights"):
        return f"{value:X} (DPL {value >> 5 & 3})"
    return f"{value & 0xFFFF_FFFF:X}"


def _cut(parts: list[str]) -> list[str]:
    if len(parts) <= MOST:
        return parts
    return [*parts[:MOST], f"{len(parts) - MOST} more"]


def _joined(parts: list[str]) -> str:
    return ", ".join(parts)
