"""The guest's side of the message channel: what open-vm-tools' message.c, rpcout.c and rpcin.c do.

Registers go through Backdoor as they would through the processor, in either bandwidth.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from monitor.vmware.backdoor import Backdoor
from monitor.vmware.call import HIGH_PORT, MAGIC, PORT, Call
from monitor.vmware.callback import LIMIT, Caller
from monitor.vmware.host import Host
from monitor.vmware.restrictions import Restrictions

OPEN, SENDSIZE, SENDPAYLOAD, RECVSIZE, RECVPAYLOAD, RECVSTATUS, CLOSE = range(7)
SUCCESS, DORECV, CLOSED, UNSENT, CPT, POWEROFF, TIMEOUT, HB = (1 << bit for bit in range(8))
COOKIE = 0x80000000
RPCI = 0x49435052
TCLO = 0x4F4C4354
MESSAGE = 30


class Clock:
    """The machine's, in nanoseconds."""

    def __init__(self) -> None:
        self.time = 0

    def now(self) -> int:
        return self.time

    def pass_seconds(self, seconds: float) -> None:
        self.time += int(seconds * 10**9)


def make_backdoor(
    restrictions: Restrictions | None = None, clock: Clock | None = None, seconds: float = LIMIT
) -> Backdoor:
    """`seconds`: how long a user's function may take."""
    return Backdoor(
        Host(
            memory_bytes=64 << 20,
            tsc_hz=2_000_000_000,
            start_time=946_684_800,
            now=(clock or Clock()).now,
            call_user=Caller(seconds).call,
            restrictions=restrictions or Restrictions(),
        )
    )


class ChannelError(Exception):
    """A call came back without SUCCESS; `status` is what it came back with."""

    def __init__(self, what: str, status: int) -> None:
        super().__init__(f"{what}: status {status:#x}")
        self.status = status


