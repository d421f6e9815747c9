"""Lab 3: write the stubs of CLI, STI, PUSHF and POPF.

The student's STUBS (monitor/extensions/stubs.py says what a template is) stand in the translation
cache in place of the monitor's. Small kernels run bare and translated, instruction by instruction;
both must be the same all along, and no exit may happen where a stub should have done the work.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from monitor.extensions import Extensions
from monitor.extensions.stubs import BadStub, OwnStubs
from monitor.guests.small_kernel import DIRTY, PRESENT, USER, WRITE, Kernel, fault_task
from monitor.labs.cases import Case, Failed
from monitor.labs.running import CLOSE, alike, kernel_maker, run_alone
from monitor.labs.submission import Refused, Submission
from monitor.lockstep import Stage
from monitor.lockstep.pair import MakeMachine
from monitor.machine import Machine
from monitor.vmm.events import ExitEvent

MODES = ("bare", "translate")
BYTES = {0xFA: "CLI", 0xFB: "STI", 0x9C: "PUSHF", 0x9D: "POPF"}
FREELY = Stage(step=211, memory_every=2110)  # in pieces that leave the engine time to run
ROUNDS = 40
USUAL = ("shadow fill", "chain", "indirect branch")  # exits that are not the stub's

HINTS = {
    "CLI": "VSYS is in the vCPU page: gs:[VSYS]. MOV leaves the flags alone, AND does not.",
    "STI": "Only bit 9 of VSYS counts. What was there before goes to STI_BEFORE, by a register "
    "that you spill before and reload after.",
    "PUSHF": "PUSHFD first: nothing behind it can fault. The real IF is always 1. POPFD brings the "
    "arithmetic flags back and takes the image off the stack.",
    "POPF": "The image is on the stack. VSYS takes it whole, POPFD takes the rest; the POP before "
    "moved ESP.",
    "LEAVES": "TF and IOPL are the monitor's business: if the image has one of them (0x3100), jump "
    "to slow, where there is an exit.",
    "FAULTS": "An access to the stack may fault in the middle. Which registers are in their slots "
    "there? The tags say so, and belong to every line that can fault or leave.",
    "INTERRUPTS": "While an interrupt waits, a write to VSYS faults, and the monitor emulates. "
    "What has the stub changed by then? And `done` belongs to its last instruction.",
}


def stubs_of(submission: Submission) -> dict[str, str]:
    """The student's templates; Refused with the line of the file where one is wrong."""
    stubs = submission.part("STUBS")
    if not isinstance(stubs, dict):
        raise Refused(f"{submission.path.name}: STUBS is a dictionary of templates by name")
    try:
        OwnStubs(stubs)
    except BadStub as error:
        raise Refused(f"{submission.path.name}:{_line_of(submission, error)}: {error}") from None
    return stubs


def _line_of(submission: Submission, error: BadStub) -> int:
    """Where a line of a template stands in the file; 1 where it cannot be found."""
    lines = submission.path.read_text(encoding="utf-8", errors="replace").splitlines()
    for number, line in enumerate(lines, 1):
        if error.line and error.line in line:
            return number
    return 1


def _maker(submission: Submission, kernel: Kernel) -> MakeMachine:
    return kernel_maker(kernel, "translate", Extensions(stubs=stubs_of(submission)))


def _no_exits(make: MakeMachine, allowed: int, names: tuple[str, ...], hint: str) -> None:
    """Run translated; at these instructions there are at most so many exits."""
    exits: Counter[str] = Counter()

    def watch(machine: Machine) -> None:
        def listen(event: ExitEvent) -> None:
            physical = machine.processor.ideal.peek_translation(event.eip)
            code = machine.memory.read(physical, 1)[0] if physical >= 0 else 0
            if BYTES.get(code) in names and event.reason not in USUAL:
                exits[BYTES[code]] += 1

        machine.on_exit.append(listen)

    run_alone(make, "translate", hint, prepare=watch)
    for name in names:
        if exits[name] > allowed:
            raise Failed(f"at most {allowed} exits at {name}" if allowed else f"no exit at {name}",
                         f"{exits[name]} exits", hint)  # fmt: skip


def _test(
    source: str, names: tuple[str, ...], hint: str, allowed: int = 0, **options: object
) -> Callable[[Submission], None]:
    def test(submission: Submission) -> None:
        make = _maker(submission, Kernel(source, **options))  # type: ignore[arg-type]
        _no_exits(make, allowed, names, HINTS[hint])
        alike(make, MODES, HINTS[hint], CLOSE)
        alike(make, MODES, HINTS[hint], FREELY)

    return test


# Flags in all sorts of states go through; what they are afterwards is stored. The two PUSHF and
# POPF of the harness are LAHF and SAHF, and SETcc, so that each test needs one stub only.
FLAG_STATES = """
    mov  ecx, {rounds}
    mov  esi, DATA
again:
    mov  eax, ecx
    imul eax, eax, 0x1357
    sahf                    ; SF ZF AF PF CF
{code}
    lahf
    mov  [esi], ax
    seto [esi + 2]
    add  esi, 4
    mov  eax, 0x7fffffff
    add  eax, ecx           ; OF
{code}
    seto [esi]
    setc [esi + 1]
    setz [esi + 2]
    lea  esi, [esi + 4]
    dec  ecx
    jnz  again
    int  0x31
"""


def _states(code: str, rounds: int = ROUNDS) -> str:
    return FLAG_STATES.format(rounds=rounds, code=code)


