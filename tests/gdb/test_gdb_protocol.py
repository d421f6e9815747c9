"""Packets, without gdb and without a machine."""

from __future__ import annotations

import random
import xml.etree.ElementTree as ElementTree

import pytest

from monitor.gdb.layout import CORE, REGISTERS, target_description
from monitor.gdb.protocol import (
    MAX_PACKET,
    Ack,
    Broken,
    Decoder,
    Interrupt,
    Nack,
    Packet,
    TooLong,
    encode,
    escape,
    unescape,
)
from monitor.gdb.stops import end_packet
from monitor.vmm.outcome import Outcome


def test_a_packet_and_its_sum() -> None:
    assert encode(b"OK") == b"$OK#9a"
    assert encode(b"") == b"$#00"


def test_acknowledgements_and_ctrl_c() -> None:
    events = list(Decoder().feed(b"+-\x03+"))
    assert events == [Ack(), Nack(), Interrupt(), Ack()]


def test_bytes_outside_of_packets_are_skipped() -> None:
    assert list(Decoder().feed(b"hello\r\n\x00\xff$g#67x")) == [Packet(b"g")]


@pytest.mark.parametrize("broken", [b"$g#68", b"$g#zz", b"$g#+-", b"$#01"])
def test_a_wrong_sum(broken: bytes) -> None:
    assert list(Decoder().feed(broken + b"$g#67")) == [Broken(), Packet(b"g")]


def test_a_packet_that_breaks_off() -> None:
    assert list(Decoder().feed(b"$abc$g#67")) == [Packet(b"g")]


def test_ctrl_c_in_a_packet_is_data() -> None:
    assert list(Decoder().feed(encode(b"X0,1:\x03"))) == [Packet(b"X0,1:\x03")]


def test_capital_digits_in_a_sum() -> None:
    assert list(Decoder().feed(b"$?O#8E")) == [Packet(b"?O")]


def test_escapes() -> None:
    data = bytes(range(256))
    assert unescape(escape(data)) == data
    assert b"#" not in escape(data) and b"$" not in escape(data)
    assert list(Decoder().feed(encode(data))) == [Packet(data)]
    assert unescape(b"ab}") == b"ab"


def test_any_cutting_gives_the_same_events() -> None:
    rng = random.Random(4)
    packets = [bytes(rng.randrange(256) for _ in range(rng.randrange(40))) for _ in range(50)]
    stream = b"+".join(map(encode, packets))
    whole = list(Decoder().feed(stream))
    decoder, pieces, at = Decoder(), [], 0
    while at < len(stream):
        n = rng.randrange(1, 8)
        pieces += decoder.feed(stream[at : at + n])
        at += n
    assert pieces == whole
    assert [event.data for event in whole if isinstance(event, Packet)] == packets


def test_a_giant_packet_is_dropped_and_forgotten() -> None:
    decoder = Decoder()
    giant = b"$" + b"a" * (3 * MAX_PACKET) + b"#00"
    assert list(decoder.feed(giant)) == [TooLong()]
    assert list(decoder.feed(b"$g#67")) == [Packet(b"g")]


def test_a_giant_packet_without_an_end_takes_no_memory() -> None:
    decoder = Decoder()
    for _ in range(20):
        assert list(decoder.feed(b"$" * 1 + b"a" * MAX_PACKET * 2)) == []
    assert len(decoder._body or b"") <= MAX_PACKET + 1


def test_noise_never_raises() -> None:
    rng = random.Random(5)
    decoder = Decoder()
    for _ in range(200):
        noise = bytes(rng.choice(b"$#}+-\x03ab0\xff") for _ in range(300))
        for event in decoder.feed(noise):
            assert not isinstance(event, TooLong)


def test_the_description_is_xml_and_numbers_every_register() -> None:
    tree = ElementTree.fromstring(target_description().decode())
    registers = [(each.get("name"), int(each.get("bitsize", "0"))) for each in tree.iter("reg")]
    assert registers == [(register.name, register.bits) for register in REGISTERS]
    assert [name for name, _ in registers[:9]] == [
        *("eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi", "eip"),
    ]
    assert len(CORE) == 32


@pytest.mark.parametrize(
    ("outcome", "packet"),
    [
        (Outcome("exit", 7), b"W07"),
        (Outcome("poweroff"), b"W00"),
        (Outcome("reset"), b"W00"),
        (Outcome("shutdown"), b"X06"),
        (Outcome("timeout"), b"X0e"),
        (Outcome("stopped"), b"X0f"),
    ],
)
def test_how_an_end_is_told(outcome: Outcome, packet: bytes) -> None:
    assert end_packet(outcome) == packet
