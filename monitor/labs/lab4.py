"""Lab 4: write the shadow page fault handler.

The student's `fill` and `table_written` (monitor/extensions/fill.py) decide what enters the shadow
page tables. Small kernels with paging run bare and translated, instruction by instruction;
registers and memory, accessed and dirty bits included, must be the same all along. The faults that
`fill` called true must be those that the guest's own handler saw. In one test the shadow must agree
with the guest's tables after every instruction, which takes tracing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from bt.contract import PERM_WRITE
from bt.interp.state import CR0_PG, CR0_WP
from monitor.extensions import Extensions
from monitor.extensions.fill import FilledShadow, GuestTables, Shadow
from monitor.guests.small_kernel import (
    DIRTY,
    GLOBAL,
    LARGE,
    LOG,
    LOG_END,
    PRESENT,
    TABLES,
    USER,
    WRITE,
    Kernel,
)
from monitor.labs.cases import Case, Failed, programs
from monitor.labs.running import (
    CLOSE,
    OFTEN_ENOUGH,
    alike,
    alike_roughly,
    kernel_maker,
    raise_if_stopped,
    run_alone,
)
from monitor.labs.submission import Submission
from monitor.lockstep import Stage, embedded_guest
from monitor.lockstep.pair import MakeMachine
from monitor.machine import Machine

MODES = ("bare", "translate")
PAGE_FAULT = 14
ALL = PRESENT | WRITE | USER
PSE, PGE = 0x10, 0x80
FREELY = Stage(step=211, memory_every=2110)
INVLPG_ESI = ".byte 0x0f, 0x01, 0x3e"
EMBEDDED_MOST = 2_000_000

HINTS = {
    "walk": "Two levels: the directory at CR3, indexed by bits 22 to 31; the table that its entry "
    "names, indexed by bits 12 to 21. Both entries get A (0x20) when they are used.",
    "dirty": "D (0x40) is set by the first write, in the last entry only. A page that is clean so "
    "far is mapped read-only, so that this write comes to you.",
    "true": "P = 0 in either entry: return False. Entries that were not used stay as they are.",
    "rights": "CPL 3 needs U/S in both entries, and R/W in both to write. The supervisor may write "
    "anything unless CR0.WP is set. What is not allowed leaves A and D alone.",
    "large": "With CR4.PSE, a directory entry with PS (0x80) maps 4 MiB, and has D itself. You map "
    "one 4 KiB piece of it at a time, with large=True.",
    "global": "G (0x100) of the last entry means something if CR4.PGE is set. Say so with "
    "is_global: a global page stays through MOV to CR3.",
    "trace": "Trace each entry that you read. When it is written, unmap whatever was made from it: "
    "a page, or for a directory entry a thousand.",
}


def _maker(submission: Submission, kernel: Kernel) -> MakeMachine:
    return kernel_maker(kernel, "translate", _extensions(submission))


def _nothing(address: int, guest: GuestTables, shadow: Shadow) -> None:
    """A table_written that lets the shadow become stale, as a TLB may."""


def _extensions(submission: Submission) -> Extensions:
    return Extensions(
        fill=submission.part("fill"), table_written=submission.part("table_written")
    )


def _shadow(machine: Machine) -> FilledShadow:
    shadow = machine.processor.shadow  # type: ignore[attr-defined]
    assert isinstance(shadow, FilledShadow)
    return shadow


def _faults_seen(machine: Machine) -> int:
    """How many page faults the guest's handler has logged."""
    end = int.from_bytes(machine.read_physical(LOG_END, 4), "little")
    vectors = (machine.read_physical(at, 1)[0] for at in range(LOG, end, 32))
    return sum(vector == PAGE_FAULT for vector in vectors)


def _check(make: MakeMachine, hint: str, hidden: int | None = None) -> None:
    """Run; true faults are the guest's, and there are at most so many hidden ones."""
    machine, _ = run_alone(make, "translate", hint)
    shadow, seen = _shadow(machine), _faults_seen(machine)
    if shadow.true_faults != seen:
        raise Failed(f"True faults: {seen}, as many as the guest's handler saw",
                     f"{shadow.true_faults} times False, {shadow.hidden_faults} times True",
                     hint)  # fmt: skip
    if hidden is not None and shadow.hidden_faults > hidden:
        got = f"{shadow.hidden_faults}: pages that are mapped fault again"
        raise Failed(f"at most {hidden} hidden faults", got, hint)


