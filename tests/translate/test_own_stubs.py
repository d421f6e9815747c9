"""Stubs that somebody else has written: for every problem instruction, with its operands.

The guest has to be the same as bare all along, whatever stands in the cache; a stub that is wrong
ends its machine with a report or is found by the comparison.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from kernel_lab import CODE, Kernel, descriptor, fault_task, make
from patience import PATIENCE

from bt.policy import policies
from bt.stubs import TEMPLATES
from bt.table import TABLE
from monitor import Machine
from monitor.extensions import Extensions
from monitor.extensions.names import entries, name_of, refusal
from monitor.extensions.problem import Immediate, Memory, Problem, Register, SystemRegister
from monitor.extensions.slots import SLOTS, own_memory
from monitor.extensions.stubs import BadStub, OwnStubs
from monitor.guests.small_kernel import TIMER
from monitor.labs.cases import Failed
from monitor.labs.running import CLOSE, alike
from monitor.lockstep import Stage
from monitor.vmm.errors import UserError
from monitor.vmm.events import ExitEvent

FREELY = Stage(step=211, memory_every=2110)
MODES = ("bare", "translate")
USUAL = ("shadow fill", "chain", "indirect branch")


def maker(kernel: Kernel, stubs: Mapping[str, Any], **options: Any) -> Any:
    def make_one(mode: str) -> Machine:
        if mode == "bare":
            return make(kernel, mode)
        return make(kernel, mode, extensions=Extensions(stubs=stubs), **options)

    return make_one


def same(kernel: Kernel | str, stubs: Mapping[str, Any]) -> Counter[str]:
    """The same as bare in every instruction. What the program exits for, its end apart."""
    kernel = Kernel(kernel) if isinstance(kernel, str) else kernel
    alike(maker(kernel, stubs), MODES, "", CLOSE, FREELY)
    return exits(kernel, stubs)


def exits(kernel: Kernel | str, stubs: Mapping[str, Any], **options: Any) -> Counter[str]:
    """What the program exits for, its end apart, when it runs without a stop."""
    kernel = Kernel(kernel) if isinstance(kernel, str) else kernel
    machine = maker(kernel, stubs, **options)("translate")
    found: Counter[str] = Counter()
    last = CODE + len(kernel.program.image) - 2

    def listen(event: ExitEvent) -> None:
        if CODE <= event.eip < last and event.reason not in USUAL:
            found[event.reason] += 1

    machine.on_exit.append(listen)
    outcome = machine.run(max_instructions=300_000, timeout=PATIENCE)
    assert outcome.kind == "exit", outcome
    return found


def repeated(code: str, rounds: int = 20) -> str:
    """A loop around it; EDI counts, ESI leads to memory."""
    return f"mov edi, {rounds}\n mov esi, DATA\nagain:\n{code}\n dec edi\n jnz again\n int 0x31\n"


# --- what can have one --------------------------------------------------------------------


def test_all_that_is_replaced_can_have_one() -> None:
    """Out of the table: what the translator does not copy, near branches apart."""
    rows = [row for policy, row in policies(False).values()
            if policy not in ("copy", "jcc", "loop", "jmp_near", "call_near", "ret_near", "jmp_e",
                              "call_e")]  # fmt: skip
    assert {name_of(row) for row in rows} | {"rdtsc"} == set(entries())
    for word in ("smsw", "in", "rdtsc", "mov to cr", "mov from dr", "push es", "ret far", "cpuid"):
        assert word in entries()


def test_a_name_stands_for_one_sort_of_instruction() -> None:
    """So that whoever writes a stub for a name knows which operands there are."""
    sorts: dict[str, set[str]] = {}
    for row in TABLE:
        if name_of(row) in entries() and row.modrm is None:
            body = row.body.removesuffix("_m").removesuffix("_imm").removesuffix("_dx")
            sorts.setdefault(name_of(row), set()).add(body)
    assert {name for name, bodies in sorts.items() if len(bodies) > 1} == set()


@pytest.mark.parametrize(("name", "told"), [
    ("smws", "did you mean smsw?"),
    ("add", "it is innocuous"),
    ("jmp", "near branches are linked"),
    ("vmcall", "no place of its own"),
    ("push", "say which: push es"),
    ("mov", "mov from cr"),
])  # fmt: skip
def test_what_cannot_have_one_is_told(name: str, told: str) -> None:
    with pytest.raises(BadStub) as caught:
        OwnStubs({name: "exit"})
    assert told in str(caught.value)
    if name not in ("push", "mov", "jmp"):  # which name those of their own
        assert all(known in refusal(name) for known in entries())


# --- operands -----------------------------------------------------------------------------


def problems(code: str | bytes, name: str) -> list[Problem]:
    """What a stub's author is shown of some kernel code."""
    source = code if isinstance(code, str) else "\n".join(f".byte {byte}" for byte in code)
    found: dict[int, Problem] = {}

    def note(problem: Problem) -> None:
        if CODE <= problem.eip < CODE + 0x100:  # else the kernel's start, or its handlers
            found[problem.eip] = problem

    machine = make(Kernel(f"{source}\n int 0x31\n"), "translate",
                   extensions=Extensions(stubs={name: note}))  # fmt: skip
    machine.run(max_instructions=10_000, timeout=PATIENCE)
    return [found[eip] for eip in sorted(found)]


