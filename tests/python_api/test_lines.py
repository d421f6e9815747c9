"""Interrupt lines and NMI from outside: embedding/lines.py, the NMI pin of the processor."""

from __future__ import annotations

import pytest
from api_lab import MODES, Life, agree, asm, live, modes
from patience import PATIENCE
from pieces import controllers

from monitor import Machine
from monitor.vmm.errors import UserError

IDT = 0x7000
PORT = 0x310  # the guest asks for an interrupt here: the value says which

# An IDT of 0x30 interrupt gates to `handler`, but 2 to `nmi`; both 8259A ready, all lines open.
SETUP = f"""
    mov  edi, {IDT:#x}
    mov  ecx, 0x30
gates:
    mov  eax, handler
    mov  [edi], ax
    mov  word ptr [edi + 2], 0x10
    mov  word ptr [edi + 4], 0x8e00
    shr  eax, 16
    mov  [edi + 6], ax
    add  edi, 8
    loop gates
    mov  eax, nmi
    mov  [{IDT + 16:#x}], ax
    shr  eax, 16
    mov  [{IDT + 22:#x}], ax
    sub  esp, 8
    mov  word ptr [esp], 0x17f
    mov  dword ptr [esp + 2], {IDT:#x}
    lidt [esp]
    {controllers()}
    xor  eax, eax
    out  0x21, al
    out  0xa1, al
    mov  dx, {PORT:#x}
    xor  ecx, ecx
    xor  ebx, ebx
    xor  esi, esi
"""
# ebx counts interrupts, esi NMIs; 0x300000 and on: where each of them came.
HANDLERS = """
handler:
    inc  ebx
    push eax
    mov  eax, [esp + 4]
    mov  [0x300000 + ebx * 4], eax
    mov  al, 0x20
    out  0xa0, al
    out  0x20, al
    pop  eax
    iretd
nmi:
    inc  esi
    push eax
    mov  eax, [esp + 4]
    mov  [0x301000 + esi * 4], eax
    pop  eax
    {inside}
    iretd
"""
NMI, PULSE, RAISE, LOWER = 0x80, 0x10, 0x20, 0x30


def lines(machine: Machine, said: list[object]) -> None:
    """The port of the guest's wishes."""

    def write(offset: int, size: int, value: int) -> None:
        if value == NMI:
            machine.lines.nmi()
        elif value & 0xF0 == PULSE:
            machine.lines.pulse_irq(value & 15)
        elif value & 0xF0 == RAISE:
            machine.lines.raise_irq(value & 15)
        elif value & 0xF0 == LOWER:
            machine.lines.lower_irq(value & 15)

    machine.devices.plug_ports(PORT, 1, write=write)


def guest(body: str, inside: str = "") -> str:
    return f"{SETUP}\n{body}\n hlt \n {HANDLERS.format(inside=inside)}"


def both(body: str, inside: str = "", trap: bool = False) -> Life:
    return agree(guest(body, inside), lines, trap=trap)


# --- interrupt lines ------------------------------------------------------------------------------


@pytest.mark.parametrize("line", [1, 5, 10, 15])
def test_an_edge_is_taken_right_behind_the_access(line: int) -> None:
    life = both(f"sti \n mov al, {PULSE | line:#x} \n out dx, al \n here: nop \n nop \n cli")
    assert life.registers["ebx"] == 1
    vector_end = life.dword(0x300004)
    assert life.machine.read_physical(vector_end, 2) == b"\x90\x90"


def test_interrupts_wait_for_the_flag() -> None:
    life = both(f"mov al, {PULSE | 5:#x} \n out dx, al \n mov ecx, 9 \n w: loop w \n sti \n nop \n"
                "nop \n cli")  # fmt: skip
    assert life.registers["ebx"] == 1
    assert life.machine.read_physical(life.dword(0x300004), 2) == b"\x90\xfa", "past STI's shadow"


def test_a_line_that_goes_away_again() -> None:
    """The 8259A forgets an edge whose line is low before anybody acknowledges."""
    life = both(f"mov al, {RAISE | 5:#x} \n out dx, al \n mov al, {LOWER | 5:#x} \n out dx, al \n"
                "sti \n nop \n nop \n cli")  # fmt: skip
    assert life.registers["ebx"] == 0


@modes
def test_from_outside_a_halted_guest_wakes(mode: str) -> None:
    source = guest("sti \n again: hlt \n inc ecx \n cmp ecx, 3 \n jb again \n cli")
    life = live(mode, source, lines)
    for times in range(1, 4):
        assert life.outcome.kind == "stuck" and life.registers["ebx"] == times - 1
        life.machine.lines.pulse_irq(3)
        life.outcome = life.machine.run(timeout=PATIENCE)
    assert life.registers["ecx"] == life.registers["ebx"] == 3


def test_lines_that_there_are_not() -> None:
    machine = Machine(memory_mb=4)
    for line in (-1, 2, 16):
        for function in (machine.lines.raise_irq, machine.lines.lower_irq, machine.lines.pulse_irq):
            with pytest.raises(UserError, match="0 to 15, but not 2"):
                function(line)


