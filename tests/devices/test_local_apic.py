"""The local APIC against the SDM's chapter on it."""

from __future__ import annotations

import pytest
from apic_lab import (
    ALL,
    APR,
    CURRENT,
    DFR,
    DIVIDE,
    EOI,
    ESR,
    ICR,
    ICR_HIGH,
    ID,
    INITIAL,
    IRR,
    ISR,
    LDR,
    LEVEL,
    LOCAL,
    LVT_ERROR,
    LVT_LINT0,
    LVT_LINT1,
    LVT_PERFORMANCE,
    LVT_THERMAL,
    LVT_TIMER,
    MASKED,
    OTHERS,
    PERIODIC,
    PPR,
    SELF,
    SVR,
    TMR,
    TPR,
    VERSION,
    ApicBoard,
)

TICK = 10  # nanoseconds of the bus clock
BY_1 = 0b1011
NMI, EXTINT = 0x400, 0x700


@pytest.fixture
def board() -> ApicBoard:
    return ApicBoard()


def test_after_reset(board: ApicBoard) -> None:
    board.devices.reset()
    assert [board.read(each) for each in (ID, TPR, PPR, LDR, DFR, SVR, ESR, ICR, ICR_HIGH)] == [
        0, 0, 0, 0, 0xFFFFFFFF, 0xFF, 0, 0, 0]  # fmt: skip
    lvts = (LVT_TIMER, LVT_PERFORMANCE, LVT_LINT0, LVT_LINT1, LVT_ERROR)
    assert [board.read(each) for each in lvts] == [MASKED] * 5
    assert [board.vectors(each) for each in (ISR, TMR, IRR)] == [[], [], []]
    assert [board.read(each) for each in (INITIAL, CURRENT, DIVIDE)] == [0, 0, 0]


@pytest.mark.parametrize(
    ("family", "version", "absent"),
    [(5, 0x30010, (LVT_THERMAL, LVT_PERFORMANCE)), (6, 0x40011, (LVT_THERMAL,)),
     (15, 0x50014, ())],
)  # fmt: skip
def test_what_a_family_has(family: int, version: int, absent: tuple[int, ...]) -> None:
    board = ApicBoard(family)
    assert board.read(VERSION) == version
    for entry in (LVT_THERMAL, LVT_PERFORMANCE):
        board.write(entry, 0x40)
        assert board.read(entry) == (0 if entry in absent else 0x40)


def test_bits_that_stick(board: ApicBoard) -> None:
    for register, kept in ((ID, 0x0F000000), (TPR, 0xFF), (LDR, 0xFF000000), (SVR, 0x3FF),
                           (ICR, 0xCCFFF), (ICR_HIGH, 0xFF000000), (LVT_TIMER, 0x300FF),
                           (LVT_PERFORMANCE, 0x107FF), (LVT_LINT0, 0x1A7FF), (LVT_LINT1, 0x1A7FF),
                           (LVT_ERROR, 0x100FF), (DIVIDE, 0b1011), (VERSION, 0x40011),
                           (PPR, 0xFF)):  # fmt: skip
        board.write(register, 0xFFFFFFFF)
        assert board.read(register) == kept, hex(register)
    board.write(DFR, 0)
    assert board.read(DFR) == 0x0FFFFFFF
    board.write(SVR, 0)
    assert board.read(SVR) == 0x0F, "the P6's lowest four bits are ones"


def test_software_disabled(board: ApicBoard) -> None:
    board.write(LVT_LINT0, EXTINT)
    board.write(SVR, 0xFF)
    assert board.read(LVT_LINT0) == MASKED | EXTINT
    board.write(LVT_LINT0, EXTINT)
    assert board.read(LVT_LINT0) == MASKED | EXTINT, "no entry can be unmasked"
    board.ipi(0x40)
    assert not board.bus.intr and board.vectors(IRR) == []
    board.ipi(0, to=ALL, more=NMI)
    assert board.nmis == 1, "NMI gets through"


