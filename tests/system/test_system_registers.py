"""Control, debug and table registers, CPUID, TSC and MSRs (SDM vol. 3, ch. 2; vol. 2)."""

from __future__ import annotations

import pytest
from system_lab import (
    CODE,
    DATA,
    DB,
    EAX,
    EBX,
    ECX,
    EDX,
    FLAG_VM,
    GP,
    LDT_SEL,
    MAIN_TSS,
    PF,
    UD,
    Lab,
)

from bt.interp.state import NEWS_FLUSH_ALL, NEWS_FLUSH_LOCAL, NEWS_FLUSH_PAGE

MOV_CR = {f"cr{i}": bytes([0x0F, 0x22, 0xC0 | i << 3]) for i in range(8)}
CPL0_ONLY = {
    "mov eax, cr0": b"\x0f\x20\xc0",
    "mov cr0, eax": b"\x0f\x22\xc0",
    "mov cr3, eax": b"\x0f\x22\xd8",
    "mov cr4, eax": b"\x0f\x22\xe0",
    "mov eax, dr7": b"\x0f\x21\xf8",
    "mov dr7, eax": b"\x0f\x23\xf8",
    "clts": b"\x0f\x06",
    "invd": b"\x0f\x08",
    "wbinvd": b"\x0f\x09",
    "invlpg": b"\x0f\x01\x38",
    "lgdt": b"\x0f\x01\x10",
    "lidt": b"\x0f\x01\x18",
    "lmsw": b"\x0f\x01\xf0",
    "rdmsr": b"\x0f\x32",
    "wrmsr": b"\x0f\x30",
    "rdpmc": b"\x0f\x33",
}


@pytest.mark.parametrize("name", CPL0_ONLY)
@pytest.mark.parametrize("where", ["ring 1", "ring 3", "v86"])
def test_privileged(lab: Lab, name: str, where: str) -> None:
    before = (lab.cpu.cr0, lab.cpu.cr3, lab.cpu.cr4, lab.cpu.gdtr_base, lab.cpu.idtr_base)
    if where == "v86":
        lab.v86()
    else:
        lab.ring(int(where[-1]))
    stop = lab.run(CPL0_ONLY[name])
    assert (stop.vector, stop.error) == (GP, 0)
    assert before == (
        lab.cpu.cr0, lab.cpu.cr3, lab.cpu.cr4, lab.cpu.gdtr_base, lab.cpu.idtr_base,
    )  # fmt: skip


# --- control registers ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("register", "value", "kept"),
    [
        ("cr0", 0x00000011, 0x00000011),
        ("cr0", 0x6005003F, 0x6005003F),
        ("cr0", 0x0FFAFFC1, 0x00000011),  # undefined bits read as 0, ET as 1
        ("cr0", 0x40000001, 0x40000011),
        ("cr2", 0xDEADBEEF, 0xDEADBEEF),
        ("cr3", 0x12345018, 0x12345018),
        ("cr4", 0x000001DF, 0x000001DF),
        ("cr0", 0x80000000, None),  # PG without PE
        ("cr0", 0x20000001, None),  # NW without CD
        ("cr4", 0x00000020, 0x00000020),  # PAE
        ("cr4", 0x00000200, None),  # OSFXSR
        ("cr4", 0x80000000, None),
    ],
)
def test_mov_to_control_register(lab: Lab, register: str, value: int, kept: int | None) -> None:
    lab.cpu.set_reg(EAX, value)
    stop = lab.run(MOV_CR[register] + b"\x0f\x20" + bytes([MOV_CR[register][2] | EBX]))
    if kept is None:
        assert (stop.vector, stop.error) == (GP, 0)
        assert getattr(lab.cpu, register) == (0x11 if register == "cr0" else 0)
    else:
        assert lab.reg(EBX) == kept


@pytest.mark.parametrize("number", [1, 5, 6, 7])
def test_unknown_control_registers(lab: Lab, number: int) -> None:
    assert lab.run(MOV_CR[f"cr{number}"]).vector == UD
    assert lab.run(b"\x0f\x20" + bytes([0xC0 | number << 3])).vector == UD