@pytest.mark.parametrize(("code", "name", "operands", "spare"), [
    ("smsw ebx", "smsw", ["ebx"], "ecx eax esi"),
    ("smsw cx", "smsw", ["cx"], "eax esi"),
    ("smsw word ptr [esi + ecx*4 + 8]", "smsw", ["word ptr [esi + ecx*4 + 0x8]"], "eax"),
    ("smsw word ptr [ebp - 4]", "smsw", ["word ptr [ebp + 0xfffffffc]"], "ecx eax esi"),
    ("smsw word ptr es:[ebp]", "smsw", ["word ptr es:[ebp]"], "ecx eax esi"),
    ("smsw word ptr [ecx*2 + 0x9000]", "smsw", ["word ptr [ecx*2 + 0x9000]"], "eax esi"),
    ("smsw word ptr [esp]", "smsw", ["word ptr [esp]"], "ecx eax esi"),
    ("smsw word ptr [0x9000]", "smsw", ["word ptr [0x9000]"], "ecx eax esi"),
    (".byte 0x0f, 0x01, 0x06", "sgdt", ["[esi]"], "ecx eax"),
    ("in al, 0x80", "in", ["al", "0x80"], "ecx esi"),
    ("in eax, dx", "in", ["eax", "dx"], "ecx esi"),
    ("out dx, ax", "out", ["dx", "ax"], "ecx esi"),
    ("out 0x80, al", "out", ["0x80", "al"], "ecx esi"),
    ("mov eax, cr0", "mov from cr", ["eax", "cr0"], "ecx esi"),
    ("mov eax, cr0\n mov cr0, eax", "mov to cr", ["cr0", "eax"], "ecx esi"),
    ("mov ecx, dr7", "mov from dr", ["ecx", "dr7"], "eax esi"),
    ("mov ecx, ss", "mov from sreg", ["ecx", "ss"], "eax esi"),
    ("mov word ptr [esi], ds", "mov from sreg", ["word ptr [esi]", "ds"], "ecx eax"),
    ("mov eax, ds\n mov es, eax", "mov to sreg", ["es", "ax"], "ecx esi"),
    ("push es\n pop es", "pop es", ["es"], "ecx eax esi"),
    ("mov ecx, ds\n lar eax, ecx", "lar", ["eax", "cx"], "esi"),
    ("rdtsc", "rdtsc", [], "ecx eax esi"),
    ("verr word ptr [esi]", "verr", ["word ptr [esi]"], "ecx eax"),
    ("mov eax, ds\n verw ax", "verw", ["ax"], "ecx esi"),
    ("invlpg [esi + 1]", "invlpg", ["[esi + 0x1]"], "ecx eax"),
    (".byte 0xc4, 0x06", "les", ["eax", "[esi]"], "ecx"),
    ("jmp far 0x8:0x10000\n", "jmp far", ["0x8:0x10000"], "ecx eax esi"),
])  # fmt: skip
def test_operands(code: str, name: str, operands: list[str], spare: str) -> None:
    [problem] = problems("mov esi, DATA\n mov ebp, DATA\n" + code, name)
    shown = [str(operand) for operand in problem.operands]
    assert shown == operands
    assert " ".join(problem.spare) == spare
    assert problem.name == name and problem.next_eip == problem.eip + len(problem.code)