def test_priorities(board: ApicBoard) -> None:
    for vector in (0x41, 0x62, 0x35):
        board.ipi(vector)
    assert board.vectors(IRR) == [0x35, 0x41, 0x62] and board.read(APR) == 0x60
    assert board.acknowledge() == 0x62
    assert (board.vectors(IRR), board.vectors(ISR)) == ([0x35, 0x41], [0x62])
    assert board.read(PPR) == 0x60 and not board.bus.intr
    board.ipi(0x6F)
    assert not board.bus.intr, "the same class waits"
    board.ipi(0x70)
    assert board.bus.intr and board.acknowledge() == 0x70
    board.write(EOI, 0)
    assert board.vectors(ISR) == [0x62]
    board.write(EOI, 0)
    assert [board.take() for _ in range(3)] == [0x6F, 0x41, 0x35]
    assert not board.bus.intr
    board.write(EOI, 0)  # nothing is in service


def test_task_priority(board: ApicBoard) -> None:
    board.write(TPR, 0x45)
    board.ipi(0x4F)
    assert not board.bus.intr and board.read(PPR) == 0x45 and board.read(APR) == 0x45
    board.write(TPR, 0x3F)
    assert board.bus.intr and board.take() == 0x4F


def test_one_that_is_withdrawn_is_spurious(board: ApicBoard) -> None:
    board.write(SVR, 0x1EF)
    board.ipi(0x40)
    assert board.bus.intr
    board.write(TPR, 0xF0)
    assert not board.bus.intr
    assert board.acknowledge() == 0xEF and board.vectors(ISR) == []


def test_one_shot(board: ApicBoard) -> None:
    board.write(DIVIDE, BY_1)
    board.write(LVT_TIMER, 0x50)
    board.write(INITIAL, 1000)
    board.advance(400 * TICK)
    assert board.read(CURRENT) == 600 and not board.bus.intr
    board.advance(599 * TICK)
    assert board.read(CURRENT) == 1 and not board.bus.intr
    board.advance(TICK)
    assert board.bus.intr and board.take() == 0x50 and board.read(CURRENT) == 0
    board.advance(10_000 * TICK)
    assert not board.bus.intr and board.read(INITIAL) == 1000


@pytest.mark.parametrize(("divide", "by"), [(0, 2), (1, 4), (2, 8), (3, 16), (8, 32), (9, 64),
                                            (10, 128), (11, 1)])  # fmt: skip
def test_periodic_and_divided(board: ApicBoard, divide: int, by: int) -> None:
    board.write(DIVIDE, divide)
    board.write(LVT_TIMER, 0x50 | PERIODIC)
    board.write(INITIAL, 10)
    for _ in range(3):
        board.advance((10 * by - 1) * TICK)
        assert not board.bus.intr and board.read(CURRENT) == 1
        board.advance(TICK)
        assert board.bus.intr and board.take() == 0x50 and board.read(CURRENT) == 10


def test_periods_that_pass_while_one_waits_are_one(board: ApicBoard) -> None:
    board.write(DIVIDE, BY_1)
    board.write(LVT_TIMER, 0x50 | PERIODIC)
    board.write(INITIAL, 10)
    board.advance(1005 * TICK)
    assert board.bus.next_deadline() is None, "nobody would notice"
    assert board.take() == 0x50 and not board.bus.intr
    board.advance(4 * TICK)
    assert not board.bus.intr
    board.advance(TICK)
    assert board.bus.intr


def test_a_masked_timer_runs_and_tells_nobody(board: ApicBoard) -> None:
    board.write(DIVIDE, BY_1)
    board.write(LVT_TIMER, 0x50 | MASKED)
    board.write(INITIAL, 100)
    assert board.bus.next_deadline() is None
    board.advance(30 * TICK)
    assert board.read(CURRENT) == 70
    board.advance(100 * TICK)
    board.write(LVT_TIMER, 0x50)
    assert board.read(CURRENT) == 0 and not board.bus.intr
    board.write(INITIAL, 100)
    board.write(INITIAL, 0)
    assert board.bus.next_deadline() is None and board.read(CURRENT) == 0


