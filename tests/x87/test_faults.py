"""#NM, #MF, #UD, FERR#, and memory faults in the middle of x87 instructions (directed tests)."""

from __future__ import annotations

import struct
from typing import Any

import pytest

from bt.interp.state import (
    CR0_EM,
    CR0_MP,
    CR0_NE,
    CR0_PG,
    CR0_TS,
    DS,
    EXIT_HALT,
    EXIT_IO,
    VEC_GP,
    VEC_MF,
    VEC_NM,
    VEC_PF,
    VEC_UD,
)
from tests.x87.machine import CODE, DATA, PROTECTED, finish, prepared, run

FLD1 = "d9e8"
FLDZ = "d9ee"
FDIVP = "def9"
UNMASK_ALL = "d92d 00800000"  # FLDCW [DATA]
NO_MASKS = struct.pack("<H", 0x0340)
RAISE_ZE = f"dbe3 {UNMASK_ALL} {FLD1} {FLDZ} {FDIVP}"


def words(text: str) -> bytes:
    return bytes.fromhex(text)


@pytest.mark.parametrize("bit", [CR0_EM, CR0_TS])
@pytest.mark.parametrize("code", [FLD1, "dbe3", "9bdbe3", "dfe0", "dd3500800000", "d8c1"])
def test_device_not_available(bit: int, code: str) -> None:
    end = run(words(code), PROTECTED | bit)
    assert end.vector == VEC_NM
    assert end.error_frame[0] == CODE + (1 if code.startswith("9b") else 0)


@pytest.mark.parametrize(
    ("cr0", "vector"),
    [(CR0_TS, None), (CR0_MP, None), (CR0_EM, None), (CR0_MP | CR0_TS, VEC_NM)],
)
def test_fwait_looks_at_mp_and_ts(cr0: int, vector: int | None) -> None:
    assert run(b"\x9b", PROTECTED | cr0).vector == vector


WAITING = [
    *("9b", FLD1, "d9d0", "d9c9", "d92d00800000", "dd0500800000"),
    *("d8c1", "dac1", "dbc1", "dcc1", "dde1", "ddc1", "ddd1", "ddd9", "dec1", "dfe9"),
    *("dae9", "d9e0", "d9fe", "d80500800000", "dd2500800000", "d92500800000", "df3d00800000"),
]


@pytest.mark.parametrize("code", WAITING)
def test_waiting_instructions_take_the_pending_exception(code: str) -> None:
    end = run(words(RAISE_ZE) + words(code), data=NO_MASKS)
    assert end.vector == VEC_MF
    assert end.error_frame[0] == CODE + len(words(RAISE_ZE))


@pytest.mark.parametrize("code", ["dfe0", "dbe2", "dbe3", "d93510800000", "dd3510800000"])
def test_others_do_not(code: str) -> None:
    end = run(words(RAISE_ZE) + words(code), data=NO_MASKS)
    assert end.vector is None


def test_unmasked_zero_divide_leaves_the_operands() -> None:
    end = run(words(RAISE_ZE + "dd3510800000"), data=NO_MASKS)
    status = int.from_bytes(end.bytes_at(DATA + 0x14, 2), "little")
    assert status == 0x8084 | 6 << 11  # B, ES, ZE; still two registers in use
    assert end.bytes_at(DATA + 0x10 + 28, 20).hex() == (
        "0000000000000000" + "0000" + "0000000000000080" + "ff3f"
    )


def test_fldcw_unmasks_what_happened_before() -> None:
    masked = f"dbe3 {FLD1} {FLDZ} {FDIVP} {UNMASK_ALL}"
    assert run(words(masked) + b"\x9b", data=NO_MASKS).vector == VEC_MF


