"""A machine with APICs: IA32_APIC_BASE, CPUID, and a guest that programs both, in every mode."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
from patience import PATIENCE

from bt.assembler import assemble
from bt.models import MODELS
from monitor import Machine
from monitor.vmm.errors import UserError

ORIGIN, STACK, RESULTS = 0x100000, 0x90000, 0x6000
MODES = ("bare", "translate")
modes = pytest.mark.parametrize("mode", MODES)
DONE = "mov al, 0\n out 0xf4, al\n"

# Moves the registers, uses them there, switches them off, and leaves what it saw at RESULTS.
MOVED = """
    mov  ecx, 0x1b
    rdmsr
    mov  [0x6000], eax
    mov  eax, {base:#x}
    xor  edx, edx
    wrmsr
    mov  eax, [{page:#x} + 0x30]
    mov  [0x6004], eax
    mov  dword ptr [{page:#x} + 0x80], 0x23
    mov  eax, [{page:#x} + 0x80]
    mov  [0x6008], eax
    mov  eax, 1
    cpuid
    mov  [0x600c], edx
    mov  ecx, 0x1b
    mov  eax, 0xfee00100
    xor  edx, edx
    wrmsr
    mov  eax, 1
    cpuid
    mov  [0x6010], edx
    mov  eax, [{page:#x} + 0x80]
    mov  [0x6014], eax
    mov  ecx, 0x1b
    rdmsr
    mov  [0x6018], eax
"""


def machine_of(source: str, mode: str, **options: Any) -> Machine:
    machine = Machine(**{"memory_mb": 8, "mode": mode, "parts": ["apic"], **options})
    machine.load_flat(assemble(source + DONE, ORIGIN), ORIGIN, esp=STACK)
    return machine


def words(machine: Machine, count: int) -> list[int]:
    data = machine.read_physical(RESULTS, 4 * count)
    return [int.from_bytes(data[i : i + 4], "little") for i in range(0, len(data), 4)]


@pytest.mark.parametrize(
    ("page", "below"),
    [(0xFEE00000, 0xFFFFFFFF), (0x5000, 0x2E4D4152), (0xA0000, 0xFFFFFFFF), (0x800000, 0xFFFFFFFF),
     (0xFEC00000, 0), (0xD0000, 0xFFFFFFFF), (ORIGIN + 0x2000, 0)],
)  # fmt: skip
@pytest.mark.parametrize("mode", ("bare", "trap", "translate"))
def test_registers_that_move(mode: str, page: int, below: int) -> None:
    """Over the bus, over RAM, over a device: the processor finds its own registers first."""
    machine = machine_of(MOVED.format(base=page | 0x900, page=page), mode)
    machine.write_physical(0x5080, b"RAM.")
    assert machine.run(max_instructions=1000, timeout=PATIENCE).kind == "exit"
    base, version, tpr, there, gone, under, last = words(machine, 7)
    assert (base, version, tpr) == (0xFEE00900, 0x40011, 0x23)
    assert there & 0x200 and (mode == "trap" or not gone & 0x200)
    assert under == below, "what is there without them"
    assert last == 0xFEE00100
    assert machine.physical_map.at(0xFEE00000).name == "open bus"
    machine.reset()
    assert machine.physical_map.at(0xFEE00000).name == "local APIC"


@modes
@pytest.mark.parametrize("value", ["0xfee00901", "0xfee00d00", "0xfee00a00"])
def test_reserved_bits_fault(mode: str, value: str) -> None:
    machine = machine_of(f"mov ecx, 0x1b\n xor edx, edx\n mov eax, {value}\n wrmsr\n", mode)
    assert machine.run(max_instructions=100, timeout=PATIENCE).kind == "shutdown"


@modes
def test_without_one_nothing_is_there(mode: str) -> None:
    machine = machine_of(MOVED.format(base=0xE0000900, page=0xE0000000), mode, parts=())
    assert machine.run(max_instructions=1000, timeout=PATIENCE).kind == "exit"
    base, version, tpr, there, gone, _, last = words(machine, 7)
    assert (base, version, tpr, last) == (0, 0xFFFFFFFF, 0xFFFFFFFF, 0xFEE00100)
    assert there == gone == MODELS["pentiumpro"].announced
    assert "local-apic" not in machine.devices


def test_a_486_has_none() -> None:
    with pytest.raises(UserError, match="a 486 has no local APIC"):
        Machine(cpu="486", parts=["apic"])


@modes
@pytest.mark.parametrize("cpu", ["pentium", "pentium2", "pentium4"])
def test_of_other_models(cpu: str, mode: str) -> None:
    source = "mov eax, 1\n cpuid\n mov [0x6000], edx\n mov eax, [0xfee00030]\n mov [0x6004], eax\n"
    machine = machine_of(source, mode, cpu=cpu)
    assert machine.run(max_instructions=100, timeout=PATIENCE).kind == "exit"
    versions = {"pentium": 0x30010, "pentium2": 0x40011, "pentium4": 0x50014}
    assert words(machine, 2) == [MODELS[cpu].announced | 0x200, versions[cpu]]


# --- a guest that uses both -----------------------------------------------------------------------

# Vector 40h is the local timer's, 41h the 8254's through the I/O APIC, 42h one to itself from 41h's
# handler. Each counts, and sums up the TSC's low words: a life, instruction by instruction.
GUEST = """
    mov  esp, 0x90000
    mov  edi, 0x3000
    mov  ecx, 0x43
fill:
    lea  eax, [nothing]
    call gate
    loop fill
    mov  edi, 0x3200
    lea  eax, [by_timer]
    call gate
    lea  eax, [by_pin]
    call gate
    lea  eax, [by_itself]
    call gate
    lidt [idtr]
    mov  dword ptr [0xfee000f0], 0x1ff
    mov  dword ptr [0xfec00000], 0x15
    mov  dword ptr [0xfec00010], 0
    mov  dword ptr [0xfec00000], 0x14
    mov  dword ptr [0xfec00010], 0x41
    mov  al, 0x34
    out  0x43, al
    mov  al, 0x00
    out  0x40, al
    mov  al, 0x01
    out  0x40, al
    mov  dword ptr [0xfee003e0], 0x3
    mov  dword ptr [0xfee00320], 0x20040
    mov  dword ptr [0xfee00380], 1000
    sti
working:
    add  esi, 7
    rol  esi, 3
    test esi, 0x100
    jz   work
    hlt
work:
    cmp  dword ptr [0x6000], 100
    jb   working
    cli
    jmp  done
gate:
    mov  edx, eax
    and  edx, 0xffff
    or   edx, 0x100000
    mov  [edi], edx
    and  eax, 0xffff0000
    or   eax, 0x8e00
    mov  [edi + 4], eax
    add  edi, 8
    ret
by_timer:
    inc  dword ptr [0x6000]
    jmp  counted
by_pin:
    inc  dword ptr [0x6004]
    mov  dword ptr [0xfee00300], 0x40042
    jmp  counted
by_itself:
    inc  dword ptr [0x6008]
counted:
    push eax
    push edx
    rdtsc
    add  [0x600c], eax
    rol  dword ptr [0x600c], 1
    mov  eax, [0xfee00390]
    add  [0x6010], eax
    mov  eax, [0xfee000a0]
    add  [0x6014], eax
    mov  dword ptr [0xfee000b0], 0
    pop  edx
    pop  eax
    iretd
nothing:
    inc  dword ptr [0x6018]
    iretd
idtr:
    .byte 0xff, 0x07, 0x00, 0x30, 0x00, 0x00
done:
"""


def used(mode: str) -> Machine:
    return machine_of(GUEST, mode)


@cache
def life(mode: str) -> tuple[object, ...]:
    machine = used(mode)
    outcome = machine.run(max_instructions=2_000_000, timeout=PATIENCE)
    assert outcome.kind == "exit", (outcome, machine.debug.where())
    return (machine.instructions, machine.clock.now(), machine.registers, words(machine, 7),
            machine.board.snapshot(), machine.statistics()["interrupts"])  # fmt: skip


@modes
def test_a_guest_that_uses_both(mode: str) -> None:
    timer, pin, itself, _, _, priorities, others = life(mode)[3]  # type: ignore[misc]
    assert timer == 100 and others == 0
    assert pin == itself and pin >= 5, "160 us each for the one, 215 us for the other"
    assert priorities == 0x40 * (timer + pin + itself)


def test_bare_and_translated_are_the_same_life() -> None:
    assert life("bare") == life("translate")


@modes
def test_it_goes_on_from_snapshots(mode: str) -> None:
    """At any moment, with interrupts that wait and are in service; in the other mode."""
    machine = used(mode)
    other = MODES[mode == "bare"]
    moments = 0
    while machine.run(max_instructions=977, timeout=PATIENCE).kind == "instructions":
        moments += 1
        if moments % 3 == 0:
            machine = Machine.restore(machine.snapshot(), mode=other if moments % 2 else mode)
    count, now, registers, results, devices, _ = life(mode)
    assert (machine.instructions, machine.clock.now(), machine.registers) == (count, now, registers)
    assert words(machine, 7) == results and machine.board.snapshot() == devices


@modes
def test_wait_for_the_local_timer(mode: str) -> None:
    """A halted processor is woken by it, and by nothing if it is masked."""
    source = GUEST.replace("mov  dword ptr [0xfec00010], 0x41", "nop")
    source = source.replace("working:", "working:\n hlt\n")
    for entry, interrupts in (("0x40", 1), ("0x10040", 0)):  # one shot; masked
        machine = machine_of(source.replace("0x20040", entry), mode)
        assert machine.run(max_instructions=100_000, timeout=PATIENCE).kind == "stuck"
        assert words(machine, 1) == [interrupts]


@modes
def test_nmi_is_lint1(mode: str) -> None:
    machine = machine_of("spin: inc eax\n jmp spin\n", mode)
    machine.lines.nmi()
    assert not machine.processor.ideal.nmi_pending, "masked, after RESET"
    machine.board.bus.write_memory(0xFEE000F0, 4, 0x1FF)
    machine.board.bus.write_memory(0xFEE00360, 4, 0x400)
    machine.lines.nmi()
    assert machine.processor.ideal.nmi_pending
