"""The kernel as bytes, and a ROM that starts it."""

from __future__ import annotations

import struct
from functools import cache
from pathlib import Path

from monitor.guests.assembler import Assembly, assemble
from tests.bochs import layout as at

SOURCE = Path(__file__).with_name("kernel.asm")
LOW_SIZE = 0x800  # bytes that are put at LOW
ROM_SIZE, SEGMENT = 1 << 21, 0x10000
ROM_BASE, TOP_BASE = 0x1_0000_0000 - ROM_SIZE, 0x1_0000_0000 - SEGMENT
WORLDS_ROOM = ROM_SIZE - SEGMENT - at.ARENA_SIZE - 2 * at.PAGE  # bytes of worlds in a ROM


def _layout() -> str:
    constants = {
        name: getattr(at, name)
        for name in (
            *(
                "LOW",
                "KSTACK",
                "LOAD_STACK",
                "TEMPLATE",
                "PRISTINE",
                "WORLDS",
                "OUTPUT",
                "SHUTDOWN",
            ),
            *("KCODE", "KDATA", "KTSS", "PORT_START", "PORT_CAUGHT", "PORT_DONE", "PORT_END"),
        )
    }
    constants |= {
        "ARENA_DWORDS": at.ARENA_SIZE // 4,
        "STATE_DWORDS": at.STATE_SIZE // 4,
        "RECORD_DWORDS": at.RECORD_SIZE // 4,
        "REST_DWORDS": (at.REST_END - at.ARENA_SIZE) // 4,
        "ARENA_END": at.ARENA_SIZE,
    }
    # What keystone could not compute from labels: generously more than there is.
    constants |= {"LOW_DWORDS": LOW_SIZE // 4, "LOW_SPARE": LOW_SIZE}
    return _constants(constants)


def _constants(values: dict[str, int]) -> str:
    return "".join(f"{name} = {value:#x}\n" for name, value in values.items())


def _stubs() -> str:
    """stub_NN for every vector: 16 bytes each, so that a gate can be computed."""
    lines = [f".align {at.STUB_SIZE}", "stubs:"]
    for vector in range(at.VECTORS):
        lines += ["mov dr3, eax", f"mov eax, {vector << 16:#x}", ".byte 0xe9"]
        lines += [f".long common - (stubs + {vector * at.STUB_SIZE + 13})", ".space 3"]
    return "\n".join(lines) + "\n"


def _fields() -> str:
    lines = [".align 4"]
    for prefix, fields in (("s", at.STATE), ("r", at.RECORD)):
        for name, size in fields:
            lines += [f"{prefix}_{name}:", f".space {size}"]
    return "\n".join(lines) + "\n"


@cache
def kernel() -> Assembly:
    """The kernel, to be loaded at its origin; its symbols say where `entry` and `stubs` are."""
    generated = {"layout.inc": _layout(), "stubs.inc": _stubs(), "fields.inc": _fields()}

    def read(name: str) -> str:
        return generated[name] if name in generated else SOURCE.with_name(name).read_text()

    assembly = assemble(read, SOURCE.name, at.KERNEL)
    symbols = assembly.symbols
    if symbols["low_end"] - symbols["low_start"] > LOW_SIZE:
        raise ValueError("the kernel's low part has outgrown its place")
    if assembly.origin + len(assembly.image) > at.KSTACK - 0x200:
        raise ValueError("the kernel has grown into its stack")
    return assembly


def stub(vector: int) -> int:
    """Linear address of the handler of a vector."""
    symbols = kernel().symbols
    return at.LOW + symbols["stubs"] - symbols["low_start"] + vector * at.STUB_SIZE


def low_part() -> bytes:
    """What the kernel puts at LOW for every world."""
    symbols = kernel().symbols
    return kernel().image[symbols["low_start"] - at.KERNEL : symbols["low_end"] - at.KERNEL]


def rom(template: bytes, worlds: bytes) -> bytes:
    """2 MiB for the top of memory: everything, and the way from the reset vector to the kernel."""
    image = bytearray(b"\xf4" * ROM_SIZE)
    pieces = [template, _in_doublewords(kernel().image), _in_doublewords(worlds)]
    payload = b"".join(pieces)
    if len(payload) > ROM_SIZE - SEGMENT:
        raise ValueError(f"{len(worlds)} bytes of worlds do not fit into the ROM")
    image[: len(payload)] = payload
    top = _top(len(pieces[1]) // 4, len(pieces[2]) // 4)
    image[-SEGMENT:] = top
    return bytes(image)


def _in_doublewords(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


def _top(kernel_size: int, worlds_size: int) -> bytes:
    """The last 64 KiB, where the processor starts in real mode at FFF0h."""
    top = bytearray(b"\xf4" * SEGMENT)
    gdt, gdtr, code, start = 0xF000, 0xF020, 0xF100, 0xF200
    constants = {
        "PAYLOAD": ROM_BASE,
        "KERNEL": at.KERNEL,
        "KERNEL_DWORDS": kernel_size,
        "WORLDS_DWORDS": worlds_size,
        "ENTRY": kernel().symbols["entry"],
        "MARK": at.WORLDS - 8,
        "MAGIC": 0x444C5257,
    }
    layout = _layout() + _constants(constants)
    sources = {"layout.inc": layout, "rom.asm": SOURCE.with_name("rom.asm").read_text()}
    protected = assemble(sources.__getitem__, "rom.asm", TOP_BASE + start).image
    flat = [0, 0, 0xFFFF, 0x00CF9B00, 0xFFFF, 0x00CF9300]  # KCODE and KDATA
    program = b"\xfa" + b"\x66\x2e\x0f\x01\x16" + struct.pack("<H", gdtr)  # CLI; LGDT CS:[gdtr]
    program += b"\x66\xb8\x11\0\0\0" + b"\x0f\x22\xc0"  # MOV EAX, 11h; MOV CR0, EAX
    program += b"\x66\xea" + struct.pack("<IH", TOP_BASE + start, at.KCODE)
    for place, data in (
        (gdt, struct.pack("<6I", *flat)),
        (gdtr, struct.pack("<HI", 23, TOP_BASE + gdt)),
        (code, program),
        (start, protected),
        (0xFFF0, b"\xe9" + struct.pack("<h", code - 0xFFF3)),
    ):
        top[place : place + len(data)] = data
    return bytes(top)