def test_error_is_external_without_ne() -> None:
    cpu, ram = prepared(words(RAISE_ZE + FLD1 + "dbe2"), PROTECTED & ~CR0_NE, NO_MASKS)
    end = finish(cpu, ram)
    assert end.reason == EXIT_IO
    assert cpu.eip == CODE + len(words(RAISE_ZE))  # right after the division
    assert cpu.ferr == 1
    cpu.recheck = 0
    end = finish(cpu, ram)  # IGNNE#: the FLD1 goes on, FNCLEX takes FERR# away
    assert (end.reason, end.vector, cpu.ferr) == (EXIT_HALT, None, 0)


def test_instruction_count_is_right_when_leaving_for_ferr() -> None:
    cpu, ram = prepared(words(RAISE_ZE + "90909090"), PROTECTED & ~CR0_NE, NO_MASKS)
    finish(cpu, ram)
    assert cpu.icount() == 5


UNDEFINED = [
    *(f"d9{b:02x}" for b in (*range(0xD1, 0xD8), 0xE2, 0xE3, 0xE6, 0xE7, 0xEF)),
    *(f"da{b:02x}" for b in (*range(0xE0, 0xE9), *range(0xEA, 0x100))),
    *(f"db{b:02x}" for b in (*range(0xE5, 0xE8), *range(0xF8, 0x100))),
    *(f"dd{b:02x}" for b in range(0xF0, 0x100)),
    *(f"de{b:02x}" for b in (0xD8, *range(0xDA, 0xE0))),
    *(f"df{b:02x}" for b in (*range(0xE1, 0xE8), *range(0xF8, 0x100))),
    *("d90d00800000", "db2500800000", "db3500800000", "dd2d00800000"),
    *("db0d00800000", "dd0d00800000", "df0d00800000"),  # FISTTP is SSE3
]


@pytest.mark.parametrize("code", UNDEFINED)
def test_undefined(code: str) -> None:
    end = run(words(code))
    assert end.vector == VEC_UD
    assert end.error_frame[0] == CODE


@pytest.mark.parametrize("code", UNDEFINED)
def test_undefined_comes_before_a_pending_exception(code: str) -> None:
    assert run(words(RAISE_ZE) + words(code), data=NO_MASKS).vector == VEC_UD


# --- faults in memory operands: nothing has happened ---------------------------------------------

LIMIT_FAULTS = ["db3d", "dd1d", "d935", "dd35", "df3d", "df35", "dd25", "db2d", "dd05", "dc05"]


@pytest.mark.parametrize("opcode", LIMIT_FAULTS)
def test_limit_violation(opcode: str) -> None:
    """An operand that ends beyond the segment's limit, in its last bytes only."""
    size = {"db3d": 10, "db2d": 10, "df35": 10, "d935": 28, "dd35": 108, "dd25": 108}.get(opcode, 8)
    at = 0x8800 - size + 1
    code = words(f"dbe3 {FLD1} d9eb") + words(opcode) + struct.pack("<I", at)
    cpu, ram = prepared(code)
    ram[at : at + size] = b"\xaa" * size
    cpu.set_segment(DS, 16, 0, 0x87FF, 0xC093)
    end = finish(cpu, ram)
    assert end.vector == VEC_GP
    assert bytes(ram[at : at + size]) == b"\xaa" * size
    assert cpu.fpu_top == 6
    assert cpu.fpu_sw == 0


def paged(code: str, missing: int | None) -> tuple[Any, bytearray]:
    """Two values on the stack, then `code`; the first 64 KiB are mapped 1:1, but for one page."""
    cpu, ram = prepared(words(f"dbe3 {FLD1} d9eb {code}"))
    for page in range(16):
        struct.pack_into("<I", ram, 0x21000 + 4 * page, page << 12 | (0 if page == missing else 3))
    struct.pack_into("<I", ram, 0x21000 + 4 * 0x7F, 0x7F003)  # the stack
    struct.pack_into("<I", ram, 0x20000, 0x21003)
    cpu.cr3 = 0x20000
    cpu.cr0 = PROTECTED | CR0_PG
    return cpu, ram


ACROSS = 0x8FFC  # four bytes in the one page, the rest in the next


