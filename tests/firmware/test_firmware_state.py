"""What a guest finds: interrupts that come, a clock that goes, low memory filled; or none of it."""

from __future__ import annotations

import inspect
import struct

import pytest
from firmware_lab import DONE, ORIGIN, answers, finish, multiboot_image, real
from patience import PATIENCE

from bt.assembler import assemble
from devices.i8254 import PIT_HZ
from monitor import Machine
from monitor.firmware import vectors
from monitor.settings.config import FIRMWARE_STATE
from monitor.settings.machine import MODES
from monitor.vmm.errors import UserError

PERIOD = 0x10000  # of counter 0
SLEEP = "sti\n again:\n hlt\n jmp again\n"
TICKS = 0x46C

# Vector 8 counts in EBX and ends after ten; every other interrupt is a triple fault.
COUNTING = """
    lea eax, [handler]
    mov [0x8040], eax
    mov [0x8044], eax
    mov word ptr [0x8042], 0x10
    mov word ptr [0x8044], 0x8E00
    .byte 0x0f, 0x01, 0x1d
    .long idtr
    xor ebx, ebx
    movzx ecx, word ptr [0x413]
    in al, 0xA1
    mov ah, al
    in al, 0x21
    mov edx, eax
    sti
again:
    hlt
    jmp again
handler:
    inc ebx
    mov al, 0x20
    out 0x20, al
    cmp ebx, 10
    jne back
    out 0xF4, al
back:
    iretd
idtr:
    .short 0x7ff
    .long 0x8000
"""


def timer_ticks(machine: Machine) -> int:
    """How often counter 0 has gone round."""
    return machine.clock.now() * PIT_HZ // 10**9 // PERIOD


@pytest.mark.parametrize("mode", MODES)
def test_a_guest_that_only_waits_is_woken_18_times_a_second(mode: str) -> None:
    machine = real(SLEEP, mode)
    for number in range(1, 6):
        assert machine.run(until_event="interrupt 0x8", timeout=PATIENCE).kind == "event"
        assert timer_ticks(machine) == number
    before = machine.clock.now()
    for _ in range(182):
        machine.run(until_event="interrupt 0x8", timeout=PATIENCE)
    assert 9.99 < (machine.clock.now() - before) / 1e9 < 10.01


@pytest.mark.parametrize("mode", MODES)
def test_its_clock_goes(mode: str) -> None:
    machine = real(f"sti\n again:\n hlt\n cmp dword ptr [{TICKS}], 7\n jb again\n {DONE}", mode)
    assert finish(machine).kind == "exit"
    assert machine.read_physical(TICKS, 4) == struct.pack("<I", 7)
    assert timer_ticks(machine) == 7
    assert machine.statistics()["interrupts"] == 7


def test_the_user_hook_is_called() -> None:
    source = f"""
        lea ax, [hook]
        mov [0x70], ax
        mov word ptr [0x72], 0
        sti
    again:
        hlt
        jmp again
    hook:
        inc si
        cmp si, 3
        jb back
        {DONE}
    back:
        iret
    """
    machine = real(source)
    assert finish(machine).kind == "exit"
    assert machine.registers["esi"] & 0xFFFF == 3
    assert machine.read_physical(TICKS, 4) == struct.pack("<I", 3)


def test_the_clock_starts_with_the_time_of_day_and_passes_midnight() -> None:
    machine = real(SLEEP, start_time=86400 * 365 + 86399)
    ticks = int.from_bytes(machine.read_physical(TICKS, 4), "little")
    assert ticks == 86399 * PIT_HZ // PERIOD
    rest = 0x1800B0 - ticks
    for _ in range(rest):
        assert machine.read_physical(0x470, 1) == b"\0"
        machine.run(until_event="interrupt 0x8", timeout=PATIENCE)
        machine.run(max_instructions=15)  # the handler, and not yet the next HLT
    assert machine.read_physical(TICKS, 5) == b"\0\0\0\0\1"


@pytest.mark.parametrize("mode", MODES)
def test_a_multiboot_guest_finds_a_pc(mode: str) -> None:
    """Line 0 at vector 8, ten times; the masks, and the memory size of the BIOS data area."""
    machine = Machine(memory_mb=4, mode=mode)
    machine.load_multiboot(multiboot_image(COUNTING))
    assert finish(machine).kind == "exit"
    assert machine.registers["ebx"] == 10
    assert machine.registers["ecx"] == 639
    assert machine.registers["edx"] & 0xFFFF == 0xFEB8
    assert timer_ticks(machine) == 10


@pytest.mark.parametrize("mode", ["bare", "translate"])
def test_raw_is_as_before(mode: str) -> None:
    image = multiboot_image(COUNTING)
    machine = Machine(memory_mb=4, mode=mode)
    chips = machine.board.snapshot()
    machine.load_multiboot(image, firmware_state="raw")
    assert machine.board.snapshot() == chips
    assert machine.read_physical(0, 0x500) == bytes(0x500)
    assert machine.read_physical(0x9FC00, 0x400) == bytes(0x400)
    outcome = machine.run(timeout=PATIENCE)
    assert outcome.kind == "stuck"
    assert outcome.detail == "halted, and no timer or input can interrupt the guest"
    assert machine.registers["ecx"] == 0


