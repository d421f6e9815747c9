"""Every instruction form of ring 3, on this host's processor and on the interpreter.

For each form of tests/oracle the same random states run on both; registers, flags, memory, the
x87 unit, selectors, exception vector, error code and CR2 must agree wherever the manual defines
them. A form's states come from a seed of its own, so a failure repeats alone:

    pytest tests/instructions/test_host_agreement.py -k "external and SHLD"

The environment variable ORACLE_STATES sets the number of states per form (thousands for a sweep),
ORACLE_SEED gives other states than the usual ones.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from bt.engine import BUILD
from bt.hostcpu import layout as at
from bt.hostcpu.gdt import visible_descriptors
from bt.hostcpu.host import NO_FAULT, HostCpu, new_cases, set_code
from bt.interp.state import VEC_AC
from tests.instructions.agreement import differ, near, report
from tests.instructions.guest_cpu import GuestCpu
from tests.oracle.forms import GROUP, Form, all_forms
from tests.oracle.undefined import blank
from tests.oracle.values import AC

reason = HostCpu.available()
pytestmark = pytest.mark.skipif(reason is not None, reason=str(reason))

Array = Any

COMPILED = BUILD == "compiled"
STATES = int(os.environ.get("ORACLE_STATES", "384" if COMPILED else "8"))
SEED = int(os.environ.get("ORACLE_SEED", "0"))
ALIGNED_SHARE = 4  # of these, how many run with alignment checking on
BARE_SHARE = 8  # the bare processor executes the same bodies: a check of paging and gates

#: Mnemonics that are tested together; any other one is a family of its own.
FAMILIES = (
    (r"CMOV.*", "CMOVcc"),
    (r"SET.*", "SETcc"),
    (r"J(?!MP|ECXZ).*", "Jcc"),
    (r"LOOP.*|JECXZ", "LOOP"),
    (r"INT .*|INT3|INTO", "INT"),
    (r"(REP |REPNE |)(MOVS|STOS|LODS|CMPS|SCAS)", "strings"),
    (r"INS?|OUTS?|CLI|STI", "ports"),
    (r"HLT|CLTS|(WB)?INVD|(RD|WR)MSR|LLDT|LTR|L[GI]DT|LMSW|INVLPG", "ring 0"),
    (r"CL[CD]|ST[CD]|CMC|[LS]AHF|SALC", "flags"),
    (r"CBW.*|CWD.*", "CBW CWD"),
    (r"L[DEFGS]S", "LDS"),
    (r"VER.|LAR|LSL", "VERR LAR LSL"),
    (r"FLD(1|L2T|L2E|PI|LG2|LN2|Z)", "FLD constants"),
    (r"FCMOV.*", "FCMOVcc"),
    (r"FU?COMI?P?P?|FTST|FXAM", "FCOM"),
    (r"FICOMP?", "FICOM"),
    (r"FN?(LD|ST)(CW|ENV|SW)|FNSAVE|FRSTOR|FNINIT|FNCLEX|FNOP", "x87 control"),
    (r"FINCSTP|FDECSTP|FFREE|FXCH|FCHS|FABS", "x87 registers"),
    (r"P(ADD|SUB)U?S?[BWDQ]", "packed sums"),
    (r"P(CMP..|MIN|MAX|AVG)[US]?[BWD]", "packed comparison"),
    (r"PMUL.*|PMADDWD|PSADBW", "packed products"),
    (r"PS[LR][LA](W|D|Q|DQ)", "packed shifts"),
    (r"P(UNPCK|ACK).*|UNPCK.*", "packing"),
    (r"PSHUF.*|SHUFP.|PINSRW|PEXTRW|P?MOVMSK.*", "shuffles"),
    (r"P(AND|ANDN|OR|XOR)|(AND|ANDN|OR|XOR)P[SD]", "packed logic"),
    (r"MOV(SD|SS|[AU]P.|DQ.|[LH]P.|LHPS|HLPS|D|Q|NT.*|DQ2Q|Q2DQ)|MASKMOV.*", "vector moves"),
    (r"(ADD|SUB)[PS][SD]", "ADDPS"),
    (r"(MIN|MAX)[PS][SD]", "MINPS"),
    (r"U?COMIS.|CMP[PS][SD]", "CMPPS"),
    (r"R(CP|SQRT)[PS]S", "RCPPS"),
    (r"CVTT?[PS][SD]2(PI|DQ|SI)", "CVTPS2DQ"),
    (r"CVT(PI|DQ|SI)2[PS][SD]|CVT[PS][SD]2[PS][SD]", "CVTDQ2PS"),
    (r"EMMS|.FENCE|CLFLUSH|..MXCSR", "MXCSR"),
)  # fmt: skip


def family(form: Form) -> str:
    """What the form is tested with."""
    for pattern, name in FAMILIES:
        if re.fullmatch(pattern, form.mnemonic):
            return name
    return form.mnemonic


FORMS: dict[str, list[Form]] = {}
for _form in all_forms():
    FORMS.setdefault(family(_form), []).append(_form)


@pytest.fixture(scope="module")
def host() -> Iterator[HostCpu]:
    with HostCpu() as cpu:
        yield cpu


@pytest.fixture(scope="module", params=["external", "bare"])
def guest(host: HostCpu, request: pytest.FixtureRequest) -> GuestCpu:
    return GuestCpu(visible_descriptors(host), bare=request.param == "bare")


def states(form: Form, count: int) -> np.ndarray:
    """`count` of the form's random states; they are made in groups, of which fewer may do."""
    rng = np.random.default_rng(form.seed() + SEED)
    cases = form.generate(rng, max(count, GROUP))
    step = max(1, len(cases) // count)
    return np.ascontiguousarray(cases[::step])


def differing(host: HostCpu, form: Form, cases: Array, theirs: Array, ours: Array) -> Array:
    """Which results differ, also when the host does those cases again.

    Its kernel drops FIP in a context switch (undefined.py), which may come amid a case.
    """
    wrong = differ(form, cases, theirs, ours)
    if len(wrong):
        theirs[wrong] = host.run_array(np.ascontiguousarray(cases[wrong]))
        wrong = differ(form, cases, theirs, ours)
    return wrong


@pytest.mark.parametrize("name", list(FORMS))
def test_agrees_with_the_host(host: HostCpu, guest: GuestCpu, name: str) -> None:
    count = max(1, STATES // BARE_SHARE) if guest.bare else STATES
    failures = []
    for form in FORMS[name]:
        cases = states(form, count)
        theirs, ours = host.run_array(cases), guest.run_array(cases)
        wrong = differing(host, form, cases, theirs, ours)
        if len(wrong):
            first = wrong[0]
            theirs, ours = blank(form, cases, theirs), blank(form, cases, ours)
            words = report(form, cases[first], theirs[first], ours[first])
            failures.append(f"{len(wrong)} of {len(cases)} states: {words}")
    assert not failures, "\n".join(failures)


def unordered(form: Form, cases: Array, theirs: Array, ours: Array, plain: Array) -> Array:
    """Cases with two faults of which the host took #AC and we the other.

    Their order is the implementation's (SDM volume 3, table 6-2). So ours must be what the host
    does with the same case (`plain`) when alignment is not checked, and a fault.
    """
    both = (theirs["vector"] == VEC_AC) & (ours["vector"] != NO_FAULT)
    return both & _alike(form, cases, plain, ours) | _other_operand(
        form, cases, theirs, ours, plain
    )


def _other_operand(form: Form, cases: Array, theirs: Array, ours: Array, plain: Array) -> Array:
    """The other way round, where an instruction has two operands in memory: processors differ in
    which one they look at first. The host's fault must be the one that alignment has no part in."""
    if not re.search(r"\b(CMPS|MOVS)\b", form.mnemonic):
        return np.zeros(len(cases), bool)
    seen = theirs.copy()
    seen["eflags"] &= ~np.uint32(AC)  # as in `plain`
    other = (theirs["vector"] != NO_FAULT) & (theirs["vector"] != VEC_AC)
    return other & (ours["vector"] == VEC_AC) & _alike(form, cases, plain, seen)


def _alike(form: Form, cases: Array, one: Array, other: Array) -> Array:
    same = np.ones(len(cases), bool)
    same[differ(form, cases, one, other)] = False
    return same


@pytest.mark.parametrize("name", list(FORMS))
def test_alignment_checking_agrees_with_the_host(host: HostCpu, guest: GuestCpu, name: str) -> None:
    """The same forms with EFLAGS.AC set: what is misaligned is #AC(0), and nothing else is."""
    count = max(1, STATES // ALIGNED_SHARE // (BARE_SHARE if guest.bare else 1))
    failures = []
    for form in FORMS[name]:
        plain = states(form, count)
        cases = plain.copy()
        cases["eflags"] |= np.uint32(AC)
        theirs, ours = host.run_array(cases), guest.run_array(cases)
        wrong = differing(host, form, cases, theirs, ours)
        if len(wrong):
            without = host.run_array(plain)
            for result in (without, ours):  # AC itself, where the fault left it
                result["eflags"] &= ~np.uint32(AC)
            excused = unordered(form, cases, theirs, ours, without)
            wrong = [index for index in wrong if not excused[index]]
        if len(wrong):
            words = report(form, cases[wrong[0]], theirs[wrong[0]], ours[wrong[0]])
            failures.append(f"{len(wrong)} of {len(cases)} states: {words}")
    assert not failures, "\n".join(failures)


@pytest.mark.parametrize("code", ["40", "50", "d9 e8", "8e d8", "f4", "cc", "a1 00 00 00 30"])
def test_a_difference_is_noticed(host: HostCpu, guest: GuestCpu, code: str) -> None:
    """One bit anywhere in a result that this form defines."""
    form = next(form for form in FORMS["NOP"])
    cases = new_cases(1)
    set_code(cases, bytes.fromhex(code))
    theirs, ours = host.run_array(cases), guest.run_array(cases)
    assert len(differ(form, cases, theirs, ours)) == 0
    for field in ("regs", "eflags", "eip", "ds", "vector", "mem"):
        other = ours.copy()
        other[field] ^= 8
        assert len(differ(form, cases, theirs, other)) == 1, field
    other = ours.copy()
    other["fpu"][0, 0] ^= 1
    assert len(differ(form, cases, theirs, other)) == 1


ONE = bytes.fromhex("00 00 00 00 00 00 00 80 ff 3f")
AFTER_ONE = bytes.fromhex("01 00 00 00 00 00 00 80 ff 3f")
BEFORE_ONE = bytes.fromhex("ff ff ff ff ff ff ff ff fe 3f")
QUIET = bytes.fromhex("00 00 00 00 00 00 00 c0 ff 7f")


def test_one_unit_in_the_last_place() -> None:
    assert near(ONE, ONE) and near(ONE, AFTER_ONE) and near(ONE, BEFORE_ONE)
    assert not near(BEFORE_ONE, AFTER_ONE)
    assert near(QUIET, QUIET) and not near(QUIET, b"\1" + QUIET[1:])
    assert near(bytes(10), b"\1" + bytes(9))  # zero and the smallest denormal
    assert not near(ONE, ONE[:9] + b"\xbf")


def test_single_step_traps_at_a_branch_target_seen_before(host: HostCpu, guest: GuestCpu) -> None:
    """The interpreter remembers where computed branches led: TF stops there nevertheless."""
    esp = at.MAIN_WINDOW + 256
    regs = (at.CODE_ADDR + 0x100, 0, 0, 0, esp, 0, 0, 0)
    cases = new_cases(2)
    set_code(cases, b"\xff\xe0")  # JMP EAX
    cases["regs"] = regs
    cases["eflags"] = (0x202, 0x302)
    theirs, ours = host.run_array(cases), guest.run_array(cases)
    assert ours["vector"].tolist() == theirs["vector"].tolist() == [3, 1]
    assert ours["eip"].tolist() == theirs["eip"].tolist()
