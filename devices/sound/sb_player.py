"""What a Sound Blaster plays: blocks of samples by DMA, at their rate, in virtual time.

Manual: Sound Blaster Series Hardware Programming Guide, chapter 3 "Program digitized sound".

Nothing happens at a sample's time. Whenever it matters where the card is (a block ends, somebody
reads the DMA controller or writes a command; a hundredth of a second has passed), what has become
due is fetched and played at once, so that guests which look at the DMA controller's count see it
move. A block ends with an interrupt; the next one begins (auto-init), or the card is quiet.

    begin   block  block   leave   last block       begin   block    with auto-init, and without
            irq    irq             irq                      irq

Where the channel is masked or has no more, the card starves, and goes on when it opens. There is
one player: what begins ends what played before, and recording hears silence.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from devices.bus import Bus
from devices.clock import NS_PER_SECOND
from devices.fields import FLAG, MOMENT, PART, TIMER, choice, fields, number, optional
from devices.i8237 import DmaLine
from devices.sound.sb_formats import (
    FORMS,
    PACKED,
    QUIET,
    SILENCE,
    WIDE,
    Adpcm,
    both_sides,
    frames_of,
)
from devices.sound.track import LOUDEST, LOWEST, Fraction, Frames, Source, Track

UNIT = 1 << 16  # of a volume
LONGEST_BLOCK = 1 << 16
AT_ONCE = 100  # parts of a second that are fetched at once
LATE = 8  # a clock that was held up for longer than this part of a second is forgiven
ROUNDS = 32  # a channel's buffers in one go; smaller ones are repeated
DIRECT_NS = 100_000_000  # for how long a level stays that is written by hand
FASTEST = 1_000_000
MOST = 1 << 62


class Player(Source):
    """One of a card. `line` is the channel for 8 or 16 bits now; `ended` is told of a block."""

    name = "sb-player"
    state = fields(
        form=choice(FORMS),
        stereo=FLAG,
        records=FLAG,
        auto=FLAG,
        leaves=FLAG,
        runs=FLAG,
        paused=FLAG,
        starved=FLAG,
        length=number(1, LONGEST_BLOCK),
        left=number(0, LONGEST_BLOCK),
        numerator=number(1, FASTEST),
        denominator=number(1, FASTEST),
        origin=MOMENT,
        done=number(0, MOST),
        level=number(LOWEST, LOUDEST),
        level_at=optional(MOMENT),
        adpcm=PART,
        track=PART,
        timer=TIMER,
    )
    wiring = ("_clock", "_line", "_ended", "volume")

    def __init__(
        self, bus: Bus, line: Callable[[bool], DmaLine | None], ended: Callable[[bool], None]
    ) -> None:
        self._clock = bus.clock
        self._line = line
        self._ended = ended
        #: Left and right, in parts of UNIT.
        self.volume = (UNIT, UNIT)
        self.timer = bus.timer(self._due)
        self.adpcm = Adpcm()
        self.track = Track()
        self.form, self.runs = SILENCE, False
        self.level_at: int | None = None
        self.reset()

    def reset(self) -> None:
        """Quiet."""
        self.stop()
        self.form = SILENCE
        self.stereo = self.records = self.auto = False
        self.length, self.left = 1, 0
        self.numerator, self.denominator = 22050, 1
        self.origin = self.done = 0
        self.level, self.level_at = 0, None
        self.adpcm.reset()

    def coming_irqs(self, input_open: bool) -> Iterator[int]:
        """None of its own: the card knows its line."""
        return iter(())

    # --- what it is told ----------------------------------------------------------------

    @property
    def wide(self) -> bool:
        """Does it play 16 bits?"""
        return self.form in WIDE

    def begin(
        self, form: str, rate: Fraction, length: int, *, stereo: bool = False, auto: bool = False,
        records: bool = False, reference: bool | None = None,
    ) -> None:  # fmt: skip
        """Blocks of so many bytes (words, of 16 bits; samples, of silence), or one."""
        self.stop()
        self.form, self.stereo, self.auto, self.records = form, stereo, auto, records
        self.numerator, self.denominator = rate
        self.length = self.left = length
        if form in PACKED:
            self.adpcm.begin(bool(reference))
        self.runs = True
        self.request()
        self._go()

    def stop(self) -> None:
        """At once, in the middle of a block."""
        self.sync()
        self.runs = self.paused = self.starved = self.leaves = False
        self.request()
        self.timer.cancel()

    def pause(self) -> None:
        """Until `go_on`."""
        self.sync()
        if self.runs and not self.paused:
            self.paused = True
            self.request()
            self.timer.cancel()

    def go_on(self) -> None:
        """After a pause."""
        if self.runs and self.paused:
            self.paused = False
            self.request()
            self._go()

    def leave(self, leaves: bool) -> None:
        """Blocks end after this one, or do not."""
        self.leaves = leaves

    def set_rate(self, rate: Fraction) -> None:
        """From now on."""
        self.sync()
        if rate == (self.numerator, self.denominator):
            return
        plays = self.runs and not self.paused and not self.starved
        self.numerator, self.denominator = rate
        if plays:
            self._go()

    def direct(self, level: int) -> None:
        """A level written by hand; it stays until the next one, or not for long."""
        self.render()
        self.level, self.level_at = level, self._clock.now()

    def ready(self) -> None:
        """A channel was opened."""
        if self.runs and self.starved and not self.paused:
            self.starved = False
            self._go()

    # --- time ---------------------------------------------------------------------------

    def _go(self) -> None:
        """Play from now on."""
        line = self._line(self.wide)
        self.starved = self.form != SILENCE and (line is None or not line.ready)
        self.render()
        self.level_at = None
        self.origin, self.done = self._clock.now(), 0
        if self.starved:
            self.timer.cancel()
        else:
            self._set_timer()

    def _moment_of(self, tick: int) -> int:
        """Of the end of so many turns since `origin`."""
        return self.origin + -(-tick * self._ticks_den() * NS_PER_SECOND // self.numerator)

    def _ticks_den(self) -> int:
        return self.denominator * len(PACKED.get(self.form, (0,)))

    def _per_tick(self) -> int:
        """Bytes or words of a block that a turn takes: a frame, or a byte of several samples."""
        return 2 if self.stereo and self.form not in PACKED else 1

    def _ticks_left(self) -> int:
        return -(-self.left // self._per_tick())

    def _set_timer(self) -> None:
        chunk = max(1, self.numerator // (self._ticks_den() * AT_ONCE))
        when = self._moment_of(self.done + min(self._ticks_left(), chunk))
        self.timer.set(max(self._clock.now() + 1, when))

    def _due(self) -> None:
        self.sync()
        if self.runs and not self.paused and not self.starved:
            self._set_timer()

    def sync(self) -> None:
        """Play what has become due, up to the end of the block."""
        if not self.runs or self.paused or self.starved:
            return
        now, den = self._clock.now(), self._ticks_den()
        elapsed = (now - self.origin) * self.numerator // (den * NS_PER_SECOND) - self.done
        most = max(1, self.numerator // (den * LATE))
        ticks = min(elapsed, self._ticks_left(), most)
        if ticks > 0:
            self._play(ticks)
        if elapsed > most:
            self.origin, self.done = now, 0
        if self.left == 0:
            self._end_block()

    def _end_block(self) -> None:
        self.left = self.length
        if not self.auto or self.leaves:
            self.runs = self.leaves = self.starved = False
            self.request()
            self.timer.cancel()
        self._ended(self.wide)

    # --- samples ------------------------------------------------------------------------

    def render(self) -> None:
        """Everything up to now, but for what is only played when it is due as a whole."""
        if self.runs and not self.paused and not self.starved and self.timer.live:
            return
        now = self._clock.now()
        if self.level_at is not None:
            until = min(now, self.level_at + DIRECT_NS)
            left, right = (self._loud(self.level * side // UNIT) for side in self.volume)
            self.track.hold(left, right, until)
        self.track.silence(now)

    @staticmethod
    def _loud(level: int) -> int:
        return max(LOWEST, min(LOUDEST, level))

    def _play(self, ticks: int) -> None:
        units = min(self.left, ticks * self._per_tick())
        first = self.done * len(PACKED.get(self.form, (0,)))
        if self.form == SILENCE:
            self.track.silence(self._moment_of(self.done + ticks))
        else:
            size = units * (2 if self.wide else 1)
            data = self._transfer(size)
            if len(data) < size:
                self.starved = True
                self.timer.cancel()
                units = len(data) // (2 if self.wide else 1)
            if not self.records:
                self._sound(first, data)
        self.left -= units
        self.done += ticks

    def _sound(self, first: int, data: bytes) -> None:
        if self.form in PACKED:
            levels = np.array(self.adpcm.decode(self.form, data), np.int64)
            frames: Frames = both_sides(levels - 0x80 << 8, False)
        else:
            frames = frames_of(self.form, self.stereo, data)
        loud = np.clip(frames * np.array(self.volume) // UNIT, LOWEST, LOUDEST)
        rate = (self.numerator, self.denominator)
        self.track.play(loud, first, self.origin, rate)

    def _transfer(self, size: int) -> bytes:
        """From memory, or silence to it; fewer bytes if there are no more."""
        line = self._line(self.wide)
        if line is None:
            return b""
        found = b""
        for _ in range(ROUNDS):
            wanted = size - len(found)
            if not wanted:
                break
            if self.records:
                quiet = QUIET.get(self.form, b"\x80")
                moved, _tc = line.store(quiet * (wanted // len(quiet)))
                more = bytes(moved)
            else:
                more, _tc = line.fetch(wanted)
            if not more:
                break
            found += more
        else:
            found = (found * -(-size // len(found)))[:size]
        return found

    def request(self) -> None:
        """Drive the channels' DREQ as it now is."""
        level = self.runs and not self.paused
        for wide in (False, True):
            line = self._line(wide)
            if line is not None:
                line.request(level and wide == self.wide and self.form != SILENCE)