class GuestChannel:
    """Message_Open, Message_Send, Message_Receive, Message_Close."""

    def __init__(self, backdoor: Backdoor, protocol: int = RPCI, high: bool = True) -> None:
        self.backdoor = backdoor
        self.high = high
        self.number = 0
        self.cookie = (0, 0)
        call = self.call(OPEN, protocol | COOKIE)
        self.require("open", call)
        self.number = call.edx >> 16
        self.cookie = (call.esi, call.edi)

    def call(self, kind: int, ebx: int = 0) -> Call:
        """One call at the low-bandwidth port."""
        call = Call(
            ebx=ebx,
            ecx=kind << 16 | MESSAGE,
            edx=self.number << 16 | PORT,
            esi=self.cookie[0],
            edi=self.cookie[1],
        )
        self.backdoor.low(call)
        return call

    @staticmethod
    def require(what: str, call: Call) -> int:
        status = call.ecx >> 16
        if not status & SUCCESS:
            raise ChannelError(what, status)
        return status

    def send(self, message: bytes) -> None:
        """Again from the size on, if a checkpoint came between."""
        while not self._send_once(message):
            pass

    def _send_once(self, message: bytes) -> bool:
        status = self.require("send size", self.call(SENDSIZE, len(message)))
        if status & HB and self.high:
            return self.high_send(message)
        for start in range(0, len(message), 4):
            piece = int.from_bytes(message[start : start + 4], "little")
            call = self.call(SENDPAYLOAD, piece)
            if call.ecx >> 16 & (SUCCESS | CPT) == CPT:
                return False
            self.require("send payload", call)
        return True

    def receive(self) -> bytes | None:
        """None: there is no message."""
        while True:
            message = self._receive_once()
            if message is not False:
                return message

    def _receive_once(self) -> bytes | bool | None:
        call = self.call(RECVSIZE)
        status = self.require("receive size", call)
        if not status & DORECV:
            return None
        assert call.edx >> 16 == SENDSIZE
        message = self._fetch(call.ebx, bool(status & HB))
        if message is None:
            return False
        call = self.call(RECVSTATUS, SUCCESS)
        if call.ecx >> 16 & (SUCCESS | CPT) == CPT:
            return False
        self.require("receive status", call)
        return message

    def _fetch(self, size: int, high: bool) -> bytes | None:
        """None: a checkpoint came between."""
        if high and self.high:
            return self.high_receive(size)
        message = b""
        while len(message) < size:
            call = self.call(RECVPAYLOAD, SUCCESS)
            if call.ecx >> 16 & (SUCCESS | CPT) == CPT:
                return None
            self.require("receive payload", call)
            assert call.edx >> 16 == SENDPAYLOAD
            message += call.ebx.to_bytes(4, "little")
        return message[:size]

    def high_send(self, message: bytes, between: Callable[[int], None] | None = None) -> bool:
        """REP OUTSB. `between` is called with the bytes left before each one."""
        call = Call(
            ebx=SUCCESS << 16,
            edx=self.number << 16 | HIGH_PORT,
            edi=self.cookie[1],
            ebp=self.cookie[0],
            out=True,
            size=1,
        )
        for index, value in enumerate(message):
            call.ecx = len(message) - index
            if between is not None:
                between(call.ecx)
            call.esi = 0x1000 + index
            # Only EBX is stored back; string instructions change the others themselves.
            once = replace(call)
            self.backdoor.high_write(once, value)
            call.ebx = once.ebx
        return self._high_status("high send", call)

    def high_receive(self, size: int) -> bytes | None:
        """REP INSB."""
        call = Call(
            ebx=SUCCESS << 16,
            edx=self.number << 16 | HIGH_PORT,
            esi=self.cookie[0],
            ebp=self.cookie[1],
            size=1,
        )
        message = bytearray()
        for index in range(size):
            call.ecx = size - index
            call.edi = 0x1000 + index
            once = replace(call)
            message.append(self.backdoor.high_read(once))
            call.ebx = once.ebx
        return bytes(message) if self._high_status("high receive", call) else None

    @staticmethod
    def _high_status(what: str, call: Call) -> bool:
        """False: a checkpoint came between."""
        status = call.ebx >> 16
        if status & (SUCCESS | CPT) == CPT:
            return False
        if not status & SUCCESS:
            raise ChannelError(what, status)
        return True

    def close(self) -> None:
        self.require("close", self.call(CLOSE))


def rpc(backdoor: Backdoor, command: str | bytes, high: bool = True) -> bytes:
    """RpcOut_sendOne: a channel for one command. The whole reply, with its "1 " or "0 "."""
    channel = GuestChannel(backdoor, RPCI, high)
    channel.send(command.encode() if isinstance(command, str) else command)
    reply = channel.receive()
    channel.close()
    assert reply is not None and reply[:2] in (b"1 ", b"0 ")
    return reply


class GuestTools:
    """vmtoolsd's loop: answer what the host asks. `answers` overrides the default, "OK "."""

    def __init__(self, backdoor: Backdoor, name: str = "toolbox", high: bool = True) -> None:
        self.channel = GuestChannel(backdoor, TCLO, high)
        self.name = name
        self.seen: list[str] = []
        self.answers: dict[str, str] = {}
        self._answer = b""

    def poll(self) -> bool:
        """One turn; whether there was a request."""
        self.channel.send(self._answer)
        self._answer = b""
        message = self.channel.receive()
        if message is None:
            return False
        command = message.decode()
        self.seen.append(command)
        default = f"OK ATR {self.name}" if command == "reset" else "OK "
        self._answer = self.answers.get(command, default).encode()
        return True

    def run(self) -> None:
        """Until there is nothing to do."""
        while self.poll():
            pass


def low(backdoor: Backdoor, command: int, ebx: int = 0, cpl: int = 3) -> Call:
    """A call of any other command."""
    call = Call(eax=MAGIC, ebx=ebx, ecx=command, cpl=cpl)
    backdoor.low(call)
    return call
