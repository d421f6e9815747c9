"""Guests that do not keep to the protocol: refused, without an exception and without growth."""

from __future__ import annotations

import random
import tracemalloc
from collections.abc import Iterator

import pytest
from guest_side import (
    CLOSED,
    COOKIE,
    HB,
    MESSAGE,
    RECVSIZE,
    RPCI,
    SENDPAYLOAD,
    SENDSIZE,
    SUCCESS,
    TCLO,
    ChannelError,
    Clock,
    GuestChannel,
    GuestTools,
    low,
    make_backdoor,
    rpc,
)

from monitor.vmware.backdoor import Backdoor
from monitor.vmware.call import HIGH_PORT, PORT, Call
from monitor.vmware.restrictions import Restrictions
from monitor.vmware.tools.channel import MAX_IN_SIZE
from monitor.vmware.tools.messages import IDLE_LIMIT, MAX_CHANNELS
from monitor.vmware.tools.reports import MAX_CAPABILITIES

MASK = 0xFFFFFFFF


def fill(backdoor: Backdoor) -> list[GuestChannel]:
    return [GuestChannel(backdoor, (RPCI, TCLO)[index % 2]) for index in range(MAX_CHANNELS)]


def test_channels_opened_until_refused() -> None:
    backdoor = make_backdoor()
    channels = fill(backdoor)
    assert [channel.number for channel in channels] == list(range(8))
    for protocol in (RPCI, TCLO):
        with pytest.raises(ChannelError, match="open: status 0x0"):
            GuestChannel(backdoor, protocol)
    channels[3].close()
    assert GuestChannel(backdoor).number == 3


def test_idle_channels_make_room() -> None:
    clock = Clock()
    backdoor = make_backdoor(clock=clock)
    channels = fill(backdoor)
    for channel in channels:
        channel.call(SENDSIZE, 100)
        channel.call(SENDPAYLOAD, 0x41414141)  # and half a message on each
    clock.time += IDLE_LIMIT // 2
    channels[0].call(RECVSIZE)
    clock.time += IDLE_LIMIT // 2 + 1
    opened = [GuestChannel(backdoor).number for _ in range(MAX_CHANNELS - 1)]
    assert sorted(opened) == list(range(1, 8))
    with pytest.raises(ChannelError, match="open"):
        GuestChannel(backdoor)
    assert channels[5].call(RECVSIZE).ecx >> 16 == 0  # its number is another's now
    assert channels[0].call(RECVSIZE).ecx >> 16 == SUCCESS


@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize("kind", range(SENDSIZE, 7))
def test_wrong_cookies(kind: int, place: int) -> None:
    backdoor = make_backdoor()
    channel = GuestChannel(backdoor)
    right = channel.cookie
    wrong = list(right)
    wrong[place] ^= 1
    channel.cookie = (wrong[0], wrong[1])
    assert channel.call(kind, 4).ecx >> 16 == 0
    channel.cookie = right
    assert channel.receive() is None  # still open, and nothing happened on it


@pytest.mark.parametrize("place", [0, 1])
def test_wrong_cookies_at_the_high_port(place: int) -> None:
    backdoor = make_backdoor()
    channel = GuestChannel(backdoor)
    channel.call(SENDSIZE, 4)
    right = channel.cookie
    wrong = list(right)
    wrong[place] ^= 0x80000000
    channel.cookie = (wrong[0], wrong[1])
    with pytest.raises(ChannelError, match="high send: status 0x0"):
        channel.high_send(b"data")
    with pytest.raises(ChannelError, match="high receive: status 0x0"):
        channel.high_receive(4)
    channel.cookie = right
    assert channel.high_send(b"data")
    assert channel.receive() == b"0 Unknown command"


@pytest.mark.parametrize("number", [1, 7, 8, 255, 0xFFFF])
def test_numbers_of_no_channel(number: int) -> None:
    channel = GuestChannel(make_backdoor())
    channel.number = number
    for kind in range(SENDSIZE, 7):
        assert channel.call(kind, 4).ecx >> 16 == CLOSED
    with pytest.raises(ChannelError):
        channel.high_send(b"data")


@pytest.mark.parametrize("kind", [7, 8, 255, 0xFFFF])
def test_types_of_no_call(kind: int) -> None:
    assert GuestChannel(make_backdoor()).call(kind, 4).ecx == MESSAGE


