"""What a person wants to see when a guest ended badly: where it was, and how it got there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monitor.errors import UserError

if TYPE_CHECKING:
    from monitor.machine import Machine

CODE_BYTES = 40


def describe(machine: Machine) -> str:
    """Registers, last exits, and the code around EIP."""
    lines = [*_registers(machine), *_exits(machine), *_code(machine)]
    return "\n".join(lines)


def _registers(machine: Machine) -> list[str]:
    r = machine.registers
    general = "  ".join(f"{n}={r[n]:08x}" for n in ("eax", "ebx", "ecx", "edx"))
    pointers = "  ".join(f"{n}={r[n]:08x}" for n in ("esi", "edi", "ebp", "esp"))
    selectors = "  ".join(f"{n}={r[n]:04x}" for n in ("cs", "ss", "ds", "es", "fs", "gs"))
    control = "  ".join(f"{n}={r[n]:08x}" for n in ("cr0", "cr2", "cr3", "cr4"))
    return [
        f"guest registers after {machine.processor.count():,} instructions:",
        f"  {general}",
        f"  {pointers}",
        f"  {selectors}",
        f"  eip={r['eip']:08x}  eflags={r['eflags']:08x}  {control}",
    ]


def _exits(machine: Machine) -> list[str]:
    recent = machine.processor.recent_exits()
    if not recent:
        return []
    return ["last exits, oldest first:", *(f"  {line}" for line in recent)]


def _code(machine: Machine) -> list[str]:
    import capstone

    machine.processor.sync()
    cpu = machine.processor.ideal
    _, base, _, attributes = cpu.segment(1)
    linear = (base + cpu.eip) & 0xFFFFFFFF
    try:
        code = machine.read_memory(linear, CODE_BYTES)
    except UserError as error:
        return [f"no code at eip: {error}"]
    bits = capstone.CS_MODE_32 if attributes & 0x4000 else capstone.CS_MODE_16
    text = capstone.Cs(capstone.CS_ARCH_X86, bits).disasm_lite(code, cpu.eip)
    return [
        "code at eip:",
        *(f"  {address:08x}  {name} {operands}".rstrip() for address, _, name, operands in text),
    ]