def test_operands_have_types() -> None:
    [problem] = problems("mov esi, DATA\n mov ecx, 0\n smsw word ptr [esi + ecx*8 + 2]", "smsw")
    where = Memory(3, Register(6, 4), Register(1, 4), 8, 2, 2)
    assert problem.memory == where and problem.register is None and problem.immediate is None
    assert where.part(4, 1) == "byte ptr [esi + ecx*8 + 0x6]"
    [problem] = problems("in al, 0x21", "in")
    assert problem.operands == (Register(0, 1), Immediate(0x21, 1))
    assert problem.register == Register(0, 1) and problem.immediate == Immediate(0x21, 1)
    [problem] = problems("push ds\n pop ds", "push ds")
    assert problem.operands == (SystemRegister("s", 3),)


def test_the_operand_size_is_told() -> None:
    found = problems("pushfd\n popfd\n .byte 0x66, 0x9c, 0x66, 0x9d", "pushf")
    assert [problem.operand_size for problem in found] == [4, 2]


@pytest.mark.parametrize("code", [
    b"\x64\x0f\x01\x25\x00\x90\x00\x00",  # SMSW fs:[0x9000]
    b"\x2e\x0f\x01\x25\x00\x90\x00\x00",  # cs:
    b"\x67\x0f\x01\x20",  # SMSW [bx + si]
], ids=["fs", "cs", "16-bit addressing"])  # fmt: skip
def test_operands_that_no_stub_can_reach_stay_the_monitors(code: bytes) -> None:
    assert problems(code, "smsw") == []


# --- the same guest -----------------------------------------------------------------------


def spilled(problem: Problem, lines: str) -> str:
    """Lines with a register T in the guest's way, W its low half, around which it is brought back.
    """
    name = problem.spare[0]
    lines = re.sub(r"\bW\b", name[1:], re.sub(r"\bT\b", name, lines))
    body = "\n".join(f"{line} | {name}" for line in lines.splitlines())
    slot = f"dword ptr gs:[SAVE_{name.upper()}]"
    return f"mov {slot}, {name}\n{body}\nmov {name}, {slot} | {name}, done"


def reads(slot: str) -> Any:
    """A stub for what stores a slot: into a register, or 16 bits of it into memory."""

    def stub(problem: Problem) -> str:
        register, memory = problem.register, problem.memory
        if register is not None:
            width = {2: "word", 4: "dword"}[register.size]
            return f"mov {register}, {width} ptr gs:[{slot}] | done"
        return spilled(problem, f"mov T, dword ptr gs:[{slot}]\nmov {memory}, W")

    return stub


def table_register(name: str) -> Any:
    def stub(problem: Problem) -> str | None:
        memory = problem.memory
        assert memory is not None and memory.size == 6
        if problem.operand_size == 2:
            return None
        limit = f"mov T, dword ptr gs:[{name}_LIMIT]\nmov {memory.part(0, 2)}, W"
        base = f"mov T, dword ptr gs:[{name}_BASE]\nmov {memory.part(2, 4)}, T"
        return spilled(problem, f"{limit}\n{base}")

    return stub


READS = repeated("""
    mov  ecx, 4
    smsw eax
    smsw bx
    smsw word ptr [esi + ecx*4]
    str  edx
    str  word ptr [esi + 0x20]
    sldt eax
    sldt word ptr [ecx + esi + 0x24]
    .byte 0x0f, 0x01, 0x46, 0x30            ; sgdt [esi + 0x30]
    .byte 0x0f, 0x01, 0x4c, 0xfe, 0x40      ; sidt [esi + edi*8 + 0x40]
    mov  eax, cr0
    mov  [esi + 0x28], eax
""")
READERS = {"smsw": reads("CR0"), "str": reads("TR_SELECTOR"), "sldt": reads("LDTR_SELECTOR"),
           "sgdt": table_register("GDTR"), "sidt": table_register("IDTR")}  # fmt: skip


@pytest.mark.parametrize("paging", [False, True])
def test_state_that_is_read_comes_from_slots(paging: bool) -> None:
    assert same(Kernel(READS, paging=paging), READERS) == {}


def test_without_them_each_is_an_exit() -> None:
    """But for SMSW, STR and SLDT into a register."""
    assert exits(READS, {}) == {"emulate": 20 * 5}


def test_stubs_can_be_left_out() -> None:
    found = exits(READS, READERS, without=("stubs",))
    assert found == exits(READS, {}, without=("stubs",)) == {"emulate": 20 * 10}