@pytest.mark.parametrize("missing", [8, 9])
@pytest.mark.parametrize("opcode", ["db3d", "dd1d", "dd35", "df3d", "df35", "d935"])
def test_store_across_a_missing_page(opcode: str, missing: int) -> None:
    """The first bytes lie in a good page, or the last: they must not be written."""
    cpu, ram = paged(opcode + "fc8f0000", missing)
    before = bytes(ram[0x8000:0xA000])
    end = finish(cpu, ram)
    assert end.vector == VEC_PF
    assert cpu.cr2 == (0x9000 if missing == 9 else ACROSS)
    assert bytes(ram[0x8000:0xA000]) == before
    assert cpu.fpu_top == 6


@pytest.mark.parametrize("missing", [8, 9])
@pytest.mark.parametrize(
    "opcode", ["d925", "dd25", "66d925", "66dd25", "dd05", "db2d", "df2d", "df25"]
)
def test_load_across_a_missing_page(opcode: str, missing: int) -> None:
    cpu, ram = paged(opcode + "fc8f0000", missing)
    end = finish(cpu, ram)
    assert (end.vector, end.error_frame[0]) == (VEC_PF, 0)
    assert end.error_frame[1] == CODE + 6
    last = 0x9000 <= cpu.cr2 < 0x9000 + 108
    assert last if missing == 9 else cpu.cr2 == ACROSS
    assert (cpu.fpu_cw, cpu.fpu_sw, cpu.fpu_top) == (0x37F, 0, 6)


@pytest.mark.parametrize(
    ("load", "store", "data"),
    [
        ("dd05", "dd1d", "182d4454fb210940"),  # m64: pi
        ("db2d", "db3d", "35c26821a2da0fc90040"),  # m80
        ("df2d", "df3d", "efcdab8967452301"),  # m64int
        ("df25", "df35", "21436587092143650780"),  # BCD
    ],
)
def test_operands_in_two_pages(load: str, store: str, data: str) -> None:
    """From one pair of pages to another."""
    cpu, ram = paged(f"{load} fc8f0000 {store} fcaf0000", None)
    value = bytes.fromhex(data)
    ram[ACROSS : ACROSS + len(value)] = value
    assert finish(cpu, ram).vector is None
    assert bytes(ram[0xAFFC : 0xAFFC + len(value) + 1]) == value + b"\0"


def test_an_environment_may_be_all_zeros() -> None:
    """What the first byte and the last of the operand are does not matter."""
    for opcode in ("d925", "dd25"):
        cpu, ram = prepared(words(f"{opcode} 00800000"))
        cpu.fpu_cw = 0x37F
        assert finish(cpu, ram).vector is None
        assert cpu.fpu_cw & ~0x40 == 0


@pytest.mark.parametrize("opcode", ["dd1d", "dd15", "df3d"])
def test_a_limit_violation_in_a_page_that_was_just_written(opcode: str) -> None:
    """The last bytes are beyond the limit: however well the page is known."""
    code = words(f"dbe3 {FLD1} d9eb d9ee {opcode}") + struct.pack("<I", 0x8700)
    cpu, ram = prepared(code + words(opcode) + struct.pack("<I", 0x87FC))
    ram[0x87F0:0x8810] = b"\xaa" * 0x20
    cpu.set_segment(DS, 16, 0, 0x87FF, 0xC093)
    end = finish(cpu, ram)
    assert (end.vector, end.error_frame[1]) == (VEC_GP, CODE + len(code))
    assert bytes(ram[0x87F0:0x8810]) == b"\xaa" * 0x20


def test_pointers_survive_a_fault() -> None:
    code = words(f"dbe3 {FLD1} dd1d") + struct.pack("<I", 0x87FC)
    cpu, ram = prepared(code)
    cpu.set_segment(DS, 16, 0, 0x87FF, 0xC093)
    assert finish(cpu, ram).vector == VEC_GP
    assert (cpu.fpu_ip, cpu.fpu_op) == (CODE + 2, 0x1E8)
