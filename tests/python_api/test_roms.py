"""Read-only memory: readable and executable everywhere, written by nobody (embedding/roms.py)."""

from __future__ import annotations

import pytest
from api_lab import ORIGIN, agree, asm, live, modes
from patience import PATIENCE

from monitor import Machine
from monitor.vmm.errors import UserError

ROM = 0xC8000
PAGE = 4096
DIRECTORY, TABLE = 0x200000, 0x201000
PAGING_ON = f"mov eax, {DIRECTORY:#x}; mov cr3, eax; mov eax, cr0; or eax, 0x80000000; mov cr0, eax"


def with_rom(data: bytes, address: int = ROM):
    def prepare(machine: Machine, said: list[object]) -> None:
        machine.roms.add(address, data)

    return prepare


# --- reading, writing, executing ------------------------------------------------------------------


def test_writes_vanish_whatever_does_them() -> None:
    data = bytes(range(1, 65))
    life = agree(
        f"""
        mov  ebx, {ROM:#x}
        mov  byte ptr [ebx], 0xaa           # every width
        mov  word ptr [ebx + 4], 0xaaaa
        mov  dword ptr [ebx + 8], 0xaaaaaaaa
        inc  dword ptr [ebx + 12]           # read, modify, write
        xchg [ebx + 16], eax
        lock bts dword ptr [ebx + 20], 31
        fld1
        fstp qword ptr [ebx + 24]           # the x87 unit
        mov  esi, {ORIGIN:#x}
        lea  edi, [ebx + 32]
        mov  ecx, 8
        .byte 0xf3, 0xa5                    # rep movsd
        lea  edi, [ebx]
        mov  ecx, 64
        rep  stosb
        mov  dword ptr [{ROM + 2 * PAGE - 2:#x}], 0x55555555   # across two pages of ROM
        mov  dword ptr [{ROM - 2:#x}], 0x66666666   # from nowhere into ROM
        mov  esp, {ROM + 64:#x}
        push 0x12345678                     # the stack
        pop  ebp                            # and back: what was there before
        mov  esi, ebx
        mov  edi, 0x300000
        mov  ecx, {2 * PAGE // 4}
        .byte 0xf3, 0xa5
        hlt
        """,
        with_rom(data + bytes(PAGE)),
    )
    image = data + bytes(PAGE) + b"\xff" * (PAGE - 64)
    assert life.machine.read_physical(ROM, 2 * PAGE) == image
    assert life.machine.read_physical(0x300000, 2 * PAGE) == image
    assert life.registers["ebp"] == int.from_bytes(data[60:64], "little")
    assert life.registers["eax"] == int.from_bytes(data[16:20], "little")


def test_what_was_mapped_before_is_rom_afterwards() -> None:
    """A page of nothing that was read, and written, turns into ROM."""
    source = f"""
        mov  eax, [{ROM:#x}]
        mov  [{ROM:#x}], eax
        out  0xf0, al
        mov  ebx, [{ROM:#x}]
        mov  [{ROM:#x}], eax
        mov  ecx, [{ROM:#x}]
        hlt
    """

    def prepare(machine: Machine, said: list[object]) -> None:
        machine.hooks.on_port(range(0xF0, 0xF1), lambda *access: machine.stop())

    for mode in ("bare", "trap", "translate"):
        life = live(mode, source, prepare)
        assert life.outcome.kind == "stopped"
        life.machine.roms.add(ROM, b"\x01\x02\x03\x04")
        assert life.machine.run(timeout=PATIENCE).kind == "stuck"
        values = life.registers
        assert (values["eax"], values["ebx"], values["ecx"]) == (0xFFFFFFFF, *[0x04030201] * 2)


CODE = """
    mov  ecx, 1000
again:
    inc  eax
    mov  dword ptr [target], 0x90909090     # over itself
    pushfd
    popfd
target:
    dec  ecx
    jnz  again
    ret
"""


def test_code_in_rom_runs_and_cannot_be_changed() -> None:
    rom = asm(CODE.replace("[target]", f"[{ROM + 18:#x}]"), ROM)
    life = agree(f"xor eax, eax; mov ebx, {ROM:#x}; call ebx; hlt", with_rom(rom), trap=False)
    assert life.registers["eax"] == 1000
    assert life.machine.read_physical(ROM, len(rom)) == rom


def test_code_in_rom_runs_at_full_speed() -> None:
    """Out of the cache, not one by one."""
    rom = asm(CODE.replace("[target]", f"[{ROM + 18:#x}]"), ROM)
    life = live("translate", f"mov ebx, {ROM:#x}; call ebx; hlt", with_rom(rom))
    kinds = life.machine.statistics()["by_kind"]
    assert kinds["emulated"] < 20 and kinds["translated"] + kinds["stubs"] > 5000


