"""Documented corners of the Pentium and Pentium Pro that have no chapter of their own."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from debug_lab import DWORD, READ_WRITE, WRITE, at, hits, watch
from system_lab import (
    CODE,
    CODE0,
    CODE16,
    CS,
    DATA,
    DATA0,
    DB,
    DS,
    EAX,
    EBP,
    EBX,
    EDX,
    ESI,
    ESP,
    FLAG_NT,
    FLAG_TF,
    GP,
    SS,
    UD,
    Lab,
    external_lab,
)

EXIT_EXCEPTION = 4
TSD, PCE = 4, 0x100


def vector_of(lab: Lab, code: bytes) -> int | None:
    stop = lab.run(code, budget=1)
    if lab.cpu.external:
        return lab.cpu.fault_vector if stop.reason == EXIT_EXCEPTION else None
    return stop.vector


# --- encodings -----------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [Lab, lambda: Lab().ring(3), lambda: external_lab().ring(3)])
@pytest.mark.parametrize("lock", [b"", b"\xf0"])
@pytest.mark.parametrize("modrm", [0xC8, 0xCF, 0xC0, 0xF8, 0x00, 0x38])
def test_cmpxchg8b_needs_memory(make: Callable[[], Lab], lock: bytes, modrm: int) -> None:
    """LOCK CMPXCHG8B EAX hung the Pentium; the manual says #UD, for every form but m64."""
    assert vector_of(make(), lock + bytes([0x0F, 0xC7, modrm])) == UD


@pytest.mark.parametrize(
    "code",
    [
        "0faa",  # RSM, outside of system management mode
        "0f34",  # SYSENTER: came with the Pentium II
        "0f05",  # SYSCALL
        "0f77",  # EMMS: no MMX
        "0f6fc0",  # MOVQ
        "0f28c1",  # MOVAPS: no SSE
        "0fae00",  # FXSAVE
        "0f0b",
        "0fb9c0",  # UD1
        "0fff",
        "0f04",
        "0f0a",
    ],
)
def test_what_the_pentium_pro_has_not(code: str) -> None:
    for lab in (Lab(), Lab().ring(3), external_lab().ring(3)):
        assert vector_of(lab, bytes.fromhex(code)) == UD


@pytest.mark.parametrize(("prefixes", "vector"), [(14, None), (15, GP), (20, GP)])
def test_fifteen_bytes_are_the_most(lab: Lab, prefixes: int, vector: int | None) -> None:
    for one in (lab, external_lab().ring(3)):
        assert vector_of(one, b"\x3e" * prefixes + b"\x90") == vector
    if vector == GP:
        assert lab.run(b"\x3e" * prefixes + b"\x90").error == one.cpu.fault_error == 0


# --- privilege by CR4 ----------------------------------------------------------------------------


@pytest.mark.parametrize("where", [0, 1, 2, 3, "v86"])
@pytest.mark.parametrize("cr4", [0, TSD])
def test_rdtsc(lab: Lab, where: int | str, cr4: int) -> None:
    lab.cpu.cr4 = cr4
    if where == "v86":
        lab.v86()
    else:
        lab.ring(int(where))
    assert vector_of(lab, b"\x0f\x31") == (GP if cr4 and where != 0 else None)


@pytest.mark.parametrize("where", [0, 1, 2, 3, "v86"])
@pytest.mark.parametrize("cr4", [0, PCE])
def test_rdpmc(lab: Lab, where: int | str, cr4: int) -> None:
    lab.cpu.cr4 = cr4
    if where == "v86":
        lab.v86()
    else:
        lab.ring(int(where))
    assert vector_of(lab, b"\x0f\x33") == (None if cr4 or where == 0 else GP)


@pytest.mark.parametrize(
    ("bit", "feature"),
    [(0, 1), (1, 1), (2, 4), (3, 2), (4, 3), (5, 6), (6, 7), (7, 13), (9, 24), (10, 25)],
)
def test_cr4_has_what_cpuid_announces(lab: Lab, bit: int, feature: int) -> None:
    """A bit whose feature is missing is reserved: #GP(0)."""
    lab.run("mov eax, 1; cpuid")
    announced = lab.reg(EDX) >> feature & 1
    stop = lab.run(f"mov eax, {1 << bit}; mov cr4, eax; mov ebx, cr4")
    assert stop.vector == (None if announced else GP)
    assert lab.cpu.cr4 == (announced << bit)


