"""The message channels: BDOOR_CMD_MESSAGE, and its string instructions at the other port.

A guest opens a channel for a protocol (RPCI: it asks; TCLO: it is asked) and is given a number and
two cookies, which every further call must carry. At most eight are open at a time; one on which
nothing happens is closed. (open-vm-tools: lib/include/guest_msg_def.h, lib/message/message.c.)

            low bandwidth, port 0x5658           high bandwidth, port 0x5659
    EBX     flags, size, four bytes or status    status, BDOORHB_CMD_MESSAGE
    ECX     type or status, the command, 30      bytes
    EDX     the channel, 0x5658                  the channel, 0x5659
    ESI     first cookie                         OUTS: where from; INS: first cookie
    EDI     second cookie                        OUTS: second cookie; INS: where to
    EBP                                          OUTS: first cookie; INS: second cookie
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from devices.shapes import Among, Anything, Record, Shape, WrongField, exactly, maybe
from monitor.vmware.call import UNSUPPORTED, Call
from monitor.vmware.dice import Dice
from monitor.vmware.host import Host
from monitor.vmware.tools.channel import (
    CLOSED,
    DORECV,
    FAILED,
    PIECE,
    SUCCESS,
    TIMEOUT,
    Channel,
    Endpoint,
    Type,
)

MAX_CHANNELS = 8  # GUESTMSG_MAX_CHANNEL
FLAG_COOKIE = 0x80000000  # GUESTMSG_FLAG_COOKIE, the only one that is published
HIGH_MESSAGE = 0  # BDOORHB_CMD_MESSAGE, in BX
IDLE_LIMIT = 120 * 10**9  # nanoseconds without a call, of the machine's clock: then it is closed

PROTOCOLS = {"RPCI": 0x49435052, "TCLO": 0x4F4C4354}

CHANNEL: dict[str, Shape] = {
    "protocol": Among(frozenset(PROTOCOLS)),
    "channel": Channel.shape,
    "endpoint": Anything(),  # what it leads to, whose own restore() looks
}
CHANNELS = exactly(maybe(Record(CHANNEL)), MAX_CHANNELS)

Connect = Callable[[int, int], "Endpoint | None"]  # (protocol, channel) -> where it leads


class Messages:
    """The part behind command 30."""

    def __init__(self, host: Host, connect: Connect) -> None:
        self.host = host
        self.connect = connect
        self._channels: list[Channel | None] = [None] * MAX_CHANNELS
        # Cookies keep one program in the guest off another's channel; a run must be repeatable.
        self._dice = Dice(None if host.real_time else 0)
        self._types: dict[int, Callable[[Channel, Call], int]] = {
            Type.SENDSIZE: self._send_size,
            Type.SENDPAYLOAD: self._send_payload,
            Type.RECVSIZE: self._receive_size,
            Type.RECVPAYLOAD: self._receive_payload,
            Type.RECVSTATUS: self._receive_status,
            Type.CLOSE: self._close,
        }

    def message(self, call: Call) -> None:
        """A call at the low-bandwidth port."""
        kind = call.subcommand
        if kind == Type.OPEN:
            status = self._open(call)
        elif handler := self._types.get(kind):
            found = self._find(call.edx >> 16, (call.esi, call.edi))
            status = found if isinstance(found, int) else self._handle(handler, found, call)
        else:
            status = FAILED
        call.ecx = call.ecx & 0xFFFF | status << 16

    @staticmethod
    def _handle(handler: Callable[[Channel, Call], int], channel: Channel, call: Call) -> int:
        channel.endpoint.work()
        return handler(channel, call)

    def high_write(self, call: Call, value: int) -> None:
        """A byte of a message from the guest."""
        if not _is_high_message(call):
            return
        found = self._find(call.edx >> 16, (call.ebp, call.edi))
        if isinstance(found, int):
            status = found
        elif not found.checkpointed and call.ecx != found.left_to_send:
            status = FAILED
        else:
            status = found.send(bytes((value & 0xFF,)))
        call.ebx = call.ebx & 0xFFFF | status << 16

    def high_read(self, call: Call) -> int:
        """A byte of a message for the guest."""
        if not _is_high_message(call):
            return UNSUPPORTED & 0xFF
        data = b""
        found = self._find(call.edx >> 16, (call.esi, call.ebp))
        if isinstance(found, int):
            status = found
        elif not found.checkpointed and call.ecx != found.left_to_fetch:
            status = FAILED
        else:
            status, data = found.receive(1)
        call.ebx = call.ebx & 0xFFFF | status << 16
        return data[0] if data else UNSUPPORTED & 0xFF

    def checkpoint(self) -> None:
        """The machine was restored: what was half-way starts again."""
        for channel in self._channels:
            if channel is not None:
                channel.checkpoint()

    def snapshot(self) -> dict[str, Any]:
        """Channels with what they lead to, and where the cookies come from."""
        channels = [None if each is None else _channel_state(each) for each in self._channels]
        return {"channels": channels, "dice": self._dice.snapshot()}

    def restore(self, saved: Any) -> None:
        """Have these channels. WrongField."""
        values = Record({"channels": CHANNELS, "dice": Dice.shape}).check(saved)
        self.reset()
        for number, each in enumerate(values["channels"]):
            if each is not None:
                self._channels[number] = self._channel(number, each)
        self._dice.restore(values["dice"])

    def _channel(self, number: int, saved: dict[str, Any]) -> Channel:
        endpoint = self.connect(PROTOCOLS[saved["protocol"]], number)
        if endpoint is None:
            raise WrongField("a channel leads nowhere")
        channel = Channel(number, None, endpoint)
        endpoint.restore(saved["endpoint"])
        channel.restore(saved["channel"], endpoint.said)
        return channel

    def reset(self) -> None:
        """The machine starts anew, without channels."""
        for channel in self._channels:
            if channel is not None:
                self._drop(channel)

    @property
    def open_count(self) -> int:
        return sum(channel is not None for channel in self._channels)

    def _find(self, number: int, cookie: tuple[int, int]) -> Channel | int:
        """The channel that a call means, or the status for having none."""
        channel = self._channels[number] if number < MAX_CHANNELS else None
        if channel is None:
            return CLOSED
        if channel.cookie is not None and channel.cookie != cookie:
            return FAILED
        now = self.host.now()
        if now - channel.last_used > IDLE_LIMIT:
            self._drop(channel)
            return CLOSED | TIMEOUT
        channel.last_used = now
        return channel

    def _open(self, call: Call) -> int:
        number = self._free_number()
        if number is None:
            return FAILED
        endpoint = self.connect(call.ebx & ~FLAG_COOKIE, number)
        if endpoint is None:
            return FAILED
        cookie = None
        if call.ebx & FLAG_COOKIE:
            cookie = call.esi, call.edi = self._dice.bits(), self._dice.bits()
        channel = self._channels[number] = Channel(number, cookie, endpoint)
        channel.last_used = self.host.now()
        call.edx = call.edx & 0xFFFF | number << 16
        return SUCCESS

    def _free_number(self) -> int | None:
        """A place for a channel, if need be that of one that has been idle for too long."""
        if None not in self._channels:
            oldest = min((c for c in self._channels if c), key=lambda c: c.last_used)
            if self.host.now() - oldest.last_used <= IDLE_LIMIT:
                return None
            self._drop(oldest)
        return self._channels.index(None)

    def _drop(self, channel: Channel) -> None:
        self._channels[channel.number] = None
        channel.close()

    def _send_size(self, channel: Channel, call: Call) -> int:
        return channel.send_size(call.ebx)

    def _send_payload(self, channel: Channel, call: Call) -> int:
        return channel.send(call.ebx.to_bytes(PIECE, "little"))

    def _receive_size(self, channel: Channel, call: Call) -> int:
        status, size = channel.receive_size()
        if status & DORECV:
            _answer(call, Type.SENDSIZE, size)
        return status

    def _receive_payload(self, channel: Channel, call: Call) -> int:
        status, data = channel.receive(PIECE, call.ebx)
        if data:
            _answer(call, Type.SENDPAYLOAD, int.from_bytes(data, "little"))
        return status

    def _receive_status(self, channel: Channel, call: Call) -> int:
        return channel.receive_status(call.ebx)

    def _close(self, channel: Channel, call: Call) -> int:
        self._drop(channel)
        return SUCCESS


def _channel_state(channel: Channel) -> dict[str, Any]:
    endpoint = channel.endpoint
    return {
        "protocol": endpoint.protocol,
        "channel": channel.snapshot(endpoint.said),
        "endpoint": endpoint.snapshot(),
    }


def _answer(call: Call, kind: Type, value: int) -> None:
    """The host's half of the dialogue: what it would send, were it the one to call."""
    call.edx = call.edx & 0xFFFF | kind << 16
    call.ebx = value


def _is_high_message(call: Call) -> bool:
    """A status without SUCCESS is that of a byte before, which failed: so do the others."""
    return call.ebx & 0xFFFF == HIGH_MESSAGE and bool(call.ebx >> 16 & SUCCESS)
