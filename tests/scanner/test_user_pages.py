"""The search of user pages: nothing that ring 3 gets wrong is missed."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from bt.lengths import locate
from bt.user_pages import (
    FAR_AND_SEGMENT,
    WRONG_IN_RING3,
    candidates,
    found_from,
    may_run_directly,
    needs_translation,
    starts,
)

BUSYBOX = Path(__file__).parents[2] / "guests" / "busybox"
NOP = b"\x90"
WRONG = ["0f00c0", "0f0008", "0f00e0", "0f00e8", "0f0106", "0f010e", "0f01e0", "0f0120",
         "0f02c1", "0f03c1"]  # fmt: skip
NATIVE = ["0fa2", "0f01c1", "0f01d9"]
RIGHT = ["9c9d", "1e07", "8ed88cd8", "cf", "cb", "0fa00fa1", "0fb200", "0f06", "0f00d0", "0f0116",
         "0f01f0", "0f0b", "0f84a00e0000", "0f31"]  # fmt: skip


def page(at: int, code: bytes) -> bytes:
    return (NOP * at + code + NOP * 4096)[:4096]


@pytest.mark.parametrize("text", WRONG)
@pytest.mark.parametrize("prefix", ["", "66", "2e66", "f0"])
def test_what_is_wrong_is_found(text: str, prefix: str) -> None:
    code = bytes.fromhex(prefix + text)
    place = 100 + len(prefix) // 2
    for native in (False, True):
        assert candidates(page(100, code), b"", native).tolist() == [place]
    assert not may_run_directly(page(100, code))


@pytest.mark.parametrize("text", NATIVE)
def test_what_a_native_engine_gets_wrong(text: str) -> None:
    code = page(7, bytes.fromhex(text))
    assert candidates(code, NOP).tolist() == [7]
    if text == "0fa2":
        assert may_run_directly(code, NOP, native=False)


@pytest.mark.parametrize("text", RIGHT)
def test_what_is_right_runs_directly(text: str) -> None:
    assert may_run_directly(page(100, bytes.fromhex(text)), NOP * 2)


def test_across_the_end_of_the_page() -> None:
    for text in WRONG + NATIVE:
        code = bytes.fromhex(text)
        for inside in range(1, len(code)):
            body, rest = page(4096 - inside, code), code[inside:] + NOP * 2
            assert candidates(body, rest[:2]).tolist() == [4096 - inside]
            assert candidates(body).tolist() == [4096 - inside]  # unknown: counts
            assert candidates(body, rest[:1])[-1:] == [4096 - inside]
    assert may_run_directly(page(4095, b"\x0f"), b"\x84\x00")
    assert not may_run_directly(page(4095, b"\x0f"))


def test_any_wrong_instruction_anywhere_in_noise() -> None:
    """Decode random code from every offset: whatever is an instruction of ours is a candidate."""
    generator = random.Random(2)
    seen = set()
    for _ in range(12):
        code = bytearray(generator.randbytes(4096))
        for _ in range(300):  # noise alone has few
            at = generator.randrange(4090)
            code[at : at + 2] = bytes((0x0F, generator.randrange(4)))
        data = bytes(code)
        places = candidates(data, bytes(2), native=False).tolist()
        possible = set(starts(data, places))
        for offset in range(4096):
            found = locate(data, offset)
            if found is not None and found.row is not None and found.row.group in WRONG_IN_RING3:
                assert offset in possible
                seen.add(found.row.group)
    assert seen == WRONG_IN_RING3


def test_pages_may_be_arrays() -> None:
    code = np.frombuffer(page(9, b"\x0f\x02\xc1"), np.uint8)
    assert candidates(code).tolist() == [9]
    assert starts(code, [9]) == [9]
    assert needs_translation(code, [0])


def test_starts() -> None:
    code = page(100, bytes.fromhex("662e0f00c0"))
    assert starts(code, [102]) == [100, 101, 102]
    assert starts(page(0, b"\x66\x0f\x00\xc0"), [1]) == [0, 1]
    assert starts(page(0, b"\x66\x0f\x00\xc0"), [1], NOP + b"\x2e\x2e") == [-2, -1, 0, 1]
    assert starts(page(0, b"\x66" * 20 + b"\x0f\x00\xc0"), [20]) == list(range(5, 21))
    assert starts(code, []) == []


def test_decoding_tells_false_hits() -> None:
    code = page(0, bytes.fromhex("0f84a00f0000 b80f02c100 c3 0f02c1"))
    assert candidates(code, NOP).size == 3
    assert not needs_translation(code, [0])
    assert needs_translation(code, [12])
    assert found_from(code, [12]) == [12]


def test_decoding_follows_jumps_and_calls() -> None:
    jump = page(0, bytes.fromhex("eb02 0f02 7404 c3 909090 0f00c0"))  # jmp 4; jz 10; ret
    assert found_from(jump, [0]) == [10]
    call = page(0, bytes.fromhex("e802000000 ebfe 0f01e0 c3"))
    assert found_from(call, [0]) == [7]
    after = page(0, bytes.fromhex("e800100000 0f01e0"))  # out of the page and back
    assert found_from(after, [0]) == [5]
    narrow = page(0, bytes.fromhex("66e90200 9090 0f01e0"))  # jmp with a 16-bit displacement
    assert found_from(narrow, [0]) == [6]
    assert found_from(page(0, bytes.fromhex("e90200 9090 0f01e0")), [0], bits=16) == [5]
    assert found_from(jump, [-1, 5000]) == []
    segments = page(0, bytes.fromhex("1e 8ed8 cb"))
    assert found_from(segments, [0]) == []
    assert found_from(segments, [0], names=FAR_AND_SEGMENT) == [0, 1, 3]


@pytest.mark.skipif(not BUSYBOX.exists(), reason="no guests/busybox: `make guests`")
def test_the_figures_for_busybox() -> None:
    """The docstring's: about half of the pages have a false hit, about three each."""
    code = BUSYBOX.read_bytes()[0x1000:0x184000]
    pages = [code[at : at + 4096] for at in range(0, len(code), 4096)]
    places = [candidates(body, native=False).size for body in pages]
    hit = sum(size > 0 for size in places)
    assert 0.4 < hit / len(pages) < 0.7
    assert sum(places) / hit < 5
