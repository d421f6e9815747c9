"""VME and PVI: the virtual interrupt flag, redirected interrupts (SDM vol. 3, 20.3 and 20.4)."""

from __future__ import annotations

import pytest
from system_lab import (
    CODE,
    CODE0,
    CODE3,
    CS,
    DATA3,
    EAX,
    EBX,
    ESP,
    FLAG_IF,
    FLAG_NT,
    FLAG_RF,
    FLAG_TF,
    FLAG_VM,
    GP,
    HANDLERS,
    PF,
    STACK0,
    STACK3,
    TR,
    TSS_MAIN,
    UD,
    Lab,
    Stop,
    gate,
)

VME, PVI = 1, 2
VIF, VIP = 0x80000, 0x100000
IOPL3 = 0x3000
MAP = 104 + 32  # where the I/O bitmap begins, right above the redirection bitmap
REDIRECTION = TSS_MAIN + 104
TSS_LIMIT = 0xFFF
TO_8086 = 0x500  # paragraph of the 8086 program's handlers

CLI, STI, HLT = b"\xfa", b"\xfb", b"\xf4"
PUSHF, POPF, IRET = b"\x9c", b"\x9d", b"\xcf"
WIDE = b"\x66"  # the 32-bit form in 16-bit code


def vme(iopl: int, flags: int = 0, cr4: int = VME) -> Lab:
    """A virtual-8086 program, every INT n redirected to a handler of its own."""
    lab = Lab()
    lab.cpu.cr4 = cr4
    lab.memory[TSS_MAIN + 102 : TSS_MAIN + 104] = MAP.to_bytes(2, "little")
    lab.memory[REDIRECTION : REDIRECTION + 32] = bytes(32)
    for vector in range(256):
        lab.dword(vector * 4, TO_8086 << 16 | vector)
    lab.memory[TO_8086 * 16 : TO_8086 * 16 + 256] = b"\x90" * 256
    lab.v86(iopl).cpu.set_flags(FLAG_VM | FLAG_IF | iopl << 12 | flags)
    return lab


def protect(lab: Lab, vector: int) -> None:
    """Send this INT n through the IDT."""
    lab.memory[REDIRECTION + vector // 8] |= 1 << vector % 8


def open_gate(lab: Lab, vector: int) -> None:
    lab.idt(vector, gate(14, CODE0, HANDLERS + vector * 16, dpl=3))


def step(lab: Lab, code: bytes, count: int = 1) -> Stop:
    return lab.run(code, bits=16, budget=count)


def faulted(stop: Stop) -> tuple[int | None, int]:
    return stop.vector, stop.error


# --- CLI and STI ------------------------------------------------------------------------------


@pytest.mark.parametrize("iopl", [0, 1, 2])
def test_cli_and_sti_act_on_vif(iopl: int) -> None:
    lab = vme(iopl)
    before = lab.cpu.flags()
    step(lab, STI)
    assert lab.cpu.flags() == before | VIF
    step(lab, CLI)
    assert lab.cpu.flags() == before
    assert lab.cpu.eip == 1


def test_with_iopl_3_they_act_on_if() -> None:
    lab = vme(3, VIF)
    step(lab, CLI)
    assert lab.cpu.flags() & (FLAG_IF | VIF) == VIF
    lab.cpu.set_flags(lab.cpu.flags() & ~VIF)
    step(lab, STI)
    assert lab.cpu.flags() & (FLAG_IF | VIF) == FLAG_IF


def test_sti_with_an_interrupt_pending_faults() -> None:
    lab = vme(0, VIP)
    stop = step(lab, STI, 5)
    assert faulted(stop) == (GP, 0)
    assert stop.frame[3] & (VIP | VIF | FLAG_IF) == VIP | FLAG_IF
    step(vme(0, VIP), CLI)


def test_sti_on_vif_has_no_shadow_and_lets_interrupts_in() -> None:
    lab = vme(0)
    lab.cpu.intr = 1
    assert step(lab, STI + STI, 2).reason == 3, "IF was set all along: at once"
    assert lab.cpu.eip == 0


@pytest.mark.parametrize("cr4", [0, PVI])
@pytest.mark.parametrize("code", [CLI, STI, PUSHF, POPF, IRET, b"\xcd\x21"])
def test_without_vme_everything_faults(code: bytes, cr4: int) -> None:
    assert faulted(step(vme(2, cr4=cr4), code, 5)) == (GP, 0)


# --- PUSHF, POPF, IRET ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("iopl", "flags", "image"),
    [
        (0, 0, 0x3002),  # IF is VIF, IOPL shows as 3
        (0, VIF, 0x3202),
        (2, VIF | VIP | FLAG_NT | 0x8D5, 0x7AD7),
        (3, VIF, 0x3202),  # at IOPL 3 it is the real one
        (3, 0, 0x3202),
    ],
)
def test_pushf(iopl: int, flags: int, image: int) -> None:
    lab = vme(iopl, flags)
    step(lab, PUSHF)
    assert (lab.reg(ESP), lab.peek(0x6FFE, 2)) == (0x6FFE, image)


