"""The message channel: opening, transfer in both bandwidths, statuses."""

from __future__ import annotations

import pytest
from guest_side import (
    CLOSED,
    COOKIE,
    CPT,
    DORECV,
    HB,
    OPEN,
    RECVPAYLOAD,
    RECVSIZE,
    RECVSTATUS,
    RPCI,
    SENDPAYLOAD,
    SENDSIZE,
    SUCCESS,
    TCLO,
    TIMEOUT,
    UNSENT,
    ChannelError,
    Clock,
    GuestChannel,
    GuestTools,
    make_backdoor,
    rpc,
)

from monitor.vmware.backdoor import Backdoor
from monitor.vmware.call import HIGH_PORT, PORT, Call
from monitor.vmware.tools.channel import MAX_IN_SIZE
from monitor.vmware.tools.messages import IDLE_LIMIT, MAX_CHANNELS

BOTH = pytest.mark.parametrize("high", [False, True], ids=["low", "high"])


def echo(backdoor: Backdoor) -> None:
    """A command that answers with what it is given."""
    backdoor.tools.register("echo", lambda args: args)


@BOTH
@pytest.mark.parametrize("size", [0, 1, 2, 3, 4, 5, 7, 1000, 60 * 1024])
def test_a_message_and_its_reply(high: bool, size: int) -> None:
    backdoor = make_backdoor()
    echo(backdoor)
    text = "".join(chr(33 + index % 90) for index in range(size))
    assert rpc(backdoor, f"echo {text}", high) == b"1 " + text.encode()


@BOTH
def test_many_messages_on_one_channel(high: bool) -> None:
    backdoor = make_backdoor()
    echo(backdoor)
    channel = GuestChannel(backdoor, high=high)
    for text in ("", "a", "abc", "abcdefgh" * 100):
        channel.send(f"echo {text}".encode())
        assert channel.receive() == b"1 " + text.encode()
        assert channel.receive() is None
    channel.close()


def test_registers_of_an_open() -> None:
    backdoor = make_backdoor()
    call = Call(ebx=RPCI | COOKIE, ecx=OPEN << 16 | 30, edx=PORT, esi=1, edi=2, ebp=3)
    backdoor.low(call)
    assert (call.ecx, call.edx, call.ebp) == (SUCCESS << 16 | 30, PORT, 3)
    assert (call.esi, call.edi) != (1, 2)


def test_registers_of_a_reception() -> None:
    backdoor = make_backdoor()
    channel = GuestChannel(backdoor)
    channel.send(b"machine.id.get")
    call = channel.call(RECVSIZE)
    assert call.ecx == (SUCCESS | DORECV | HB) << 16 | 30
    assert call.edx == SENDSIZE << 16 | PORT
    assert call.ebx == len("0 No machine id")
    call = channel.call(RECVPAYLOAD, SUCCESS)
    assert call.ecx == SUCCESS << 16 | 30
    assert call.edx == SENDPAYLOAD << 16 | PORT
    assert call.ebx.to_bytes(4, "little") == b"0 No"


def test_an_open_without_cookies_needs_none_later() -> None:
    backdoor = make_backdoor()
    call = Call(ebx=RPCI, ecx=OPEN << 16 | 30, edx=PORT, esi=77, edi=88)
    backdoor.low(call)
    assert (call.ecx >> 16, call.esi, call.edi) == (SUCCESS, 77, 88)
    call = Call(ebx=4, ecx=SENDSIZE << 16 | 30, edx=call.edx, esi=5, edi=6)
    backdoor.low(call)
    assert call.ecx >> 16 == SUCCESS | HB


def test_an_unknown_protocol_is_refused() -> None:
    with pytest.raises(ChannelError, match="open"):
        GuestChannel(make_backdoor(), 0x12345678)


def test_cookies_repeat_with_the_run_and_differ_in_it() -> None:
    first, second = make_backdoor(), make_backdoor()
    cookies = [GuestChannel(first).cookie for _ in range(MAX_CHANNELS)]
    assert cookies == [GuestChannel(second).cookie for _ in range(MAX_CHANNELS)]
    assert len(set(cookies)) == MAX_CHANNELS


def test_without_a_reply_there_is_nothing_to_receive() -> None:
    channel = GuestChannel(make_backdoor())
    assert channel.call(RECVSIZE).ecx >> 16 == SUCCESS
    assert channel.call(RECVPAYLOAD, SUCCESS).ecx >> 16 == 0
    assert channel.call(RECVSTATUS, SUCCESS).ecx >> 16 == 0


def test_payload_without_a_size_fails() -> None:
    channel = GuestChannel(make_backdoor())
    assert channel.call(SENDPAYLOAD, 0x41414141).ecx >> 16 == 0


def test_a_new_size_starts_a_message_again() -> None:
    backdoor = make_backdoor()
    echo(backdoor)
    channel = GuestChannel(backdoor, high=False)
    channel.call(SENDSIZE, 100)
    channel.call(SENDPAYLOAD, 0x41414141)
    channel.send(b"echo new")
    assert channel.receive() == b"1 new"


def test_the_reply_stays_until_the_guest_says_it_has_it() -> None:
    backdoor = make_backdoor()
    echo(backdoor)
    channel = GuestChannel(backdoor, high=False)
    channel.send(b"echo x")
    channel.call(RECVSIZE)
    channel.call(RECVPAYLOAD, SUCCESS)
    assert channel.call(RECVSTATUS, SUCCESS).ecx >> 16 == SUCCESS
    assert channel.receive() is None
    channel.send(b"echo again")
    channel.call(RECVSIZE)
    assert channel.receive() == b"1 again"  # asked for its size twice


