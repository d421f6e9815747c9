"""A few hundred bytes of code for 16 and 32-bit segments, without an assembler's patience.

Operands in memory are absolute addresses; those above 64 KiB take 32-bit addressing. Sizes are 1, 2
or 4 bytes.
"""

from __future__ import annotations

EAX, ECX, EDX, EBX, ESP, EBP, ESI, EDI = range(8)
ES, CS, SS, DS, FS, GS = range(6)
SEGMENT_PREFIX = (0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65)
PUSH_SEGMENT = (b"\x06", b"\x0e", b"\x16", b"\x1e", b"\x0f\xa0", b"\x0f\xa8")
POP_SEGMENT = (b"\x07", None, b"\x17", b"\x1f", b"\x0f\xa1", b"\x0f\xa9")


class Code:
    """Instructions one after another, for a segment of `bits` 16 or 32."""

    def __init__(self, bits: int) -> None:
        self.bits = bits
        self.bytes = bytearray()

    @property
    def native(self) -> int:
        """Operand size without a prefix."""
        return self.bits // 8

    def raw(self, code: bytes) -> None:
        self.bytes += code

    def op(self, size: int, code: bytes, immediate: int | None = None) -> None:
        """An instruction with operand size `size`, and an immediate of that size."""
        if size != 1 and size != self.native:
            self.bytes.append(0x66)
        self.bytes += code
        if immediate is not None:
            self.bytes += (immediate & ((1 << (8 * size)) - 1)).to_bytes(size, "little")

    def register(self, size: int, opcode: bytes, reg: int, rm: int) -> None:
        """ModRM with two registers."""
        self.op(size, opcode + bytes([0xC0 | reg << 3 | rm]))

    def memory(
        self, size: int, opcode: bytes, reg: int, address: int, segment: int | None = None
    ) -> None:
        """ModRM with an absolute address."""
        wide = self.bits == 32 or address > 0xFFFF
        if segment is not None:
            self.bytes.append(SEGMENT_PREFIX[segment])
        if wide and self.bits == 16:
            self.bytes.append(0x67)
        self.op(size, opcode)
        if wide:
            self.bytes.append(reg << 3 | 5)
            self.bytes += address.to_bytes(4, "little")
        else:
            self.bytes.append(reg << 3 | 6)
            self.bytes += address.to_bytes(2, "little")

    def load(self, register: int, value: int) -> None:
        """MOV r32, imm32."""
        self.op(4, bytes([0xB8 + register]), value)

    def push(self, size: int, value: int) -> None:
        """PUSH imm of that size."""
        self.op(size, b"\x68", value)

    def far(self, size: int, opcode: int, selector: int, offset: int) -> None:
        """JMP or CALL ptr16:16 or ptr16:32."""
        self.op(size, bytes([opcode]), offset)
        self.bytes += selector.to_bytes(2, "little")
