"""`vp run NAME.vmx` with a real machine: what the guest of a .vmx file sees through the backdoor.

The guest is a few instructions that send EAX to the serial port.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from machine_lab import assemble

from monitor.cli import main

MODES = ("bare", "trap", "translate")
CALL = "mov eax, 0x564d5868; mov ebx, {ebx}; mov ecx, {command}; mov edx, 0x5658; in eax, dx"
SEND = "mov dx, 0x3f8; out dx, al; shr eax, 8; " * 4
END = "mov al, 0; mov dx, 0xf4; out dx, al"
REFUSED = 0xFFFFFFFF

Run = Callable[..., int]


def call(command: int, ebx: int = 0) -> str:
    """A backdoor call."""
    return CALL.format(ebx=ebx, command=command)


@pytest.fixture(params=MODES)
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Run:
    """EAX at the end of these instructions, in a machine of these settings."""

    def run(source: str, *settings: str, options: tuple[str, ...] = ()) -> int:
        (tmp_path / "x.vmx").write_text("\n".join(settings))
        (tmp_path / "guest").write_bytes(assemble(f"{source}; {SEND}{END}"))
        status = main(
            ["run", str(tmp_path / "x.vmx"), "--flat", f"{tmp_path / 'guest'}@0x10000",
             "--mode", request.param, "--serial", f"file:{tmp_path / 'out'}", "--quiet",
             "--max-instructions", "1000", *options]
        )
        assert status == 0
        sent = (tmp_path / "out").read_bytes()
        assert len(sent) == 4
        return int.from_bytes(sent, "little")

    return run


GETVERSION, GETMEMSIZE, GETHWVERSION, GETUUID, GETTIME = 10, 20, 17, 19, 23
UUID = 'uuid.bios = "56 4d 01 23 45 67 89 ab-cd ef 01 23 45 67 89 ab"'


def test_the_guest_is_in_a_vmware_machine(run: Run) -> None:
    assert run(call(GETVERSION)) == 6
    assert run(call(GETVERSION), options=("--no-vmware-backdoor",)) == REFUSED


def test_memory(run: Run) -> None:
    assert run(call(GETMEMSIZE)) == 32
    assert run(call(GETMEMSIZE), 'memsize = "50"') == 48
    assert run(call(GETMEMSIZE), 'memsize = "50"', options=("--memory", "5")) == 5


def test_hardware_version(run: Run) -> None:
    assert run(call(GETHWVERSION), 'virtualHW.version = "7"') == 7


@pytest.mark.parametrize(
    ("register", "word"),
    [("eax", 0x23014D56), ("ebx", 0xAB896745), ("ecx", 0x2301EFCD), ("edx", 0xAB896745)],
)
def test_uuid(run: Run, register: str, word: int) -> None:
    assert run(f"{call(GETUUID)}; mov eax, {register}", UUID) == word


def test_start_time(run: Run) -> None:
    assert run(call(GETTIME), 'rtc.startTime = "100"') == 100


HYPERVISOR = "mov eax, 1; cpuid; mov eax, ecx; shr eax, 31"
LEAF = "mov eax, 0x40000000; cpuid; mov eax, ebx"


def test_cpuid_tells_unless_it_shall_not(run: Run) -> None:
    hidden = 'hypervisor.cpuid.v0 = "FALSE"'
    assert (run(HYPERVISOR), run(LEAF)) == (1, 0x61774D56)
    assert (run(HYPERVISOR, hidden), run(LEAF, hidden)) == (0, 0)
    assert run(call(GETVERSION), hidden) == 6


def test_its_sound_card_and_its_second_port(run: Run, tmp_path: Path) -> None:
    """The mixer's interrupt setup says 5; a byte at COM2 is appended to the file."""
    source = "mov dx, 0x224; mov al, 0x80; out dx, al; inc dx; in al, dx; movzx eax, al"
    card = 'sound.present = "TRUE"', 'sound.virtualDev = "sb16"'
    assert run(source, *card) == 2
    assert run(source, *card, options=("--soundcard", "none")) == 0xFF
    assert run(source) == 0xFF
    (tmp_path / "second").write_bytes(b"before ")
    port = 'serial1.present = "TRUE"', 'serial1.fileType = "file"', 'serial1.fileName = "second"'
    assert run("mov dx, 0x2f8; mov al, 0x41; out dx, al; mov eax, 7", *port) == 7
    assert (tmp_path / "second").read_bytes() == b"before A"
    elsewhere = ("--serial2", f"file:{tmp_path / 'other'}")
    assert run("mov dx, 0x2f8; mov al, 0x42; out dx, al; mov eax, 7", *port, options=elsewhere) == 7
    assert (tmp_path / "second").read_bytes() == b"before A"
    assert (tmp_path / "other").read_bytes() == b"B"