def _test(
    hint: str, *kernels: Kernel, hidden: int | None = None
) -> Callable[[Submission], None]:
    def test(submission: Submission) -> None:
        for kernel in programs(kernels):
            make = _maker(submission, kernel)
            _check(make, HINTS[hint], hidden)
            alike(make, MODES, HINTS[hint], CLOSE)
            alike(make, MODES, HINTS[hint], FREELY)

    return test


def _untraced(hint: str, *kernels: Kernel) -> Callable[[Submission], None]:
    """A shadow that is not told of written tables keeps what a TLB keeps, and nothing else."""

    def test(submission: Submission) -> None:
        extensions = replace(_extensions(submission), table_written=_nothing)
        for kernel in programs(kernels):
            make = kernel_maker(kernel, "translate", extensions)
            _check(make, HINTS[hint])
            alike(make, MODES, HINTS[hint], CLOSE)

    return test


# --- the programs ------------------------------------------------------------------------

FAR, FARTHER = 0x40000000, 0x80000000  # linear, with page tables of their own: 1 and 2
SPARE = 0x200000  # frames that hold nothing
FIRST_TABLE, SECOND_TABLE = TABLES + 0x1000, TABLES + 0x2000

READS = """
    mov  esi, 0x100000
    mov  ecx, 24
again:
    mov  eax, [esi]
    add  ebx, eax
    lea  esi, [esi + 0x1000]
    dec  ecx
    jnz  again
    mov  eax, [0x40001004]
    mov  edx, [0x80000ffc]
    mov  eax, [0x40001ffe]      ; across two pages
    mov  esi, 0x100000
    mov  eax, [esi]             ; again: nothing new
    mov  eax, [0x40001008]
    int  0x31
"""
WRITES = """
    mov  esi, 0x200000
    mov  ecx, 8
again:
    mov  eax, [esi]             ; A
    mov  eax, [esi + 4]
    mov  [esi], ecx             ; D
    mov  [esi + 4], ecx
    add  dword ptr [esi + 0x100008], 7  ; A and D at once
    lea  esi, [esi + 0x1000]
    dec  ecx
    jnz  again
    mov  esi, 0x200000
    mov  edi, TABLE + 0x800
    and  dword ptr [edi], 0xFFFFFFBF    ; clean again
    INVLPG
    mov  eax, [esi]
    mov  eax, [edi]
    mov  [esi], eax
    mov  eax, [edi]
    xchg [0x230000], eax                ; dirty from the beginning
    mov  eax, [0x231000]
    mov  [0x231000], eax
    int  0x31
"""
MISSING = """
    mov  dword ptr [RESUME], one
    mov  eax, [0x200000]
    nop
one:
    mov  dword ptr [RESUME], two
    mov  [0x201000], eax
    nop
two:
    mov  dword ptr [RESUME], three
    mov  eax, [0x50000000]
    nop
three:
    mov  dword ptr [RESUME], four
    add  dword ptr [0x202ffe], 1        ; its second half is missing
    nop
four:
    mov  eax, [0x202000]
    mov  dword ptr [RESUME], five
    mov  eax, [0x40000000]
    nop
five:
    mov  dword ptr [TABLE + 0x800], 0x210003    ; from absent to present: no flush is needed
    mov  eax, [0x200000]
    int  0x31
"""
RIGHTS = """
    mov  dword ptr [RESUME], one
    mov  eax, [0x200000]
    nop
one:
    mov  dword ptr [RESUME], two
    mov  [0x200000], eax
    nop
two:
    mov  dword ptr [RESUME], three
    mov  eax, [0x201000]
    mov  [0x201000], eax
    nop
three:
    mov  dword ptr [RESUME], four
    mov  eax, [0x40000000]
    nop
four:
    mov  dword ptr [RESUME], five
    mov  eax, [0x80000000]
    mov  [0x80000000], eax
    nop
five:
    mov  dword ptr [RESUME], six
    mov  eax, [0x202000]
    mov  [0x202000], eax
    mov  eax, [0x80001000]
    mov  [0x80001000], eax
    nop
six:
    int  0x31
"""
BIG = """
    mov  eax, [0x800000]
    mov  eax, [0xa30000]
    mov  [0xa31004], eax
    mov  dword ptr [0xa32000], 0x1234
    mov  eax, [0x232000]                ; the same frame
    mov  eax, [0xc30000]                ; another one, read-only so far
    mov  eax, [0xc33000]
    mov  ebx, [0x231004]
    mov  dword ptr [RESUME], one
    mov  [0xc30000], eax
    nop
one:
    mov  dword ptr [DIRECTORY + 8], 0   ; 800000 is gone
    mov  esi, 0xa30000
    INVLPG
    mov  dword ptr [RESUME], two
    mov  eax, [0xa32000]                ; another piece of it
    nop
two:
    mov  eax, cr2
    int  0x31
"""
NOT_BIG = """
    mov  eax, [0x40000000]              ; PS in its directory entry, and CR4.PSE is clear
    mov  [0x40001000], eax
    int  0x31
"""
GLOBAL_PAGES = """
    mov  dword ptr [0x210000], 0x1111
    mov  dword ptr [0x211000], 0x2222
    mov  dword ptr [0x212000], 0x3333
    mov  eax, [0x200000]
    mov  ebx, [0x201000]
    mov  dword ptr [TABLE + 0x800], 0x212127
    mov  dword ptr [TABLE + 0x804], 0x212027
    mov  ecx, cr3
    mov  cr3, ecx
    mov  eax, [0x200000]                ; global: the old one
    mov  ebx, [0x201000]                ; not: the new one
    mov  esi, 0x200000
    INVLPG
    mov  edx, [0x200000]
    int  0x31
"""
REWRITES = """
    mov  eax, [0x200000]
    mov  ebx, [0x201000]
    mov  [0x202000], eax
    mov  ecx, [0x40000000]
    mov  ecx, [0x40001000]
    mov  dword ptr [TABLE + 0x800], 0x210067    ; another frame
    mov  word ptr [TABLE + 0x806], 0            ; half of an entry: 201000 now leads to 1000
    mov  dword ptr [TABLE + 0x808], 0x202025    ; read-only and clean
    mov  edi, TABLE + 0x80c
    mov  eax, 0x203067
    mov  [edi], eax                             ; one that was never used
    mov  eax, [0x203000]
    and  dword ptr [edi], 0xFFFFFFDF
    push 0
    pop  dword ptr [edi]
    mov  edx, [DIRECTORY + 0x400]
    mov  dword ptr [DIRECTORY + 0x400], 0       ; 40000000 is gone, both pages
    mov  dword ptr [DIRECTORY + 0x400], edx
    mov  edx, cr3
    mov  cr3, edx
    mov  eax, [0x200000]
    mov  ebx, [0x202000]
    mov  ecx, [0x40001000]
    mov  dword ptr [TABLE + 0x1004], 0
    int  0x31
"""


