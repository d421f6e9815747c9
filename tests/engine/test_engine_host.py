"""Short programs at random, on an engine and on this host's processor (bt/hostcpu).

tests/instructions compares single instructions; here each sees what the ones before it have left:
results, flags, and memory just written. Only what the manual defines is used, so that nothing but
AF, which logic and shifts leave undefined, has to be excused. A program may end in a page fault.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

import numpy as np
import pytest
from engine_lab import FLAGS, FREE, PAGE, Lab

from bt.contract import EXIT_EXCEPTION, EXIT_SOFTINT, PERM_EXEC, PERM_WRITE
from bt.engine import BUILD
from bt.hostcpu import layout as at
from bt.hostcpu.filters import refused
from bt.hostcpu.host import NO_FAULT, HostCpu, new_cases, set_code

reason = HostCpu.available()
pytestmark = pytest.mark.skipif(reason is not None, reason=str(reason))

PROGRAMS = 400 if BUILD == "compiled" else 20
AF = 0x10
CODE, DATA = FREE, FREE + 1  # frames; two of data
READ_ONLY = FREE + 3

TARGETS = (0, 1, 2, 3, 5)  # ESP, ESI and EDI stay what they point to
ALU = [kind * 8 + form for kind in range(8) for form in range(4)]
ONE_BYTE = bytes.fromhex("f5 f8 f9 fc fd 98 99 a4 a5 aa ab ac ad ae af a6 a7")
WINDOW = (at.MAIN_WINDOW + 8, at.MAIN_SIZE - 16)
EDGE = (at.EDGE_WINDOW + at.EDGE_SIZE - 12, 24)  # the hole begins in its middle
CLOSED = (at.READ_ONLY_PAGE, 64)


def operand(rng: random.Random, reg: int) -> bytes:
    """ModRM: a register, or memory where something is mapped as a rule."""
    if rng.random() < 0.6:
        return bytes([0xC0 | reg << 3 | rng.choice(TARGETS)])
    first, size = rng.choices((WINDOW, EDGE, CLOSED), (40, 1, 1))[0]
    return bytes([0x05 | reg << 3]) + (first + rng.randrange(size)).to_bytes(4, "little")


def instruction(rng: random.Random) -> bytes:
    kind = rng.randrange(12)
    size = b"\x66" if rng.random() < 0.2 else b""
    target = rng.choice(TARGETS)
    if kind < 4:
        return size + bytes([rng.choice(ALU)]) + operand(rng, target)
    if kind == 4:
        return size + b"\x83" + operand(rng, rng.randrange(8)) + rng.randbytes(1)
    if kind == 5:  # INC, DEC, NOT, NEG
        code, group = rng.choice(((0xFF, 0), (0xFF, 1), (0xF7, 2), (0xF7, 3), (0xFE, 0), (0xF6, 3)))
        return size + bytes([code]) + operand(rng, group)
    if kind == 6:  # by 1: rotates, shifts
        return (
            size
            + bytes([rng.choice((0xD0, 0xD1))])
            + operand(rng, rng.choice((0, 1, 2, 3, 4, 5, 7)))
        )
    if kind == 7:  # TEST, XCHG, MOV
        return (
            size
            + bytes([rng.choice((0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8A, 0x8B))])
            + operand(rng, target)
        )
    if kind == 8:  # CMOVcc, SETcc, XADD, CMPXCHG, MOVZX, MOVSX
        codes = (
            *range(0x40, 0x50),
            *range(0x90, 0xA0),
            0xC0,
            0xC1,
            0xB0,
            0xB1,
            0xB6,
            0xB7,
            0xBE,
            0xBF,
        )
        return size + b"\x0f" + bytes([rng.choice(codes)]) + operand(rng, target)
    if kind == 9:  # PUSH, POP, BSWAP
        return rng.choice(
            (bytes([0x50 | rng.randrange(8)]), bytes([0x58 | target]), bytes([0x0F, 0xC8 | target]))
        )
    if kind == 10:
        return bytes([rng.choice(ONE_BYTE)])
    return bytes([0x70 | rng.randrange(16), 0])  # Jcc, whose target program() enters


def program(rng: random.Random) -> bytes:
    """As many instructions as the oracle takes; branches go forward to one of them."""
    parts: list[bytes] = []
    while sum(map(len, parts)) < at.CODE_MAX - 16:
        parts.append(instruction(rng))
    for i, part in enumerate(parts):
        if len(part) == 2 and part[0] & 0xF0 == 0x70:
            skipped = parts[i + 1 : rng.randint(i + 1, len(parts))]
            parts[i] = part[:1] + bytes([sum(map(len, skipped))])
    return b"".join(parts)


def make_cases(rng: random.Random, count: int) -> np.ndarray:
    """Records for the oracle, without the few whose bytes it refuses."""
    cases = new_cases(count)
    for i in range(count):
        set_code(cases[i : i + 1], program(rng))
        registers = [
            rng.choice((rng.getrandbits(32), rng.getrandbits(4), 0x80000000, 0xFFFFFFFF))
            for _ in range(8)
        ]
        registers[4] = at.MAIN_WINDOW + 256
        registers[6:] = [at.MAIN_WINDOW + 128 + rng.randrange(64) for _ in range(2)]
        cases["regs"][i] = registers
        cases["eflags"][i] = FLAGS | rng.getrandbits(12) & 0xCD5
        cases["mem"][i] = np.frombuffer(rng.randbytes(at.MEM_SIZE), np.uint8)
    return cases[~refused(cases["code"])]


@pytest.fixture(scope="module")
def host() -> Iterator[HostCpu]:
    with HostCpu() as cpu:
        yield cpu


@pytest.fixture
def world(lab: Lab) -> Lab:
    """The oracle's pages."""
    lab.map(at.CODE_PAGE, CODE, PERM_EXEC)
    lab.map(at.DATA, DATA, PERM_WRITE)
    lab.map(at.DATA + PAGE, DATA + 1, PERM_WRITE)
    lab.map(at.READ_ONLY_PAGE, READ_ONLY, 0)
    return lab