def test_another_divider_goes_on_from_here(board: ApicBoard) -> None:
    board.write(DIVIDE, BY_1)
    board.write(LVT_TIMER, 0x50)
    board.write(INITIAL, 100)
    board.advance(60 * TICK)
    board.write(DIVIDE, 0)
    assert board.read(CURRENT) == 40
    board.advance(79 * TICK)
    assert not board.bus.intr
    board.advance(TICK)
    assert board.bus.intr


def test_interprocessor_interrupts_of_one_processor(board: ApicBoard) -> None:
    board.write(LDR, 0x02000000)
    for to, high, more, arrives in ((SELF, 0, 0, True), (ALL, 0, 0, True), (OTHERS, 0, 0, False),
                                    (0, 0x00, 0, True), (0, 0xFF, 0, True), (0, 0x01, 0, False),
                                    (0, 0x03, 0x800, True), (0, 0x04, 0x800, False),
                                    (0, 0x00, 0x100, True)):  # fmt: skip
        board.write(ESR, 0)
        board.write(ICR_HIGH, high << 24)
        board.ipi(0x40, to, more)
        assert board.bus.intr is arrives, (to, high, more)
        board.write(ESR, 0)
        assert board.read(ESR) == (0 if arrives else 4)
        if arrives:
            assert board.take() == 0x40
    for mode in (0x200, 0x500, 0x600, 0x300):  # SMI, INIT, start-up, and none
        for to in (SELF, ALL, OTHERS):
            before = board.devices.snapshot()["local-apic"]
            board.ipi(0x40, to, mode)
            after = board.devices.snapshot()["local-apic"]
            assert {**before, "icr": 0} == {**after, "icr": 0}
    board.ipi(0, ALL, NMI)
    board.ipi(0, SELF, NMI)  # the manual: not valid
    assert board.nmis == 1


def test_clusters(board: ApicBoard) -> None:
    board.write(DFR, 0)
    board.write(LDR, 0x32000000)
    for destination, arrives in ((0x32, True), (0x31, False), (0xF2, True), (0x22, False)):
        board.write(ICR_HIGH, destination << 24)
        board.ipi(0x40, 0, 0x800)
        assert board.bus.intr is arrives
        if arrives:
            board.take()


def test_errors(board: ApicBoard) -> None:
    board.write(LVT_ERROR, 0xE3)
    board.ipi(0x0F)
    assert board.bus.intr and board.take() == 0xE3
    assert board.read(ESR) == 0, "it is there when it was asked for, by a write"
    board.write(ESR, 0)
    assert board.read(ESR) == 0x20
    board.read(0x3F0)
    board.write(0x000, 0)
    assert board.take() == 0xE3 and not board.bus.intr, "one, for two of the same"
    board.write(ESR, 0)
    assert board.read(ESR) == 0x80
    board.write(ESR, 0)
    assert board.read(ESR) == 0
    board.route(5, 0x0E)
    board.line(5).raise_()
    board.write(ESR, 0)
    assert board.read(ESR) == 0x40, "received"
    assert board.take() == 0xE3
    board.write(LVT_ERROR, 3)
    board.ipi(0x0F)
    board.write(ESR, 0)
    assert board.read(ESR) == 0x60 and not board.bus.intr


def test_virtual_wire(board: ApicBoard) -> None:
    board.init_pics()
    board.line(0).raise_()
    assert board.pc.pic.master.int_pin and not board.bus.intr, "LINT0 is masked"
    board.write(LVT_LINT0, EXTINT)
    board.write(TPR, 0xFF)
    assert board.bus.intr, "ExtINT asks nobody"
    assert board.acknowledge() == 0x30 and board.vectors(ISR) == []
    board.bus.write_port(0x20, 1, 0x20)
    board.write(TPR, 0)
    board.ipi(0x80)
    board.line(1).raise_()
    assert [board.acknowledge(), board.take()] == [0x31, 0x80]


def test_a_pin_that_is_up_brings_no_other_edge(board: ApicBoard) -> None:
    """A halted guest must not wait for it."""
    board.init_pics()
    local = board.apics.local
    board.write(LVT_LINT0, 0x60)
    assert local.int_pin_interrupts()
    board.line(3).raise_()
    assert board.acknowledge() == 0x60
    board.write(EOI, 0)
    assert local.pins[0] and not local.int_pin_interrupts()


