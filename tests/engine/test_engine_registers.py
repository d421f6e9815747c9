"""Register state: what an engine loads from the guest, and what it gives back."""

from __future__ import annotations

import pytest
from engine_lab import (
    AC,
    CEILING,
    CODE,
    DATA,
    FLAGS,
    GP,
    MF,
    NAMES,
    NM,
    SEGMENTS,
    STACK,
    Lab,
    assemble,
    x87_image,
)

from bt.interp.state import ATTR_UNUSABLE

RING3 = 0x244CD5  # ID, AC, NT, OF, DF, SF, ZF, AF, PF, CF
MP, EM, TS, NE, AM = 2, 4, 8, 0x20, 0x40000
NT = 0x4000
TF = 0x100


def test_general_registers_go_in_and_out(lab: Lab) -> None:
    values = {name: 0x11111111 * (i + 1) for i, name in enumerate(NAMES)}
    lab.finish("; ".join(f"not {name}" for name in NAMES), **values)
    assert lab.regs() == [value ^ 0xFFFFFFFF for value in values.values()]


def test_execution_begins_at_the_guests_eip(lab: Lab) -> None:
    end = lab.program("mov eax, 1; mov ebx, 2")
    lab.set(eip=CODE + 5, eax=7)
    assert lab.run().eip == end
    assert (lab.reg("eax"), lab.reg("ebx")) == (7, 2)
    assert lab.ideal.eip == end


@pytest.mark.parametrize("bit", [1 << i for i in range(22) if RING3 >> i & 1] + [0, RING3])
def test_the_flags_of_ring_3_go_in_and_out(lab: Lab, bit: int) -> None:
    lab.finish("pushfd; mov eax, [esp]; lea esp, [esp + 4]", flags=FLAGS | bit)
    assert lab.reg("eax") == FLAGS | bit
    assert lab.ideal.flags() == FLAGS | bit


def test_flags_that_code_has_changed_come_back(lab: Lab) -> None:
    lab.finish("mov al, 0x7f; add al, 1; std", flags=FLAGS | 1)
    assert lab.ideal.flags() == FLAGS | 0x400 | 0x890  # DF; OF, SF, AF


@pytest.mark.parametrize("outside", [0, 0x200, 0x1000, 0x3000, 0x3200, 0x180000])
def test_if_and_iopl_are_forced_and_the_guests_stay(lab: Lab, outside: int) -> None:
    """The engine has IF 1 and IOPL 0; what the guest has of them, VIF and VIP stays."""
    flags = 2 | outside
    lab.finish(
        "pushfd; pop eax; push 0x3ad5; popfd; push 0x0ad5; popfd; pushfd; pop ebx", flags=flags
    )
    assert lab.reg("eax") == FLAGS
    assert lab.reg("ebx") == 0xAD7
    assert lab.ideal.flags() == 0x8D7 | outside


def test_an_instruction_that_would_set_tf_leaves_before(lab: Lab) -> None:
    lab.poke(STACK + 0x800, (FLAGS | TF).to_bytes(4, "little"))
    assert lab.fault("popfd").vector == GP


def test_selectors_are_the_guests_own(lab: Lab) -> None:
    selectors = {name: 0x103 + 8 * i for i, name in enumerate(SEGMENTS)}
    for name, selector in selectors.items():
        lab.segment(name, selector=selector)
    lab.finish(
        "mov eax, es; mov ecx, cs; mov edx, ss; mov ebx, ds; push fs; pop esi; push gs; pop edi"
    )
    order = ("eax", "ecx", "edx", "ebx", "esi", "edi")
    assert [lab.reg(name) & 0xFFFF for name in order] == list(selectors.values())


def test_descriptor_caches_stay_the_guests(lab: Lab) -> None:
    lab.segment("ds", 0, 0xFFFFFFFF, 0xC093)
    lab.segment("fs", 0x6C00000, 0xFFFFFFFF)
    before = [tuple(lab.ideal.segment(i)) for i in range(8)]
    lab.finish("mov eax, [0x20000]")
    assert [tuple(lab.ideal.segment(i)) for i in range(8)] == before


