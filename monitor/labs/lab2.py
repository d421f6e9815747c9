"""Lab 2: write a trap-and-emulate handler.

The student's `handle(cpu)` (monitor/extensions/handler.py) emulates the privileged instructions of
a guest kernel that runs in ring 3. Small kernels run in mode trap, with the handler and without,
instruction by instruction; both must be the same all along. A test also counts what the handler has
declined: the monitor would have emulated it as well.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from bt.lengths import PREFIXES
from monitor.extensions import Extensions
from monitor.guests.small_kernel import LOG, LOG_END, TABLES, TIMER, Kernel
from monitor.labs.cases import Case, Failed
from monitor.labs.running import CLOSE, OFTEN_ENOUGH, alike, alike_roughly, kernel_maker, run_alone
from monitor.labs.submission import Submission
from monitor.lockstep import embedded_guest
from monitor.lockstep.pair import MakeMachine
from monitor.machine import Machine
from monitor.vmm.events import ExitEvent

MODES = ("trap", "handler")
DECLINED, HANDLED = "#GP declined", "#GP handled"
ONE_BYTE = {0xFA: "CLI", 0xFB: "STI", 0xF4: "HLT"}
ONE_BYTE |= dict.fromkeys((0xE4, 0xE5, 0xEC, 0xED), "IN")
ONE_BYTE |= dict.fromkeys((0xE6, 0xE7, 0xEE, 0xEF), "OUT")
TWO_BYTE = {0x06: "CLTS", 0x20: "MOV from CR", 0x22: "MOV to CR"}
TABLE_LOADS = {2: "LGDT", 3: "LIDT"}
EMBEDDED_MOST = 2_000_000


def name_of(code: bytes) -> str:
    """The instructions that the lab is about, by name; else nothing."""
    code = code.lstrip(bytes(PREFIXES))
    if code[:1] != b"\x0f":
        return ONE_BYTE.get(code[0], "") if code else ""
    if code[1:2] == b"\x01" and len(code) > 2 and code[2] < 0xC0:
        return TABLE_LOADS.get(code[2] >> 3 & 7, "")
    return TWO_BYTE.get(code[1], "") if len(code) > 1 else ""


@dataclass
class Record:
    """What the handler declined in ring 0 of the guest, by name."""

    declined: Counter[str] = field(default_factory=Counter)
    first: dict[str, int] = field(default_factory=dict)  # EIP where it was first declined

    def listen(self, machine: Machine) -> None:
        machine.on_exit.append(lambda event: self._note(machine, event))

    def _note(self, machine: Machine, event: ExitEvent) -> None:
        if event.reason == DECLINED and machine.processor.ideal.cpl == 0:
            name = name_of(_code(machine, event.eip))
            if name:
                self.declined[name] += 1
                self.first.setdefault(name, event.eip)


def _code(machine: Machine, eip: int) -> bytes:
    physical = machine.processor.ideal.peek_translation(eip)
    return machine.memory.read(physical, 15) if physical >= 0 else b""


def _make(submission: Submission, kernel: Kernel) -> MakeMachine:
    handler = submission.part("handle")
    return kernel_maker(kernel, "handler", Extensions(handler=handler))


def _test(source: str, names: tuple[str, ...], hint: str, **options: object) -> Callable[
    [Submission], None
]:  # fmt: skip
    """A kernel in which the handler must emulate these instructions, as the processor does."""

    def test(submission: Submission) -> None:
        make = _make(submission, Kernel(source, **options))  # type: ignore[arg-type]
        _check(make, names, hint)
        alike(make, MODES, hint, CLOSE)

    return test


def _check(make: MakeMachine, names: tuple[str, ...], hint: str, most: int = 100_000) -> None:
    record = Record()
    run_alone(make, "handler", hint, most, record.listen)
    for name in names:
        if record.declined[name]:
            raise Failed(f"handle() emulates {name} and returns True",
                         f"declined {record.declined[name]} times, first at "
                         f"EIP {record.first[name]:#x}", hint)  # fmt: skip


PORTS = """
    mov  eax, 0x12345678
    mov  ecx, 0x9abcdef0
    out  0xe9, al
    mov  dx, 0xe9
    out  dx, al
    mov  al, 0x5a
    out  0x21, al
    xor  eax, eax
    in   al, 0x21           ; 5A
    mov  [DATA], eax
    mov  eax, 0x11223344
    in   al, 0x21           ; the other bytes of EAX stay
    mov  [DATA + 4], eax
    mov  dx, 0x21
    in   al, dx
    mov  eax, 0x11223344
    mov  edx, 0xaaaa0300    ; only DX counts; nobody is there: ones
    in   ax, dx
    mov  [DATA + 8], eax
    in   eax, dx
    mov  [DATA + 12], eax
    in   ax, 0x80
    in   eax, 0x80
    out  0x80, ax
    out  0x80, eax
    out  dx, ax
    out  dx, eax
    mov  al, 0x0b
    out  0x70, al
    in   al, 0x71
    mov  [DATA + 16], al
    int  0x31