def on_engine(lab: Lab, case: np.void) -> dict[str, object]:
    """Run a case; what on_host() tells of it."""
    window = (DATA << 12) + at.MAIN_WINDOW - at.DATA
    edge = (DATA << 12) + at.EDGE_WINDOW - at.DATA
    memory = case["mem"].tobytes()
    lab.write(window, memory[: at.MAIN_SIZE])
    lab.write(edge, memory[at.MAIN_SIZE :])
    length = int(case["length"])
    lab.write((CODE << 12) + at.CODE_OFFSET, case["code"].tobytes()[:length] + b"\xcd\x20")
    for i, value in enumerate(case["regs"]):
        lab.ideal.set_reg(i, int(value))
    lab.set(flags=int(case["eflags"]), eip=at.CODE_ADDR)
    exit_ = lab.run()
    assert exit_.reason in (EXIT_SOFTINT, EXIT_EXCEPTION)
    return {
        "regs": lab.regs(),
        "flags": int(lab.ideal.flags()) & ~AF,
        "eip": exit_.eip,
        "fault": None if exit_.vector is None else (exit_.vector, exit_.error, exit_.address),
        "memory": lab.read(window, at.MAIN_SIZE) + lab.read(edge, at.EDGE_SIZE),
    }


def on_host(result: np.void) -> dict[str, object]:
    fault = tuple(int(result[name]) for name in ("vector", "error", "cr2"))
    return {
        "regs": [int(value) for value in result["regs"]],
        "flags": int(result["eflags"]) & ~(AF | 0x10000),
        "eip": int(result["eip"]),
        "fault": None if fault[0] == NO_FAULT else fault,
        "memory": result["mem"].tobytes(),
    }


@pytest.mark.parametrize("seed", range(4))
def test_programs_agree_with_the_host(world: Lab, host: HostCpu, seed: int) -> None:
    cases = make_cases(random.Random(seed), PROGRAMS // 4)
    results = host.run_array(cases)
    faults = 0
    for case, result in zip(cases, results, strict=True):
        mine, theirs = on_engine(world, case), on_host(result)
        code = case["code"][: int(case["length"])].tobytes().hex(" ")
        different = {
            name: (value, theirs[name]) for name, value in mine.items() if value != theirs[name]
        }
        assert not different, f"{code}: engine and host differ in {different}"
        faults += theirs["fault"] is not None
    assert 0 < faults < len(cases) // 2 or len(cases) < 20
