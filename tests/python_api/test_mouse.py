"""Somebody at the mouse: monitor/embedding/mouse.py, PS/2 and VMware's absolute pointer."""

from __future__ import annotations

import pytest
from api_lab import ESP, MODES, ORIGIN, asm, modes
from patience import PATIENCE

from monitor import Machine
from monitor.settings.capabilities import X86_VMWARE_BACKDOOR
from monitor.vmm.errors import UserError

# Switches the mouse's port on and the mouse to streaming, and notes what it sends by interrupt.
DRIVER = """
    lidt [idtr]
    mov  edi, 0x300000
    mov  al, 0x11
    out  0x20, al
    out  0xa0, al
    mov  al, 0x20
    out  0x21, al
    mov  al, 0x28
    out  0xa1, al
    mov  al, 4
    out  0x21, al
    mov  al, 2
    out  0xa1, al
    mov  al, 1
    out  0x21, al
    out  0xa1, al
    mov  al, 0xfb
    out  0x21, al
    mov  al, 0xef
    out  0xa1, al
    mov  al, 0x60
    out  0x64, al
    mov  al, 0x47
    out  0x60, al
    sti
    mov  al, 0xd4
    out  0x64, al
    mov  al, 0xf4
    out  0x60, al
again:
    hlt
    jmp  again

idtr:
    .word 0x2c * 8 + 7
    .long 0x2000
handler:
    push eax
    in   al, 0x60
    stosb
    mov  al, 0x20
    out  0xa0, al
    out  0x20, al
    pop  eax
    iretd
"""
GATE = 0x2000 + 8 * 0x2C


def driven(mode: str, source: str = DRIVER, **options: object) -> Machine:
    """A machine whose guest has switched its mouse on, and halts."""
    machine = Machine(memory_mb=4, mode=mode, **options)  # type: ignore[arg-type]
    return started(machine, source)


def started(machine: Machine, source: str) -> Machine:
    code = asm(source)
    handler = ORIGIN + len(asm(source[: source.index("handler:")]))
    machine.load_flat(code, ORIGIN, esp=ESP)
    cs = machine.registers["cs"]
    gate = (handler & 0xFFFF) | cs << 16 | (handler >> 16) << 48 | 0x8E00 << 32
    machine.write_physical(GATE, gate.to_bytes(8, "little"))
    assert machine.run(timeout=PATIENCE).kind == "stuck"
    return machine


def noted(machine: Machine) -> str:
    size = machine.registers["edi"] - 0x300000
    return machine.read_physical(0x300000, size).hex()


@modes
def test_motion_and_buttons(mode: str) -> None:
    machine = driven(mode, parts=["mouse"])
    assert noted(machine) == "fa"
    machine.mouse.move(5, 3)  # down
    machine.mouse.press("left")
    machine.mouse.move(-1)
    machine.mouse.release("left")
    machine.mouse.click("right")
    assert machine.mouse.held == ()
    assert machine.run(timeout=PATIENCE).kind == "stuck"
    assert noted(machine) == "fa" "2805fd" "090000" "19ff00" "080000" "0a0000" "080000"


def test_the_modes_agree() -> None:
    def life(mode: str) -> tuple[object, ...]:
        machine = driven(mode, parts=["mouse"])
        machine.mouse.move(400, -77)
        machine.mouse.click()
        machine.run(timeout=PATIENCE)
        return noted(machine), machine.instructions, machine.clock.now(), machine.registers

    lives = [life(mode) for mode in MODES]
    assert lives[0] == lives[1] == lives[2]


def test_reports_that_wait_are_in_a_snapshot() -> None:
    machine = driven("bare", parts=["mouse"])
    machine.mouse.move(300)
    machine.run(max_instructions=30)
    again = Machine.restore(machine.snapshot(), mode="translate")
    assert again.settings.parts == ("mouse",)
    for each in (machine, again):
        each.run(timeout=PATIENCE)
    assert noted(machine) == noted(again) == "fa" "087f00" "087f00" "082e00"


def test_who_has_none() -> None:
    machine = Machine(memory_mb=4)
    with pytest.raises(UserError, match="this machine has no mouse"):
        machine.mouse.move(1)
    with pytest.raises(UserError, match=r"part 'mose': .*did you mean mouse"):
        Machine(memory_mb=4, parts=["mose"])
    with pytest.raises(UserError, match="no button named 'thumb'"):
        machine.mouse.press("thumb")


# Enables VMware's pointer with absolute places; its handler fetches a packet for every interrupt.
POINTER = DRIVER.replace(
    "again:",
    """
    mov  ecx, 41
    mov  ebx, 0x45414552
    call backdoor
    mov  ecx, 39
    mov  ebx, 1
    call backdoor
    mov  ecx, 41
    mov  ebx, 0x53424152
    call backdoor
again:""",
    1,
).replace(
    "    stosb\n",
    """
    push ebx
    push ecx
    push edx
    mov  ecx, 40
    call backdoor
    test eax, 0xffff
    jz   nothing
    mov  ecx, 39
    mov  ebx, 4
    call backdoor
    mov  [edi], eax
    mov  [edi + 4], ebx
    mov  [edi + 8], ecx
    mov  [edi + 12], edx
    add  edi, 16
nothing:
    pop  edx
    pop  ecx
    pop  ebx
""",
)


def with_backdoor(source: str) -> str:
    body, _, tail = source.partition("handler:")
    call = "backdoor: mov eax, 0x564d5868; mov dx, 0x5658; in eax, dx; ret\n"
    return body + call + "handler:" + tail


@modes
def test_an_absolute_pointer(mode: str) -> None:
    machine = Machine(memory_mb=4, mode=mode, parts=["mouse"])
    machine.enable(X86_VMWARE_BACKDOOR)
    started(machine, with_backdoor(POINTER))
    assert machine.mouse.follows and noted(machine) == ""
    machine.mouse.move_to(0x8000, 0x1234)
    machine.mouse.press("left")
    machine.mouse.scroll(-1)
    assert machine.run(timeout=PATIENCE).kind == "stuck"
    words = memoryview(bytes.fromhex(noted(machine))).cast("I")
    assert [tuple(words[at : at + 4]) for at in range(0, len(words), 4)] == [
        (0, 0x8000, 0x1234, 0), (0x20, 0x8000, 0x1234, 0), (0x20, 0x8000, 0x1234, 0xFFFFFFFF)
    ]  # fmt: skip
    machine.mouse.move(3, 4)
    machine.run(timeout=PATIENCE)
    assert bytes.fromhex(noted(machine))[-16:].hex() == "20000100" "03000000" "04000000" "00000000"
