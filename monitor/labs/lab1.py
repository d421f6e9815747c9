"""Lab 1: find the critical instructions.

The student writes the definitions of Popek and Goldberg (1974) as code: from what an instruction
did in several worlds to its class. The evidence comes from `vp virtualizability`'s bench
(bt/virtualizability), which runs every form of the instruction table in each world; what is right
is derived there as well. Nothing in the evidence says which instruction it is about.

    def classify(evidence: Evidence) -> str: ...
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Any

from bt.virtualizability.classify import Finding, Trial, Verdict
from bt.virtualizability.classify import classify as derive_class
from bt.virtualizability.classify import run as run_forms
from bt.virtualizability.explain import explain, reasons
from bt.virtualizability.forms import all_forms
from bt.virtualizability.outcome import PRIVILEGED, ExperimentOutcome, Trap, Visible
from bt.virtualizability.umip import with_umip
from bt.virtualizability.worlds import PROTECTED
from monitor.labs.cases import Case, Failed, at
from monitor.labs.submission import Submission

GUESTS = tuple(world.name for world in PROTECTED.guests)
MONITOR = PROTECTED.monitor.name
LENIENT = PROTECTED.lenient.name
VARIANTS = tuple(world.name for world in PROTECTED.variants)
CLASSES = tuple(verdict.value for verdict in Verdict)
SHOWN = 4  # mistakes that are told; the others are counted


@dataclass(frozen=True)
class Evidence:
    """What one form of an instruction did.

    A trial is one start state; it holds an ExperimentOutcome by the world's name. The worlds are

        GUESTS      ring 0, as the guest believes to run: interrupts on, and off
        MONITOR     ring 3, as a monitor would run the guest's kernel, with its own tables
        LENIENT     the same, but IOPL 3, ports open, RDTSC and RDPMC allowed
        VARIANTS    the guest's world with one piece of the privileged state changed

    It has `trap` (None: it completed), `visible` (all that the program itself can see
    afterwards, comparable with ==) and `changes()` (the privileged state that it changed: a list,
    empty if none).
    """

    trials: tuple[Mapping[str, ExperimentOutcome], ...]


@dataclass(frozen=True)
class Question:
    """Evidence, what is right, and why, for the feedback."""

    name: str
    evidence: Evidence
    verdict: str
    why: str


def _evidence(trials: Sequence[Trial]) -> Evidence:
    return Evidence(tuple(MappingProxyType(dict(trial.outcomes)) for trial in trials))


def _question(finding: Finding) -> Question:
    why = reasons(finding)
    if finding.witness is not None and finding.verdict is Verdict.CRITICAL:
        ours, theirs = explain(finding.witness)
        why = f"ring 0: {ours}; ring 3: {theirs}"
    name = f"{finding.form.name} ({finding.form.size} bits)" if finding.form.size else ""
    evidence = _evidence(finding.trials)
    return Question(name or finding.form.name, evidence, finding.verdict.value, why)


@cache
def _survey() -> list[tuple[Any, list[Trial]]]:
    return run_forms(PROTECTED, all_forms())


@cache
def questions(x87: bool) -> tuple[Question, ...]:
    """Every form of the integer set, or of the x87 set."""
    rows = [(form, trials) for form, trials in _survey() if form.x87 == x87]
    return tuple(_question(derive_class(PROTECTED, form, trials)) for form, trials in rows)


@cache
def umip_questions() -> tuple[Question, ...]:
    """The forms that UMIP concerns, on a processor that has it."""
    names = ("sgdt", "sidt", "sldt", "str_e", "smsw")
    rows = [(form, trials) for form, trials in _survey() if form.row.body in names]
    return tuple(
        _question(derive_class(PROTECTED, form, trials, with_umip)) for form, trials in rows
    )


# --- instructions that do not exist ------------------------------------------------------

NOTHING: Mapping[str, tuple[int, int]] = MappingProxyType({})
CLEARS_IF = MappingProxyType({"IF": (1, 0)})


def _outcome(
    value: int = 0, trap: bool = False, changed: Mapping[str, tuple[int, int]] = NOTHING
) -> ExperimentOutcome:
    """An outcome whose visible part is a number in EAX, and what it changed."""
    before = [0] * len(PRIVILEGED)
    after = list(before)
    for name, (old, new) in changed.items():
        at = PRIVILEGED.index(name)
        before[at], after[at] = old, new
    visible = Visible((value, *([0] * 7)), 2, 2, (0,) * 6, b"", b"")
    return ExperimentOutcome(Trap(13, 0) if trap else None, visible, tuple(before), tuple(after))


WORLDS = tuple(dict.fromkeys((*GUESTS, MONITOR, LENIENT, *VARIANTS)))
RING3 = (MONITOR, LENIENT, "CPL")


def _invented(of_world: Callable[[str], ExperimentOutcome]) -> Mapping[str, ExperimentOutcome]:
    return {name: of_world(name) for name in WORLDS}


@cache
def invented_questions() -> tuple[Question, ...]:
    """Instructions that nobody has built: only the definitions help here."""
    plain = _invented(lambda _: _outcome(7))
    faults = _invented(lambda _: _outcome(trap=True))
    shows_cpl = _invented(lambda world: _outcome(3 if world in RING3 else 0))
    shows_time = _invented(lambda world: _outcome(9 if world == "time" else 5))
    sets_if = _invented(lambda world: _outcome(0, False, NOTHING if world in RING3 else CLEARS_IF))
    always_if = _invented(lambda _: _outcome(0, False, CLEARS_IF))
    guarded = _invented(lambda world: _outcome(1, trap=world in RING3))
    asks = _invented(
        lambda world: _outcome(1, world in (MONITOR, "CPL"), {"TSC": (0, 1)})
    )
    sometimes = _invented(lambda world: _outcome(1 if world in RING3 else 2, trap=world == MONITOR))
    rows = (
        ("doubles EAX", (plain,), "innocuous", "the same everywhere"),
        ("always #UD", (faults,), "innocuous", "it completes nowhere: there is nothing to emulate"),
        ("reads the CPL", (plain, shows_cpl), "critical", "one trial of two shows the CPL"),
        ("reads the date", (shows_time,), "innocuous",
         "it depends on time, but ring 3 answers as ring 0 does: no trial went wrong"),
        ("clears IF, in ring 3 nothing", (sets_if,), "critical", "ring 3 is silent"),
        ("clears IF in every ring", (always_if,), "critical", "the monitor's own IF is lost"),
        ("privileged", (guarded,), "privileged", "it traps in both ring 3 worlds"),
        ("privileged, twice", (guarded, guarded), "privileged", "every trial traps"),
        ("traps now and then", (guarded, shows_cpl), "critical", "the second trial does not trap"),
        ("traps if the monitor asks", (asks,), "sensitive", "lenient, it completes"),
        ("the lenient world is wrong", (sometimes,), "sensitive", "the monitor's world traps"),
    )  # fmt: skip
    return tuple(
        Question(f"an instruction that {name}" if " " in name else name,
                 Evidence(tuple(map(MappingProxyType, trials))), verdict, why)
        for name, trials, verdict, why in rows
    )  # fmt: skip


# --- the tests ---------------------------------------------------------------------------


def _ask(submission: Submission, rows: Iterable[Question]) -> list[tuple[Question, str]]:
    classify = submission.part("classify")
    answers = []
    for row in rows:
        at(row.name)
        answers.append((row, classify(row.evidence)))
    for _, answer in answers:
        if answer not in CLASSES:
            raise Failed(f"one of {', '.join(CLASSES)}", repr(answer),
                         "classify() returns the class as a string")  # fmt: skip
    return answers


def _judge(wrong: list[tuple[Question, str]], of: str, hint: str) -> None:
    if not wrong:
        return
    expected = [f"{row.name}: {row.verdict}" + (f" ({row.why})" if row.why else "")
                for row, _ in wrong[:SHOWN]]  # fmt: skip
    got = [f"{row.name}: {answer}" for row, answer in wrong[:SHOWN]]
    more = f"\n          and {len(wrong) - SHOWN} more {of}" if len(wrong) > SHOWN else ""
    indent = "\n          "
    raise Failed(indent.join(expected), indent.join(got) + more, hint)


def _exactly(verdict: str, hint: str) -> Callable[[Submission], None]:
    """These forms of the integer set and no others."""

    def test(submission: Submission) -> None:
        answers = _ask(submission, questions(False))
        concerned = [(row, said) for row, said in answers if verdict in (row.verdict, said)]
        wrong = [(row, said) for row, said in concerned if row.verdict != said]
        _judge(wrong, "forms", hint)

    return test


def _x87(submission: Submission) -> None:
    wrong = [(row, said) for row, said in _ask(submission, questions(True)) if row.verdict != said]
    _judge(wrong, "forms", "FNSTENV and FNSAVE show a selector. Whose RPL is in it?")


def _umip(submission: Submission) -> None:
    answers = _ask(submission, umip_questions())
    _judge([(row, said) for row, said in answers if row.verdict != said], "forms",
           "UMIP has them trap in ring 3. Does your code judge by the evidence alone?")  # fmt: skip


def _never_seen(submission: Submission) -> None:
    answers = _ask(submission, invented_questions())
    _judge([(row, said) for row, said in answers if row.verdict != said], "of them",
           "Every trial counts: one that goes wrong is enough to be critical, one that does not "
           "trap is enough not to be privileged.")  # fmt: skip


CASES = (
    Case("privileged: exactly those that trap whatever the monitor allows", 3,
         _exactly("privileged", "It completes somewhere in ring 0, and traps in every trial of "
                  "MONITOR and of LENIENT.")),
    Case("sensitive: those that trap because the monitor wants it", 3,
         _exactly("sensitive", "They concern the privileged state and trap in MONITOR, but not in "
                  "LENIENT.")),
    Case("critical: the seventeen of Robin and Irvine, and their kin", 6,
         _exactly("critical", "Sensitive, and in some trial MONITOR completed with another effect "
                  "than a guest's, or where the guest trapped.")),
    Case("innocuous: all others", 3,
         _exactly("innocuous", "What shows or changes nothing privileged, and what completes "
                  "nowhere.")),
    Case("x87 instructions", 1, _x87),
    Case("on a processor with UMIP", 2, _umip),
    Case("instructions that nobody has built", 2, _never_seen),
)  # fmt: skip
