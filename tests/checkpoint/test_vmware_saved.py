"""VMware's channels in a checkpoint: half a message, a request that waits or is answered."""

from __future__ import annotations

import pytest

from monitor import Machine
from monitor.settings.capabilities import X86_VMWARE_BACKDOOR
from monitor.vmware.call import MAGIC, Call

MESSAGE = 30
OPEN, SENDSIZE, SENDPAYLOAD, RECVSIZE, RECVPAYLOAD, RECVSTATUS = range(6)
RPCI, TCLO = 0x49435052, 0x4F4C4354
COOKIE = 0x80000000


class Guest:
    """A program in the guest that talks on one channel."""

    def __init__(self, machine: Machine, protocol: int) -> None:
        self.machine = machine
        call = self.call(OPEN, protocol | COOKIE)
        self.channel, self.cookies = call.edx >> 16, (call.esi, call.edi)

    def call(self, kind: int, ebx: int = 0) -> Call:
        """One call; the channel and its cookies go with it."""
        channel = getattr(self, "channel", 0)
        esi, edi = getattr(self, "cookies", (0, 0))
        call = Call(MAGIC, ebx, kind << 16 | MESSAGE, channel << 16 | 0x5658, esi, edi, 0, 0, 0, 4,
                    False)  # fmt: skip
        self.machine.vmware.backdoor.low(call)
        return call

    def send(self, message: bytes, upto: int | None = None) -> None:
        """A message, or its first pieces."""
        self.call(SENDSIZE, len(message))
        self.pieces(message[:upto])

    def pieces(self, data: bytes) -> None:
        for at in range(0, len(data), 4):
            self.call(SENDPAYLOAD, int.from_bytes(data[at : at + 4].ljust(4, b"\0"), "little"))

    def receive(self) -> bytes:
        """The message that waits."""
        size = self.call(RECVSIZE).ebx
        data = b"".join(self.piece() for _ in range(-(-size // 4)))[:size]
        self.call(RECVSTATUS, 1)
        return data

    def piece(self) -> bytes:
        return self.call(RECVPAYLOAD, 1).ebx.to_bytes(4, "little")

    def elsewhere(self, machine: Machine) -> Guest:
        """The same program, in the machine restored."""
        self.machine = machine
        return self


def machine() -> Machine:
    machine = Machine(memory_mb=2, mode="bare")
    machine.enable(X86_VMWARE_BACKDOOR, True)
    return machine


def moved(machine: Machine) -> Machine:
    again = Machine.restore(machine.snapshot())
    assert again.snapshot().data == machine.snapshot().data
    return again


@pytest.mark.parametrize("upto", [0, 4, 20])
def test_half_a_request_of_the_guest(upto: int) -> None:
    one = machine()
    guest = Guest(one, RPCI)
    message = b"info-set guestinfo.a bcd"
    guest.send(message, upto)
    two = moved(one)
    guest.elsewhere(two).pieces(message[upto:])
    assert guest.receive() == b"1 "
    assert two.vmware.tools.guestinfo["a"] == "bcd"
    assert "a" not in one.vmware.tools.guestinfo


def test_half_a_reply() -> None:
    one = machine()
    one.vmware.tools.guestinfo["long"] = "0123456789"
    guest = Guest(one, RPCI)
    guest.send(b"info-get guestinfo.long")
    assert guest.call(RECVSIZE).ebx == 12
    first = guest.piece()
    guest.elsewhere(moved(one))
    rest = guest.piece() + guest.piece()
    assert first + rest == b"1 0123456789"
    assert guest.call(RECVSTATUS, 1).ecx >> 16 == 1


def test_requests_to_the_tools_at_every_stage() -> None:
    now = machine()
    now.vmware.tools.send("OS_Halt")
    guest = Guest(now, TCLO)
    said = []
    for answer in (b"", b"OK ATR toolbox", *[b"OK "] * 12):
        guest.send(answer)
        now = moved(now)
        guest.elsewhere(now)
        size = guest.call(RECVSIZE).ebx
        now = moved(now)
        guest.elsewhere(now)
        data = b"".join(guest.piece() for _ in range(-(-size // 4)))[:size]
        now = moved(now)
        guest.elsewhere(now).call(RECVSTATUS, 1)
        now = moved(now)
        guest.elsewhere(now)
        said.append(data)
    assert said[:2] == [b"reset", b"Capabilities_Register"] and b"OS_Halt" in said
    assert sum(each.startswith(b"Set_Option") for each in said) == 8
    assert now.vmware.tools.running == {"toolbox"}


def test_other_programs_channels_stay_theirs() -> None:
    one = machine()
    guest = Guest(one, RPCI)
    two = moved(one)
    other = Guest(two, RPCI)
    assert other.channel == guest.channel + 1 and other.cookies != guest.cookies
    assert Guest(one, RPCI).cookies == other.cookies  # the dice go on where they were
