"""A device's registers in memory are to the machine what a port is, bare and translated alike.

An access knows what time it is, takes time, moves deadlines, raises lines, ends the machine; and
the processor leaves right behind that instruction, wherever it was: in the middle of a block, of a
REP, of a read-modify-write, in ring 3, in a stub.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from kernel_lab import (
    DATA,
    PRESENT,
    USER,
    WRITE,
    Kernel,
    Run,
    compare,
    differences,
    look,
    make,
)

from bt.assembler import assemble
from devices.bus import MEMORY_CYCLE_NS
from monitor import Machine
from monitor.vmm.outcome import Outcome

MODES = ("bare", "translate")
PLACE = 0xFED00000
CYCLE = MEMORY_CYCLE_NS // 5  # ticks of the TSC
MOST = 100_000


class Device:
    """Keeps what is written, and notes what happens when; `acts` are done at offsets."""

    name = "device"

    def __init__(self, machine: Machine, **acts: Callable[[int], int | None]) -> None:
        self.machine = machine
        self.acts = {int(name.removeprefix("at")): act for name, act in acts.items()}
        self.store = bytearray(0x2000)
        self.said: list[tuple[object, ...]] = []

    def read_memory(self, offset: int, size: int) -> int:
        value = int.from_bytes(self.store[offset : offset + size], "little")
        act = self.acts.get(offset)
        if act is not None:
            value = act(value) or value
        self.note("read", offset, size, value)
        return value

    def write_memory(self, offset: int, size: int, value: int) -> None:
        self.note("write", offset, size, value)
        self.store[offset : offset + size] = value.to_bytes(size, "little")
        act = self.acts.get(offset)
        if act is not None:
            act(value)

    def note(self, *what: object) -> None:
        processor = self.machine.processor
        self.said.append((*what, processor.io_count(), processor.io_place(), self.now()))

    def now(self) -> int:
        return self.machine.clock.now() // 5


Plug = Callable[[Machine], Device]


def plain(machine: Machine) -> Device:
    return Device(machine)


def live(kernel: Kernel, mode: str, plug: Plug, chunk: int = MOST) -> tuple[Run, Device]:
    machine = make(kernel, mode)
    device = plug(machine)
    machine.board.bus.claim_memory(PLACE, 0x2000, device)
    outcome = machine.run(max_instructions=chunk)
    while outcome.kind == "instructions" and machine.instructions < MOST:
        outcome = machine.run(max_instructions=chunk)
    return look(machine, outcome), device


def agree(
    source: str,
    plug: Plug = plain,
    chunks: tuple[int, ...] = (MOST, 3),
    trap: bool = False,
    **options: Any,
) -> tuple[Run, Device]:
    """Bare and translated, whole and in pieces: the same, and the device saw the same.

    `trap`: there is nothing in the program that goes wrong in mode trap.
    """
    options.setdefault("pages", {at: at | PRESENT | WRITE | USER for at in (PLACE, PLACE + 0x1000)})
    if not options.setdefault("paging", True):
        options["pages"] = {}
    kernel = Kernel(source, **options)
    bare, device = live(kernel, "bare", plug)
    for chunk in chunks:
        for mode in ("bare", "trap", "translate") if trap else MODES:
            other, its = live(kernel, mode, plug, chunk)
            assert its.said == device.said, (mode, chunk)
            assert not differences(bare, other), (mode, chunk)
    compare(bare, other)
    return bare, device


# --- time ---------------------------------------------------------------------------------------

NOPS = "nop \n" * 5


def test_two_looks_at_the_clock() -> None:
    """The first one after three instructions, the second five later; a block holds both."""
    look = f"mov eax, [{PLACE}]"
    source = f"nop \n nop \n nop \n {look} \n {NOPS[:-5]} {look} \n {NOPS} hlt"
    for mode in ("bare", "trap", "translate"):
        machine = Machine(memory_mb=4, mode=mode)
        said: list[int] = []
        count = machine.board.counter
        machine.devices.plug_memory(PLACE, 4, read=lambda *_, n=count, s=said: s.append(n()) or 0)
        machine.load_flat(assemble(source, 0x100000), 0x100000)
        assert machine.run(max_instructions=MOST).kind == "stuck"
        assert said == [3, 8], mode


@pytest.mark.parametrize(
    ("access", "cycles"),
    [
        ("mov al, [ebx]", 1), ("mov ax, [ebx]", 1), ("mov eax, [ebx]", 1), ("mov [ebx], eax", 1),
        ("inc dword ptr [ebx]", 2), ("xchg [ebx], al", 2), ("cmpxchg [ebx], ecx", 2),
        ("push dword ptr [ebx] \n pop dword ptr [ebx]", 2), ("fld qword ptr [ebx]", 2),
        ("mov eax, [ebx + 1]", 1), ("mov eax, [ebx + 0xffe]", 4), ("bound ecx, [ebx]", 2),
        ("mov eax, [ebx - 2]", 2), ("mov [ebx - 3], eax", 1), ("mov eax, [ebx - 4]", 0),
        ("fnsave [ebx]", 7 + 8 * 3), ("pushad \n popad", 0), ("mov ss, [ebx + 0x20]", 1),
    ],
)  # fmt: skip
def test_the_tsc_shows_bus_cycles(access: str, cycles: int) -> None:
    source = f"""
    fninit
    mov  ebx, {PLACE}
    mov  word ptr [ebx + 0x20], ss
    mov  ecx, 0
    xor  eax, eax
    rdtsc
    mov  esi, eax
    {access}
    rdtsc
    sub  eax, esi
    mov  dword ptr [DATA], eax
    int  0x31
    """
    pages = {at: at | PRESENT | WRITE for at in (PLACE - 0x1000, PLACE, PLACE + 0x1000)}
    run, _ = agree(source, pages=pages)
    assert run.dword(DATA) == 2 + len(access.split("\n")) + CYCLE * cycles


def test_the_open_bus_takes_no_time() -> None:
    source = """
    rdtsc
    mov  esi, eax
    mov  ebx, [0xd0000]
    mov  [0xd0000], ebx
    rdtsc
    sub  eax, esi
    mov  dword ptr [DATA], eax
    int  0x31
    """
    run, _ = agree(source)
    assert run.dword(DATA) == 4


def test_accesses_are_counted() -> None:
    run, _ = agree(f"mov eax, [{PLACE}] \n inc dword ptr [{PLACE + 4}] \n int 0x31")
    accesses = run.machine.statistics()["devices"]
    assert (accesses["memory_reads"], accesses["memory_writes"]) == (2, 1)


def test_listeners_hear_of_them() -> None:
    for mode in MODES:
        machine = make(Kernel(f"mov ebx, 7 \n mov [{PLACE}], bl \n mov eax, [{PLACE}] \n int 0x31"),
                       mode)  # fmt: skip
        machine.devices.plug_memory(PLACE, 16, read=lambda offset, size: 9)
        said: list[tuple[str, int, int, int]] = []
        machine.board.on_access.append(
            lambda *access, said=said: said.append(access) if access[0] in ("read", "write") else 0
        )
        machine.run(max_instructions=MOST)
        assert said == [("write", PLACE, 1, 7), ("read", PLACE, 4, 9)]


# --- ending, lines, deadlines -------------------------------------------------------------------


def ending(machine: Machine) -> Device:
    """An access to its first bytes ends the machine, and so does reading some others."""
    end = Outcome("exit", 0, "the device has ended it")
    device = Device(machine, at0=lambda value: machine.board.end(end))
    device.acts[16] = lambda value: machine.board.end(end) if device.said else None
    return device


ENDS = {
    "write": "mov [PLACE], eax",
    "read": "mov eax, [PLACE]",
    "in a block of many": NOPS + "mov [PLACE], eax \n" + NOPS,
    "read, modify, write": "add dword ptr [PLACE], 7",
    "push": "push dword ptr [PLACE]",
    "jump": "mov dword ptr [PLACE + 16], after \n jmp dword ptr [PLACE + 16]",
    "a loop": "mov ecx, 9 \n again: mov [PLACE], ecx \n loop again",
    "x87": "fld1 \n fstp tbyte ptr [PLACE] \n fld1",
}


@pytest.mark.parametrize("case", ENDS)
@pytest.mark.parametrize("paging", [False, True])
def test_the_end_comes_right_behind_the_instruction(case: str, paging: bool) -> None:
    code = ENDS[case].replace("PLACE", hex(PLACE))
    source = f"jmp here \n here: {code} \n nop \n after: nop \n int 0x31"
    run, device = agree(source, ending, paging=paging, trap=True)
    assert run.outcome.kind == "exit"
    begun = device.said[-1][-3]
    assert isinstance(begun, int)
    assert run.count == begun + 1, "the instruction has completed, and no other"


@pytest.mark.parametrize("code", ["f3a5", "f3a4", "f3ab", "f3ad", "f3a7", "f2af"])
def test_the_end_comes_between_two_elements(code: str) -> None:
    """The third one ends it: registers say how far it came, and EIP is at the REP."""
    def third(machine: Machine) -> Device:
        end = Outcome("exit", 0, "")
        return Device(machine, at8=lambda value: machine.board.end(end), at2=lambda value:
                      machine.board.end(end) if code == "f3a4" else None)  # fmt: skip

    at = PLACE if code in ("f3ad", "f3a7", "f2af") else DATA
    source = f"""
    mov  ecx, 9
    mov  eax, 1
    mov  esi, {at}
    mov  edi, {PLACE}
    cld
    .byte {", ".join(f"0x{code[i : i + 2]}" for i in (0, 2))}
    int  0x31
    """
    if code == "f2af":
        source = source.replace("mov  edi", "mov  esi, 0 \n mov  edi")
    run, _ = agree(source, third)
    assert run.outcome.kind == "exit"
    assert run.registers["ecx"] == 6


OPEN = "mov al, 0xfe \n out 0x21, al \n sti \n"
INCS = "inc ecx \n" * 40


def ringing(machine: Machine) -> Device:
    """A write pulses IRQ 0; a write at 4 has it pulsed so many ticks later."""
    line = machine.board.bus.irq(0)
    device = Device(machine)

    def later(ticks: int) -> None:
        bus = machine.board.bus
        bus.schedule(bus.clock.now() + 5 * ticks, line.pulse)

    device.acts = {0: lambda value: line.pulse(), 4: later}
    return device


@pytest.mark.parametrize(
    "access",
    ["mov [PLACE], eax", "inc byte ptr [PLACE]", "xchg [PLACE], eax", "pop dword ptr [PLACE]"],
)
def test_an_interrupt_comes_right_behind_the_access(access: str) -> None:
    before = "push eax \n" if access.startswith("pop") else ""
    access = access.replace("PLACE", hex(PLACE))
    source = f"{OPEN} {before} {NOPS} {access} \n behind: {NOPS} cli \n int 0x31"
    kernel = Kernel(source)
    run, _ = agree(source, ringing)
    assert run.log[0].vector == 0x20
    assert run.log[0].eip == kernel.symbol("behind")


def test_an_interrupt_between_two_elements() -> None:
    source = f"""{OPEN}
    mov  ecx, 9
    mov  edi, {PLACE - 8}
    mov  eax, 1
    cld
    here: .byte 0xf3, 0xab
    cli
    int  0x31
    """
    pages = {at: at | PRESENT | WRITE for at in (PLACE - 0x1000, PLACE)}
    kernel = Kernel(source)
    run, _ = agree(source, ringing, pages=pages)
    assert run.log[0].eip == kernel.symbol("here")
    assert run.log[0].eflags & 0x10000, "RF: it goes on"


@pytest.mark.parametrize("ticks", [0, 1, 5, CYCLE, CYCLE + 1, CYCLE + 7, 300])
def test_a_timer_set_by_an_access(ticks: int) -> None:
    """It goes off when it should: within the cycle, behind it, in the middle of a later block."""
    source = f"""{OPEN}
    mov  dword ptr [{PLACE + 4}], {ticks}
    {INCS}
    mov  eax, [{PLACE + 8}]
    {INCS * 8}
    cli
    int  0x31
    """
    run, _ = agree(source, ringing)
    assert run.vectors[0] == 0x20


def test_a_loop_that_polls() -> None:
    """Accesses of all sorts, timers, interrupts: they wander through the loop alike."""
    source = f"""{OPEN}
    mov  edi, {PLACE}
    mov  edx, 60