@pytest.mark.parametrize("selector", range(4))
@pytest.mark.parametrize("name", ["ds", "es", "fs", "gs"])
def test_null_selectors_load_and_are_told(lab: Lab, name: str, selector: int) -> None:
    lab.finish(f"mov {name}, ax", eax=selector)
    assert lab.engine.give_null_segments(lab.ideal) == 1
    assert lab.ideal.segment(SEGMENTS.index(name))[0] == selector
    assert lab.engine.give_null_segments(lab.ideal) == 0
    exit_ = lab.fault(f"mov ebx, {name}:[0x20000]")
    assert (exit_.vector, exit_.error) == (GP, 0)


@pytest.mark.parametrize("name", ["ds", "es", "fs", "gs"])
@pytest.mark.parametrize("before", [0x2B, 0, 3])
def test_a_null_selector_leaves_what_it_leaves_on_the_ideal_processor(
    lab: Lab, name: str, before: int
) -> None:
    """The cache keeps base, limit and rights, which real mode may use later. A segment with a null
    selector may have been usable: loaded in real mode, and never since."""
    number = SEGMENTS.index(name)
    lab.segment(name, 0x1234, 0xFFFFFFFF, 0xC0F3, before)
    lab.finish(f"mov {name}, ax", eax=1)
    assert lab.engine.give_null_segments(lab.ideal) == 1
    assert lab.ideal.segment(number) == (1, 0x1234, 0xFFFFFFFF, 0xC0F3 | ATTR_UNUSABLE)


def test_a_segment_above_the_ceiling_is_not_null(lab: Lab) -> None:
    """The engine cannot use it; what the guest has there stays as it is, until it loads null."""
    lab.segment("gs", CEILING + 0x1000, 0xFFFF, 0xC0F3, 0)
    lab.finish("nop")
    assert lab.engine.give_null_segments(lab.ideal) == 0
    lab.finish("mov gs, ax", eax=0)
    assert lab.engine.give_null_segments(lab.ideal) == 1
    assert lab.ideal.segment(SEGMENTS.index("gs"))[3] == 0xC0F3 | ATTR_UNUSABLE


def test_no_null_segments_where_nothing_was_loaded(lab: Lab) -> None:
    lab.finish("mov eax, ds")
    assert lab.engine.give_null_segments(lab.ideal) == 0


@pytest.mark.parametrize("name", ["ds", "es", "ss", "fs", "gs"])
@pytest.mark.parametrize("selector", [0x08, 0x2B, 0x0F, 0xFFFB])
def test_no_other_selector_loads(lab: Lab, name: str, selector: int) -> None:
    """Not even the one that the guest has there: an engine has no tables to read it from."""
    exit_ = lab.fault(f"mov {name}, ax", eax=selector)
    assert (exit_.vector, exit_.error) == (GP, selector & ~3)


def test_no_null_stack(lab: Lab) -> None:
    exit_ = lab.fault("mov ss, ax", eax=3)
    assert (exit_.vector, exit_.error) == (GP, 0)


FAR = {
    "jmp": "ea 00000100 2300",
    "call": "9a 00000100 2300",
    "retf": "cb",
    "iret": "cf",
    "les": "c405 00000200",
    "lss": "0fb225 00000200",
    "pop ds": "1f",
}


@pytest.mark.parametrize("name", FAR)
def test_far_transfers_leave(lab: Lab, name: str) -> None:
    for place in (STACK + 0x800, DATA):
        lab.poke(place, bytes.fromhex("2b000000 23000000 02020000 00000000 2b000000"))
    lab.poke(DATA + 4, b"\x2b\x00")
    exit_ = lab.fault(bytes.fromhex(FAR[name]), esp=STACK + 0x800)
    assert exit_.vector == GP
    assert exit_.error in (0x20, 0x28)


def test_a_return_to_another_task_leaves_before_it_reads_anything(lab: Lab) -> None:
    """IRET with NT reads the back link of the TSS: the guest's, of which an engine knows nothing.

    Not linear address 0 either: the monitor would fill its page in, and mark it accessed.
    """
    exit_ = lab.fault(b"\xcf", flags=FLAGS | NT)
    assert (exit_.vector, exit_.error) == (GP, 0)


# --- the parts of run_direct, for trap mode -----------------------------------------------------


# --- the x87 unit -------------------------------------------------------------------------------

VALUES = [
    bytes.fromhex(text)
    for text in (
        "00000000000000800040",  # 2.0
        "35c26821a2da0fc90040",  # pi
        "01000000000000000000",  # the smallest denormal
        "000000000000008000ff",  # negative infinity, sign and exponent in the last two bytes
        "01000000000000 80ff7f",  # a signalling NaN
        "ffffffffffffffffff7f",  # a quiet NaN with every bit
        "00000000000000000080",  # -0
        "efcdab8967452301 8340",  # an unnormal
    )
]


