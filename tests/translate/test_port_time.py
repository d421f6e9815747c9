"""A port access takes a microsecond of guest time, on the same instruction bare and translated.

200 ticks of the TSC a bus cycle, and a timer that would go off within them goes off right after.
"""

from __future__ import annotations

import pytest
from kernel_lab import CODE, DATA, Kernel, agree, agree_all_along, code16, descriptor, look, make
from patience import PATIENCE
from test_interrupts import TIMER

from bt.assembler import assemble
from monitor import Machine

ORIGIN = 0x100000

CYCLE = 200  # ticks of the TSC in a microsecond, and instructions that did not run in it
EVERY_PORT_OPEN = {0x2000 + 0x68: bytes(0x20)}

ONE_SHOT = """
    mov  al, 0x30
    out  0x43, al
    mov  al, 0
    out  0x40, al
    mov  al, 4
    out  0x40, al
    mov  al, 0xfe
    out  0x21, al
    xor  eax, eax
    sti
"""
COUNT_UP = """
again:
    inc  eax
    cmp  dword ptr [LOG_END], LOG
    je   again
    cli
    int  0x31
"""


def ticks_of(access: str, **options: object) -> int:
    """What the TSC says an access takes, RDTSC and a MOV included; the same in both modes."""
    source = f"""
    mov  edx, 0x61
    xor  eax, eax
    rdtsc
    mov  esi, eax
    mov  edx, 0x61
    {access}
    rdtsc
    sub  eax, esi
    mov  dword ptr [DATA], eax
    int  0x31
    """
    return agree(Kernel(source, **options)).bare.dword(DATA)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("access", "cycles"),
    [
        ("in al, 0x61", 1),
        ("in al, dx", 1),
        ("in ax, 0x61", 2),  # of two chips with eight data lines
        ("in eax, dx", 4),
        ("in al, 0xf0", 1),  # nobody answers: the bus takes its time all the same
        ("out 0x80, al", 1),
        ("out 0x80, eax", 4),
        ("out 0x80, al \n in al, 0x80", 2),
    ],
)
def test_the_tsc_shows_bus_cycles(access: str, cycles: int) -> None:
    instructions = access.count("\n") + 1
    assert ticks_of(access) == 3 + instructions + CYCLE * cycles


def test_a_repeated_access_takes_a_cycle_an_element() -> None:
    repeated = "mov ecx, 5 \n mov esi, DATA \n rep outsb \n mov esi, [esp + 4]"
    source = f"push eax \n push eax \n push eax \n mov edx, 0x61 \n {repeated}"
    alone = source.replace("rep outsb", "nop")
    keep = "mov ebx, esi \n {} \n mov esi, ebx"
    assert ticks_of(keep.format(source)) - ticks_of(keep.format(alone)) == 5 * CYCLE


def test_an_emulated_access_takes_as_long() -> None:
    """User code that the TSS lets at the port: the ideal processor does it, alone."""
    assert ticks_of("in al, 0x61", ring=3, memory=EVERY_PORT_OPEN) == 4 + CYCLE


@pytest.mark.parametrize("accesses", [1, 2, 7])
def test_a_timer_comes_earlier_by_as_much(accesses: int) -> None:
    """...by as many instructions of a loop of three as fit into the bus cycles."""
    counts = []
    for count in (0, accesses):
        source = ONE_SHOT + "out 0x80, al \n" * count + "nop \n" * (accesses - count) + COUNT_UP
        done = agree(Kernel(source))
        (line,) = done.bare.log
        counts.append(line.eax)
    assert abs((counts[0] - counts[1]) * 3 - CYCLE * accesses) < 3


def test_a_timer_within_the_cycle_comes_right_after_it() -> None:
    """Accesses back to back: whatever the timer hits, it is the end of one of them."""
    loop = "again: out 0x80, al \n cmp dword ptr [LOG_END], LOG \n je again \n cli \n int 0x31"
    kernel = Kernel(ONE_SHOT + loop)
    (line,) = agree(kernel).bare.log
    assert line.eip == kernel.symbol("again") + 2


POLLING = f"""{TIMER}
    mov  ecx, 400
    mov  edx, 0x80
again:
    in   al, 0x61
    inc  dword ptr [DATA]
    out  dx, al
    pushfd
    push ecx
    mov  ecx, 3
    mov  esi, DATA
    rep  outsb
    pop  ecx
    popfd
    dec  ecx
    jnz  again
    cli
    int  0x31
"""


@pytest.mark.parametrize("period", range(7, 29, 3))
def test_interrupts_of_a_loop_that_uses_ports(period: int) -> None:
    """They wander through it, and land on the same instructions in both modes."""
    done = agree(Kernel(POLLING.replace("PERIOD", str(period))))
    assert done.bare.vectors.count(0x20) > 60


