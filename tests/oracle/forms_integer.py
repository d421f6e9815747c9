"""The integer instructions of the 386 to the Pentium Pro that ring 3 can execute, as table rows.

Not here, with the reason: CPUID, RDTSC, RDPMC (the host's own answers); SGDT SIDT SLDT STR SMSW
(emulated by the host kernel under UMIP); SYSENTER, INT 80h (would enter the host kernel); INT1
(hypervisors get its EIP wrong); far CALL, JMP, RET and IRET (selectors of the host; directed tests
cover them). Privileged instructions are here: ring 3 gets #GP(0).
"""

from __future__ import annotations

import numpy as np

from bt.hostcpu import layout as at
from bt.hostcpu.host import entry_eip
from tests.oracle import values
from tests.oracle.forms import (
    EAX,
    EBP,
    EBX,
    ECX,
    EDI,
    EDX,
    ESI,
    ESP,
    Array,
    Batch,
    Row,
    Setup,
)  # fmt: skip


def row(
    mnemonic: str,
    encoding: str,
    size: int | str = "v",
    options: str = "",
    prepare: Setup | None = None,
    setup: Setup | None = None,
    keep: tuple[int, ...] = (),
) -> Row:
    return Row(mnemonic, encoding, size, frozenset(options.split()), prepare, setup, keep)


# Setups: what random registers do not give


def _low_counts(batch: Batch) -> None:
    """CL for shifts: every count, with the ones around the operand sizes more often."""
    corners = np.array([0, 1, 2, 7, 8, 9, 15, 16, 17, 24, 31, 32, 33, 63, 64, 255])
    picked = corners[batch.rng.integers(0, len(corners), batch.count)]
    uniform = batch.rng.integers(0, 256, batch.count)
    low = np.where(batch.rng.random(batch.count) < 0.5, picked, uniform).astype(np.uint32)
    batch.regs[:, ECX] = (batch.regs[:, ECX] & np.uint32(0xFFFF_FF00)) | low


def _quotient_fits(batch: Batch) -> None:
    """DIV and IDIV overflow on nearly every random dividend: make the high half small, or its
    sign extension, most of the time."""
    regs = batch.regs
    sign = np.where(regs[:, EAX] >> 31, 0xFFFF_FFFF, 0).astype(np.uint32)
    small = batch.rng.integers(0, 8, batch.count).astype(np.uint32)
    kind = batch.rng.integers(0, 4, batch.count)
    regs[:, EDX] = np.choose(kind, [regs[:, EDX], sign, np.zeros_like(sign), small])


def _quotient_byte_fits(batch: Batch) -> None:
    regs = batch.regs
    high = batch.rng.choice(np.array([0, 0, 1, 3, 0xFF]), batch.count).astype(np.uint32) << 8
    keep = batch.rng.random(batch.count) < 0.3
    narrow = (regs[:, EAX] & np.uint32(0xFFFF_00FF)) | high.astype(np.uint32)
    regs[:, EAX] = np.where(keep, regs[:, EAX], narrow)


def _bit_offset(batch: Batch) -> None:
    """BT r/m, r on memory: a signed bit offset of up to 40 bytes either way."""
    small = batch.rng.integers(-320, 320, (batch.count, 8)).astype(np.uint32)
    if batch.opsize == 16:
        small = (small & np.uint32(0xFFFF)) | (batch.regs & np.uint32(0xFFFF_0000))
    if batch.memory:
        batch.regs[:] = small