PUSH_IMAGES = _states("    pushfd\n    pop  dword ptr [esi + 0x400]") + "\n"
POP_IMAGES = """
    mov  ecx, 48
    mov  esi, DATA
again:
    mov  eax, ecx
    imul eax, eax, 0x6b43a9b5
    and  eax, 0x00244cd5    ; ID AC NT OF DF SF ZF AF PF CF, and never TF, IF or IOPL
    push eax
    popfd
    lahf
    mov  [esi], ax
    seto [esi + 2]
    setb [esi + 3]
    mov  eax, ecx
    and  eax, 1
    shl  eax, 9             ; IF
    push eax
    popfd
    lahf
    mov  [esi + 4], ax
    mov  edi, esi
    mov  eax, ecx
    lea  esi, [esi + 8]
    dec  ecx
    jnz  again
    push 2
    popfd
    int  0x31
"""
LEAVING = """
    mov  esi, DATA
    push 0x1202             ; IOPL 1
    popfd
    pushfd
    pop  dword ptr [esi]
    push 0x3246             ; IOPL 3, IF
    popfd
    pushfd
    pop  dword ptr [esi + 4]
    push 2
    popfd
    push 0x102              ; TF: one instruction, then #DB
    popfd
    nop
    nop
    pushfd
    pop  dword ptr [esi + 8]
    push 0x302              ; and with IF
    popfd
    inc  eax
    push 2
    popfd
    mov  ecx, 20            ; the usual images still do not leave
again:
    push 0x246
    popfd
    push 0x46
    popfd
    dec  ecx
    jnz  again
    int  0x31
"""
MIX = """
    mov  al, 0x34
    out  0x43, al
    mov  al, 2              ; the shortest period: every 335 instructions
    out  0x40, al
    mov  al, 0
    out  0x40, al
    mov  al, 0xfe
    out  0x21, al
    DELAY
    mov  ecx, 60
    mov  eax, 0x11111111
    mov  ebx, 0x22222222
again:
    sti
    pushfd
    cli
    inc  eax
    popfd
    sti
    sti
    inc  dword ptr [DATA]
    cli
    cli
    pushfd
    sti
    nop
    popfd
    pushfd
    or   dword ptr [esp], 0x200
    popfd
    inc  ebx
    pushfd
    and  dword ptr [esp], 0xFFFFFDFF
    popfd
    dec  ecx
    jnz  again
    cli
    int  0x31
"""
NEW_PAGES = """
    mov  eax, 0x55555555
    mov  ecx, 0x66666666
    mov  edx, 0x77777777
    mov  edi, 8
    mov  esi, 0x200000
again:
    lea  esi, [esi + 0x1000]
    mov  esp, esi
    cli
    pushfd                  ; a page that the shadow does not have yet
    sti
    lea  esp, [esi + 0x20002]
    pushfd                  ; across two of them
    lea  esp, [esi + 0x40ffe]
    popfd                   ; and for reading
    cmp  eax, ecx
    lea  esp, [esi + 0x60000]
    pushfd
    sti
    popfd
    cli
    dec  edi
    jnz  again
    mov  esp, 0x9000
    int  0x31
"""
TRUE_FAULT = """
    mov  eax, 0x55555555
    mov  ecx, 0x66666666
    cmp  eax, ecx
    mov  esp, {esp:#x}
    {instruction}
    nop
caught:
    mov  eax, cr2
    int  0x31
"""
GONE = 0x300000
MAPPED = PRESENT | WRITE | USER | DIRTY


def _faults(submission: Submission) -> None:
    hint = HINTS["FAULTS"]
    pages = {0x200000 + 0x1000 * n: 0x200000 + 0x1000 * n | PRESENT | WRITE for n in range(256)}
    make = _maker(submission, Kernel(NEW_PAGES, paging=True, pages=pages))
    _no_exits(make, 0, ("CLI", "PUSHF", "STI", "POPF"), hint)
    alike(make, MODES, hint, CLOSE)
    for instruction, esp in (("pushfd", GONE + 4), ("pushfd", GONE + 0x1000), ("popfd", GONE),
                             ("popfd", GONE - 2), ("pushfd", GONE + 0x1002)):  # fmt: skip
        source = TRUE_FAULT.format(esp=esp, instruction=instruction)
        kernel = fault_task(Kernel(source, paging=True, pages={GONE: 0}), "caught", 14)
        alike(_maker(submission, kernel), MODES, hint, CLOSE)


def _interrupts(submission: Submission) -> None:
    hint = HINTS["INTERRUPTS"]
    quiet = MIX.replace("out  0x21, al", "nop").replace("DELAY", "")
    _no_exits(_maker(submission, Kernel(quiet)), 0, ("CLI", "STI", "PUSHF", "POPF"), hint)
    for delay in (0, 3, 7):
        make = _maker(submission, Kernel(MIX.replace("DELAY", "nop\n" * delay)))
        alike(make, MODES, hint, CLOSE)
        alike(make, MODES, hint, FREELY)


CASES = (
    Case("CLI", 3, _test(_states("    cli"), ("CLI",), "CLI", flags=0x202)),
    Case("STI", 4, _test(_states("    sti\n    nop\n    sti"), ("STI",), "STI")),
    Case("PUSHF, IF clear", 2, _test(PUSH_IMAGES, ("PUSHF",), "PUSHF")),
    Case("PUSHF, IF set", 2, _test(PUSH_IMAGES, ("PUSHF",), "PUSHF", flags=0x202)),
    Case("POPF", 4, _test(POP_IMAGES, ("POPF",), "POPF")),
    Case("POPF leaves for TF and IOPL", 1, _test(LEAVING, ("POPF",), "LEAVES", 6)),
    Case("faults in the middle of a stub", 2, _faults),
    Case("interrupts at every place", 2, _interrupts),
)
