"""What a viewer is sent: only what differs, not more than it takes."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
import pytest

from monitor.web.frames import IN_FLIGHT, SILENCE, Frames, message_of
from monitor.web.tail import Tail

pytest.importorskip("PIL")


class Pictures:
    def __init__(self) -> None:
        self.newest: Any = None


def picture(seed: int, height: int = 40, width: int = 60) -> Any:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def applied(message: bytes, old: Any) -> Any:
    """As the browser does it."""
    from PIL import Image

    size = int.from_bytes(message[:4], "little")
    head, at = json.loads(message[4 : 4 + size]), 4 + size
    shape = head["height"], head["width"], 3
    new = np.zeros(shape, np.uint8) if old is None or old.shape != shape else old.copy()
    for x, y, width, height, length in head["rectangles"]:
        piece = np.asarray(Image.open(io.BytesIO(message[at : at + length])))
        assert piece.shape == (height, width, 3)
        new[y : y + height, x : x + width] = piece
        at += length
    assert at == len(message)
    return new


@pytest.mark.parametrize("rows", [[3], [0, 39], [5, 20], list(range(0, 40, 2))])
def test_what_differs_makes_the_new_out_of_the_old(rows: list[int]) -> None:
    old, new = picture(1), picture(1)
    new[rows, 10:20] ^= 0xFF
    message = message_of(old, new)
    assert np.array_equal(applied(message, old), new)
    assert len(message) < len(message_of(None, new))


def test_another_size_is_sent_whole() -> None:
    old, new = picture(1), picture(2, 20, 30)
    assert np.array_equal(applied(message_of(old, new), old), new)


def test_equal_pictures_are_not_sent() -> None:
    assert message_of(picture(1), picture(1)) == b""


def test_a_slow_viewer_skips_pictures_and_gets_the_newest() -> None:
    pictures, now = Pictures(), [0.0]
    frames = Frames(pictures, lambda: now[0])  # type: ignore[arg-type]
    assert frames.next() is None
    seen = None
    for seed in range(IN_FLIGHT):
        pictures.newest = picture(seed)
        seen = applied(frames.next() or b"", seen)
    for seed in range(10, 20):
        pictures.newest = picture(seed)
        assert frames.next() is None
    frames.drawn()
    seen = applied(frames.next() or b"", seen)
    assert np.array_equal(seen, picture(19))
    pictures.newest = picture(20)
    assert frames.next() is None
    now[0] += SILENCE
    seen = applied(frames.next() or b"", seen)
    assert np.array_equal(seen, picture(20))
    frames.forget()
    assert np.array_equal(applied(frames.next() or b"", None), picture(20))


def test_acknowledging_what_was_not_sent_gains_nothing() -> None:
    pictures = Pictures()
    frames = Frames(pictures, lambda: 0.0)  # type: ignore[arg-type]
    for _ in range(100):
        frames.drawn()
    sent = 0
    for seed in range(10):
        pictures.newest = picture(seed)
        sent += frames.next() is not None
    assert sent == IN_FLIGHT


def test_a_tail_gives_each_reader_what_is_kept() -> None:
    tail = Tail(limit=10)
    tail.write(b"0123456789")
    tail.write(b"ab" * 20)
    assert tail.since(0) == (50, b"ab" * 5)
    assert tail.since(48) == (50, b"ab")
    assert tail.since(50) == (50, b"")