def popf(lab: Lab, image: int) -> Stop:
    lab.word(0x6F00, image)
    lab.cpu.set_reg(ESP, 0x6F00)
    return step(lab, POPF, 1)


@pytest.mark.parametrize(
    ("before", "image", "after"),
    [
        (0, 0x0202, VIF),
        (VIF, 0x0002, 0),
        (VIF, 0x7ED7, VIF | 0x4CD5),  # IOPL stays 0
        (VIP, 0x0CD7, VIP | 0xCD5),
        (VIP | VIF, 0x0002, VIP),
    ],
)
def test_popf(before: int, image: int, after: int) -> None:
    lab = vme(0, before)
    popf(lab, image)
    assert lab.cpu.flags() == FLAG_VM | FLAG_IF | 2 | after
    assert lab.reg(ESP) == 0x6F02


@pytest.mark.parametrize(
    ("before", "image", "fault"),
    [(0, FLAG_TF, True), (VIP, FLAG_IF, True), (VIP, 0, False), (0, FLAG_IF, False)],
)
@pytest.mark.parametrize("code", [POPF, IRET])
def test_images_that_are_refused(before: int, image: int, fault: bool, code: bytes) -> None:
    """TF is the monitor's; and IF while an interrupt waits."""
    lab = vme(1, before)
    lab.cpu.set_reg(ESP, 0x6F00)
    lab.word(0x6F00, *((image | 2,) if code == POPF else (0x40, CODE >> 4, image | 2)))
    flags = lab.cpu.flags()
    stop = step(lab, code, 2 if fault else 1)
    assert stop.vector == (GP if fault else None)
    if fault:
        assert stop.error == 0
        assert (stop.frame[1], stop.frame[3]) == (0, flags | FLAG_RF)
        assert stop.frame[4] == 0x6F00


def test_iret() -> None:
    for image, virtual in ((0x0202, VIF), (0x3ED7 & ~FLAG_TF & ~FLAG_IF, 0)):
        lab = vme(0, VIF)
        lab.cpu.set_reg(ESP, 0x6F00)
        lab.word(0x6F00, 0x40, 0x1234, image)
        step(lab, IRET)
        assert (lab.cpu.eip, lab.sel(CS), lab.reg(ESP)) == (0x40, 0x1234, 0x6F06)
        assert lab.cpu.flags() == FLAG_VM | FLAG_IF | virtual | (image & 0xCD5) | 2


def test_iret_at_iopl_3_loads_if() -> None:
    lab = vme(3, VIF | VIP)
    lab.cpu.set_reg(ESP, 0x6F00)
    lab.word(0x6F00, 0x40, 0x1234, 0x0002)
    step(lab, IRET)
    assert lab.cpu.flags() == FLAG_VM | IOPL3 | VIF | VIP | 2


@pytest.mark.parametrize("code", [PUSHF, POPF, IRET])
def test_the_32_bit_forms_fault_below_iopl_3(code: bytes) -> None:
    assert faulted(step(vme(2), WIDE + code, 5)) == (GP, 0)


def test_the_32_bit_forms_at_iopl_3() -> None:
    lab = vme(3, VIF | VIP)
    step(lab, WIDE + PUSHF)
    assert lab.peek(0x7000 - 4) == VIF | VIP | 0x3202, "without VM and RF"
    lab = vme(3, VIF | VIP)
    lab.dword(0x6F00, 0x2)
    lab.cpu.set_reg(ESP, 0x6F00)
    step(lab, WIDE + POPF)
    assert lab.cpu.flags() == FLAG_VM | IOPL3 | VIF | VIP | 2, "VIF and VIP are not loaded"