def test_every_boundary_of_a_loop_that_uses_ports() -> None:
    source = POLLING.replace("PERIOD", "11").replace("400", "12")
    agree_all_along(Kernel(source), chunks=(1, 7))


def test_an_interrupt_between_two_elements() -> None:
    """A timer that goes off in a REP OUTSB: RF is set in the image (SDM vol. 3, 17.3.1.1)."""
    source = f"""{ONE_SHOT}
    mov  ecx, 4000
    mov  esi, DATA
    mov  edx, 0x80
here:
    rep  outsb
    cli
    int  0x31
    """
    kernel = Kernel(source)
    done = agree(kernel)
    (line,) = done.bare.log
    assert line.eip == kernel.symbol("here")
    assert line.eflags & 0x10000
    assert done.translate.kinds["translated"] > 10


def test_single_steps_see_the_time_of_an_access() -> None:
    """TF, so that each instruction is looked at alone; the timer comes on the same one."""
    soon = ONE_SHOT.replace("al, 0\n", "al, 8\n").replace("al, 4\n", "al, 0\n")
    source = soon + "pushfd \n or dword ptr [esp], 0x100 \n popfd \n" + "out 0x80, al \n" * 9
    source += "pushfd \n and dword ptr [esp], 0xfffffeff \n popfd \n" + COUNT_UP
    vectors = agree(Kernel(source)).bare.vectors
    assert vectors.count(1) == 12
    assert 2 < vectors.index(0x20) < 11


def test_sixteen_bit_code_waits_too() -> None:
    """The ideal processor runs it, many instructions at a time; the timer comes when it should."""
    counts = []
    for access in ("in al, 0x61", "nop \n nop"):
        code = code16(f"mov cx, 30 \n again: {access} \n loop again")
        source = f"""{ONE_SHOT}
    push cs
    push after
    jmp  far 0x38:sixteen - CODE
sixteen:
    {code}
    .byte 0x66
    retf
after:
    xor  eax, eax
    {COUNT_UP}
    """
        kernel = Kernel(source, gdt={0x38: descriptor(CODE, 0xFFFF, 0x009B)})
        done = agree(kernel)
        (line,) = done.bare.log
        counts.append(line.eax)
        assert done.translate.kinds["emulated"] > 60
    assert abs((counts[1] - counts[0]) * 3 - 30 * (CYCLE - 1)) < 3


@pytest.mark.parametrize("mode", ["bare", "translate"])
def test_an_interrupt_between_two_moves(mode: str) -> None:
    """A long REP MOVSB pauses now and then; the line rises in such a pause, wherever it ran."""
    source = """
    mov  al, 0xfe
    out  0x21, al
    sti
    mov  ebx, 2  ; the first time, the shadow of each page is filled
again:
    mov  ecx, 200000
    mov  esi, DATA
    mov  edi, 0x100000
here:
    rep  movsb
    dec  ebx
    jnz  again
    cli
    int  0x31
    """
    kernel = Kernel(source)
    machine = make(kernel, mode)
    line = machine.board.bus.irq(0)

    def rise() -> None:
        registers = machine.registers
        if registers["ebx"] == 1 and 0 < registers["ecx"] < 200_000:
            line.set(True)

    machine.loop.on_turn = rise
    done = look(machine, machine.run(max_instructions=10_000))
    assert done.vectors == [0x20]
    assert done.log[0].eip == kernel.symbol("here")
    assert done.log[0].eflags & 0x10000


STUBS = """
    push 0
    pop  eax
    mov  dword ptr fs:[0x5000], eax
    mov  dword ptr gs:[0x5000], eax
    jmp  again
again:
    out  0x80, al
    {nops}
    .rept 7
    inc  dword ptr gs:[0x5000]
    mov  edx, dword ptr fs:[0x5000]
    .endr
    cli
    hlt
"""


@pytest.mark.parametrize("nops", range(19, 26))
def test_the_time_never_ends_in_the_middle_of_a_stub(nops: int) -> None:
    """Not even where the engine's block does: an increment is completed, or has changed nothing.

    An interrupt that is delivered then returns to EIP.
    """
    code = assemble(STUBS.format(nops="nop \n" * nops), ORIGIN)
    increment = assemble("inc dword ptr gs:[0x5000]")
    places = [ORIGIN + at for at in range(len(code)) if code.startswith(increment, at)]
    ends = set()

    def check() -> None:
        eip = machine.registers["eip"]
        ends.add(eip)
        done = int.from_bytes(machine.read_memory(0x5000, 4), "little")
        assert done == sum(place < eip for place in places), hex(eip)

    for later in range(nops, nops + 15):
        machine = Machine(memory_mb=4, mode="translate")
        machine.load_flat(code, ORIGIN, esp=0x90000)
        machine.loop.most, machine.loop.steady = 6 + CYCLE + later, True
        machine.loop.on_turn = check
        assert machine.run(timeout=PATIENCE).kind == "stuck"
    assert len(ends) > 3