again:
    mov  dword ptr [edi + 4], 131
    mov  ecx, [edi + 8]
    inc  dword ptr [edi + 8]
    pushfd
    add  ecx, 3
    popfd
    movzx eax, byte ptr [edi + 9]
    push dword ptr [edi + 8]
    pop  ebx
    cli
    mov  [edi + 12], ebx
    sti
    dec  edx
    jnz  again
    cli
    int  0x31
    """
    run, device = agree(source, ringing, chunks=(MOST, 1, 7))
    assert run.vectors.count(0x20) > 20
    assert len(device.said) == 60 * 7


# --- ring 3, aliases, stubs, breakpoints --------------------------------------------------------


def test_user_code() -> None:
    source = f"""
    mov  edi, {PLACE}
    mov  ecx, 5
again:
    mov  [edi + ecx * 4], ecx
    add  eax, [edi + ecx * 4]
    lock inc dword ptr [edi + ecx * 4]
    loop again
    int  0x31
    """
    run, device = agree(source, ring=3)
    assert run.kinds["bare"] and len(device.said) == 20


def test_two_linear_aliases() -> None:
    pages = {0xC0400000: PLACE | PRESENT | WRITE, 0xC0500000: PLACE | PRESENT | WRITE}
    source = """
    mov  dword ptr [0xc0400010], 0x12345678
    mov  eax, [0xc0500010]
    mov  [DATA], eax
    int  0x31
    """
    run, device = agree(source, pages=pages)
    assert run.dword(DATA) == 0x12345678
    assert [entry[1] for entry in device.said] == [0x10, 0x10]


def test_through_the_reserved_segment_register() -> None:
    """GS is the cache's own: such an access is a stub, which has spilled registers."""
    source = f"""
    mov  ecx, {PLACE}
    mov  dword ptr [ecx + 8], after
    mov  dword ptr gs:[ecx + 4], ecx
    add  dword ptr gs:[ecx + 4], ecx
    mov  edx, dword ptr fs:[ecx + 4]
    mov  eax, dword ptr gs:[ecx + 4]
    jmp  dword ptr gs:[ecx + 8]
    ud2
after:
    mov  dword ptr [DATA], eax
    int  0x31
    """
    run, _ = agree(source)
    assert run.dword(DATA) == 2 * PLACE & 0xFFFFFFFF