@pytest.mark.parametrize("control", [0x37F, 0x27F, 0xC7F, 0x340])
@pytest.mark.parametrize("top", [0, 3, 7])
def test_x87_state_goes_in_and_out(lab: Lab, control: int, top: int) -> None:
    """Eight registers of 80 bits, whatever they hold, control, status with TOP, and tags."""
    image = x87_image(control, 0x4100 | top << 11, 0, VALUES)
    lab.load_x87(image)
    given = lab.save_x87()
    assert given[28:] == image[28:]
    lab.finish("nop")
    assert lab.save_x87() == given


def test_x87_results_come_back(lab: Lab) -> None:
    lab.load_x87(x87_image(stack=VALUES[:1], tags=0xFFFC | 0))
    lab.finish("fadd st(0), st(0); fld1")
    image = lab.save_x87()
    assert image[28:38].hex() == "0000000000000080ff3f"
    assert image[38:48].hex() == "00000000000000800140"


def test_a_pending_exception_of_the_guest_is_raised(lab: Lab) -> None:
    lab.load_x87(x87_image(control=0x37B, status=0x8084))  # zero divide, unmasked
    assert lab.fault("fwait").vector == MF
    assert lab.fault("fld1").vector == MF
    lab.finish("fnstsw ax; fnclex")
    assert lab.reg("eax") & 0x80FF == 0x8084
    lab.finish("fwait; fld1")


def test_a_pending_exception_of_the_engine_comes_back(lab: Lab) -> None:
    lab.load_x87(x87_image(control=0x37B))
    lab.finish("fld1; fldz; fdivp st(1), st(0)")
    assert int.from_bytes(lab.save_x87()[4:6], "little") & 0x8084 == 0x8084
    assert lab.fault("fwait").vector == MF


# --- CR0 ----------------------------------------------------------------------------------------


@pytest.mark.engine("traps_x87")
@pytest.mark.parametrize(
    ("cr0", "code", "vector"),
    [
        (TS, "fld1", NM), (EM, "fld1", NM), (0, "fld1", None), (MP, "fld1", None),
        (TS | MP, "fwait", NM), (TS, "fwait", None), (EM, "fwait", None), (MP, "fwait", None),
        (TS, "fnstsw ax", NM), (EM, "fnclex", NM),
    ],
)  # fmt: skip
def test_device_not_available(lab: Lab, cr0: int, code: str, vector: int | None) -> None:
    lab.ideal.cr0 = 0x31 | cr0
    if vector is None:
        lab.finish(code)
    else:
        exit_ = lab.fault(code)
        assert (exit_.vector, exit_.error) == (vector, 0)


@pytest.mark.parametrize(
    ("code", "address"),
    [
        ("mov eax, [0x20001]", 0), ("mov ax, [0x20001]", 0), ("mov [0x20002], eax", 0),
        ("add [0x20003], eax", 0), ("push eax", STACK + 0x801), ("pop eax", STACK + 0x802),
        ("fld qword ptr [0x20002]", 0), ("movs dword ptr es:[edi], dword ptr [esi]", 0),
    ],
)  # fmt: skip
def test_alignment_check(lab: Lab, code: str, address: int) -> None:
    lab.ideal.cr0 |= AM
    registers = {"esp": address} if address > STACK else {"esi": DATA + 1, "edi": DATA}
    exit_ = lab.fault(code, flags=FLAGS | 0x40000, **registers)
    assert (exit_.vector, exit_.error) == (AC, 0)


def test_no_alignment_check_without_am_or_ac(lab: Lab) -> None:
    lab.finish("mov eax, [0x20001]", flags=FLAGS | 0x40000)
    lab.ideal.cr0 |= AM
    lab.finish("mov eax, [0x20001]; mov al, [0x20003]", flags=FLAGS)
    lab.finish("mov al, [0x20003]; mov eax, [0x20004]", flags=FLAGS | 0x40000)


def test_alignment_check_begins_with_the_flag(lab: Lab) -> None:
    lab.ideal.cr0 |= AM
    end = lab.program("mov eax, [0x20001]; push 0x40202; popfd; mov ebx, [0x20001]")
    exit_ = lab.run()
    assert (exit_.vector, exit_.eip) == (AC, end - len(assemble("mov ebx, [0x20001]")))