def test_the_data_area() -> None:
    machine = real(SLEEP)

    def word(address: int) -> int:
        return int.from_bytes(machine.read_physical(address, 2), "little")

    assert [word(0x400 + 2 * n) for n in range(7)] == [0x3F8, 0, 0, 0, 0, 0, 0]
    assert word(0x40E) == 0x9FC0
    assert word(0x410) == 0x0202  # coprocessor, one serial port
    assert word(0x413) == 639
    assert word(0x41A) == word(0x41C) == word(0x480) == 0x1E and word(0x482) == 0x3E
    assert machine.read_physical(0x449, 0x1D) == bytes(0x1D)  # no screen
    assert word(0x472) == 0  # no warm start
    assert machine.read_physical(0x47C, 4) == b"\1\0\0\0"
    assert machine.read_physical(0x9FC00, 2) == b"\1\0"


def test_the_interrupt_table_points_at_code() -> None:
    machine = real(SLEEP)
    code = machine.read_physical(0x9FE00, len(vectors.handlers().image))
    assert code == vectors.handlers().image
    table = struct.unpack("<256I", machine.read_physical(0, 1024))
    names = {address: name for name, address in vectors.handlers().symbols.items()}
    free = {vector for vector, target in enumerate(table) if not target}
    assert free == {0x1D, 0x1E, 0x1F, 0x41, 0x43, 0x46, *range(0x60, 0x67)}
    found = {vector: names[target & 0xFFFF] for vector, target in enumerate(table) if target}
    assert all(target >> 16 == 0x9FC0 for target in table if target)
    assert [found[n] for n in (8, 9, 0x0A, 0x0F, 0x70, 0x71, 0x77)] == [
        "timer_irq", "keyboard_irq", "other_master_irq", "other_master_irq",
        "clock_irq", "other_slave_irq", "other_slave_irq"]  # fmt: skip
    assert found[0] == found[0x10] == found[0xFF] == "nothing"


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("int 0x11", {"eax": 0x0202}),
        ("int 0x12", {"eax": 639}),
        ("mov ah, 0x88\n stc\n int 0x15\n sbb bx, bx", {"eax": 3072, "ebx": 0}),
        ("mov eax, 0xE820\n clc\n int 0x15\n sbb bx, bx", {"eax": 0x8620, "ebx": 0xFFFF}),
        ("mov ax, 0x0201\n clc\n int 0x13\n sbb bx, bx", {"eax": 0x0101, "ebx": 0xFFFF}),
        ("mov ah, 1\n or al, 1\n int 0x16\n jnz $+4\n inc bx\n nop", {"ebx": 1}),
        ("mov byte ptr [0x417], 0x55\n mov ah, 2\n int 0x16\n", {"eax": 0x0255}),
        ("mov ax, 0x1234\n int 0x10", {"eax": 0x1234}),
        ("mov byte ptr [0x470], 1\n mov dword ptr [0x46C], 0x00123456\n mov ah, 0\n stc\n"
         " int 0x1A\n sbb bx, bx\n mov ah, [0x470]",
         {"eax": 1, "ecx": 0x12, "edx": 0x3456, "ebx": 0}),
        ("mov cx, 3\n mov dx, 4\n mov ah, 1\n int 0x1A\n mov ebx, [0x46C]", {"ebx": 0x30004}),
        ("mov ah, 2\n clc\n int 0x1A\n sbb bx, bx\n", {"eax": 0x8600, "ebx": 0xFFFF}),
    ],
)  # fmt: skip
def test_the_calls_that_there_are(question: str, answer: dict[str, int]) -> None:
    left = answers(question)
    assert {name: left[name] for name in answer} == answer


def test_boot_again_is_a_reset() -> None:
    assert finish(real("int 0x19")).kind == "reset"


def test_waiting_for_a_key_waits_with_interrupts_on() -> None:
    machine = real("mov ah, 0\n int 0x16\n" + DONE)
    for number in range(1, 4):
        machine.run(until_event="interrupt 0x8", timeout=PATIENCE)
        assert timer_ticks(machine) == number


def test_an_interrupt_that_nobody_handles_closes_its_line() -> None:
    """The serial port's, opened by a guest that forgot the vector; the timer goes on."""
    machine = real(
        """
        mov al, 0xA8
        out 0x21, al
        mov dx, 0x3FC
        mov al, 8
        out dx, al
        mov dx, 0x3F9
        mov al, 2
        out dx, al
        sti
        hlt
        hlt
        in al, 0x21
        mov bl, al
        mov bh, [0x46C]
    """
        + DONE
    )
    assert finish(machine).kind == "exit"
    assert machine.registers["ebx"] & 0xFFFF == 0x01B8