EVERYTHING = repeated("""
    mov  edx, 0x80
    cli
    sti
    pushfd
    popfd
    .byte 0x66, 0x9c, 0x66, 0x9d    ; pushf and popf of 16 bits
    mov  eax, cs
    mov  [esi], ds
    mov  eax, ds
    mov  es, eax
    push es
    pop  es
    push ss
    pop  ss
    push fs
    pop  fs
    smsw eax
    lmsw ax
    clts
    .byte 0x0f, 0x01, 0x06, 0x0f, 0x01, 0x16    ; sgdt and lgdt [esi]
    .byte 0x0f, 0x01, 0x0e, 0x0f, 0x01, 0x1e    ; sidt and lidt [esi]
    sldt eax
    lldt ax
    str  eax
    mov  eax, ds
    verr ax
    verw ax
    lar  ecx, eax
    lsl  ecx, eax
    mov  eax, cr3
    mov  cr3, eax
    mov  eax, dr7
    mov  dr7, eax
    invlpg [esi]
    wbinvd
    in   al, dx
    in   al, 0x80
    out  0x80, al
    out  dx, al
    rdtsc
    mov  ecx, 0x10
    rdmsr
    xor  eax, eax
    cpuid
    mov  [esi + 8], ds
    mov  dword ptr [esi + 4], 5
    les  eax, [esi + 4]
    push esi
    push es
    push edi
    mov  edi, esi
    cld
    insb
    pop  edi
    pop  es
    pop  esi
    pushfd
    push cs
    push here
    iretd
here:
    push cs
    push there
    retf
there:
    jmp far 8:yonder
yonder:
    int  0x30
    into
""", rounds=1)  # fmt: skip


def test_a_stub_may_leave_everything_to_the_monitor() -> None:
    """Each by itself an exit, for every sort of instruction: nothing else changes."""
    asked: set[str] = set()

    def leave(problem: Problem) -> str:
        asked.add(problem.name)
        return "exit"

    same(EVERYTHING, dict.fromkeys(entries(), leave))
    seldom = {"pop ds", "bound", "ins", "outs", "outsb", "call far", "lds", "lss", "lfs", "lgs",
              "int3", "int1", "hlt", "ltr", "invd", "ud2", "wrmsr", "rdpmc", "push gs", "pop gs",
              "push ds", "sysenter", "sysexit"}  # fmt: skip
    assert asked >= set(entries()) - seldom


def test_whichever_register_is_reserved() -> None:
    """A guest that uses GS has FS reserved, and the stubs are made for it."""
    kernel = Kernel(READS.replace("smsw eax\n", "smsw eax\n    mov edx, gs:[0x9000]\n"))
    assert same(kernel, READERS) == {}
    machine = maker(kernel, READERS)("translate")
    machine.run(max_instructions=300_000, timeout=PATIENCE)
    assert machine.statistics()["tc"]["reserved_kernel"] == "fs"


def test_they_are_shown_with_the_names_of_slots() -> None:
    machine = maker(Kernel(READS), READERS)("translate")
    machine.run(max_instructions=300_000, timeout=PATIENCE)
    text = str(machine.watch.tc())
    for slot in ("CR0", "GDTR_LIMIT", "IDTR_BASE", "TR_SELECTOR", "SAVE_EAX"):
        assert f"gs:[{slot}]" in text


# --- what a stub may do -------------------------------------------------------------------


def in_place(problem: Problem) -> str:
    """IN and OUT as they are."""
    return f"{problem.name} {', '.join(map(str, problem.operands))} | done"


PORTS = repeated("""
    mov  dx, 0x80
    mov  eax, edi
    out  dx, al
    in   al, dx
    in   ax, dx
    in   eax, dx
    out  0x80, al
    in   al, 0x21
    add  [esi], eax
""")


def test_ports_are_served_in_place() -> None:
    assert same(PORTS, {"in": in_place, "out": in_place}) == {}


def rdtsc(problem: Problem) -> str:
    """Counts itself, and then tells the time as the processor does."""
    return """
        mov dword ptr gs:[SAVE_ECX], ecx
        mov ecx, dword ptr gs:[OWN + 8]   | ecx
        lea ecx, [ecx + 1]                | ecx
        mov dword ptr gs:[OWN + 8], ecx   | ecx
        mov ecx, dword ptr gs:[SAVE_ECX]  | ecx
        rdtsc                             | done
    """