def test_machine_check_registers(lab: Lab) -> None:
    """CPUID announces the exception; CR4.MCE is kept; the Pentium's two registers read as 0."""
    lab.run("mov eax, 0x40; mov cr4, eax; mov ecx, 0; rdmsr; mov ebx, eax; mov ecx, 1; rdmsr")
    assert (lab.cpu.cr4, lab.reg(EBX), lab.reg(EAX), lab.reg(EDX)) == (0x40, 0, 0, 0)


def test_lmsw_sets_pe_and_never_clears_it(lab: Lab) -> None:
    lab.real_mode().run("mov ax, 1; lmsw ax", bits=16)
    assert lab.cpu.cr0 & 1
    lab = Lab()
    lab.run("mov ax, 0; lmsw ax; smsw ebx")
    assert lab.reg(EBX) & 1


# --- loading SS ----------------------------------------------------------------------------------


def test_lss_holds_nothing_off(lab: Lab) -> None:
    """It loads both halves of the stack pointer, so nothing needs to wait (SDM vol. 2, LDS)."""
    lab.dword(DATA, 0x7000, DATA0)
    watch(lab, (DATA, READ_WRITE, DWORD))
    stop = lab.run(f"lss esp, [{DATA}]; inc ecx; inc ecx")
    assert at(stop) == (DB, 7)
    lab = Lab()
    lab.dword(DATA, 0x7000, DATA0)
    lab.cpu.set_flags(FLAG_TF | 2)
    assert at(lab.run(f"lss esp, [{DATA}]; nop")) == (DB, 7)


def test_mov_ss_that_faults_holds_nothing_off(lab: Lab) -> None:
    lab.cpu.set_reg(EAX, 0x60)
    stop = lab.run("mov ss, ax")
    assert (stop.vector, stop.error, lab.sel(SS)) == (GP, 0x60, DATA0)


# --- data breakpoints on wide and implicit operands ----------------------------------------------


@pytest.mark.parametrize(
    ("code", "offset", "hit"),
    [
        ("fld qword ptr [esi]", 7, True),
        ("fld qword ptr [esi]", 8, False),
        ("fld tbyte ptr [esi]", 9, True),
        ("fstp tbyte ptr [esi]", 9, True),
        ("fstp tbyte ptr [esi]", 10, False),
        ("fnsave [esi]", 107, True),
        ("fnsave [esi]", 108, False),
        ("frstor [esi]", 50, True),
        ("cmpxchg8b [esi]", 7, True),
        ("les eax, [esi]", 4, True),
        ("les eax, [esi]", 6, False),
        ("sgdt [esi]", 5, True),
        ("bts dword ptr [esi], 1", 3, True),
        ("mov esp, esi; pop eax", 3, True),
        ("lea esp, [esi + 8]; push eax", 4, True),
        ("lea esp, [esi + 8]; push eax", 8, False),
        ("lea esp, [esi + 32]; pushad", 0, True),
        ("lea esp, [esi + 8]; int 0x21", 0, True),
    ],
)
def test_data_breakpoints_on_every_byte(lab: Lab, code: str, offset: int, hit: bool) -> None:
    """A one-byte breakpoint inside of the operand, and one right behind it."""
    place = DATA + 0xFF8  # most operands cross into the next page
    lab.cpu.set_reg(ESI, place)
    watch(lab, (place + offset, READ_WRITE, 0))
    lab.run("fninit; fld1")
    lab.cpu.set_reg(ESI, place)
    lab.run(code + "; nop")
    assert bool(hits(lab)) == hit


def test_reads_do_not_hit_write_breakpoints(lab: Lab) -> None:
    watch(lab, (DATA, WRITE, DWORD))
    assert lab.run(f"mov eax, [{DATA}]; push dword ptr [{DATA}]; nop").vector is None
    lab.cpu.set_reg(EAX, 1)
    assert lab.run(f"cmpxchg [{DATA}], ecx; nop").vector == DB, "it writes whatever it finds"


