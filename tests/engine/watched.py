"""Watchpoints in the lab's space."""

from __future__ import annotations

from engine_lab import Lab

from bt.interp.state import WP_READ, WP_WRITE

ANY = WP_READ | WP_WRITE


def watch(lab: Lab, *ranges: tuple[int, int]) -> None:
    lab.engine.set_watchpoints([(first, last, ANY) for first, last in ranges], [lab.space])