TIME = repeated("rdtsc\n mov [esi], eax\n nop\n add esi, 4\n cpuid\n mov [esi], ebx\n")


def test_instructions_that_are_innocuous_may_have_one() -> None:
    stubs = {"rdtsc": rdtsc, "cpuid": "cpuid | done"}
    assert same(TIME, stubs) == {}
    machine = maker(Kernel(TIME), stubs)("translate")
    machine.run(max_instructions=300_000, timeout=PATIENCE)
    assert own_memory(machine)[2] == 20
    assert machine.statistics()["patches"]["RDTSC"] == 1
    with pytest.raises(UserError, match="mode bare has no stubs"):
        own_memory(make(Kernel(TIME), "bare"))


def far(problem: Problem) -> str:
    """JMP within the code segment: a look-up; into another one: the monitor's business."""
    [target] = problem.operands
    return f"""
        mov dword ptr gs:[SAVE_EAX], eax
        mov dword ptr gs:[SAVE_ECX], ecx
        mov ecx, dword ptr gs:[CS_SELECTOR]            | eax, ecx
        lea ecx, [ecx - {target.selector:#x}]          | eax, ecx
        jecxz same
        jmp slow
    same: mov ecx, {target.offset:#x}                  | eax, ecx
        lookup
    slow:
        exit                                           | eax, ecx
    """


def far_return(problem: Problem) -> str | None:
    """RET to the same code segment."""
    if problem.operands or problem.operand_size != 4:
        return None
    return """
        mov dword ptr gs:[SAVE_EAX], eax
        mov dword ptr gs:[SAVE_ECX], ecx
        mov eax, dword ptr [esp + 4]          | eax, ecx
        mov ecx, dword ptr gs:[CS_SELECTOR]   | eax, ecx
        not ecx                               | eax, ecx
        lea ecx, [ecx + eax + 1]              | eax, ecx
        jecxz same
        jmp slow
    same: pop ecx                             | eax, ecx
        lea esp, [esp + 4]                    | eax, ecx
        lookup
    slow:
        exit                                  | eax, ecx
    """


FAR = repeated("""
    mov  eax, 0x1234
    mov  ecx, 0x5678
    jmp  far 8:there
    nop
there:
    add  eax, ecx
    push cs
    push back
    retf
    nop
back:
    add  [esi], eax
    jmp  far 0x40:other
    nop
other:
    inc  ecx
    jmp  far 8:last
last:
    nop
""")


def test_a_far_transfer_may_look_its_target_up() -> None:
    kernel = Kernel(FAR, gdt={0x40: descriptor(0, 0xFFFFF, 0xC09B)})
    stubs = {"jmp far": far, "ret far": far_return}
    assert same(kernel, stubs) == {"emulate": 20 * 2}
    assert exits(kernel, {}) == {"emulate": 20 * 4}
    lookups = []
    for chosen in (stubs, {}):
        machine = maker(kernel, chosen)("translate")
        machine.run(max_instructions=300_000, timeout=PATIENCE)
        lookups.append(machine.statistics()["tc"]["lookups"])
    assert lookups[0] - lookups[1] == 20 * 2


def test_an_instruction_that_ends_a_block_goes_on_behind_its_stub() -> None:
    """HLT as a NOP: another guest, and one that runs on."""
    kernel = Kernel(repeated("hlt\n inc ebx"))
    machine = maker(kernel, {"hlt": "nop | done"})("translate")
    outcome = machine.run(max_instructions=10_000, timeout=PATIENCE)
    assert outcome.kind == "exit" and machine.registers["ebx"] == 20


def test_a_number_of_the_authors_is_left_alone() -> None:
    """It is the one that stands for the translator's own numbers in its templates."""
    stubs = {"cpuid": "mov eax, 0x11223344 | done"}
    machine = maker(Kernel("cpuid\n int 0x31"), stubs)("translate")
    machine.run(max_instructions=10_000, timeout=PATIENCE)
    assert machine.registers["eax"] == 0x11223344


def test_a_template_stands_for_the_form_without_a_prefix() -> None:
    source = repeated("push es\n .byte 0x66\n push es\n lea esp, [esp + 6]")
    stub = {"push es": "push dword ptr gs:[ES_SELECTOR] | done"}
    assert same(source.replace(".byte 0x66\n push es", ".byte 0x66, 0x06"), stub) == {
        "emulate": 20}  # fmt: skip