@pytest.mark.parametrize("size", [MAX_IN_SIZE + 1, 1 << 20, 1 << 31, MASK])
def test_sizes(size: int) -> None:
    channel = GuestChannel(make_backdoor())
    assert channel.call(SENDSIZE, size).ecx >> 16 == 0
    assert channel.call(SENDPAYLOAD, 1).ecx >> 16 == 0
    with pytest.raises(ChannelError):
        channel.high_send(b"x" * 100)


@pytest.mark.parametrize("sent", [1, 3, 5, 100])
def test_another_count_at_the_high_port_than_announced(sent: int) -> None:
    channel = GuestChannel(make_backdoor())
    channel.call(SENDSIZE, 4)
    with pytest.raises(ChannelError, match="status 0x0"):
        channel.high_send(b"x" * sent)
    assert channel.receive() is None


@pytest.mark.parametrize("asked", [1, 14, 16, 1000])
def test_another_count_from_the_high_port_than_announced(asked: int) -> None:
    channel = GuestChannel(make_backdoor())
    channel.send(b"machine.id.get")
    assert channel.call(RECVSIZE).ebx == 15
    with pytest.raises(ChannelError, match="status 0x0"):
        channel.high_receive(asked)


def test_more_payload_than_announced() -> None:
    channel = GuestChannel(make_backdoor(), high=False)
    channel.send(b"machine.id.get")
    assert channel.call(SENDPAYLOAD, 1).ecx >> 16 == 0
    assert channel.receive() == b"0 No machine id"
    assert channel.call(4, SUCCESS).ecx >> 16 == 0


def test_guestinfo_does_not_grow() -> None:
    backdoor = make_backdoor(Restrictions(set_info_size_limit=10_000))
    replies = {rpc(backdoor, f"info-set guestinfo.key{number} value") for number in range(2000)}
    assert replies == {b"1 ", b"0 guestinfo is full"}
    assert backdoor.tools.guestinfo.used <= 10_000


def test_capabilities_do_not_grow() -> None:
    backdoor = make_backdoor()
    for number in range(MAX_CAPABILITIES + 10):
        assert rpc(backdoor, f"tools.capability.{number:0500} 1") == b"1 "
        rpc(backdoor, f"tools.capability.n{number} 1")
    assert len(backdoor.tools.capabilities) == MAX_CAPABILITIES
    assert max(map(len, backdoor.tools.capabilities)) <= 128


def test_options_do_not_pile_up_for_a_guest_that_does_not_poll() -> None:
    backdoor = make_backdoor()
    guest = GuestTools(backdoor)
    guest.run()
    for number in range(1000):
        rpc(backdoor, f"vmx.set_option synctime 0 {number}")
    guest.seen.clear()
    guest.run()
    assert len(guest.seen) == 64


@pytest.mark.parametrize("command", range(6, 10))
def test_random_clipboard_calls(command: int) -> None:
    backdoor, chance = make_backdoor(), random.Random(command)
    for _ in range(10_000):
        low(backdoor, command, chance.getrandbits(32))
        low(backdoor, chance.randrange(6, 10), chance.choice((0, 4, 65436, 65437, MASK)))


COMMANDS = (
    b"info-set guestinfo.%d %s",
    b"info-get guestinfo.%d%s",
    b"log %d%s",
    b"SetGuestInfo  %d %s",
    b"tools.capability.%d %s",
    b"tools.set.versiontype %d %s",
    b"vmx.set_option synctime %d %s",
    b"tools.os.statechange.status 1 %d%s",
    b"OK ATR %d%s",
    b"guestlib.info.get %d%s",
    b"%d%s",
)