@pytest.mark.parametrize("mode", MODES)
def test_breakpoints_and_watchpoints_at_the_device(mode: str) -> None:
    """A watched access happens once; a breakpoint stops before it."""
    machine = Machine(memory_mb=4, mode=mode)
    device = Device(machine)
    machine.board.bus.claim_memory(PLACE, 0x2000, device)
    code = assemble(f"nop; mov [{PLACE}], eax; nop; mov eax, [{PLACE}]; nop; hlt", 0x100000)
    machine.load_flat(code, 0x100000)
    machine.debug.add_watchpoint(PLACE, 4, "read")
    machine.debug.add_breakpoint(0x100001)
    assert machine.run(max_instructions=MOST).kind == "address"
    assert device.said == []
    assert machine.run(max_instructions=MOST).kind == "watchpoint"
    assert [entry[0] for entry in device.said] == ["write", "read"]
    assert machine.instructions == 4
    assert machine.run(max_instructions=MOST).kind == "stuck"
    assert len(device.said) == 2


def test_data_breakpoints_of_the_guest() -> None:
    source = f"""
    mov  eax, {PLACE}
    mov  dr0, eax
    mov  eax, 0xd0001
    mov  dr7, eax
    nop
    mov  [{PLACE}], ecx
    nop
    xor  eax, eax
    mov  dr7, eax
    int  0x31
    """
    run, device = agree(source)
    assert run.vectors[0] == 1 and len(device.said) == 1