def test_smsw_and_lmsw(lab: Lab) -> None:
    lab.cpu.cr0 = 0x00050031
    lab.dword(DATA, 0xFFFFFFFF)
    lab.cpu.set_reg(EAX, 0xFFFFFFFF)
    lab.ring(3).run(
        b"\x0f\x01\xe3" + b"\x66\x0f\x01\xe0" + b"\x0f\x01\x25" + DATA.to_bytes(4, "little"),
        budget=3,
    )
    assert lab.reg(EBX) == 0x00050031
    assert lab.reg(EAX) == 0xFFFF0031
    assert lab.peek(DATA) == 0xFFFF0031
    lab.ring(0).run("mov ax, 0xfffe; lmsw ax; mov ebx, cr0")
    assert lab.reg(EBX) == 0x0005003F, "PE cannot be cleared, bits above TS do not change"


def test_clts(lab: Lab) -> None:
    lab.cpu.cr0 = 0x19
    lab.run("clts; mov eax, cr0")
    assert lab.reg(EAX) == 0x11


def paging(lab: Lab) -> None:
    """Identity-map the first MiB by 4 KiB pages, directory at 0x80000, table at 0x81000."""
    for page in range(256):
        lab.dword(0x81000 + page * 4, page << 12 | 7)
    lab.dword(0x80000, 0x81007)
    lab.cpu.cr3 = 0x80000
    lab.cpu.cr0 |= 0x80000000
    lab.cpu.flush()


def test_tlb_keeps_a_translation_until_invlpg(lab: Lab) -> None:
    paging(lab)
    lab.dword(DATA, 1)
    lab.dword(DATA + 0x1000, 2)
    entry = 0x81000 + (DATA >> 12) * 4
    stop = lab.run(
        f"mov eax, [{DATA}]; mov dword ptr [{entry}], {DATA + 0x1007}; mov ebx, [{DATA}];"
        f"invlpg [{DATA + 0x123}]; mov ecx, [{DATA}]"
    )
    assert stop.vector is None
    assert [lab.reg(r) for r in (EAX, EBX, ECX)] == [1, 1, 2]


def test_cr3_load_keeps_global_pages(lab: Lab) -> None:
    paging(lab)
    lab.cpu.cr4 = 0x80
    entry = 0x81000 + (DATA >> 12) * 4
    lab.dword(entry, DATA | 0x107, (DATA + 0x1000) | 7)
    for i in range(4):
        lab.dword(DATA + i * 0x1000, i)
    stop = lab.run(
        f"mov eax, [{DATA}]; mov eax, [{DATA + 0x1000}];"
        f"mov dword ptr [{entry}], {DATA + 0x2107}; mov dword ptr [{entry + 4}], {DATA + 0x3007};"
        f"mov eax, cr3; mov cr3, eax; mov ebx, [{DATA}]; mov ecx, [{DATA + 0x1000}];"
        f"mov eax, cr4; xor eax, 0x80; mov cr4, eax; mov edx, [{DATA}]"
    )
    assert stop.vector is None
    assert [lab.reg(r) for r in (EBX, ECX, EDX)] == [0, 3, 2]


def test_write_protect_takes_effect_at_once(lab: Lab) -> None:
    paging(lab)
    lab.dword(0x81000 + (DATA >> 12) * 4, DATA | 5)
    stop = lab.run(
        f"mov [{DATA}], eax; mov eax, cr0; or eax, 0x10000; mov cr0, eax; mov [{DATA}], eax"
    )
    assert (stop.vector, stop.error) == (PF, 3)
    assert lab.cpu.cr2 == DATA


def test_paging_goes_on_and_off(lab: Lab) -> None:
    paging(lab)
    lab.cpu.cr0 &= 0x7FFFFFFF
    lab.cpu.flush()
    lab.dword(0x81000 + (DATA >> 12) * 4, DATA | 0x1007)
    lab.dword(DATA, 1)
    lab.dword(DATA + 0x1000, 2)
    lab.run(
        f"mov ebx, [{DATA}]; mov eax, cr0; btc eax, 31; mov cr0, eax; mov ecx, [{DATA}];"
        f"btc eax, 31; mov cr0, eax; mov edx, [{DATA}]"
    )
    assert [lab.reg(r) for r in (EBX, ECX, EDX)] == [1, 2, 1]


