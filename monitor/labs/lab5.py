"""Lab 5: make chaining work.

The student's class Chaining (monitor/extensions/chaining.py) patches direct branches in the
translation cache, and takes the patches back. Small kernels run bare and translated, instruction by
instruction and in longer pieces; both must be the same all along, and direct branches must stop to
leave the cache.
"""

from __future__ import annotations

from collections.abc import Callable

from bt.assembler import assemble
from monitor.extensions import Extensions
from monitor.guests.small_kernel import PRESENT, TIMER, USER, WRITE, Kernel, descriptor, gate
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
from monitor.lockstep.pair import MakeMachine, Pair
from monitor.machine import Machine

MODES = ("bare", "translate")
FREELY = Stage(step=211, memory_every=2110)
IN_ONE = Stage(step=100_000, memory_every=100_000)
EMBEDDED_MOST = 2_000_000
EMBEDDED_EXITS = 1500
SETUP_EXITS = 30  # of the kernel around the program, at most

HINTS = {
    "link": "A slot becomes E9 and a displacement, counted from behind the jump. A conditional "
    "branch has its own: 0F 8x and a displacement, six bytes at exit.jump.",
    "interrupt": "What runs next need not be what the branch leads to: an interrupt may have come "
    "between. Compare next_block with exit.target.",
    "context": "The same EIP has another translation in another context: IOPL 3 is not IOPL 0.",
    "changed": "When a block is dropped, every jump that leads to it becomes an exit again: INT3 "
    "in its slot, or the Jcc's displacement back to the slot. So note who leads where.",
    "emptied": "When the cache is emptied, the addresses that you have noted mean nothing more.",
}


def _maker(submission: Submission, kernel: Kernel) -> MakeMachine:
    return kernel_maker(kernel, "translate", Extensions(chaining=submission.part("Chaining")))


def _check(make: MakeMachine, most: int, hint: str, limit: int = 300_000) -> None:
    """Run: at most so many direct branches leave the cache."""
    machine, _ = run_alone(make, "translate", hint, limit)
    exits = machine.statistics()["exits"].get("chain", 0)
    if exits > most:
        raise Failed(f"at most {most} exits of direct branches", str(exits), HINTS["link"])


def _test(hint: str, most: int, *kernels: Kernel) -> Callable[[Submission], None]:
    """`most`: exits of direct branches that may be left, of those in the program."""

    def test(submission: Submission) -> None:
        for kernel in programs(kernels):
            make = _maker(submission, kernel)
            _check(make, SETUP_EXITS + most, HINTS[hint])
            alike(make, MODES, HINTS[hint], CLOSE)
            alike(make, MODES, HINTS[hint], FREELY)

    return test


# --- the programs ------------------------------------------------------------------------

CONDITIONAL = """
    mov  ecx, 300
again:
    inc  eax
    test al, 1
    jz   even
    add  ebx, 3
even:
    test al, 7
    jnz  .on
    add  edx, 5
.on:
    dec  ecx
    jnz  again
    int  0x31
"""
OTHERS = """
    mov  ecx, 200
again:
    call one
    jmp  there
    nop
there:
    mov  esi, ecx
    mov  ecx, 3
inner:
    inc  edi
    loop inner
    jecxz zero
    inc  edi
zero:
    mov  ecx, esi
    dec  ecx
    jnz  again
    int  0x31
one:
    call two
    call two
    ret
two:
    inc  ebx
    ret
"""
BRANCHES = 600  # enough for the first interrupt, which comes after some 430 instructions
LATER = TIMER.replace("al, 2", "al, 5")  # of the timer's ticks: two are over when it is unmasked
# Branches that are all new, so that an interrupt meets one at its first time; then once more.
FRESH = (
    LATER
    + "    sti\n    mov  ecx, 2\nagain:\n"
    + "".join(f"    jmp  fresh{n}\n    nop\nfresh{n}:\n" for n in range(BRANCHES))
    + "    dec  ecx\n    jnz  again\n    cli\n    int  0x31\n"
)
# The handler is 16-bit code, which is emulated. It gives the program IOPL 0, between a branch in
# one context and its target in another. The second time, the program keeps IOPL 3.
CONTEXTS = (
    LATER
    + "    mov  ecx, 2\n    mov  esi, DATA\nagain:\n    push 0x3202\n    popfd\n"
    + "".join(f"    jmp  context{n}\n    nop\ncontext{n}:\n" for n in range(BRANCHES))
    + """
    pushfd
    pop  dword ptr [esi]
    add  esi, 4
    mov  al, 0x30                   ; the timer waits for a count: no more interrupts
    out  0x43, al
    push 2
    popfd
    dec  ecx
    jnz  again
    int  0x31
"""
)
CHANGES = """
    mov  ecx, 12
again:
    call routine
    add  [DATA], eax
    add  byte ptr [routine + 1], 3  ; MOV's immediate
    test cl, 1
    jz   target
    inc  ebx
target:
    mov  edx, 1
    add  [DATA + 4], edx
    add  byte ptr [target + 1], 2
    jmp  other
    nop
other:
    mov  edi, 1
    add  [DATA + 8], edi
    add  byte ptr [other + 1], 5
    mov  esi, 4
    mov  ebp, 0
spin:
    add  ebp, 1                     ; a loop that changes itself
    add  byte ptr [spin + 2], 1
    dec  esi
    jnz  spin
    add  [DATA + 12], ebp
    dec  ecx
    jnz  again
    mov  ecx, 200
quiet:
    call routine
    dec  ecx
    jnz  quiet
    int  0x31
    .align 64
routine:
    mov  eax, 1
    ret
"""
MOVES = """
    mov  ecx, 6
    mov  esi, 0x200000
again:
    call 0x200000
    add  [DATA], eax
    mov  edx, 50
quiet:
    call 0x200000
    add  [DATA + 4], eax
    dec  edx
    jnz  quiet
    xor  dword ptr [TABLE + 0x800], 0x3000      ; frame 211000 or 212000
    INVLPG
    dec  ecx
    jnz  again
    int  0x31
""".replace("INVLPG", ".byte 0x0f, 0x01, 0x3e")
CODE_PAGE = 0x200000
ROUTINES = {0x211000: bytes.fromhex("b801000000 c3"), 0x212000: bytes.fromhex("b802010000 40 c3")}