@pytest.mark.parametrize("kind", [RECVPAYLOAD, RECVSTATUS])
def test_a_reply_that_the_guest_cannot_take_is_dropped(kind: int) -> None:
    """message.c's error_quit: no memory for it."""
    channel = GuestChannel(make_backdoor())
    channel.send(b"machine.id.get")
    channel.call(RECVSIZE)
    assert channel.call(kind, 0).ecx >> 16 == SUCCESS
    assert channel.receive() is None


def test_a_status_before_all_bytes_fails() -> None:
    channel = GuestChannel(make_backdoor())
    channel.send(b"machine.id.get")
    channel.call(RECVSIZE)
    assert channel.call(RECVSTATUS, SUCCESS).ecx >> 16 == 0


@BOTH
def test_a_checkpoint_in_a_message_from_the_guest(high: bool) -> None:
    backdoor = make_backdoor()
    echo(backdoor)
    channel = GuestChannel(backdoor, high=high)
    channel.call(SENDSIZE, 8)
    channel.call(SENDPAYLOAD, 0x41414141)
    backdoor.messages.checkpoint()
    if high:
        assert not channel.high_send(b"AAAA")
    else:
        assert channel.call(SENDPAYLOAD, 0x41414141).ecx >> 16 == CPT
    channel.send(b"echo once")
    assert channel.receive() == b"1 once"


def test_a_checkpoint_amid_a_string_instruction() -> None:
    backdoor = make_backdoor()
    echo(backdoor)
    channel = GuestChannel(backdoor)
    message = b"echo " + bytes(range(65, 90))
    channel.call(SENDSIZE, len(message))

    def restore(left: int) -> None:
        if left == 10:
            backdoor.messages.checkpoint()

    assert not channel.high_send(message, restore)
    channel.send(message)
    assert channel.receive() == b"1 " + message[5:]


@BOTH
def test_a_checkpoint_in_a_message_for_the_guest(high: bool) -> None:
    backdoor = make_backdoor()
    channel = GuestChannel(backdoor, high=high)
    channel.send(b"machine.id.get")
    size = channel.call(RECVSIZE).ebx
    backdoor.messages.checkpoint()
    if high:
        assert channel.high_receive(size) is None
    else:
        assert channel.call(RECVPAYLOAD, SUCCESS).ecx >> 16 == CPT
    assert channel.receive() == b"0 No machine id"


def test_a_checkpoint_between_messages_changes_nothing() -> None:
    backdoor = make_backdoor()
    echo(backdoor)
    channel = GuestChannel(backdoor)
    backdoor.messages.checkpoint()
    channel.send(b"echo x")
    backdoor.messages.checkpoint()
    assert channel.receive() == b"1 x"


def test_an_idle_channel_is_closed() -> None:
    clock = Clock()
    backdoor = make_backdoor(clock=clock)
    channel = GuestChannel(backdoor)
    clock.time += IDLE_LIMIT
    assert channel.receive() is None
    clock.time += IDLE_LIMIT + 1
    assert channel.call(RECVSIZE).ecx >> 16 == CLOSED | TIMEOUT
    assert channel.call(RECVSIZE).ecx >> 16 == CLOSED
    assert backdoor.messages.open_count == 0


def test_a_request_taken_back_while_the_guest_fetches_it() -> None:
    clock = Clock()
    backdoor = make_backdoor(clock=clock)
    guest = GuestTools(backdoor, high=False)
    guest.run()
    request = backdoor.tools.send("ping", seconds=5)
    assert guest.channel.call(RECVSIZE).ecx >> 16 == SUCCESS | DORECV | HB
    clock.pass_seconds(6)
    assert guest.channel.call(RECVPAYLOAD, SUCCESS).ecx >> 16 == UNSENT
    assert request.state.value == "timed out"
    assert guest.channel.receive() is None


def test_reset_closes_all() -> None:
    backdoor = make_backdoor()
    channels = [GuestChannel(backdoor), GuestChannel(backdoor, TCLO)]
    backdoor.messages.reset()
    assert backdoor.messages.open_count == 0
    assert [channel.call(RECVSIZE).ecx >> 16 for channel in channels] == [CLOSED, CLOSED]


def test_the_high_port_wants_its_magic_and_command() -> None:
    backdoor = make_backdoor()
    channel = GuestChannel(backdoor)
    channel.call(SENDSIZE, 1)
    for eax, ebx in ((0, SUCCESS << 16), (Call().eax, SUCCESS << 16 | 1)):
        call = Call(
            eax=eax,
            ebx=ebx,
            ecx=1,
            edx=channel.number << 16 | HIGH_PORT,
            edi=channel.cookie[1],
            ebp=channel.cookie[0],
        )
        backdoor.high_write(call, 65)
        assert call.ebx == ebx
        assert backdoor.high_read(call) == 0xFF
        assert call.ebx == ebx


def test_the_longest_message() -> None:
    backdoor = make_backdoor()
    channel = GuestChannel(backdoor)
    channel.send(b"x" * MAX_IN_SIZE)
    assert channel.receive() == b"0 Unknown command"
    assert channel.call(SENDSIZE, MAX_IN_SIZE + 1).ecx >> 16 == 0
    channel.send(b"x")
    assert channel.receive() == b"0 Unknown command"


def test_opened_and_closed_are_told() -> None:
    backdoor = make_backdoor()
    rpc(backdoor, "log hello")
    names = [type(event).__name__ for event in backdoor.tools.events]
    assert names == ["ChannelOpened", "LogLine", "ChannelClosed"]
