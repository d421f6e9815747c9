"""Messages sent by code in a machine, in both bandwidths and every mode."""

from __future__ import annotations

import pytest
from machine_lab import MachineLab

from monitor import Machine
from monitor.vmm.errors import UserError

BACKDOOR = "X86_VMWARE_BACKDOOR"
REQUEST, REPLY = 0x30000, 0x40000

OPEN = """
    mov eax, 0x564d5868; mov ebx, 0xc9435052; mov ecx, 0x0000001e; mov edx, 0x5658; in eax, dx;
    mov [0x50000], esi; mov [0x50004], edi; mov [0x50008], edx; mov [0x5000c], ecx;
"""


def low(kind: int, ebx: str) -> str:
    return f"""
    mov eax, 0x564d5868; mov ebx, {ebx}; mov ecx, {kind << 16 | 30:#x};
    mov edx, [0x50008]; mov esi, [0x50000]; mov edi, [0x50004]; in eax, dx;
    """


def send_high(size: int) -> str:
    return (
        low(1, str(size))
        + f"""
    mov eax, 0x564d5868; mov ebx, 0x00010000; mov ecx, {size}; mov edx, [0x50008]; inc edx;
    mov esi, {REQUEST}; mov ebp, [0x50000]; mov edi, [0x50004]; cld; rep outsb; mov [0x50010], ebx;
    """
    )


RECEIVE_HIGH = low(3, "0") + f"""
    mov [0x50014], ebx;
    mov eax, 0x564d5868; mov ecx, ebx; mov ebx, 0x00010000; mov edx, [0x50008]; inc edx;
    mov edi, {REPLY}; mov esi, [0x50000]; mov ebp, [0x50004]; cld; rep insb; mov [0x50018], ebx;
    mov [0x5001c], ecx;
""" + low(5, "1") + "mov [0x50020], ecx;"  # fmt: skip

# Four bytes a call: EBP counts, ESP is where.
SEND_LOW = f"""
    mov ebp, {{size}}; mov esp, {REQUEST};
next:
    mov eax, 0x564d5868; mov ebx, [esp]; mov ecx, 0x2001e; mov edx, [0x50008];
    mov esi, [0x50000]; mov edi, [0x50004]; in eax, dx;
    add esp, 4; sub ebp, 4; ja next;
"""


def machine_lab(mode: str, cpl: int) -> MachineLab:
    lab = MachineLab(mode, cpl)
    lab.machine.enable(BACKDOOR)
    return lab


def word(lab: MachineLab, address: int) -> int:
    return int.from_bytes(lab.machine.memory.read(address, 4), "little")


def run(lab: MachineLab, source: str, request: bytes) -> None:
    lab.load(source)
    lab.machine.memory.write(REQUEST, request)
    assert lab.run().vector is None


@pytest.mark.parametrize("cpl", [0, 3])
def test_a_value_by_the_high_port(mode: str, cpl: int) -> None:
    lab = machine_lab(mode, cpl)
    value = "".join(chr(65 + index % 57) for index in range(5000))
    lab.machine.vmware.tools.guestinfo["x"] = value
    request = b"info-get guestinfo.x"
    run(lab, OPEN + send_high(len(request)) + RECEIVE_HIGH, request)
    assert word(lab, 0x50010) == word(lab, 0x50018) == 0x00010000
    assert word(lab, 0x50014) == len(value) + 2
    assert word(lab, 0x5001C) == 0
    assert word(lab, 0x50020) == 0x1001E
    assert lab.machine.memory.read(REPLY, len(value) + 2) == b"1 " + value.encode()


def test_a_value_by_the_low_port(mode: str) -> None:
    lab = machine_lab(mode, 0)
    request = b"info-set guestinfo.y " + b"v" * 997
    run(lab, OPEN + low(1, str(len(request))) + SEND_LOW.format(size=len(request)), request)
    assert lab.machine.vmware.tools.guestinfo["y"] == "v" * 997


def test_a_command_of_the_users_that_raises_ends_the_run(mode: str) -> None:
    lab = machine_lab(mode, 3)

    def broken(args: str) -> str:
        raise ValueError(f"a mistake about {args}")

    lab.machine.vmware.tools.register("broken", broken)
    request = b"broken glass"
    lab.load(OPEN + send_high(len(request)) + RECEIVE_HIGH)
    lab.machine.memory.write(REQUEST, request)
    outcome = lab.machine.run(max_instructions=100_000)
    assert outcome.kind == "callback"
    assert "raised ValueError: a mistake about glass" in outcome.detail


def test_a_machine_without_the_backdoor_has_no_tools() -> None:
    with pytest.raises(UserError, match="the backdoor is off"):
        Machine(memory_mb=1).vmware.tools.send("ping")