def _kernel(source: str, **options: object) -> Kernel:
    source = source.replace("INVLPG", INVLPG_ESI)
    return Kernel(source, paging=True, **options)  # type: ignore[arg-type]


def _user_pages() -> dict[str, object]:
    """Supervisor's and read-only, by page and by table."""
    pages = {
        0x200000: 0x200000 | PRESENT | WRITE,
        0x201000: 0x201000 | PRESENT | USER,
        FAR: SPARE | ALL,
        FARTHER: SPARE | ALL,
        FARTHER + 0x1000: SPARE | PRESENT | USER,
    }
    tables = {FAR: FIRST_TABLE | PRESENT | WRITE, FARTHER: SECOND_TABLE | PRESENT | USER}
    return {"pages": pages, "large": tables}


FAR_PAGES = {FAR + 0x1000: SPARE | ALL, FAR + 0x2000: SPARE | ALL, FARTHER: SPARE | ALL}
DIRTY_PAGES = {0x230000: 0x230000 | ALL | DIRTY, 0x231000: 0x231000 | ALL | DIRTY}
ABSENT = {0x200000: 0x200000 | WRITE | USER, 0x201000: 0, 0x203000: 0, FAR: 0}
BIG_ONES = {0x800000: ALL | LARGE, 0xC00000: PRESENT | USER | LARGE}
GLOBALS = {0x200000: 0x210000 | ALL | GLOBAL, 0x201000: 0x211000 | ALL}
TRACED = {FAR: SPARE | ALL, FAR + 0x1000: SPARE + 0x1000 | ALL}


# --- tracing -----------------------------------------------------------------------------


def _coherent(submission: Submission) -> None:
    """After every instruction, what is mapped is what the guest's tables say now."""
    make = _maker(submission, _kernel(REWRITES, pages=TRACED))
    run_alone(make, "translate", HINTS["trace"])
    machine = make("translate")
    while True:
        before = machine.registers["eip"]
        outcome = machine.run(max_instructions=1)
        raise_if_stopped(outcome)
        wrong = next(_stale(machine), None)
        if wrong is not None:
            expected = "the shadow agrees with the guest's tables after every instruction"
            got = f"behind the instruction at {before:#x}: {wrong}"
            raise Failed(expected, got, HINTS["trace"])
        if outcome.kind != "instructions":
            break
    if outcome.kind != "exit":
        raise Failed("the program comes to its end", str(outcome), HINTS["trace"])
    shadow = _shadow(machine)
    if shadow.hidden_faults < len(TRACED):
        raise Failed("pages are mapped", f"{shadow.hidden_faults} were", HINTS["walk"])