"""

FLAGS = TIMER + """
    mov  ecx, 150
again:
    sti
    nop
    cli
    nop
    sti
    inc  dword ptr [DATA]   ; STI's shadow: no interrupt in front of this
    inc  dword ptr [DATA + 4]
    sti
    sti
    cli
    inc  ebx
    dec  ecx
    jnz  again
    sti
    nop
    nop
    cli
    int  0x31
"""

HALT = TIMER + """
    mov  ecx, 5
    sti
again:
    hlt
    inc  dword ptr [DATA]
    dec  ecx
    jnz  again
    cli
    sti
    hlt
    cli
    int  0x31
"""

LOADS = """
    lidt [idt_copy]
    mov  ebx, gdt_copy - 16
    .byte 0x0f, 0x01, 0x53, 0x10                            ; LGDT [EBX + 16]
    mov  esi, 2
    mov  ebx, idt_copy
    .byte 0x0f, 0x01, 0x5c, 0xb3, 0xf8                      ; LIDT [EBX + ESI * 4 - 8]
    push dword ptr [gdt_copy + 4]
    push dword ptr [gdt_copy]
    .byte 0x0f, 0x01, 0x14, 0x24                            ; LGDT [ESP]
    lea  esp, [esp + 8]
    mov  ebp, gdt_copy + 0x1000
    .byte 0x0f, 0x01, 0x95, 0x00, 0xf0, 0xff, 0xff          ; LGDT [EBP - 0x1000]
    mov  ax, 0x10
    mov  ds, ax
    mov  dword ptr [RESUME], after
    ud2
after:
    mov  edx, strange_idt
    .byte 0x66, 0x0f, 0x01, 0x1a    ; LIDT of 16 bits: 24 bits of base
    mov  dword ptr [RESUME], last
    ud2
last:
    int  0x31
    .align 8
gdt_copy:
    .short 0x1ff
    .long GDT
    .align 8
idt_copy:
    .short 0x7ff
    .long IDT
    .align 8
strange_idt:
    .short 0x7ff
    .long IDT + 0x77000000
