"""Ring 3 on the host's own processor, beside the interpreter's (bt/hostcpu).

The host's kernel is a monitor of the kind that worlds.LINUX describes, so every experiment of the
protected setting runs on the host as it is, and must end there as it does in that world: the same
trap, or the same effects. What is not compared:

* flags and x87 parts that the manual leaves undefined, and the x87 pointers (processors of today
  store zero in FCS and FDS);
* values of the host's own: what SGDT, RDTSC or CPUID store. Where they store it is compared.

With UMIP (SDM vol. 3, 2.5) SGDT, SIDT, SLDT, STR and SMSW are #GP in ring 3, and Linux then hands
out made-up values in the processor's place: GDTR at FFFE0000, IDTR at FFFF0000. That is how it is
recognised here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bt.hostcpu import layout as at
from bt.virtualizability.benches import benches
from bt.virtualizability.classify import Finding, Trial
from bt.virtualizability.experiments import PROTECTED_PLACE, UNIT_STATE, Experiment
from bt.virtualizability.outcome import (
    USER_FLAGS,
    ExperimentOutcome,
    MemoryNames,
    Trap,
    Visible,
    visible_differences,
)
from bt.virtualizability.umip import PREVENTED, UMIP_TRAP
from bt.virtualizability.worlds import LINUX

if TYPE_CHECKING:
    from bt.hostcpu.host import Case, CaseOutcome

FLAG_BITS = {"o": 0x800, "s": 0x80, "z": 0x40, "a": 0x10, "p": 0x4, "c": 0x1}
OWN_VALUES = frozenset(("GDTR", "IDTR", "LDTR", "TR", "CR0", "time"))  # worlds.py's names
IDENTITY = "CPUID"
CONDITION_CODES = 0x47  # C0 to C3, in the status word's upper byte
POINTERS = slice(12, 28)
ENVIRONMENT_STORES = ("FNSTENV", "FNSAVE")
LINUX_BASES = {"SGDT": 0xFFFE_0000, "SIDT": 0xFFFF_0000}  # what Linux says where UMIP trapped
DEBUG, BREAKPOINT, PAGE_FAULT = 1, 3, 14


@dataclass(frozen=True)
class HostTrial:
    """One experiment on the host, and in the world that is like it."""

    experiment: Experiment
    host: ExperimentOutcome
    ours: ExperimentOutcome
    disagreement: str  #: what differs, or nothing


@dataclass
class Host:
    """What the host's processor did."""

    trials: dict[str, list[HostTrial]]  #: by code and name, see key()
    umip: bool = False
    refused: int = 0  #: experiments that are not run there: calls of the host's hypervisor

    @property
    def count(self) -> int:
        """How many experiments ran there."""
        return sum(len(each) for each in self.trials.values())

    @property
    def disagreements(self) -> list[HostTrial]:
        """Those with which the interpreter does not agree."""
        return [each for row in self.trials.values() for each in row if each.disagreement]


def key(finding: Finding) -> str:
    """A form's name in `Host.trials`."""
    form = finding.form
    return f"{form.row.opcode} {form.name} {form.size} {form.memory}"


def unavailable() -> str | None:
    """Why the host cannot run 32-bit code, or None."""
    from bt.hostcpu.host import HostCpu

    return HostCpu.available()


def run_on_host(findings: Sequence[Finding]) -> Host:
    """Every experiment of the protected setting."""
    import numpy as np

    from bt.hostcpu.filters import refused
    from bt.hostcpu.host import HostCpu

    rows = [(finding, trial) for finding in findings for trial in finding.trials]
    codes = np.zeros((len(rows), at.SLOT), np.uint8)
    for bytes_, (_, trial) in zip(codes, rows, strict=True):
        bytes_[: len(trial.experiment.code)] = np.frombuffer(trial.experiment.code, np.uint8)
    allowed = ~refused(codes)
    chosen = [row for row, good in zip(rows, allowed, strict=True) if good]
    with HostCpu() as cpu:
        outcomes = cpu.run_batch([_case(trial.experiment) for _, trial in chosen])
    bench = benches()[32]
    bench.enter(LINUX)
    host = Host({}, refused=len(rows) - len(chosen))
    for (finding, trial), raw in zip(chosen, outcomes, strict=True):
        theirs = _outcome(trial.experiment, raw)
        ours = bench.run(trial.experiment)
        different = disagreement(finding, trial, theirs, ours)
        row = HostTrial(trial.experiment, theirs, ours, different)
        host.trials.setdefault(key(finding), []).append(row)
        host.umip |= _prevented(finding, theirs) or _is_made_up(finding, theirs)
    return host


def _case(experiment: Experiment) -> Case:
    from bt.hostcpu.host import Case, State

    flat = at.SEG_FLAT.selector
    state = State(
        regs=experiment.regs,
        eflags=experiment.flags | 0x202,
        mem=experiment.window + bytes(at.EDGE_SIZE),
        fpu=UNIT_STATE,
        es=flat,
        ds=flat,
        fs=flat,
        gs=flat,
    )
    return Case(experiment.code, state)