def test_a_rom_that_is_programmed_anew() -> None:
    """Translated and decoded code of the old one goes."""
    one, two = asm("mov eax, 1; ret", ROM), asm("mov eax, 2; ret", ROM)
    call = f"again: mov ebx, {ROM:#x}; call ebx; out 0xf0, al; jmp again"

    def prepare(machine: Machine, said: list[object]) -> None:
        machine.roms.add(ROM, one)
        machine.hooks.on_port(range(0xF0, 0xF1), lambda *access: machine.stop())

    for mode in ("bare", "trap", "translate"):
        life = live(mode, call, prepare)
        assert life.outcome.kind == "stopped" and life.registers["eax"] == 1
        life.machine.roms.add(ROM, two)
        life.machine.run(timeout=PATIENCE)
        assert life.registers["eax"] == 2


# --- paging ---------------------------------------------------------------------------------------


def paged(machine: Machine, table: int = TABLE, rights: int = 7) -> None:
    """Identity-mapped pages; the ROM is mapped at 0x380000, too."""
    entries = [page << 12 | rights for page in range(1024)]
    entries[0x380] = ROM | rights
    data = b"".join(entry.to_bytes(4, "little") for entry in entries)
    machine.write_physical(DIRECTORY, (table | 7).to_bytes(4, "little"))
    if table == TABLE:
        machine.write_physical(TABLE, data)
    else:
        machine.roms.add(table, data)


def test_shadow_mappings_of_rom_are_never_writable() -> None:
    def prepare(machine: Machine, said: list[object]) -> None:
        paged(machine)
        machine.roms.add(ROM, b"\x01\x02\x03\x04")

    life = agree(
        f"""
        {PAGING_ON}
        mov  ebx, 0x380000
        mov  ecx, 3
    again:
        mov  dword ptr [ebx], 0x55          # the first write sets D, the next finds it set
        mov  eax, [ebx]
        loop again
        mov  [{ROM:#x}], ecx
        hlt
        """,
        prepare,
    )
    assert life.registers["eax"] == 0x04030201
    assert life.dword(TABLE + 4 * 0x380) == ROM | 0x67, "accessed and dirty all the same"


def test_page_tables_in_rom_keep_their_accessed_bits() -> None:
    def prepare(machine: Machine, said: list[object]) -> None:
        paged(machine, table=ROM)

    life = agree(
        f"""
        {PAGING_ON}
        mov  ecx, 5
    again:
        mov  [0x300000 + ecx * 4], ecx
        mov  eax, cr3
        mov  cr3, eax                       # translated code is looked up again
        pushfd
        popfd
        loop again
        mov  eax, [0x300004]
        hlt
        """,
        prepare,
        trap=False,
    )
    assert life.registers["eax"] == 1
    assert life.dword(ROM + 4 * 0x300) == 0x300007
    assert life.dword(DIRECTORY) == ROM | 0x27, "the directory is RAM"


def test_descriptors_in_rom() -> None:
    """The accessed bit of a descriptor cannot be set either; loading it works."""
    gdt = bytes(8) + bytes.fromhex("ffff0000009acf00 ffff00000092cf00")
    life = agree(
        f"""
        sub  esp, 8
        mov  word ptr [esp], 0x17
        mov  dword ptr [esp + 2], {ROM:#x}
        lgdt [esp]
        mov  ax, 0x10
        mov  fs, ax
        mov  eax, fs:[{ROM + 16:#x}]
        hlt
        """,
        with_rom(gdt),
    )
    assert life.machine.read_physical(ROM, 24) == gdt
    assert life.machine.segments["fs"].rights == 0xC093


# --- what cannot be -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "size"),
    [(0x9F000, 16), (0x100000, 16), (0xFF000, 0x1001), (0xC8010, 16), (0xC8000, 0), (-4096, 16)],
)
def test_places_that_are_none(address: int, size: int) -> None:
    with pytest.raises(UserError, match="0xa0000 to 0xfffff"):
        Machine(memory_mb=4).roms.add(address, bytes(size))


@modes
def test_two_in_one_place(mode: str) -> None:
    machine = Machine(memory_mb=4, mode=mode)
    machine.roms.add(ROM, bytes(8192))
    with pytest.raises(UserError, match="a ROM is at 0xc8000 to 0xc9fff already"):
        machine.roms.add(ROM + 4096, bytes(16))
    machine.devices.plug_memory(0xD0004, 4)
    with pytest.raises(UserError, match="a device answers there"):
        machine.roms.add(0xD0000, bytes(16))
    assert machine.roms.ranges == (range(ROM, ROM + 8192),)


def test_the_embedder_reads_and_writes_rom() -> None:
    machine = Machine(memory_mb=4)
    machine.roms.add(ROM, b"abc")
    assert machine.read_physical(ROM, 4) == b"abc\xff"
    machine.write_physical(ROM, b"x")
    assert machine.read_memory(ROM, 3) == b"xbc"