@modes
def test_from_memory_it_is_taken_right_behind_the_access(mode: str) -> None:
    def prepare(machine: Machine, said: list[object]) -> None:
        def write(offset: int, size: int, value: int) -> None:
            if value == 1000:
                machine.lines.pulse_irq(5)

        machine.devices.plug_memory(0xFED00000, 4, write=write)

    life = live(mode, guest("""
        sti
    again:
        inc  ecx
        mov  [0xfed00000], ecx
        nop
        nop
        cmp  ebx, 0
        je   again
        cli
    """), prepare)  # fmt: skip
    assert life.registers["ebx"] == 1
    assert life.registers["ecx"] == 1000


# --- NMI ------------------------------------------------------------------------------------------


def test_nmi_comes_whatever_the_flag_says() -> None:
    life = both(f"cli \n mov al, {NMI:#x} \n out dx, al \n nop \n pushfd \n pop eax")
    assert life.registers["esi"] == 1
    assert life.machine.read_physical(life.dword(0x301004), 2) == b"\x90\x9c"
    assert life.registers["eax"] & 0x200 == 0
    assert life.registers["ebx"] == 0


def test_nmi_is_blocked_until_iret_and_one_is_remembered() -> None:
    """The handler asks for two more: one comes, right behind IRET, and it asks for none."""
    ask = f"mov al, {NMI:#x} \n out dx, al \n out dx, al \n inc ecx"
    ask = f"cmp esi, 1 \n jne enough \n {ask} \n enough:"
    life = both(f"mov al, {NMI:#x} \n out dx, al \n nop \n nop", ask)
    assert (life.registers["esi"], life.registers["ecx"]) == (2, 1)
    first, second = life.dword(0x301004), life.dword(0x301008)
    assert first == second, "before another instruction of the guest"


def test_the_witness_of_an_iret_does_not_let_an_nmi_in() -> None:
    """IRET is run twice in trap mode. It is the second time that counts."""
    ask = f"cmp esi, 1 \n jne enough \n mov al, {NMI:#x} \n out dx, al \n enough:"
    life = live("trap", guest(f"cli \n mov al, {NMI:#x} \n out dx, al \n nop \n nop", ask), lines)
    assert life.outcome.kind == "stuck" and life.registers["esi"] == 2
    assert life.dword(0x301004) == life.dword(0x301008)


@modes
@pytest.mark.parametrize("after", ["mov ss, bp", "sti"])
def test_nmi_in_a_shadow(mode: str, after: str) -> None:
    """Raised between two steps, where the shadow is in force: one instruction later it comes."""
    source = guest(f"mov bp, ss \n nop \n {after} \n inc ecx \n inc ecx \n nop")
    total = live(mode, source, lines).machine.instructions
    machine = live(mode, source, lines, most=total - 4).machine  # just behind it
    assert machine.registers["ecx"] == 0
    machine.lines.nmi()
    machine.step(2)
    assert machine.registers["ecx"] == 1, "its first instruction ran"
    machine.run(timeout=PATIENCE)
    assert machine.registers["esi"] == 1 and machine.registers["ecx"] == 2


@modes
def test_nmi_wakes_a_halted_guest_with_interrupts_off(mode: str) -> None:
    life = live(mode, guest("cli \n hlt \n inc ecx \n hlt"), lines)
    assert life.outcome.kind == "stuck"
    life.machine.lines.nmi()
    assert life.machine.run(timeout=PATIENCE).kind == "stuck"
    assert (life.registers["esi"], life.registers["ecx"]) == (1, 1)


@modes
def test_nmi_before_an_interrupt(mode: str) -> None:
    life = live(mode, guest("sti \n spin: jmp spin"), lines, most=2000)
    life.machine.lines.pulse_irq(5)
    life.machine.lines.nmi()
    life.machine.run(max_instructions=50)
    assert (life.registers["esi"], life.registers["ebx"]) == (1, 1)
    handler = life.dword(0x300004)
    assert handler == life.dword(0x301004), "NMI first; at its IRET the interrupt"


@modes
def test_the_chipset_masks_nmi(mode: str) -> None:
    ask = f"out 0x70, al \n mov al, {NMI:#x} \n out dx, al \n nop"
    life = live(mode, guest(f"mov al, 0x80 \n {ask} \n xor eax, eax \n {ask}"), lines)
    assert life.registers["esi"] == 1


@modes
def test_nmi_in_real_mode(mode: str) -> None:
    machine = Machine(memory_mb=4, mode=mode)
    machine.load_flat(asm("again: inc bx; jmp again", 0x7C00, bits=16), 0x7C00, real_mode=True)
    machine.write_physical(0x8000, asm("inc cx; iret", 0x8000, bits=16))
    machine.write_physical(8, bytes.fromhex("0080 0000"))
    machine.run(max_instructions=101)
    machine.lines.nmi()
    machine.run(max_instructions=3)
    assert (machine.registers["ebx"], machine.registers["ecx"]) == (51, 1)
    assert machine.registers["eip"] == 0x7C00


def test_a_triple_fault() -> None:
    for mode in MODES:
        machine = live(mode, "xor eax, eax \n lidt [nothing] \n spin: jmp spin \n nothing: .quad 0",
                       most=100).machine  # fmt: skip
        machine.lines.nmi()
        assert machine.run(timeout=PATIENCE).kind == "shutdown"
