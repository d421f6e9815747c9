"""Lab 2, solved: decode what raised #GP, check that ring 0 did it, emulate it."""

from __future__ import annotations

from monitor.extensions.handler import VirtualCpu

PREFIXES = (0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65, 0x66, 0x67, 0xF0, 0xF2, 0xF3)
EAX, EDX = 0, 2
TS = 8


def handle(cpu: VirtualCpu) -> bool:
    """The guest raised #GP at cpu.eip. Emulate the instruction if it is one of ring 0's."""
    code = cpu.code()
    start = next((at for at, byte in enumerate(code) if byte not in PREFIXES), len(code))
    prefixes, opcode = code[:start], code[start : start + 2]
    if not opcode or 0x67 in prefixes or 0xF0 in prefixes:
        return False
    size = 2 if 0x66 in prefixes else 4
    if opcode[0] in (0xFA, 0xFB):
        return interrupt_flag(cpu, start + 1, opcode[0] == 0xFB)
    if 0xE4 <= opcode[0] <= 0xE7 or 0xEC <= opcode[0] <= 0xEF:
        return port_access(cpu, code, start, size)
    if cpu.cpl != 0:
        return False
    if opcode[0] == 0xF4:
        cpu.eip += start + 1
        cpu.halt()
        return True
    if opcode == b"\x0f\x01":
        return load_table(cpu, code, start + 2, size)
    if opcode == b"\x0f\x06":
        cpu.set_control(0, cpu.control(0) & ~TS)
        cpu.eip += start + 2
        return True
    if opcode in (b"\x0f\x20", b"\x0f\x22"):
        return control_register(cpu, code, start + 2)
    return False


def interrupt_flag(cpu: VirtualCpu, length: int, on: bool) -> bool:
    if cpu.cpl > cpu.iopl:
        return False
    cpu.interrupt_flag = on
    if on:
        cpu.hold_interrupts()
    cpu.eip += length
    return True


def port_access(cpu: VirtualCpu, code: bytes, at: int, size: int) -> bool:
    """IN and OUT: bit 0 chooses the size, bit 1 the direction, bit 3 the port in DX."""
    if cpu.cpl > cpu.iopl:
        return False  # the I/O bitmap decides: leave that to the processor
    opcode = code[at]
    size = size if opcode & 1 else 1
    port = cpu.reg(EDX) & 0xFFFF if opcode & 8 else code[at + 1]
    mask = (1 << 8 * size) - 1
    if opcode & 2:
        cpu.port_out(port, size, cpu.reg(EAX) & mask)
    else:
        cpu.set_reg(EAX, cpu.reg(EAX) & ~mask | cpu.port_in(port, size))
    cpu.eip += at + (1 if opcode & 8 else 2)
    return True


def load_table(cpu: VirtualCpu, code: bytes, at: int, size: int) -> bool:
    """LGDT (/2) and LIDT (/3)."""
    digit = code[at] >> 3 & 7
    if code[at] >= 0xC0 or digit not in (2, 3):
        return False
    address, length = cpu.operand(at)
    operand = cpu.read(address, 6)
    limit = int.from_bytes(operand[:2], "little")
    base = int.from_bytes(operand[2:], "little") & (0xFFFFFF if size == 2 else 0xFFFFFFFF)
    if digit == 2:
        cpu.load_gdt(base, limit)
    else:
        cpu.load_idt(base, limit)
    cpu.eip += at + length
    return True


def control_register(cpu: VirtualCpu, code: bytes, at: int) -> bool:
    """MOV from CR (0F 20) and to CR (0F 22)."""
    number, register = code[at] >> 3 & 7, code[at] & 7
    if number not in (0, 2, 3, 4):
        return False
    if code[at - 1] == 0x20:
        cpu.set_reg(register, cpu.control(number))
    else:
        cpu.set_control(number, cpu.reg(register))
    cpu.eip += at + 1
    return True
