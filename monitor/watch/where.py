"""What a person wants to see when a guest ended badly: where it was, and how it got there."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from monitor.vmm.errors import UserError
from monitor.vmm.processor import Processor

CODE_BYTES = 40


def describe(
    processor: Processor, registers: Mapping[str, int], read: Callable[[int, int], bytes]
) -> str:
    """Registers, last exits, and the code around EIP; `read` reads linear memory."""
    lines = [*_registers(processor.count(), registers), *_exits(processor)]
    return "\n".join([*lines, *_code(processor, read)])


def _registers(count: int, r: Mapping[str, int]) -> list[str]:
    general = "  ".join(f"{n}={r[n]:08x}" for n in ("eax", "ebx", "ecx", "edx"))
    pointers = "  ".join(f"{n}={r[n]:08x}" for n in ("esi", "edi", "ebp", "esp"))
    selectors = "  ".join(f"{n}={r[n]:04x}" for n in ("cs", "ss", "ds", "es", "fs", "gs"))
    control = "  ".join(f"{n}={r[n]:08x}" for n in ("cr0", "cr2", "cr3", "cr4"))
    return [
        f"guest registers after {count:,} instructions:",
        f"  {general}",
        f"  {pointers}",
        f"  {selectors}",
        f"  eip={r['eip']:08x}  eflags={r['eflags']:08x}  {control}",
    ]


def _exits(processor: Processor) -> list[str]:
    recent = processor.recent_exits()
    if not recent:
        return []
    return ["last exits, oldest first:", *(f"  {line}" for line in recent)]


def _code(processor: Processor, read: Callable[[int, int], bytes]) -> list[str]:
    import capstone

    processor.sync()
    cpu = processor.ideal
    _, base, _, attributes = cpu.segment(1)
    linear = (base + cpu.eip) & 0xFFFFFFFF
    try:
        code = read(linear, CODE_BYTES)
    except UserError as error:
        return [f"no code at eip: {error}"]
    bits = capstone.CS_MODE_32 if attributes & 0x4000 else capstone.CS_MODE_16
    text = capstone.Cs(capstone.CS_ARCH_X86, bits).disasm_lite(code, cpu.eip)
    return [
        "code at eip:",
        *(f"  {address:08x}  {name} {operands}".rstrip() for address, _, name, operands in text),
    ]