def test_flags_have_none_where_iopl_is_not_0() -> None:
    """There they are copied or emulated; the others' stubs stand."""
    asked: set[str] = set()

    def note(problem: Problem) -> None:
        if problem.eip >= CODE:
            asked.add(problem.name)

    kernel = Kernel("cli\n pushfd\n popfd\n smsw eax\n int 0x31", flags=0x3002)
    same(kernel, dict.fromkeys(("cli", "pushf", "popf", "smsw"), note))
    assert asked == {"smsw"}


def test_the_same_place_where_iopl_is_0_and_where_not() -> None:
    """What stands for one translation of it stands for no other."""
    kernel = Kernel("""
        mov  esi, DATA
        call look
        push 0x3002
        popfd
        call look
        push 2
        popfd
        call look
        int  0x31
    look:
        pushfd
        pop  dword ptr [esi]
        add  esi, 4
        ret
    """)
    same(kernel, {"pushf": TEMPLATES["pushf"]})


def test_user_code_has_none() -> None:
    asked: set[int] = set()

    def note(problem: Problem) -> None:
        asked.add(problem.eip)

    kernel = Kernel("mov eax, cs\n cpuid\n int 0x31", ring=3)
    stubs = dict.fromkeys(("mov from sreg", "cpuid", "iret"), note)
    assert exits(kernel, stubs, without=("direct",))["emulate"] == 1  # CPUID
    assert asked and not any(CODE <= eip < CODE + 16 for eip in asked)


# --- faults and interrupts in the middle --------------------------------------------------

GONE = 0x300000
FAULTS = """
    mov  eax, 0x55555555
    mov  ecx, 0x66666666
    mov  ebx, 0x77777777
    cmp  eax, ecx
    {instruction}
    nop
caught:
    mov  edx, cr2
    int  0x31
"""


@pytest.mark.parametrize("instruction", [
    f"smsw word ptr [{GONE:#x}]",
    f"smsw word ptr [{GONE + 0xFFF:#x}]",
    f"sgdt [{GONE - 3:#x}]",
    f"sidt [{GONE:#x}]",
])  # fmt: skip
def test_a_true_fault_is_the_guests(instruction: str) -> None:
    source = FAULTS.format(instruction=instruction)
    kernel = fault_task(Kernel(source, paging=True, pages={GONE: 0}), "caught", 14)
    same(kernel, READERS)


def test_interrupts_come_at_every_place() -> None:
    busy = EVERYTHING.replace("again:", "again:\n sti\n", 1).replace("    lidt [esi]\n", "")
    source = TIMER + busy.replace("mov edi, 1", "mov edi, 9")
    stubs = READERS | {"in": in_place, "rdtsc": rdtsc, "jmp far": far}
    same(source, stubs)
    machine = maker(Kernel(source), stubs)("translate")
    machine.run(max_instructions=300_000, timeout=PATIENCE)
    assert machine.statistics()["interrupts"] > 1


# --- stubs that are wrong -----------------------------------------------------------------


def raises(problem: Problem) -> str:
    raise KeyError(problem.name)


@pytest.mark.parametrize(("stub", "told"), [
    (raises, "in raises: KeyError: 'smsw'"),
    (lambda problem: 7, "returned 7 for smsw at 0x1000"),
    (lambda problem: "hlt | done", "stub smsw, `hlt | done`: hlt is no way out"),
    (lambda: "exit", "takes 0 positional arguments"),
    (lambda problem: f"mov {problem.memory}, ax | done", "cannot be assembled"),
])  # fmt: skip
def test_a_function_that_fails_ends_the_machine(stub: Any, told: str) -> None:
    machine = maker(Kernel(READS), {"smsw": stub})("translate")
    outcome = machine.run(max_instructions=10_000, timeout=PATIENCE)
    assert outcome.kind == "callback" and told in outcome.detail, outcome
    assert "test_own_stubs.py:" in outcome.detail


