"""From the reset vector on, with BIOSes of a few lines: shadow RAM, resets, big real mode."""

from __future__ import annotations

import pytest
from bios_lab import MODES, SAY, SEGMENT, bios, machine_with, run, said, set_config

from monitor import Machine
from monitor.vmm.errors import UserError

modes = pytest.mark.parametrize("mode", MODES)
HALT = "cli\n hlt\n"
PAM3 = 0x5C  # D0000 to D7FFF


@modes
@pytest.mark.parametrize("kib", [64, 128, 256])
def test_it_begins_at_the_top_of_four_gib(mode: str, kib: int) -> None:
    """The BIOS is at F0000 and at FFFF0000, and RESET begins in the second place."""
    machine = machine_with(bios(f"mov al, 0x41\n {SAY} {HALT}", kib << 10), mode)
    assert machine.system_registers["cs_base"] == 0xFFFF0000
    assert machine.registers["eip"] == 0xFFF0
    assert run(machine).kind == "stuck" and said(machine) == b"A"
    top = (1 << 32) - (kib << 10)
    whole = machine.read_physical(top, kib << 10)
    assert whole[-SEGMENT:] == machine.read_physical(0xF0000, SEGMENT)


@modes
def test_shadow_ram_by_the_pam_registers(mode: str) -> None:
    """Read from the bus, written; then read from RAM, not written; then off, and RAM keeps it."""
    look = "mov al, [0]\n" + SAY
    machine = machine_with(
        bios(
            f"""
            mov  ax, 0xd000
            mov  ds, ax
            mov  byte ptr [0], 0x30             # nobody is there
            {look}
            {set_config(0, PAM3, 0x02)}
            mov  byte ptr [0], 0x31
            {look}
            {set_config(0, PAM3, 0x03)}
            {look}
            mov  byte ptr [0], 0x32
            {look}
            {set_config(0, PAM3, 0x01)}
            mov  byte ptr [0], 0x33
            {look}
            mov  bx, 0xd400                     # the other half of the register
            mov  es, bx
            mov  al, es:[0]
            {SAY}
            {set_config(0, PAM3, 0x00)}
            {look}
            {set_config(0, PAM3, 0x10)}
            {look}
            {HALT}
            """
        ),
        mode,
    )
    assert run(machine).kind == "stuck"
    assert said(machine) == b"\xff\xff122\xff\xff\xff"


@modes
def test_a_bios_that_runs_from_its_shadow(mode: str) -> None:
    """Copied over itself while it runs, switched to RAM, and then it changes its own code."""
    machine = machine_with(
        bios(
            f"""
            {set_config(0, 0x59, 0x20)}
            mov  ax, 0xf000
            mov  ds, ax
            mov  es, ax
            xor  si, si
            xor  di, di
            mov  cx, 0x8000
            cld
            rep  movsw
            {set_config(0, 0x59, 0x30)}
            call say
            mov  byte ptr [say + 1], 0x42
            call say
            {HALT}
        say:
            mov  al, 0x41
            {SAY}
            ret
            """
        ),
        mode,
    )
    assert run(machine).kind == "stuck" and said(machine) == b"AB"
    assert machine.read_physical(0xFFFFFFF0, 1) == b"\xea", "the ROM itself is as it was"


@modes
@pytest.mark.parametrize(
    ("ask", "hard"),
    [
        ("mov al, 0xfe; out 0x64, al", False),
        ("mov al, 1; out 0x92, al", False),
        ("mov dx, 0xcf9; mov al, 4; out dx, al", False),
        ("mov dx, 0xcf9; mov al, 2; out dx, al; mov al, 6; out dx, al", True),
    ],
)
def test_a_reset_begins_anew(mode: str, ask: str, hard: bool) -> None:
    """RAM stays; the chipset is reset only with the whole board; run() does not return."""
    machine = machine_with(
        bios(
            f"""
            xor  ax, ax
            mov  ds, ax
            inc  byte ptr [0x500]
            mov  al, [0x500]
            add  al, 0x30
            {SAY}
            cmp  byte ptr [0x500], 2
            je   again
            {set_config(0, PAM3, 0x33)}
            {ask}
        spin:
            jmp  spin
        again:
            mov  dx, 0xcf8
            mov  eax, 0x8000005c
            out  dx, eax
            mov  dx, 0xcfc
            in   al, dx
            {SAY}
            {HALT}
            """
        ),
        mode,
    )
    assert run(machine).kind == "stuck"
    assert said(machine) == b"12" + (b"\0" if hard else b"\x33")