def _stale(machine: Machine) -> Iterator[str]:
    """Pages of the shadow that the guest's tables do not allow, in words."""
    if not machine.processor.ideal.cr0 & CR0_PG:
        return
    supervisor_writes = not machine.processor.ideal.cr0 & CR0_WP
    for user, linear, frame, perm in _shadow(machine).guest_mappings():
        entry = _entry(machine, linear)
        if entry < 0:
            yield f"{linear:#x} is mapped, and the guest has nothing there"
        elif entry & -0x1000 != frame:
            yield f"{linear:#x} leads to {frame:#x}, and the guest says {entry & -0x1000:#x}"
        elif user and not entry & USER:
            yield f"{linear:#x} is mapped for user code, and is the supervisor's"
        elif perm & PERM_WRITE and not entry & DIRTY:
            yield f"{linear:#x} may be written, and D is clear"
        elif perm & PERM_WRITE and not entry & WRITE and (user or not supervisor_writes):
            yield f"{linear:#x} may be written, and R/W is clear"


def _entry(machine: Machine, linear: int) -> int:
    """The guest's entry for a page of 4 KiB, its rights those of both levels; -1: none."""

    def read(address: int) -> int:
        return int.from_bytes(machine.read_physical(address, 4), "little")

    directory = read((machine.registers["cr3"] & -0x1000) + (linear >> 20 & 0xFFC))
    if not directory & PRESENT:
        return -1
    entry = read((directory & -0x1000) + (linear >> 10 & 0xFFC))
    if not entry & PRESENT:
        return -1
    return entry & ~(WRITE | USER) | entry & directory & (WRITE | USER)


def _still_right(submission: Submission) -> None:
    """Traced or not, nothing else has changed: programs that flush as they should."""
    hint = HINTS["trace"]
    source = REWRITES.replace("mov  [0x202000], eax", "nop")
    run_alone(_maker(submission, _kernel(source, pages=TRACED)), "translate", hint)
    both = _kernel(WRITES, pages=DIRTY_PAGES), _kernel(MISSING, pages=ABSENT)
    for kernel in programs(both):
        machine, _ = run_alone(_maker(submission, kernel), "translate", hint)
        if not _shadow(machine).traced:
            raise Failed("fill() traces the entries that it reads", "none is traced", hint)
        alike(_maker(submission, kernel), MODES, hint, CLOSE)


def _embedded(submission: Submission) -> None:
    """The guest that comes with the package, to its end."""
    hint = "Every test before passes? Then look at CR0.WP, and at both kinds of page."
    extensions = _extensions(submission)

    def make(mode: str) -> Machine:
        return embedded_guest(mode, extensions if mode == "translate" else None)

    machine, _ = run_alone(make, "translate", hint, EMBEDDED_MOST)
    if not _shadow(machine).hidden_faults:
        raise Failed("pages are mapped", "none is: all faults are taken for true", HINTS["walk"])
    alike_roughly(make, MODES, hint, OFTEN_ENOUGH)


CASES = (
    Case("hidden faults, accessed bits", 3, _test(
        "walk", _kernel(READS, pages=FAR_PAGES), hidden=40)),
    Case("dirty bits", 3, _test("dirty", _kernel(WRITES, pages=DIRTY_PAGES), hidden=40)),
    Case("true faults", 3, _test("true", _kernel(MISSING, pages=ABSENT))),
    Case("user or supervisor, read or write", 3, _test(
        "rights",
        _kernel(RIGHTS, ring=3, **_user_pages()),
        _kernel(RIGHTS, ring=0, **_user_pages()),
        _kernel(RIGHTS, ring=0, wp=True, **_user_pages()))),
    Case("pages of 4 MiB", 2, _untraced(
        "large", _kernel(BIG, cr4=PSE, wp=True, large=BIG_ONES),
        _kernel(NOT_BIG, pages={FAR: SPARE | ALL, FAR + 0x1000: SPARE | ALL},
                large={FAR: FIRST_TABLE | ALL | LARGE}))),
    Case("global pages", 1, _untraced(
        "global", _kernel(GLOBAL_PAGES, cr4=PGE, pages=GLOBALS),
        _kernel(GLOBAL_PAGES, pages=GLOBALS))),
    Case("traced page tables: a shadow that is never stale", 2, _coherent),
    Case("traced page tables: nothing else changes", 1, _still_right),
    Case("a whole guest", 2, _embedded),
)  # fmt: skip