def test_single_steps() -> None:
    source = f"""
    pushfd
    or   dword ptr [esp], 0x100
    popfd
    mov  [{PLACE}], ecx
    inc  dword ptr [{PLACE}]
    mov  ecx, 3
    mov  edi, {PLACE}
    rep  stosb
    pushfd
    and  dword ptr [esp], 0xfffffeff
    popfd
    int  0x31
    """
    run, device = agree(source)
    assert run.vectors.count(1) > 8 and len(device.said) == 6


def test_what_a_device_raises_comes_out_with_the_guest_whole() -> None:
    for mode in MODES:
        machine = make(Kernel(f"nop \n mov [{PLACE}], eax \n nop \n int 0x31", paging=False), mode)
        machine.devices.plug_memory(PLACE, 4, write=lambda offset, size, value: 1 // 0)
        with pytest.raises(ZeroDivisionError):
            machine.run(max_instructions=MOST)
        count = machine.instructions
        assert machine.run(max_instructions=1).kind == "instructions"
        assert machine.instructions == count + 1


# --- the map changes under way ------------------------------------------------------------------


class Moving(Device):
    """A write to its port moves it on by a page, or away."""

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine)
        self.claims: list[Any] = []
        machine.devices.plug_ports(0x300, 1, write=lambda offset, size, value: self.come(value))

    def come(self, value: int) -> None:
        self.claims.append(self.machine.board.bus.claim_memory(0xD0004 + 0x1000 * value, 4, self))