# --- descriptor table registers --------------------------------------------------------------


def test_lgdt_lidt_sgdt_sidt(lab: Lab) -> None:
    lab.word(DATA, 0x1234, 0x5678, 0x9ABC)
    lab.run(b"\x0f\x01\x1d" + DATA.to_bytes(4, "little"))
    lab.run(f"sidt [{DATA + 8}]; sgdt [{DATA + 16}]")
    assert (lab.cpu.idtr_limit, lab.cpu.idtr_base) == (0x1234, 0x9ABC5678)
    assert lab.peek(DATA + 8, 6) == 0x9ABC56781234
    assert lab.peek(DATA + 16, 6) == 0x1000 << 16 | 0xFF


def test_16_bit_operand_loads_24_bits_of_base(lab: Lab) -> None:
    lab.word(DATA, 0x1234, 0x5678, 0x9ABC)
    lab.run(b"\x66\x0f\x01\x1d" + DATA.to_bytes(4, "little"))
    assert (lab.cpu.idtr_limit, lab.cpu.idtr_base) == (0x1234, 0x00BC5678)


def test_ring_3_sees_the_tables(lab: Lab) -> None:
    """The critical instructions: no fault, the truth."""
    lab.ring(3).run(f"sidt [{DATA}]; sgdt [{DATA + 8}]; sldt eax; str ebx; smsw ecx", budget=5)
    assert lab.peek(DATA, 6) == 0x2000 << 16 | 48 * 8 - 1
    assert [lab.reg(r) for r in (EAX, EBX, ECX)] == [LDT_SEL, MAIN_TSS, 0x11]


@pytest.mark.parametrize("extension", [0, 1, 2, 3, 7])
def test_register_forms_are_undefined(lab: Lab, extension: int) -> None:
    assert lab.run(bytes([0x0F, 0x01, 0xC0 | extension << 3])).vector == UD


# --- debug registers --------------------------------------------------------------------------


def test_debug_registers_keep_their_fixed_bits(lab: Lab) -> None:
    lab.run(
        "mov eax, 0x12345678; mov dr0, eax; mov dr3, eax; xor eax, eax; mov dr6, eax; mov dr7, eax;"
        "mov ebx, dr0; mov ecx, dr6; mov edx, dr7"
    )
    assert [lab.reg(r) for r in (EBX, ECX, EDX)] == [0x12345678, 0xFFFF0FF0, 0x400]


def test_dr4_and_dr5_are_aliases_unless_de(lab: Lab) -> None:
    lab.run(b"\x0f\x21\xe0\x0f\x21\xeb")
    assert (lab.reg(EAX), lab.reg(EBX)) == (0xFFFF0FF0, 0x400)
    lab.cpu.cr4 = 8
    assert lab.run(b"\x0f\x21\xe0").vector == UD


def test_code_breakpoint(lab: Lab) -> None:
    stop = lab.run(
        f"mov eax, {CODE + 20}; mov dr1, eax; mov eax, 0x4; mov dr7, eax; nop; nop; nop; nop; nop"
    )
    assert stop.vector == DB
    assert stop.frame[0] == CODE + 20
    assert lab.cpu.debug_register(6) & 0xF == 2


@pytest.mark.parametrize(
    ("dr7", "access", "hit"),
    [
        (0x000D0001, "mov [{0}], al", True),  # write, 4 bytes
        (0x000D0001, "mov al, [{0}]", False),
        (0x000F0001, "mov al, [{0} + 3]", True),  # read or write
        (0x000F0001, "mov al, [{0} + 4]", False),
        (0x000F0001, "mov eax, [{0} - 2]", True),
        (0x00030001, "mov al, [{0} + 1]", False),  # 1 byte
    ],
)
def test_data_breakpoint(lab: Lab, dr7: int, access: str, hit: bool) -> None:
    """A trap: reported after the access."""
    setup = f"mov eax, {DATA}; mov dr0, eax; mov eax, {dr7}; mov dr7, eax;"
    stop = lab.run(setup + access.format(DATA) + "; nop")
    assert stop.vector == (DB if hit else None)
    if hit:
        assert lab.cpu.debug_register(6) & 0xF == 1
        assert stop.frame[0] > CODE + 16