# --- IRET and NT ---------------------------------------------------------------------------------


def test_nt_means_nothing_in_real_and_virtual_8086_mode(lab: Lab) -> None:
    frame = b"\x9c\x0e\x68\x40\x00\xcf"  # pushf; push cs; push 0x40; iret
    for prepare in (lab.real_mode, lab.v86):
        prepare()
        lab.cpu.set_flags(lab.cpu.flags() | FLAG_NT)
        lab.run(frame, bits=16, budget=4)
        assert lab.cpu.eip == 0x40


def test_halt_ends_with_an_interrupt_even_right_behind_sti(lab: Lab) -> None:
    """STI's shadow covers HLT, so that the pair cannot lose an interrupt."""
    lab.cpu.intr = 1
    stop = lab.run("sti; hlt; inc eax")
    assert (stop.eip, lab.reg(EAX)) == (CODE + 2, 0)
    assert stop.reason == 2 and lab.cpu.interruptible()


def test_a_segment_may_wrap_around_the_address_space(lab: Lab) -> None:
    lab.dword(0x100, 0x12345678)
    lab.cpu.set_segment(DS, 0x10, 0xFFFFFF00, 0xFFFFFFFF, 0xC093)
    lab.run("mov eax, [0x200]")
    assert lab.reg(EAX) == 0x12345678


def test_far_return_to_conforming_code_keeps_cpl(lab: Lab) -> None:
    lab.run(f"push {0x58}; push {CODE + 0x40}; retf", budget=3)
    assert (lab.cpu.cpl, lab.sel(1), lab.cpu.eip) == (0, 0x58, CODE + 0x40)
    assert lab.reg(ESP) == 0x8000


# --- ENTER ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", [0, 1, 2, 4])
@pytest.mark.parametrize("size", [2, 4])
def test_enter_copies_the_display(lab: Lab, size: int, level: int) -> None:
    """EBP; the frame pointers of the enclosing procedures; its own (SDM vol. 2, ENTER)."""
    display = [0x1111, 0x2222, 0x3333]
    put = lab.word if size == 2 else lab.dword
    put(DATA, *reversed(display))
    top = DATA + 3 * size
    lab.cpu.set_reg(EBP, top)
    lab.run((b"\x66" if size == 2 else b"") + bytes([0xC8, 0x10, 0, level]))
    frame = 0x8000 - size
    mask = (1 << 8 * size) - 1
    own = [frame & mask] if level else []
    expected = [top & mask, *display[: max(level - 1, 0)], *own]
    assert [lab.peek(frame - i * size, size) for i in range(len(expected))] == expected
    assert lab.reg(EBP) == (top & ~mask | frame & mask)
    assert lab.reg(ESP) == frame - level * size - 0x10


# --- code that is run in two modes ---------------------------------------------------------------


@pytest.mark.parametrize("sizes", [(32, 32, 16, 16, 32, 16), (16, 16, 32, 32, 16, 32)])
def test_the_same_bytes_are_other_instructions_in_16_bits(lab: Lab, sizes: tuple[int, ...]) -> None:
    """Reached by an indirect jump, whose target is remembered, from the same place each time."""
    target = 0xF000
    lab.memory[target : target + 6] = b"\xb8\x34\x12\xeb\x00\xf4"
    # 32 bits: MOV EAX, 00EB1234h; HLT. 16 bits: MOV AX, 1234h; JMP to the HLT
    jumps = {32: (0xE000, b"\xff\xe3"), 16: (0xE100, b"\xff\xe3")}
    for at_, code in jumps.values():
        lab.memory[at_ : at_ + 2] = code
    for bits in sizes:
        lab.load(CS, CODE0 if bits == 32 else CODE16)
        lab.cpu.set_reg(EAX, 0xFFFFFFFF)
        lab.cpu.set_reg(EBX, target)
        lab.cpu.eip = jumps[bits][0]
        lab.cpu.run(100)
        assert lab.cpu.eip == target + 6
        assert lab.reg(EAX) == (0x00EB1234 if bits == 32 else 0xFFFF1234)