def test_without_firmware_a_reset_ends_the_run() -> None:
    machine = Machine(memory_mb=4, mode="bare", chipset="i440fx")
    machine.load_flat(bytes.fromhex("b0fee664ebfe"), 0x100000)
    outcome = machine.run(max_instructions=1000)
    assert outcome.kind == "reset"


@modes
def test_limits_hold_over_resets(mode: str) -> None:
    machine = machine_with(bios("mov al, 0xfe; out 0x64, al; spin: jmp spin"), mode)
    assert machine.run(max_instructions=1000).kind == "instructions"
    assert machine.instructions == 1000


@modes
def test_soft_off_ends_the_machine(mode: str) -> None:
    """As SeaBIOS's APM does it: SLP_EN with type 0, in PIIX4's PM1 control register."""
    machine = machine_with(
        bios(
            f"""
            {set_config(0x0B, 0x40, 0xB001, 4)}
            {set_config(0x0B, 0x04, 0x0001, 2)}
            {set_config(0x0B, 0x80, 0x01)}
            mov  dx, 0xb004
            mov  ax, 0x2000
            out  dx, ax
        spin:
            jmp  spin
            """
        ),
        mode,
    )
    outcome = run(machine)
    assert (outcome.kind, outcome.clean) == ("poweroff", True)


@modes
def test_big_real_mode(mode: str) -> None:
    """A limit of 4 GiB stays in DS after protected mode, and reaches 2 MiB with a 16-bit CS."""
    machine = machine_with(
        bios(
            f"""
            cli
            lgdt cs:[table]
            mov  eax, cr0
            or   al, 1
            mov  cr0, eax
            jmp  on
        on: mov  bx, 8
            mov  ds, bx
            and  al, 0xfe
            mov  cr0, eax
            jmp  off
        off:
            xor  ax, ax
            mov  ds, ax
            in   al, 0x92
            or   al, 2
            out  0x92, al
            mov  ebx, 0x200000
            mov  byte ptr [ebx], 0x41
            mov  al, [ebx]
            {SAY}
            {HALT}
        table:
            .byte 0x0f, 0, gdt, 0, 0x0f, 0
            .byte 0, 0
        gdt:
            .byte 0, 0, 0, 0, 0, 0, 0, 0
            .byte 0xff, 0xff, 0, 0, 0, 0x93, 0x8f, 0
            """
        ),
        mode,
    )
    assert run(machine).kind == "stuck" and said(machine) == b"A"
    assert machine.read_physical(0x200000, 1) == b"A"


def test_real_mode_is_emulated_in_long_runs() -> None:
    """A quarter of a million instructions are no quarter of a million turns of the monitor."""
    machine = machine_with(
        bios(f"mov bx, 64\n again: mov cx, 1000\n l: add ax, cx\n inc dx\n dec cx\n jnz l\n"
             f"dec bx\n jnz again\n mov al, 0x41\n {SAY} {HALT}"), "translate",
    )  # fmt: skip
    assert run(machine, 1_000_000).kind == "stuck" and said(machine) == b"A"
    statistics = machine.statistics()
    assert statistics["by_kind"]["emulated"] > 250_000
    assert sum(statistics["exits"].values()) < 100