# --- software interrupts ----------------------------------------------------------------------


@pytest.mark.parametrize("iopl", [0, 3])
@pytest.mark.parametrize("vector", [0x03, 0x10, 0x21, 0xFF])
def test_redirected(iopl: int, vector: int) -> None:
    lab = vme(iopl, VIF | FLAG_TF | FLAG_NT | 0x41)
    step(lab, bytes([0xCD, vector]))
    assert (lab.sel(CS), lab.cpu.eip, lab.cpu.cpl) == (TO_8086, vector, 3)
    assert lab.reg(ESP) == 0x6FFA
    frame = lab.peek(0x6FFA, 6).to_bytes(6, "little")
    assert frame[:4] == b"\x02\x00" + (CODE >> 4).to_bytes(2, "little")
    assert frame[4:] == (FLAG_IF | FLAG_TF | FLAG_NT | IOPL3 | 0x43).to_bytes(2, "little")
    kept = FLAG_VM | FLAG_NT | iopl << 12 | 0x43
    assert lab.cpu.flags() == kept | (FLAG_IF if iopl == 0 else VIF), "VIF, or IF, is cleared"


def test_the_image_shows_vif() -> None:
    lab = vme(0)
    step(lab, b"\xcd\x21")
    assert lab.peek(0x6FFE, 2) == IOPL3 | 2


def test_not_redirected() -> None:
    """IOPL 3: the IDT. Below: #GP(0), for the monitor to emulate."""
    for iopl in (0, 3):
        lab = vme(iopl, VIF)
        protect(lab, 0x21)
        open_gate(lab, 0x21)
        stop = step(lab, b"\xcd\x21", 5)
        if iopl == 3:
            assert (stop.vector, stop.frame[0], stop.frame[2]) == (
                0x21, 2, FLAG_VM | FLAG_IF | IOPL3 | VIF | 2,
            )  # fmt: skip
            assert lab.reg(ESP) == STACK0 - 36 and lab.cpu.flags() & VIF
        else:
            assert faulted(stop) == (GP, 0) and stop.frame[1] == 0