class RandomGuest:
    """It knows channels and cookies, and uses them right more often than not."""

    def __init__(self, backdoor: Backdoor, clock: Clock, seed: int) -> None:
        self.backdoor = backdoor
        self.clock = clock
        self.chance = random.Random(seed)
        self.known = [(0, 0)] * MAX_CHANNELS

    def calls(self, count: int) -> None:
        actions = (self.low, self.low, self.low, self.low, self.high, self.high, self.command)
        for _ in range(count):
            self.chance.choice(actions)()
            if self.chance.random() < 0.0001:
                self.clock.time += self.chance.choice((10**9, IDLE_LIMIT + 1))
                self.backdoor.messages.checkpoint()

    def number(self) -> int:
        return (
            self.chance.randrange(9)
            if self.chance.random() < 0.99
            else self.chance.randrange(1 << 16)
        )

    def word(self) -> int:
        chance = self.chance
        return chance.choice((0, 1, 4, 100, 65536, 65537, MASK, chance.getrandbits(32)))

    def cookie(self, number: int) -> tuple[int, int]:
        if number < MAX_CHANNELS and self.chance.random() < 0.95:
            return self.known[number]
        return self.word(), self.word()

    def low(self) -> None:
        kind = self.chance.randrange(8)
        number = self.number()
        ebx = self.word()
        if kind == 0:
            ebx = self.chance.choice((RPCI, TCLO, RPCI | COOKIE, TCLO | COOKIE, ebx))
        elif kind == 6 and self.chance.random() < 0.9:
            return
        esi, edi = self.cookie(number)
        call = Call(
            ebx=ebx, ecx=kind << 16 | MESSAGE, edx=number << 16 | PORT, esi=esi, edi=edi, cpl=3
        )
        self.backdoor.low(call)
        for value in (call.eax, call.ebx, call.ecx, call.edx, call.esi, call.edi):
            assert 0 <= value <= MASK
        if kind == 0 and call.ecx >> 16 & SUCCESS:
            self.known[call.edx >> 16] = (call.esi, call.edi)

    def high(self) -> None:
        number, chance = self.number(), self.chance
        first, second = self.cookie(number)
        call = Call(ebx=chance.choice((SUCCESS << 16, SUCCESS << 16, self.word())))
        call.ecx = chance.choice((1, 4, 100, self.word()))
        call.edx = number << 16 | HIGH_PORT
        if chance.random() < 0.5:
            call.ebp, call.edi = first, second
            self.backdoor.high_write(call, chance.randrange(256))
        else:
            call.esi, call.ebp = first, second
            assert 0 <= self.backdoor.high_read(call) <= 0xFF
        assert 0 <= call.ebx <= MASK

    def command(self) -> None:
        """A whole message, and often its reply."""
        chance = self.chance
        number = chance.randrange(MAX_CHANNELS)
        esi, edi = self.known[number]
        message = chance.choice(COMMANDS) % (chance.randrange(50), chance.randbytes(5))
        pieces = [message[start : start + 4] for start in range(0, len(message), 4)]
        calls = [(SENDSIZE, len(message))]
        calls += [(SENDPAYLOAD, int.from_bytes(piece, "little")) for piece in pieces]
        calls += chance.choice(([], [(3, 0)], [(3, 0)] + [(4, 1)] * 8 + [(5, 1)]))
        for kind, ebx in calls:
            self.backdoor.low(
                Call(ebx=ebx, ecx=kind << 16 | MESSAGE, edx=number << 16, esi=esi, edi=edi)
            )


@pytest.fixture
def traced() -> Iterator[None]:
    tracemalloc.start()
    yield
    tracemalloc.stop()


def random_guest(seed: int) -> RandomGuest:
    clock = Clock()
    backdoor = make_backdoor(Restrictions(set_info_size_limit=50_000), clock)
    backdoor.tools.register("7", lambda args: args)
    return RandomGuest(backdoor, clock, seed)


@pytest.mark.slow
def test_a_million_random_calls() -> None:
    guest = random_guest(1)
    guest.calls(1_000_000)
    seen = {type(event).__name__ for event in guest.backdoor.tools.events}
    assert {"ChannelOpened", "ChannelClosed", "LogLine", "CapabilitySet"} <= seen
    # And the next one finds everything working.
    guest.backdoor.messages.reset()
    assert rpc(guest.backdoor, "machine.id.get") == b"0 No machine id"


@pytest.mark.slow
def test_random_calls_do_not_grow(traced: None) -> None:
    guest = random_guest(2)
    guest.calls(30_000)
    before, _ = tracemalloc.get_traced_memory()
    guest.calls(100_000)
    after, _ = tracemalloc.get_traced_memory()
    # 8 channels with half a message each at most; a leak of 10 bytes a call would be as much.
    assert after - before < MAX_CHANNELS * MAX_IN_SIZE * 2


def test_the_same_calls_give_the_same_answers() -> None:
    first, second = random_guest(3), random_guest(3)
    first.calls(20_000)
    second.calls(20_000)
    assert list(first.backdoor.tools.events) == list(second.backdoor.tools.events)
    assert first.known == second.known


def test_the_statuses_that_say_high_bandwidth() -> None:
    channel = GuestChannel(make_backdoor())
    assert channel.call(SENDSIZE, 3).ecx >> 16 == SUCCESS | HB