def test_lint0_as_a_fixed_interrupt(board: ApicBoard) -> None:
    board.init_pics()
    board.write(LVT_LINT0, 0x60 | LEVEL)
    board.line(3).raise_()
    assert board.bus.intr and board.read(LVT_LINT0) == 0xC060, "remote IRR"
    assert board.acknowledge() == 0x60 and not board.bus.intr
    board.write(EOI, 0)
    assert board.bus.intr, "the pin is still up"
    board.acknowledge()
    board.line(3).lower()
    board.write(EOI, 0)
    assert not board.bus.intr and board.read(LVT_LINT0) == 0x8060
    board.write(LVT_LINT0, 0x61)
    board.line(3).raise_()
    assert board.take() == 0x61 and not board.bus.intr, "an edge is one"


def test_lints_as_nmi(board: ApicBoard) -> None:
    board.local.pulse_nmi()
    assert board.nmis == 0, "LINT1 is masked"
    board.write(LVT_LINT1, NMI)
    board.local.pulse_nmi()
    assert board.nmis == 1
    board.init_pics()
    board.write(LVT_LINT0, NMI)
    board.line(0).raise_()
    assert board.nmis == 2 and not board.bus.intr


def test_the_base_register(board: ApicBoard) -> None:
    board.init_pics()
    board.local.set_base(0xE0001900)
    assert board.bus.read_memory(0xE0001000 + VERSION, 4) == 0x40011
    assert board.bus.read_memory(LOCAL + VERSION, 4) == 0xFFFFFFFF
    board.bus.write_memory(0xE0001000 + TPR, 4, 0x20)
    board.local.set_base(0xFEE00900)
    assert board.read(TPR) == 0x20, "a place is all that has changed"
    board.ipi(0x40)
    board.line(0).raise_()
    board.local.set_base(0xFEE00100)
    assert board.read(VERSION) == 0xFFFFFFFF
    assert board.acknowledge() == 0x30, "the pin is INTR"
    board.local.pulse_nmi()
    assert board.nmis == 1, "and the other one NMI"
    board.local.set_base(0xFEE00900)
    assert (board.read(SVR), board.vectors(IRR)) == (0xFF, [])
    board.local.set_base(0xF_FEE00900)
    assert board.read(VERSION) == 0xFFFFFFFF, "beyond what the bus reaches"


def test_in_front_of_everybody_else(board: ApicBoard) -> None:
    board.local.set_base(0xFEC00900)
    assert board.bus.read_memory(0xFEC00000 + VERSION, 4) == 0x40011
    board.devices.reset()
    board.io_write(0, 0x05000000)
    assert board.io_read(0) == 0x05000000


def test_narrow_and_crooked_accesses(board: ApicBoard) -> None:
    board.write(TPR, 0x47)
    board.write(LDR, 0xAB000000)
    assert [board.read(TPR + i, 1) for i in range(5)] == [0x47, 0, 0, 0, 0]
    assert board.read(LDR + 2, 2) == 0xAB00 and board.read(LDR - 2, 4) == 0
    assert board.read(TPR - 2, 4) == 0x470000
    board.write(TPR, 0x10, 1)
    board.write(TPR + 1, 0x10)
    assert board.read(TPR) == 0x47


def test_who_can_wake_a_processor(board: ApicBoard) -> None:
    board.write(LVT_TIMER, 0x50)
    assert not board.apics.timer_comes()
    board.write(INITIAL, 100)
    assert board.apics.timer_comes()
    board.write(TPR, 0x50)
    assert not board.apics.timer_comes(), "it will not get through"
    board.init_pics()
    assert not board.apics.would_interrupt(1)
    board.write(LVT_LINT0, EXTINT)
    assert board.apics.would_interrupt(1)
    board.write(LVT_LINT0, 0x60)
    assert board.apics.would_interrupt(1)
    board.write(LVT_LINT0, 0x50)
    assert not board.apics.would_interrupt(1)