def _outcome(experiment: Experiment, raw: CaseOutcome) -> ExperimentOutcome:
    """The host's result in the bench's words.

    A transfer of control arrives at an INT3, of which the page of code is full, or where nothing is
    mapped; then it has completed. INT3, INTO, INT n and INT1 arrive in the host's kernel; INT1 on
    some virtual machines with EIP still at it, but nothing else here raises a debug exception.
    """
    names = ("es", "cs", "ss", "ds", "fs", "gs")
    after = experiment.place.code + len(experiment.code)
    selectors = [raw.selectors[name] for name in names]
    for number in (1, 2):  # CS and SS, without their RPL
        selectors[number] &= ~3
    window = raw.mem[: at.MAIN_SIZE]
    visible = Visible(
        raw.regs, raw.eip, raw.eflags & USER_FLAGS, tuple(selectors), window, raw.fpu
    )
    fault = raw.fault
    if fault is None:
        return ExperimentOutcome(None, visible, (), ())
    if fault.vector == BREAKPOINT and raw.eip not in (after, experiment.place.code):
        return ExperimentOutcome(None, visible._replace(eip=raw.eip - 1), (), ())
    if fault.vector == PAGE_FAULT and fault.address == raw.eip:
        return ExperimentOutcome(None, visible, (), ())
    if raw.eip == after or fault.vector == DEBUG:
        return ExperimentOutcome(None, visible, (), (), fault.vector)
    return ExperimentOutcome(Trap(fault.vector, fault.error), visible, (), ())


def _prevented(finding: Finding, host: ExperimentOutcome) -> bool:
    """UMIP, on a system that does not answer in the processor's place."""
    return finding.form.row.mnemonic in PREVENTED and host.trap == UMIP_TRAP


def _is_made_up(finding: Finding, host: ExperimentOutcome) -> bool:
    """Is the result of this SGDT or SIDT Linux's instead of the processor's?"""
    expected = LINUX_BASES.get(finding.form.row.mnemonic)
    place = PROTECTED_PLACE.operand - PROTECTED_PLACE.window + 2  # behind the limit
    base = int.from_bytes(host.visible.window[place : place + 4], "little")
    return host.trap is None and base == expected


# --- the comparison ------------------------------------------------------------------------------


def disagreement(
    finding: Finding, trial: Trial, host: ExperimentOutcome, ours: ExperimentOutcome
) -> str:
    """In words, or nothing where they agree."""
    if host.trap != ours.trap and not _prevented(finding, host):
        return f"host: {host.trap or 'no trap'}; interpreter: {ours.trap or 'no trap'}"
    if host.trap is not None and ours.trap is None:
        return ""  # UMIP
    if host.gate is not None or ours.gate is not None:
        same = host.gate == ours.gate
        return "" if same else f"host: gate {host.gate}; interpreter: gate {ours.gate}"
    one, other = (_comparable(finding, trial, each) for each in (host, ours))
    return "" if one == other else f"host: {_words(one, other)}"


def _comparable(finding: Finding, trial: Trial, outcome: ExperimentOutcome) -> Visible:
    """Without what is undefined, and without values of the processor's own."""
    visible, form = outcome.visible, finding.form
    undefined = sum(FLAG_BITS[letter] for letter in form.row.undefined)
    visible = visible._replace(flags=visible.flags & ~undefined)
    if form.x87 and outcome.trap is None:
        visible = visible._replace(unit=_defined_unit(visible.unit))
    else:
        visible = visible._replace(unit=b"")
    if form.name.split()[0] in ENVIRONMENT_STORES:
        visible = visible._replace(window=_defined_image(trial.experiment, visible.window))
    if OWN_VALUES & set(finding.behaviour) or form.row.mnemonic == IDENTITY:
        visible = _without_values(trial, visible)
    return visible


def _defined_unit(image: bytes) -> bytes:
    """An FNSAVE image without pointers, reserved halves, condition codes and empty registers."""
    data = bytearray(_defined_environment(image))
    status = int.from_bytes(image[4:6], "little")
    tags = int.from_bytes(image[8:10], "little")
    for number in range(8):
        physical = (status >> 11) + number & 7
        if tags >> 2 * physical & 3 == 3:
            data[28 + 10 * number : 38 + 10 * number] = bytes(10)
    return bytes(data)


def _defined_environment(image: bytes) -> bytes:
    data = bytearray(image)
    for first in (2, 6, 10):
        data[first : first + 2] = bytes(2)
    data[5] &= ~CONDITION_CODES & 0xFF
    data[POINTERS] = bytes(POINTERS.stop - POINTERS.start)
    return bytes(data)


def _defined_image(experiment: Experiment, window: bytes) -> bytes:
    """The same in memory, where FNSTENV or FNSAVE left it."""
    place = experiment.place.operand - experiment.place.window
    image = window[place : place + 28]
    return window[:place] + _defined_environment(image) + window[place + 28 :]


def _without_values(trial: Trial, visible: Visible) -> Visible:
    """Zero wherever the instruction writes in some world."""
    regs, window = list(visible.regs), bytearray(visible.window)
    experiment = trial.experiment
    for outcome in trial.outcomes.values():
        if outcome.trap is not None:
            continue
        for number, before in enumerate(experiment.regs):
            if outcome.visible.regs[number] != before:
                regs[number] = 0
        for place, before in enumerate(experiment.window):
            if outcome.visible.window[place] != before:
                window[place & ~1 : (place & ~1) + 2] = bytes(2)
    return visible._replace(regs=tuple(regs), window=bytes(window))


def _words(host: Visible, ours: Visible) -> str:
    found = visible_differences(host, ours, MemoryNames(0, 0, 0))
    return ", ".join(f"{name} {one}, interpreter {other}" for name, one, other in found)


__all__ = ["Host", "HostTrial", "key", "run_on_host", "unavailable"]