def test_each_vector_has_its_bit() -> None:
    for vector in (0, 7, 8, 0x2F, 0x80, 0xFF):
        lab = vme(0)
        lab.memory[REDIRECTION : REDIRECTION + 32] = b"\xff" * 32
        lab.memory[REDIRECTION + vector // 8] ^= 1 << vector % 8
        step(lab, bytes([0xCD, vector]))
        assert (lab.sel(CS), lab.cpu.eip) == (TO_8086, vector)
        other = vector ^ 1
        assert faulted(step(vme_all_but(vector), bytes([0xCD, other]), 5)) == (GP, 0)


def vme_all_but(vector: int) -> Lab:
    lab = vme(0)
    lab.memory[REDIRECTION : REDIRECTION + 32] = b"\xff" * 32
    lab.memory[REDIRECTION + vector // 8] ^= 1 << vector % 8
    return lab


@pytest.mark.parametrize(("code", "vector"), [(b"\xcc", 3), (b"\xf1", 1), (b"\xce", 4)])
def test_int3_into_and_int1_are_never_redirected(code: bytes, vector: int) -> None:
    lab = vme(0, 0x800)
    open_gate(lab, vector)
    stop = step(lab, code, 5)
    assert stop.vector == vector
    assert stop.frame[2] & FLAG_VM


def test_exceptions_and_interrupts_go_to_the_monitor() -> None:
    lab = vme(0, VIF)
    assert step(lab, b"\x0f\x0b", 5).vector == UD
    lab = vme(0, VIF)
    lab.cpu.interrupt(0x20)
    stop = lab.go_on(5)
    assert stop.vector == 0x20 and stop.frame[2] & VIF
    assert lab.cpu.flags() & (VIF | FLAG_IF) == VIF, "the gate clears IF, not VIF"


@pytest.mark.parametrize(
    ("limit", "base", "attr"),
    [(102, MAP, 0x8B), (0xFFF, 8, 0x8B), (0xFFF, 0xFFFF, 0x8B), (0xFFF, MAP, 0x83)],
)
def test_no_bitmap_no_redirection(limit: int, base: int, attr: int) -> None:
    lab = vme(3)
    lab.memory[TSS_MAIN + 102 : TSS_MAIN + 104] = base.to_bytes(2, "little")
    lab.word(TSS_MAIN + 2, STACK0, 0x10)  # for the 16-bit TSS
    lab.cpu.set_segment(TR, 0x28, TSS_MAIN, limit, attr)
    assert step(lab, b"\xcd\x21", 5).vector == GP


def test_a_bitmap_in_a_page_that_is_not_there() -> None:
    lab = vme(0)
    for page in range(256):
        lab.dword(0x81000 + page * 4, page << 12 | 7)
    lab.dword(0x80000, 0x81007)
    lab.memory[TSS_MAIN + 102 : TSS_MAIN + 104] = (0x1010).to_bytes(2, "little")
    lab.dword(0x81000 + (TSS_MAIN + 0x1000 >> 12) * 4, 0)
    lab.cpu.set_segment(TR, 0x28, TSS_MAIN, 0x1FFF, 0x8B)
    lab.cpu.cr3, lab.cpu.cr0 = 0x80000, 0x80000011
    lab.cpu.flush()
    stop = step(lab, b"\xcd\x85", 5)
    assert (stop.vector, stop.error) == (PF, 0), "an access of the processor's own"
    assert lab.cpu.cr2 == TSS_MAIN + 0x1010 - 32 + 0x10


def test_a_redirected_interrupt_that_faults_changes_nothing() -> None:
    lab = vme(0, VIF)
    lab.cpu.set_segment(2, 0, 0, 0xFFFF, 0xF1)  # a stack that cannot be written
    flags = lab.cpu.flags()
    stop = step(lab, b"\xcd\x21", 5)
    assert stop.vector == 12 and stop.frame[1] == 0
    assert (stop.frame[3], stop.frame[4]) == (flags | FLAG_RF, 0x7000)


# --- PVI --------------------------------------------------------------------------------------


def pvi(iopl: int = 0, flags: int = 0, cpl: int = 3, cr4: int = PVI) -> Lab:
    lab = Lab().ring(cpl)
    lab.cpu.cr4 = cr4
    lab.cpu.set_flags(FLAG_IF | iopl << 12 | flags | 2)
    return lab


@pytest.mark.parametrize("iopl", [0, 2])
def test_pvi_cli_and_sti_act_on_vif(iopl: int) -> None:
    lab = pvi(iopl)
    before = lab.cpu.flags()
    lab.run(STI, budget=1)
    assert lab.cpu.flags() == before | VIF
    lab.run(CLI, budget=1)
    assert lab.cpu.flags() == before


def test_pvi_sti_with_an_interrupt_pending_faults() -> None:
    assert faulted(pvi(flags=VIP).run(STI)) == (GP, 0)


@pytest.mark.parametrize(
    ("iopl", "cpl", "cr4", "fault"),
    [(3, 3, PVI, False), (0, 2, PVI, True), (0, 1, PVI, True), (0, 3, VME, True), (0, 3, 0, True)],
)
@pytest.mark.parametrize("code", [CLI, STI])
def test_pvi_is_for_cpl_3_below_iopl_3(
    code: bytes, iopl: int, cpl: int, cr4: int, fault: bool
) -> None:
    lab = pvi(iopl, cpl=cpl, cr4=cr4)
    stop = lab.run(code, budget=2 if fault else 1)
    if fault:
        assert faulted(stop) == (GP, 0)
    else:
        assert bool(lab.cpu.flags() & FLAG_IF) == (code == STI)
        assert lab.cpu.flags() & VIF == 0


def test_pvi_leaves_pushf_popf_and_int_n_alone() -> None:
    lab = pvi(flags=VIF | VIP)
    lab.run("pushfd; pop eax", budget=2)
    assert lab.reg(EAX) == FLAG_IF | VIF | VIP | 2
    lab.run("push 2; popfd; pushfd; pop ebx", budget=4)
    assert lab.reg(EBX) == FLAG_IF | VIF | VIP | 2, "IF is kept silently, VIF and VIP too"
    lab.memory[REDIRECTION : REDIRECTION + 32] = bytes(32)
    assert faulted(pvi().run(b"\xcd\x21")) == (GP, 0x21 * 8 + 2)


@pytest.mark.parametrize("flags", [0, VIF, VIP, VIF | VIP])
def test_popfd_in_ring_0_leaves_vif_and_vip_and_iretd_loads_them(flags: int) -> None:
    """SDM vol. 2, POPF: "VIP, VIF, and VM remain unaffected"."""
    lab = pvi(cpl=0, flags=flags)
    lab.run(f"push {0x180202 ^ flags}; popfd")
    assert lab.cpu.flags() & (VIF | VIP) == flags
    lab.run(f"push {VIF | VIP | 2}; push 8; push {CODE + 0x40}; iretd", budget=4)
    assert lab.cpu.flags() & (VIF | VIP) == VIF | VIP


V86_FRAME = (0x40, CODE >> 4, FLAG_VM, 0x7000, 0, 0, 0, 0, 0)


@pytest.mark.parametrize(
    ("flags", "cr4", "waits"),
    [
        (VIF | VIP, VME, True),
        (VIF | VIP | 0x2000, VME, True),
        (VIF | VIP | 0x3000, VME, False),  # at IOPL 3 the flags are not in force
        (VIF | VIP, PVI, False),
        (VIF, VME, False),
        (VIP, VME, False),
    ],
)
def test_vif_and_vip_both_set_before_an_8086_instruction(
    flags: int, cr4: int, waits: bool
) -> None:
    """SDM vol. 3, 20.3.2: "at the beginning of an instruction", after IRET."""
    lab = Lab()
    lab.cpu.cr4 = cr4
    frame = list(V86_FRAME)
    frame[2] |= flags
    lab.cpu.set_reg(ESP, 0x7F00)
    lab.dword(0x7F00, *frame)
    lab.memory[CODE + 0x40] = 0x90
    stop = lab.run(b"\xcf", budget=2)
    assert (stop.vector == GP) == waits
    if waits:
        assert stop.frame[:3] == [0, 0x40, CODE >> 4]


@pytest.mark.parametrize(("cr4", "waits"), [(PVI, True), (VME, False)])
def test_vif_and_vip_both_set_before_an_instruction_of_ring_3(cr4: int, waits: bool) -> None:
    lab = pvi(cpl=0, cr4=cr4)
    lab.cpu.set_reg(ESP, 0x7F00)
    lab.dword(0x7F00, CODE + 0x40, CODE3, VIF | VIP | 2, STACK3, DATA3)
    lab.memory[CODE + 0x40] = 0x90
    stop = lab.run(b"\xcf", budget=2)
    assert (stop.vector == GP) == waits
    if waits:
        assert stop.frame[:3] == [0, CODE + 0x40, CODE3]


def test_the_monitor_hands_an_interrupt_on() -> None:
    """What VIP is for: set it, go back, and the program's STI faults at the right moment."""
    lab = vme(0)
    lab.memory[HANDLERS + 0x20 * 16 : HANDLERS + 0x20 * 16 + 9] = (
        b"\x81\x4c\x24\x08\x00\x00\x10\x00\xcf"  # or dword ptr [esp + 8], VIP; iretd
    )
    lab.memory[CODE : CODE + 4] = CLI + b"\x90" + STI + b"\x90"
    lab.cpu.eip = 0
    lab.cpu.run(1)
    lab.cpu.interrupt(0x20)
    stop = lab.go_on(6)
    assert faulted(stop) == (GP, 0)
    assert (stop.frame[1], stop.frame[3] & (VIP | VIF)) == (2, VIP)


@pytest.mark.parametrize(
    ("limit", "rights", "map_at"),
    [
        (TSS_LIMIT, 0x8B, 0xF000),  # the redirection bitmap is beyond the limit
        (102, 0x8B, 0x60),  # the word that says where it is ends beyond the limit
        (TSS_LIMIT, 0x83, MAP),  # a TSS of the 80286
    ],
)
def test_without_a_redirection_bitmap(limit: int, rights: int, map_at: int) -> None:
    """#GP with the error code 0: nothing but INT n itself is wrong."""
    lab = vme(0)
    lab.word(TSS_MAIN + 102, map_at)
    lab.word(TSS_MAIN + 2, STACK0, CODE0 + 8)  # of a 16-bit TSS: SP and SS for ring 0
    if rights == 0x8B:
        lab.dword(TSS_MAIN + 4, STACK0, CODE0 + 8)
    lab.cpu.set_segment(TR, 0x28, TSS_MAIN, limit, rights)
    stop = step(lab, b"\xcd\x21", 5)
    assert faulted(stop) == (GP, 0)
    assert stop.frame[1] == 0