# --- CPUID, TSC, MSRs ----------------------------------------------------------------------------


def test_cpuid(lab: Lab) -> None:
    lab.run("xor eax, eax; cpuid")
    text = b"".join(lab.reg(r).to_bytes(4, "little") for r in (EBX, EDX, ECX))
    assert (lab.reg(EAX), text) == (2, b"GenuineIntel")
    lab.run("mov eax, 1; cpuid")
    assert lab.reg(EAX) == 0x619
    assert lab.reg(EDX) == 0x0000F1FF
    lab.run("mov eax, 2; cpuid")
    leaf2 = lab.regs()[:4]
    lab.run("mov eax, 0x80000000; cpuid")
    assert lab.regs()[:4] == leaf2


def test_rdtsc_counts_instructions(lab: Lab) -> None:
    lab.run("nop; rdtsc; mov ebx, eax; nop; nop; rdtsc")
    assert lab.reg(EBX) == 1
    assert (lab.reg(EAX), lab.reg(EDX)) == (5, 0)


def test_wrmsr_sets_the_tsc(lab: Lab) -> None:
    """The Pentium Pro writes the low half and clears the high one."""
    lab.run("mov ecx, 0x10; mov eax, 1000; mov edx, 5; wrmsr; rdtsc; mov ebx, eax; rdmsr")
    assert lab.reg(EBX) == 1001
    assert (lab.reg(EAX), lab.reg(EDX)) == (1003, 0)


def test_rdtsc_may_be_privileged(lab: Lab) -> None:
    lab.cpu.cr4 = 4
    stop = lab.ring(3).run("rdtsc")
    assert (stop.vector, stop.error) == (GP, 0)
    lab.ring(3).cpu.cr4 = 0
    lab.run("rdtsc", budget=1)
    assert lab.cpu.eip == CODE + 2


def test_rdpmc(lab: Lab) -> None:
    lab.run("mov ecx, 0xc1; mov eax, 77; mov edx, 0xfff; wrmsr; xor ecx, ecx; rdpmc")
    assert (lab.reg(EAX), lab.reg(EDX)) == (77, 0xFF)
    stop = lab.run("mov ecx, 2; rdpmc")
    assert (stop.vector, stop.error) == (GP, 0)
    lab.ring(3).cpu.cr4 = 0x100
    lab.run("mov ecx, 0; rdpmc", budget=2)
    assert lab.reg(EAX) == 77


def test_the_second_counter_is_another(lab: Lab) -> None:
    lab.run("mov ecx, 0xc1; mov eax, 77; xor edx, edx; wrmsr")
    lab.run("mov ecx, 0xc2; mov eax, 88; xor edx, edx; wrmsr; mov ecx, 1; rdpmc")
    assert lab.reg(EAX) == 88
    lab.run("xor ecx, ecx; rdpmc")
    assert lab.reg(EAX) == 77


PLAIN_MSRS = [0x8B, 0x1B, 0x119, 0x186, 0x187, 0x400, 0x413]


@pytest.mark.parametrize("address", PLAIN_MSRS)
def test_plain_msrs_keep_what_is_written(lab: Lab, address: int) -> None:
    stop = lab.run(
        f"mov ecx, {address}; mov eax, 0x11111111; mov edx, 0x22222222; wrmsr;"
        "xor eax, eax; xor edx, edx; rdmsr"
    )
    assert (stop.vector, lab.reg(EAX), lab.reg(EDX)) == (None, 0x11111111, 0x22222222)


UNKNOWN_MSRS = [
    0x174, 0x11, 0x2C, 0x1A0, 0x1D7, 0x210, 0x24F, 0x251, 0x25A, 0x267, 0x270, 0x277, 0x414,
    0x800, 0xC0000080, 0xFFFFFFFF,
]  # fmt: skip