@modes
def test_a_checkpoint_in_the_middle(mode: str) -> None:
    """Shadow RAM, ROM, fw_cfg and the chipset are in it."""
    machine = machine_with(
        bios(
            f"""
            {set_config(0, PAM3, 0x33)}
            mov  ax, 0xd000
            mov  ds, ax
            mov  byte ptr [0], 0x41
            mov  dx, 0x510
            mov  ax, 0x20
            out  dx, ax
            mov  al, 0x30
            {SAY}
            mov  cx, 2000
        l:  loop l
            mov  dx, 0x511
            in   al, dx
            {SAY}
            mov  al, [0]
            {SAY}
            {HALT}
            """
        ),
        mode,
    )
    assert machine.chipset is not None
    machine.chipset.fw_cfg.set_files({"etc/letter": b"Z"})
    machine.run(max_instructions=1000)
    other = Machine.restore(machine.snapshot(), mode=MODES[mode == "bare"])
    assert other.settings.chipset == "i440fx"
    for each in (machine, other):
        assert run(each).kind == "stuck"
    assert said(machine) == b"0ZA" and said(other) == b"ZA"
    assert other.registers == machine.registers and other.instructions == machine.instructions


# --- what is no firmware --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (b"", "the BIOS is empty"),
        (bytes(1000), "1000 bytes are no BIOS: it has 64, 128, 256 KiB"),
        (bytes((512 << 10) + 1), "are no BIOS"),
        (bytes(128 << 10), "there is no code at the reset vector"),
        (b"\xff" * (256 << 10), "there is no code at the reset vector"),
    ],
)
def test_what_is_no_bios(image: bytes, words: str) -> None:
    with pytest.raises(UserError, match=words):
        machine_with(image)


ROM = b"\x55\xaa\x01" + bytes(509)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"vgabios": b"\x55\xab\x01" + bytes(509)}, "no VGA BIOS: it does not begin with"),
        ({"vgabios": ROM[:400]}, "header says 512 bytes, the file has 400"),
        ({"option_roms": [b"\x55\xaa\x00"]}, "no whole option ROM"),
        ({"option_roms": [(ROM, 0xD0001)]}, "multiple of 0x1000"),
        ({"option_roms": [(ROM, 0xF0000)]}, "a ROM is at 0xe0000"),
        ({"option_roms": [b"\x55\xaa\x80\x81" + bytes(200_000)] * 6}, "more ROMs than a BIOS"),
        ({"boot": "order=x"}, "no drive 'x'"),
    ],
)
def test_what_is_no_rom(options: dict[str, object], words: str) -> None:
    with pytest.raises(UserError, match=words):
        machine_with(bios(HALT), **options)  # type: ignore[arg-type]


def test_a_board_without_a_chipset() -> None:
    with pytest.raises(UserError, match="a BIOS needs a machine with a chipset"):
        Machine(memory_mb=4).load_bios(bios(HALT))
    with pytest.raises(UserError, match="chipset 'q35': choose from isa, i440fx"):
        Machine(chipset="q35")


# --- what it is told ------------------------------------------------------------------------------


def test_what_the_firmware_is_told() -> None:
    machine = machine_with(
        bios(HALT), option_roms=[ROM, (ROM, 0xD0000)], vgabios=ROM, boot="order=dca,menu=on"
    )
    assert machine.chipset is not None
    files = machine.chipset.fw_cfg.files
    display = [data for name, data in files.items() if name.startswith(("vgaroms/", "pci"))]
    assert [files["genroms/0.rom"], *display] == [ROM, ROM]
    assert files["etc/e820"] == bytes(8) + (4 << 20).to_bytes(8, "little") + b"\1\0\0\0"
    assert machine.chipset.fw_cfg.boot_menu
    assert machine.read_physical(0xD0000, 3) == ROM[:3]
    cmos = machine.board.pc.rtc.cmos
    assert (cmos[0x3D], cmos[0x38]) == (0x23, 0x10)
    machine.load_bios(bios(HALT), boot="c")
    assert (cmos[0x3D], cmos[0x38]) == (0x02, 0x00)
    assert "genroms/0.rom" not in machine.chipset.fw_cfg.files