# Two loops with little in common. What is translated second lies where the first one was.
EMPTIED = (
    "    mov  ecx, 30\nfirst:\n"
    + "    add  eax, 7\n    imul eax, eax, 3\n" * 12
    + """
    call routine
    dec  ecx
    jnz  first
    mov  ebx, 30
second:
    mov  edx, 1
    add  [DATA], edx
    add  byte ptr [second + 1], 1
    jmp  third
    nop
third:
"""
    + "    imul edx, edx, 5\n    add  edx, ebx\n    xor  edx, 0x1234\n" * 6
    + """
    call routine
    add  [DATA + 4], edx
    add  byte ptr [routine + 2], 1
    jmp  fourth
    nop
fourth:
"""
    + "    rol  edx, 3\n    xor  edx, eax\n" * 6
    + """
    call routine
    dec  ebx
    jnz  second
    int  0x31
    .align 64
routine:
    add  eax, 1
    ret
"""
)
LOOP = 29  # instructions of the first one, each time around


def _contexts(submission: Submission) -> None:
    hint = HINTS["context"]
    handler = """
        and  byte ptr ss:[esp + 9], 0xcf
        push eax
        mov  al, 0x20
        out  0x20, al
        pop  eax
        iretd
    """
    place, selector = 0x20000, 0x38
    kernel = Kernel(
        CONTEXTS,
        gdt={selector: descriptor(place, 0xFFFF, 0x009B)},
        idt={0x20: gate(0, 0x8E, selector=selector)},
        memory={place: assemble(handler, bits=16)},
    )
    make = _maker(submission, kernel)
    _check(make, SETUP_EXITS + BRANCHES + 150, hint)
    # The handler in small steps: in longer pieces, what follows it would be emulated as well. Then
    # in one piece: every other one begins in the right context.
    first_round = Stage(instructions=BRANCHES + 100, step=1, memory_every=100)
    alike(make, MODES, hint, first_round, IN_ONE)


def _interrupts(submission: Submission) -> None:
    hint = HINTS["interrupt"]
    make = _maker(submission, Kernel(FRESH))
    _check(make, SETUP_EXITS + BRANCHES + 150, hint)
    alike(make, MODES, hint, FREELY)


def _emptied(submission: Submission) -> None:
    """The monitor empties the cache now and then; between, and behind, all is as before."""
    hint = HINTS["emptied"]
    kernel = Kernel(EMPTIED)
    make = _maker(submission, kernel)
    _check(make, SETUP_EXITS + 100, hint)
    first, second = (_count_at(make, kernel.symbol(name)) for name in ("first", "second"))
    for places in ((first, second), (first + LOOP, second + 3), (first + 3 * LOOP + 5, second)):
        pair = Pair(make, MODES)
        for place in (*places, 100_000):
            pair.advance(place - pair.count)
            if pair.ends is not None:
                raise_if_stopped(pair.ends[1])
            if not pair.agree():
                rows = "; ".join(f"{name} bare {a}, yours {b}" for name, a, b in pair.rows()[:4])
                raise Failed("the same as in mode bare", rows, hint)
            pair.other.processor.forget_translations()  # type: ignore[attr-defined]


def _count_at(make: MakeMachine, address: int) -> int:
    """After how many instructions the program comes there first."""
    machine = make("bare")
    machine.run(until_address=address, max_instructions=100_000)
    return machine.instructions


def _embedded(submission: Submission) -> None:
    """The guest that comes with the package, to its end."""
    hint = "Every test before passes? Then look at pages with code of user programs."
    extensions = Extensions(chaining=submission.part("Chaining"))

    def make(mode: str) -> Machine:
        return embedded_guest(mode, extensions if mode == "translate" else None)

    _check(make, EMBEDDED_EXITS, hint, EMBEDDED_MOST)
    alike_roughly(make, MODES, hint, OFTEN_ENOUGH)


CASES = (
    Case("conditional branches", 3, _test("link", 12, Kernel(CONDITIONAL))),
    Case("JMP, CALL, LOOP, JECXZ", 3, _test("link", 24, Kernel(OTHERS))),
    Case("an interrupt between branch and target", 3, _interrupts),
    Case("the target in another context", 2, _contexts),
    Case("code that changes", 4, _test("changed", 150, Kernel(CHANGES))),
    Case("code that is mapped elsewhere", 1, _test(
        "changed", 60, Kernel(MOVES, paging=True, memory=ROUTINES,
                              pages={CODE_PAGE: 0x211000 | PRESENT | WRITE | USER}))),
    Case("an emptied cache", 2, _emptied),
    Case("a whole guest", 2, _embedded),
)  # fmt: skip