@pytest.mark.parametrize("address", UNKNOWN_MSRS)
@pytest.mark.parametrize("code", ["rdmsr", "wrmsr"])
def test_unknown_msrs_fault(lab: Lab, address: int, code: str) -> None:
    stop = lab.run(f"mov ecx, {address}; {code}")
    assert (stop.vector, stop.error) == (GP, 0)


def test_read_only_msrs(lab: Lab) -> None:
    lab.run("mov ecx, 0xfe; rdmsr")
    assert lab.reg(EAX) == 0x508
    assert lab.run("mov ecx, 0xfe; wrmsr").vector == GP


def test_vm_flag_means_ring_3(lab: Lab) -> None:
    lab.v86()
    assert lab.cpu.flags() & FLAG_VM
    assert lab.run(b"\x0f\xa2", budget=1).vector is None, "CPUID is for everyone"


@pytest.mark.parametrize("address", [0, 1, 0x17, 0x1DB, 0x1DC, 0x1DD, 0x1DE])
def test_msrs_that_hold_nothing_read_as_zero(lab: Lab, address: int) -> None:
    stop = lab.run(f"mov ecx, {address}; mov eax, -1; mov edx, -1; rdmsr")
    assert (stop.vector, lab.reg(EAX), lab.reg(EDX)) == (None, 0, 0)


@pytest.mark.parametrize("address", [0x1DA, 0x1DF, 2, 0x16, 0x18])
def test_their_neighbours_are_none(lab: Lab, address: int) -> None:
    assert lab.run(f"mov ecx, {address}; rdmsr").vector == GP


@pytest.mark.parametrize(("served", "ecx"), [(0, 0), (1, 2)])
def test_the_timing_leaf_says_whether_vmcall_is_served(lab: Lab, served: int, ecx: int) -> None:
    lab.cpu.set_vmware(1, served, served, 2_000_000, 66_000)
    lab.run("mov eax, 0x40000010; mov ecx, -1; mov edx, -1; cpuid")
    values = [lab.reg(r) for r in (EAX, EBX, ECX, EDX)]
    assert values == [2_000_000, 66_000, ecx, 0]


def test_a_monitor_is_told_of_each_flush_once(lab: Lab) -> None:
    lab.cpu.take_news()
    lab.run("mov eax, 0x80; mov cr4, eax")
    assert (lab.cpu.take_news(), lab.cpu.take_news()) == (NEWS_FLUSH_ALL, 0)
    lab.run("mov eax, cr3; mov cr3, eax")
    assert (lab.cpu.take_news(), lab.cpu.take_news()) == (NEWS_FLUSH_LOCAL, 0)
    lab.run(f"invlpg [{DATA}]")
    assert (lab.cpu.take_news(), lab.cpu.told_pages()) == (NEWS_FLUSH_PAGE, [DATA])
    assert lab.cpu.take_news() == 0


@pytest.mark.parametrize("count", [16, 17, 40])
def test_many_flushed_pages_are_one_flush(lab: Lab, count: int) -> None:
    lab.cpu.take_news()
    places = [DATA + (i << 12) for i in range(count)]
    lab.run("; ".join(f"invlpg [{place}]" for place in places))
    if count == 16:
        assert (lab.cpu.take_news(), lab.cpu.told_pages()) == (NEWS_FLUSH_PAGE, places)
    else:
        assert (lab.cpu.take_news(), lab.cpu.told_pages()) == (NEWS_FLUSH_ALL, [])
    assert lab.cpu.take_news() == 0


def test_there_are_five_banks_of_machine_check_registers(lab: Lab) -> None:
    """And the control register of them all: MCG_CAP (SDM vol. 3, 15.3.1.1)."""
    lab.run("mov ecx, 0x179; rdmsr")
    assert (lab.reg(EAX), lab.reg(EDX)) == (0x105, 0)
    assert lab.run("mov ecx, 0x179; wrmsr").vector == GP