@pytest.mark.parametrize(("name", "stub", "told"), [
    ("smsw", "mov eax, 0 | done", "eax: bare 00000011"),
    ("str", "mov ebx, 5\nexit", "ebx"),
    ("rdtsc", "mov eax, 1\nmov edx, 0 | done", "rdtsc"),
    ("sldt", "add ecx, ecx\nexit", "ecx"),
])  # fmt: skip
def test_a_stub_that_does_something_else_is_found(name: str, stub: str, told: str) -> None:
    source = READS.replace("sgdt", "rdtsc") + "\n"
    with pytest.raises(Failed, match=told):
        same(source.replace("    mov  [esi + 0x28], eax\n", "    rdtsc\n"), {name: stub})


def test_many_long_stubs_in_a_block() -> None:
    """More than fit into a block at once: it is cut, and the cache holds."""
    long = "nop\n" * 400 + "mov eax, dword ptr gs:[CR0] | done"
    code = "smsw eax\n" * 48
    assert same(repeated(code, 3), {"smsw": long}) == {}


def test_room_for_them_when_the_cache_is_full() -> None:
    """Blocks of nothing else, until the cache starts anew; none is too long for what is left."""
    long = "nop\n" * 400 + "mov eax, dword ptr gs:[CR0] | done"
    code = "".join("smsw eax\n" * 40 + f" jmp part_{n}\npart_{n}:\n" for n in range(8))
    machine = maker(Kernel(repeated(code, 2)), {"smsw": long})("translate")
    cache = machine.processor.cache  # type: ignore[attr-defined]
    cache.size = 3 * 0x4000
    used: list[int] = []
    machine.on_exit.append(lambda event: used.append(cache.used))
    outcome = machine.run(max_instructions=100_000, timeout=PATIENCE)
    assert outcome.kind == "exit" and cache.flushes > 0
    assert max(used) <= cache.size


LINES = (
    "mov {r}, dword ptr gs:[{s}]", "mov dword ptr gs:[{w}], {r}", "xchg dword ptr gs:[{w}], {r}",
    "mov {r}, dword ptr [{m}]", "mov dword ptr [{m}], {r}", "push {r}", "pop {r}", "pushfd",
    "popfd", "mov {r}, {n}", "lea esp, [esp + {n}]", "rdtsc", "cpuid", "stosd", "lodsd",
    "bts dword ptr [{m}], {r}", "div {r}", "bound {r}, qword ptr [{m}]", "jnz slow", "jmp slow",
    "jecxz on", "jmp on", "exit", "pop dword ptr gs:[{w}]", "leave",
)  # fmt: skip
ENDS = ("exit", "lookup", "jmp slow", "nop | done", "in eax, dx | done", "popfd | done",
        "mov {r}, dword ptr [{m}] | eax, done")  # fmt: skip
PLACES = ("esp", "eax", "ecx + eax*4", "0x9000", "0xff800000", "0xffc00000", "edi + 0xff000000")


def wild(chance: random.Random) -> str:
    """A template that is accepted, and makes no sense."""
    names = {
        "r": ("eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi"),
        "s": tuple(SLOTS),
        "w": tuple(name for name, slot in SLOTS.items() if slot.writable),
        "m": PLACES,
        "n": ("0", "1", "4", "0x302", "0xffffffff"),
    }

    def line(form: str) -> str:
        return form.format(**{key: chance.choice(values) for key, values in names.items()})

    tags = [" | eax", " | ecx, esi", "", "", ""]
    lines = [line(chance.choice(LINES)) + chance.choice(tags) for _ in range(chance.randint(1, 5))]
    lines.append(f"on: {line(chance.choice(ENDS))}")
    return "\n".join([*lines, "slow:", line(LINES[chance.randint(0, 5)]), "exit"])


@pytest.mark.parametrize("seed", range(16))
def test_no_stub_gets_at_the_monitor(seed: int) -> None:
    """Whatever a stub does, the machine goes on or ends as machines do, and the cache is whole."""
    chance = random.Random(seed)
    stubs = {name: wild(chance) for name in chance.sample(sorted(entries()), 30)}
    machine = maker(Kernel(EVERYTHING, paging=bool(seed & 1)), stubs)("translate")
    cache = machine.processor.cache  # type: ignore[attr-defined]
    outcome = machine.run(max_instructions=3000, timeout=PATIENCE)
    assert outcome.kind in ("exit", "instructions", "shutdown", "stuck"), outcome
    for tables in cache._landings:
        for table in map(np.asarray, tables):
            assert table.min() >= cache.base and table.max() < cache.base + cache.used