"""

CONTROL = f"""
    mov  eax, cr0
    mov  [DATA], eax
    mov  ebx, cr3
    mov  [DATA + 4], ebx
    mov  esi, 0x200000
    mov  dword ptr [esi], 0x1111
    mov  dword ptr [esi + 0x1000], 0x2222
    mov  ecx, [esi]
    mov  eax, [{TABLES:#x} + 0x804]     ; the entry of 201000
    mov  [{TABLES:#x} + 0x800], eax     ; now that of 200000, too
    mov  cr3, ebx                       ; and nothing may remember the old one
    mov  ecx, [esi]
    mov  [DATA + 8], ecx
    mov  edi, cr0
    or   edi, 8
    mov  cr0, edi                       ; TS
    mov  dword ptr [RESUME], traps
    fninit                              ; #NM
    nop
traps:
    nop                                 ; with RF set, the monitor does it
    clts
    fninit
    mov  edi, cr0
    mov  edx, cr2
    mov  ebp, cr4
    mov  dword ptr [RESUME], faults
    mov  eax, [0x700000]
    nop
faults:
    mov  ecx, cr2
    int  0x31
"""

NOT_YOURS = """
    mov  dword ptr [RESUME], one
    cli
    nop
one:
    mov  dword ptr [RESUME], two
    in   al, 0x21
    nop
two:
    mov  dword ptr [RESUME], three
    hlt
    nop
three:
    mov  dword ptr [RESUME], four
    mov  eax, 0
    mov  cr0, eax
    nop
four:
    mov  dword ptr [RESUME], five
    mov  ax, 0x1f8
    mov  ds, ax
    nop
five:
    mov  dword ptr [RESUME], six
    lgdt [DATA]
    nop
six:
    int  0x31
"""
USER_VECTORS = 6


def _not_yours(submission: Submission) -> None:
    """A user program tries what it may not: each time the guest's handler hears of it."""
    hint = ("CPL 3 is not ring 0: cpu.cpl and, for CLI, STI, IN and OUT, cpu.iopl decide whether "
            "the instruction is allowed. What is not is declined.")  # fmt: skip
    make = _make(submission, Kernel(NOT_YOURS, ring=3))
    machine, _ = run_alone(make, "handler", hint, 100_000)
    lines = max(0, int.from_bytes(machine.read_physical(LOG_END, 4), "little") - LOG) // 32
    _something_was_handled(machine)
    if lines != USER_VECTORS:
        raise Failed(f"{USER_VECTORS} #GP in the guest", f"{lines}", hint)
    alike(make, MODES, hint)


def _ports_by_permission(submission: Submission) -> None:
    """With IOPL 3, user code may use ports and CLI; the handler may emulate or decline them."""
    hint = "With CPL <= IOPL user code may do CLI, STI, IN and OUT, and nothing else of ring 0's."
    source = "cli\n in al, 0x21\n sti\n mov dword ptr [RESUME], on\n hlt\n nop\n on: int 0x31"
    make = _make(submission, Kernel(source, ring=3, flags=0x3202))
    machine, _ = run_alone(make, "handler", hint, 100_000)
    _something_was_handled(machine)
    alike(make, MODES, hint)


def _something_was_handled(machine: Machine) -> None:
    if not machine.statistics()["exits"].get(HANDLED, 0):
        expected = "the kernel around the program is emulated"
        raise Failed(expected, "nothing is", "Write what ring 0 may do first.")


def _embedded(submission: Submission) -> None:
    """The guest that comes with the package, to its end."""
    handler = submission.part("handle")
    hint = "Every test before passes? Then print what is declined: cpu.eip, cpu.code()."

    def make(mode: str) -> Machine:
        return embedded_guest("trap", Extensions(handler=handler) if mode == "handler" else None)

    _check(make, tuple(NAMES), hint, EMBEDDED_MOST)
    alike_roughly(make, MODES, hint, OFTEN_ENOUGH)


NAMES = dict.fromkeys((*ONE_BYTE.values(), *TWO_BYTE.values(), *TABLE_LOADS.values()))

CASES = (
    Case("CLI and STI", 3, _test(
        FLAGS, ("CLI", "STI"),
        "cpu.interrupt_flag is the guest's IF. After STI, one more instruction runs before an "
        "interrupt may come: cpu.hold_interrupts().")),
    Case("HLT", 2, _test(
        HALT, ("HLT",),
        "EIP goes behind HLT, then cpu.halt(): the interrupt returns to the next instruction.")),
    Case("IN and OUT", 4, _test(
        PORTS, ("IN", "OUT"),
        "E4-E7 have the port in a byte, EC-EF in DX; bit 0 says byte or not, prefix 66 makes it 16 "
        "bits. IN to AL or AX keeps the rest of EAX.")),
    Case("LGDT and LIDT", 3, _test(
        LOADS, ("LGDT", "LIDT"),
        "0F 01 /2 and /3. cpu.operand(at) finds the operand: a word of limit, then the base, of "
        "which prefix 66 leaves 24 bits.")),
    Case("MOV to and from CR, CLTS", 3, _test(
        CONTROL, ("MOV to CR", "MOV from CR", "CLTS"),
        "0F 20 and 0F 22: ModRM.reg is the control register, ModRM.rm the general one.",
        paging=True, pages={0x700000: 0})),
    Case("what a user program may not do", 2, _not_yours),
    Case("a user program with IOPL 3", 1, _ports_by_permission),
    Case("a whole guest", 2, _embedded),
)  # fmt: skip