@pytest.mark.parametrize("before", ["mov eax, [0xd1004]", "nop", "mov [0xd1004], eax"])
def test_a_range_that_is_claimed_at_run_time(before: str) -> None:
    """Also where the open bus was read and written before, in the same loop."""
    source = f"""
    mov  edx, 0x300
    mov  ecx, 6
again:
    {before}
    mov  dword ptr [DATA + ecx * 4], eax
    mov  al, 1
    cmp  ecx, 3
    jne  over
    out  dx, al
over:
    mov  eax, [0xd1004]
    loop again
    int  0x31
    """
    _, device = agree(source, Moving, trap=True)
    assert [entry[0] for entry in device.said].count("read") >= 3


def test_the_hole_is_the_hole(monkeypatch: pytest.MonkeyPatch) -> None:
    """A device of four bytes in it, and what lies around: the open bus."""
    def hole(machine: Machine) -> Device:
        device = Device(machine)
        device.store[:4] = b"\x11\x22\x33\x44"
        machine.board.bus.claim_memory(0xD0004, 4, device)
        return device

    source = """
    mov  eax, [0xd0004]
    mov  dword ptr [DATA], eax
    mov  eax, [0xd0002]
    mov  dword ptr [DATA + 4], eax
    mov  eax, [0xd0008]
    mov  dword ptr [DATA + 8], eax
    int  0x31
    """
    for paging in (False, True):
        run, _ = agree(source, hole, paging=paging, trap=True)
        assert [run.dword(DATA + at) for at in (0, 4, 8)] == [0x44332211, 0x2211FFFF, 0xFFFFFFFF]