def test_the_same_of_the_second_controller() -> None:
    """The mouse's line, by a byte that the guest itself puts into the controller's buffer."""
    machine = real(
        """
        mov al, 0xEE
        out 0xA1, al
        mov al, 0x60
        out 0x64, al
        mov al, 0x47
        out 0x60, al
        mov al, 0xD3
        out 0x64, al
        mov al, 0x99
        out 0x60, al
        sti
        hlt
        hlt
        in al, 0xA1
        mov bl, al
        mov bh, [0x46C]
    """
        + DONE
    )
    assert finish(machine).kind == "exit"
    assert machine.registers["ebx"] & 0xFFFF == 0x01FE


def test_a_key_is_read_so_that_the_next_can_come() -> None:
    """The keyboard echoes EEh, twice: each is an interrupt of its own."""
    echo = "mov al, 0xEE\n out 0x60, al\n hlt\n in al, 0x64\n and al, 1\n or bl, al\n"
    machine = real(f"xor bx, bx\n sti\n {echo} {echo}" + DONE)
    assert finish(machine).kind == "exit"
    assert machine.statistics()["interrupts"] == 2
    assert machine.registers["ebx"] & 0xFF == 0


def test_the_clock_chip_interrupts_again_and_again_and_the_alarm_is_told() -> None:
    """1024 times a second, at vector 70h; and vector 4Ah at the alarm, which is any second."""
    machine = real(f"""
        lea ax, [alarm]
        mov [0x128], ax
        mov word ptr [0x12A], 0
        mov cx, 6
    each:
        dec cx
        mov al, cl
        out 0x70, al
        mov al, 0xC0
        test cl, 1
        jz next
        out 0x71, al
    next:
        jcxz over
        jmp each
    over:
        mov al, 0x0B
        out 0x70, al
        mov al, 0x62
        out 0x71, al
        sti
    again:
        hlt
        jmp again
    alarm:
        {DONE}
    """)
    assert finish(machine).kind == "exit"
    assert 1000 < machine.statistics()["interrupts"] < 1024 + 19


def test_interrupts_wait_until_the_guest_wants_them() -> None:
    """Nothing is pending from before, and EFLAGS.IF is off."""
    machine = real("mov al, 0x0A\n out 0x20, al\n in al, 0x20\n mov bl, al\n out 0xA0, al\n"
                   "in al, 0xA0\n pushf\n pop cx\n" + DONE)  # fmt: skip
    assert finish(machine).kind == "exit"
    assert machine.registers["ebx"] & 0xFF == 0
    assert not machine.registers["ecx"] & 0x200


def test_bare_and_translated_are_the_same_to_the_instruction() -> None:
    lives = []
    for mode in MODES:
        machine = real(SLEEP, mode)
        machine.run(max_instructions=5_000, timeout=PATIENCE)
        seen = machine.clock.now(), machine.registers, machine.read_physical(0, 0x500)
        lives.append((*seen, machine.board.snapshot()))
    assert lives[0] == lives[1] == lives[2]


@pytest.mark.parametrize("address", [0x4FF, 0x9FBFF, 0x9FFFF])
def test_the_bioss_memory_is_not_the_guests(address: int) -> None:
    machine = Machine(memory_mb=4, mode="bare")
    with pytest.raises(UserError, match=r"overlaps the BIOS's .* move or shrink"):
        machine.load_flat(b"\xf4\xf4", address - (address == 0x9FFFF), firmware_state="bios")
    assert machine.read_physical(0x400, 0x100) == bytes(0x100)
    machine.load_flat(b"\xf4\xf4", address - (address == 0x9FFFF))


def test_what_lies_beside_it_is() -> None:
    machine = Machine(memory_mb=4, mode="bare")
    for address in (0x500, 0x9FBFE):
        machine.load_flat(b"\xf4\xf4", address, firmware_state="bios")


@pytest.mark.parametrize("kind", ["linux", "multiboot", "elf", "flat"])
def test_an_unknown_state_is_refused(kind: str) -> None:
    machine = Machine(memory_mb=4, mode="bare")
    arguments = (b"\xf4", ORIGIN) if kind == "flat" else (b"\xf4",)
    with pytest.raises(UserError, match="firmware state 'dos': choose from bios, raw"):
        getattr(machine, f"load_{kind}")(*arguments, firmware_state="dos")


def test_the_command_line_and_python_have_the_same_defaults() -> None:
    for kind, state in FIRMWARE_STATE.items():
        loader = getattr(Machine, "load_linux" if kind == "kernel" else f"load_{kind}")
        assert inspect.signature(loader).parameters["firmware_state"].default == state


def test_another_guest_in_the_same_machine_finds_it_again() -> None:
    machine = real("mov al, 0xFF\n out 0x21, al\n mov al, 0x30\n out 0x43, al\n" + DONE)
    assert finish(machine).kind == "exit"
    machine.board.ended = None
    machine.load_flat(assemble(SLEEP, 0x7C00, bits=16), 0x7C00, real_mode=True,
                      firmware_state="bios")  # fmt: skip
    assert machine.run(until_event="interrupt 0x8", timeout=PATIENCE).kind == "event"