def _bit_inside(batch: Batch) -> None:
    """Reject cases whose offset register was needed for the address and now leads elsewhere."""
    if not batch.memory:
        return
    offset = batch.regs[np.arange(batch.count), batch.reg]
    signed = offset.astype(np.int32) if batch.opsize == 32 else offset.astype(np.int16)
    batch.reject |= np.abs(signed.astype(np.int64)) > 512
    batch.reject |= _far_from_window(batch, signed.astype(np.int64) // batch.opsize)


def _far_from_window(batch: Batch, units: Array) -> Array:
    """Operands whose unit, `units` words or doublewords on, is mapped but in no window."""
    width = batch.opsize // 8
    address = batch.target.astype(np.int64) + units * width
    mapped = (address > at.DATA - width) & (address < at.DATA + at.DATA_SIZE)
    inside = np.zeros(batch.count, bool)
    for start, size in at.WINDOWS:
        inside |= (address >= start) & (address + width <= start + size)
    inside |= (address + width > at.DATA + at.DATA_SIZE) & (address >= at.EDGE_WINDOW)
    return np.asarray(mapped & ~inside)


def _string(batch: Batch) -> None:
    """ESI and EDI in the main window, a small ECX; sometimes at the hole or in the read-only
    page."""
    rng, regs = batch.rng, batch.regs
    mask = np.uint32(0xFFFF if batch.adsize == 16 else 0xFFFF_FFFF)
    for register in (ESI, EDI):
        place = at.MAIN_WINDOW + 160 + rng.integers(0, 192, batch.count)
        edge = at.DATA + at.DATA_SIZE - rng.integers(1, 24, batch.count)
        read_only = at.READ_ONLY_PAGE + 128 + rng.integers(0, 64, batch.count)
        kind = rng.choice(3, batch.count, p=[0.9, 0.06, 0.04])
        address = (np.choose(kind, [place, edge, read_only]) - batch.base).astype(np.uint32)
        regs[:, register] = (regs[:, register] & ~mask) | (address & mask)
    count = rng.integers(0, 20, batch.count).astype(np.uint32)
    regs[:, ECX] = (regs[:, ECX] & ~mask) | count


def _string_equal(batch: Batch) -> None:
    """CMPS and SCAS want runs of equal bytes: repeat one byte over the windows, with flaws."""
    _string(batch)
    rng = batch.rng
    same = np.repeat(rng.integers(0, 256, (batch.count, 1)).astype(np.uint8), at.MEM_SIZE, 1)
    flaws = rng.random((batch.count, at.MEM_SIZE)) < 0.02
    alike = (rng.random(batch.count) < 0.6)[:, None]
    batch.cases["mem"][:] = np.where(alike & ~flaws, same, batch.cases["mem"])
    equal = rng.random(batch.count) < 0.5
    word = same[:, 0].astype(np.uint32) * np.uint32(0x0101_0101)
    batch.regs[:, EAX] = np.where(equal, word, batch.regs[:, EAX])


def _xlat(batch: Batch) -> None:
    base = batch.target - np.uint32(batch.base) - (batch.regs[:, EAX] & np.uint32(0xFF))
    mask = np.uint32(0xFFFF if batch.adsize == 16 else 0xFFFF_FFFF)
    batch.regs[:, EBX] = (batch.regs[:, EBX] & ~mask) | (base.astype(np.uint32) & mask)


def _loop_count(batch: Batch) -> None:
    count = batch.rng.integers(0, 3, batch.count).astype(np.uint32)
    high = batch.rng.integers(0, 2, batch.count).astype(np.uint32) << np.uint32(16)
    keep = batch.rng.random(batch.count) < 0.2
    batch.regs[:, ECX] = np.where(keep, batch.regs[:, ECX], count | high)


def _stack_pointer(batch: Batch) -> Array:
    """The linear address of the top of the stack."""
    esp = batch.regs[:, ESP].copy()
    narrow = batch.cases["ss"] == at.SEG_STACK16.selector
    return np.asarray(np.where(narrow, esp & np.uint32(0xFFFF), esp) + np.uint32(batch.base))


def _code_targets(batch: Batch) -> Array:
    """Places among the INT3 bytes of the code page, some targets anywhere in an empty region."""
    near = entry_eip(batch.cases["cs"]) + batch.rng.integers(80, 1000, batch.count)
    far = 0x4000_0000 + batch.rng.integers(0, 1 << 24, batch.count)
    picked = np.where(batch.rng.random(batch.count) < 0.9, near, far)
    return np.asarray(picked, "<u4")


def _return_address(batch: Batch) -> None:
    data = _code_targets(batch).view(np.uint8).reshape(batch.count, 4)
    batch.store(_stack_pointer(batch), data)


def _target_registers(batch: Batch) -> None:
    """CALL/JMP r: the target in every register that is not the stack pointer."""
    targets = _code_targets(batch)
    for register in (EAX, ECX, EDX, EBX, EBP, ESI, EDI):
        batch.regs[:, register] = targets


def _target_memory(batch: Batch) -> None:
    """CALL/JMP m: the target in memory."""
    if batch.memory:
        batch.store(batch.target, _code_targets(batch).view(np.uint8).reshape(batch.count, 4))
    else:  # a jump to the stack would run data
        batch.reject |= batch.rm == ESP


def _frame(batch: Batch) -> None:
    """LEAVE and ENTER: EBP a little above ESP."""
    above = 4 * batch.rng.integers(0, 16, batch.count).astype(np.uint32)
    narrow = batch.cases["ss"] == at.SEG_STACK16.selector
    frame = batch.regs[:, ESP] + above
    high = np.uint32(0xFFFF_0000)
    frame = np.where(narrow, (batch.regs[:, EBP] & high) | (frame & ~high), frame)
    batch.regs[:, EBP] = frame


def _popped_flags(batch: Batch) -> None:
    """POPF: AC and TF clear, the rest anything."""
    address = _stack_pointer(batch)
    flags = values.words(batch.rng, batch.count) & ~np.uint32(values.AC | values.TF)
    batch.store(address, flags.astype("<u4").view(np.uint8).reshape(batch.count, 4))


_SELECTORS = np.array(
    [0, 1, 2, 3, at.SEL_FLAT, at.SEL_FLAT & ~3, at.SEL_CODE32, at.SEL_CODE32 & ~3, 0x10, 0x18, 0x1B,
     *(segment.selector for segment in at.LDT), *(segment.selector & ~3 for segment in at.LDT),
     0x47, 0x4F, 0x83, 0x8B, 0xFFFF],
    np.uint32,
)  # fmt: skip


def _selector_registers(batch: Batch) -> None:
    """Selectors in the low half of every register."""
    picked = batch.rng.choice(_SELECTORS, (batch.count, 8)).astype(np.uint32)
    picked |= batch.regs & np.uint32(0xFFFF_0000)
    batch.regs[:, :ESP] = picked[:, :ESP]
    batch.regs[:, EBP:] = picked[:, EBP:]


def _selector_memory(batch: Batch) -> None:
    """A selector in the memory operand."""
    picked = batch.rng.choice(_SELECTORS, batch.count).astype("<u2")
    if batch.memory:
        batch.store(batch.target, picked.view(np.uint8).reshape(batch.count, 2))
    else:  # ESP is anything: not the entry that holds the CPU number
        batch.reject |= (batch.rm == ESP) & (batch.regs[:, ESP] & 0xFFFC == 0x78)


def _popped_selector(batch: Batch) -> None:
    picked = batch.rng.choice(_SELECTORS, batch.count).astype("<u2")
    batch.store(_stack_pointer(batch), picked.view(np.uint8).reshape(batch.count, 2))


def _far_selector(batch: Batch) -> None:
    picked = batch.rng.choice(_SELECTORS, batch.count).astype("<u2")
    at_offset = batch.target + np.uint32(batch.opsize // 8)
    batch.store(at_offset, picked.view(np.uint8).reshape(batch.count, 2))


def _bounds(batch: Batch) -> None:
    """BOUND: half of the operands have the index (any register) between the bounds."""
    width = batch.opsize // 8
    wide = batch.rng.random(batch.count) < 0.5
    low, high = (b"\0\0\0\x80", b"\xff\xff\xff\x7f") if width == 4 else (b"\0\x80", b"\xff\x7f")
    data = np.broadcast_to(np.frombuffer(low + high, np.uint8), (batch.count, 2 * width))
    keep = batch.cases["mem"].copy()
    batch.store(batch.target, data)
    batch.cases["mem"][~wide] = keep[~wide]


def _compare_equal(batch: Batch) -> None:
    """CMPXCHG: half of the accumulators equal the operand."""
    equal = batch.rng.random(batch.count) < 0.5
    for row_number in np.flatnonzero(equal):
        offset = int(batch.target[row_number]) - at.MAIN_WINDOW
        if batch.memory and 0 <= offset <= at.MAIN_SIZE - 4:
            data = batch.cases["mem"][row_number, offset : offset + 4]
            batch.regs[row_number, EAX] = int.from_bytes(data.tobytes(), "little")


def _compare_equal8(batch: Batch) -> None:
    equal = batch.rng.random(batch.count) < 0.5
    pair = np.ascontiguousarray(batch.regs[:, [EAX, EDX]]).view(np.uint8).reshape(batch.count, 8)
    keep = batch.cases["mem"].copy()
    batch.store(batch.target, pair)
    batch.cases["mem"][~equal] = keep[~equal]


def _bcd(batch: Batch) -> None:
    digits = batch.rng.integers(0, 1 << 16, batch.count).astype(np.uint32)
    batch.regs[:, EAX] = (batch.regs[:, EAX] & np.uint32(0xFFFF_0000)) | digits


# Tables. A row's fields: mnemonic, encoding, operand width, options, prepare, setup, keep.


def _arithmetic() -> list[Row]:
    rows = []
    for number, name in enumerate(("ADD", "OR", "ADC", "SBB", "AND", "SUB", "XOR", "CMP")):
        first = number * 8
        rows += [
            row(name, f"{first:02x} /r", 1, "nosize"),
            row(name, f"{first + 1:02x} /r"),
            row(name, f"{first + 2:02x} /r", 1, "nosize"),
            row(name, f"{first + 3:02x} /r"),
            row(name, f"{first + 4:02x} ib", 0, "nosize"),
            row(name, f"{first + 5:02x} iz", 0),
            row(name, f"80 /{number} ib", 1, "nosize"),
            row(name, f"81 /{number} iz"),
            row(name, f"82 /{number} ib", 1, "nosize"),
            row(name, f"83 /{number} ibs"),
        ]
    return rows


def _unary() -> list[Row]:
    return [
        row("INC", "40 +r", 0),
        row("DEC", "48 +r", 0),
        row("INC", "fe /0", 1, "nosize"),
        row("DEC", "fe /1", 1, "nosize"),
        row("INC", "ff /0"),
        row("DEC", "ff /1"),
        row("TEST", "84 /r", 1, "nosize"),
        row("TEST", "85 /r"),
        row("TEST", "a8 ib", 0, "nosize"),
        row("TEST", "a9 iz", 0),
        row("TEST", "f6 /0 ib", 1, "nosize"),
        row("TEST", "f7 /0 iz"),
        row("NOT", "f6 /2", 1, "nosize"),
        row("NOT", "f7 /2"),
        row("NEG", "f6 /3", 1, "nosize"),
        row("NEG", "f7 /3"),
        row("MUL", "f6 /4", 1, "nosize"),
        row("MUL", "f7 /4"),
        row("IMUL", "f6 /5", 1, "nosize"),
        row("IMUL", "f7 /5"),
        row("IMUL", "0f af /r"),
        row("IMUL", "69 /r iz"),
        row("IMUL", "6b /r ibs"),
        row("DIV", "f6 /6", 1, "nosize", _quotient_byte_fits),
        row("DIV", "f7 /6", "v", "", _quotient_fits),
        row("IDIV", "f6 /7", 1, "nosize", _quotient_byte_fits),
        row("IDIV", "f7 /7", "v", "", _quotient_fits),
    ]


def _shifts() -> list[Row]:
    rows = []
    for number, name in enumerate(("ROL", "ROR", "RCL", "RCR", "SHL", "SHR", "SAL", "SAR")):
        rows += [
            row(name, f"c0 /{number} ib", 1, "nosize"),
            row(name, f"c1 /{number} ib"),
            row(name, f"d0 /{number}", 1, "nosize"),
            row(name, f"d1 /{number}"),
            row(name, f"d2 /{number}", 1, "nosize", _low_counts),
            row(name, f"d3 /{number}", "v", "", _low_counts),
        ]
    for name, opcode in (("SHLD", 0xA4), ("SHRD", 0xAC)):
        rows += [
            row(name, f"0f {opcode:02x} /r ib"),
            row(name, f"0f {opcode + 1:02x} /r", "v", "", _low_counts),
        ]
    return rows


def _bits() -> list[Row]:
    rows = []
    for number, (name, opcode) in enumerate(
        (("BT", 0xA3), ("BTS", 0xAB), ("BTR", 0xB3), ("BTC", 0xBB))
    ):
        rows += [
            row(name, f"0f {opcode:02x} /r", "v", "", _bit_offset, _bit_inside),
            row(name, f"0f ba /{4 + number} ib"),
        ]
    return [*rows, row("BSF", "0f bc /r"), row("BSR", "0f bd /r")]


def _moves() -> list[Row]:
    return [
        row("MOV", "88 /r", 1, "nosize"),
        row("MOV", "89 /r"),
        row("MOV", "8a /r", 1, "nosize"),
        row("MOV", "8b /r"),
        row("MOV", "a0 moffs", 1, "nosize"),
        row("MOV", "a1 moffs"),
        row("MOV", "a2 moffs", 1, "nosize"),
        row("MOV", "a3 moffs"),
        row("MOV", "b0 +r ib", 0, "nosize"),
        row("MOV", "b8 +r iz", 0),
        row("MOV", "c6 /0 ib", 1, "nosize"),
        row("MOV", "c7 /0 iz"),
        row("MOVZX", "0f b6 /r", 1),
        row("MOVZX", "0f b7 /r", 2),
        row("MOVSX", "0f be /r", 1),
        row("MOVSX", "0f bf /r", 2),
        row("LEA", "8d /r"),
        row("XCHG", "86 /r", 1, "nosize"),
        row("XCHG", "87 /r"),
        row("XCHG", "90 +r", 0),
        row("BSWAP", "0f c8 +r", 0, "nosize"),
        row("XADD", "0f c0 /r", 1, "nosize"),
        row("XADD", "0f c1 /r"),
        row("CMPXCHG", "0f b0 /r", 1, "nosize", None, _compare_equal, (EAX,)),
        row("CMPXCHG", "0f b1 /r", "v", "", None, _compare_equal, (EAX,)),
        row("CMPXCHG8B", "0f c7 /1", 8, "mem nosize", None, _compare_equal8),
        row("XLAT", "d7", 1, "nosize", _xlat),
        row("NOP", "90", 0),
        row("NOP", "0f 1f /0"),
        *(row(f"CMOV{name}", f"0f {0x40 + code:02x} /r") for code, name in enumerate(CONDITIONS)),
        *(
            row(f"SET{name}", f"0f {0x90 + code:02x} /0", 1, "nosize")
            for code, name in enumerate(CONDITIONS)
        ),
    ]


CONDITIONS = (
    "O", "NO", "B", "AE", "E", "NE", "BE", "A", "S", "NS", "P", "NP", "L", "GE", "LE", "G",
)  # fmt: skip


def _without_operands() -> list[Row]:
    return [
        *(row(name, code, 0, "nosize") for name, code in (
            ("CLC", "f8"), ("STC", "f9"), ("CMC", "f5"), ("CLD", "fc"), ("STD", "fd"),
            ("SAHF", "9e"), ("LAHF", "9f"), ("SALC", "d6"), ("FWAIT", "9b"),
        )),
        row("CBW/CWDE", "98", 0),
        row("CWD/CDQ", "99", 0),
        row("DAA", "27", 0, "nosize", _bcd),
        row("DAS", "2f", 0, "nosize", _bcd),
        row("AAA", "37", 0, "nosize", _bcd),
        row("AAS", "3f", 0, "nosize", _bcd),
        row("AAM", "d4 ib", 0, "nosize", _bcd),
        row("AAM", "d4 0a", 0, "nosize", _bcd),
        row("AAD", "d5 ib", 0, "nosize", _bcd),
        row("AAD", "d5 0a", 0, "nosize", _bcd),
        row("INTO", "ce", 0, "nosize"),
        row("INT3", "cc", 0, "nosize"),
        *(row(f"INT {number:02x}", f"cd {number:02x}", 0, "nosize")
          for number in (0, 1, 2, 3, 4, 5, 6, 8, 13, 14, 16, 0x20, 0x21, 0x81, 0xFF)),
        row("UD2", "0f 0b", 0, "nosize"),
    ]  # fmt: skip


def _privileged() -> list[Row]:
    """Ring 3 with IOPL 0: #GP(0)."""
    return [
        *(row(name, code, 0, "nosize") for name, code in (
            ("HLT", "f4"), ("CLI", "fa"), ("STI", "fb"), ("CLTS", "0f 06"), ("INVD", "0f 08"),
            ("WBINVD", "0f 09"), ("WRMSR", "0f 30"), ("RDMSR", "0f 32"),
            ("IN", "e4 ib"), ("IN", "ec"), ("OUT", "e6 ib"), ("OUT", "ee"),
        )),
        *(row(name, code, 0) for name, code in (
            ("IN", "e5 ib"), ("IN", "ed"), ("OUT", "e7 ib"), ("OUT", "ef"),
        )),
        row("INS", "6c", 0, "nosize", _string),
        row("INS", "6d", 0, "", _string),
        row("OUTS", "6e", 0, "nosize", _string),
        row("OUTS", "6f", 0, "", _string),
        row("MOV", "0f 20 c0", 0, "nosize"),
        row("MOV", "0f 22 c0", 0, "nosize"),
        row("MOV", "0f 21 c0", 0, "nosize"),
        row("MOV", "0f 23 c0", 0, "nosize"),
        row("LLDT", "0f 00 /2", 2, "nosize exact"),
        row("LTR", "0f 00 /3", 2, "nosize exact"),
        row("LGDT", "0f 01 /2", 6, "mem nosize exact"),
        row("LIDT", "0f 01 /3", 6, "mem nosize exact"),
        row("LMSW", "0f 01 /6", 2, "nosize exact"),
        row("INVLPG", "0f 01 /7", 1, "mem nosize exact"),
    ]  # fmt: skip


def _strings() -> list[Row]:
    rows = []
    plain = (("MOVS", 0xA4), ("STOS", 0xAA), ("LODS", 0xAC))
    compare = (("CMPS", 0xA6), ("SCAS", 0xAE))
    for prefix in ("", "f3 ", "f2 "):
        for names, prepare in ((plain, _string), (compare, _string_equal)):
            for name, code in names:
                kind = {"": "", "f3 ": "REP ", "f2 ": "REPNE "}[prefix]
                rows += [
                    row(kind + name, f"{prefix}{code:02x}", 0, "nosize", prepare),
                    row(kind + name, f"{prefix}{code + 1:02x}", 0, "", prepare),
                ]
    return rows


def _stack() -> list[Row]:
    return [
        row("PUSH", "50 +r", 0, "stack"),
        row("POP", "58 +r", 0, "stack"),
        row("PUSH", "68 iz", 0, "stack"),
        row("PUSH", "6a ibs", 0, "stack"),
        row("PUSH", "ff /6", "v", "stack"),
        row("POP", "8f /0", "v", "stack"),
        row("PUSHA", "60", 0, "stack"),
        row("POPA", "61", 0, "stack"),
        row("PUSHF", "9c", 0, "stack"),
        row("POPF", "9d", 0, "stack", None, _popped_flags),
        *(row("ENTER", f"c8 iw {level:02x}", 0, "stack", _frame)
          for level in (0, 1, 2, 3, 8, 15, 31, 32, 35)),
        row("LEAVE", "c9", 0, "stack", _frame),
        row("CALL", "e8 cz", 0, "stack"),
        row("CALL", "ff /2", "v", "stack", _target_registers, _target_memory),
        row("RET", "c3", 0, "stack", None, _return_address),
        row("RET", "c2 iw", 0, "stack", None, _return_address),
    ]  # fmt: skip


def _jumps() -> list[Row]:
    return [
        *(row(f"J{name}", f"{0x70 + code:02x} cb", 0) for code, name in enumerate(CONDITIONS)),
        *(row(f"J{name}", f"0f {0x80 + code:02x} cz", 0) for code, name in enumerate(CONDITIONS)),
        row("JMP", "eb cb", 0),
        row("JMP", "e9 cz", 0),
        row("JMP", "ff /4", "v", "", _target_registers, _target_memory),
        row("LOOPNE", "e0 cb", 0, "", _loop_count),
        row("LOOPE", "e1 cb", 0, "", _loop_count),
        row("LOOP", "e2 cb", 0, "", _loop_count),
        row("JECXZ", "e3 cb", 0, "", _loop_count),
    ]


def _segments() -> list[Row]:
    return [
        row("MOV", "8c /s", 2),
        row("MOV", "8e /s", 2, "", _selector_registers, _selector_memory),
        *(row("PUSH", code, 0, "stack") for code in ("06", "0e", "16", "1e", "0f a0", "0f a8")),
        *(row("POP", code, 0, "stack", None, _popped_selector)
          for code in ("07", "17", "1f", "0f a1", "0f a9")),
        row("LES", "c4 /r", "p", "mem", None, _far_selector),
        row("LDS", "c5 /r", "p", "mem", None, _far_selector),
        row("LSS", "0f b2 /r", "p", "mem", None, _far_selector),
        row("LFS", "0f b4 /r", "p", "mem", None, _far_selector),
        row("LGS", "0f b5 /r", "p", "mem", None, _far_selector),
        row("ARPL", "63 /r", 2, "nosize", _selector_registers, _selector_memory),
        row("LAR", "0f 02 /r", 2, "", _selector_registers, _selector_memory),
        row("LSL", "0f 03 /r", 2, "", _selector_registers, _selector_memory),
        row("VERR", "0f 00 /4", 2, "nosize", _selector_registers, _selector_memory),
        # AMD's VERW accepts LOCK on memory, against the manual.
        row("VERW", "0f 00 /5", 2, "nosize nolock", _selector_registers, _selector_memory),
        row("BOUND", "62 /r", "2v", "mem", None, _bounds),
    ]  # fmt: skip


ROWS: tuple[Row, ...] = (
    *_arithmetic(),
    *_unary(),
    *_shifts(),
    *_bits(),
    *_moves(),
    *_without_operands(),
    *_privileged(),
    *_strings(),
    *_stack(),
    *_jumps(),
    *_segments(),
)
