"""The read-only memories of a YMF262, worked out, and the tables of its manual.

The chip multiplies nothing. A wave is kept as its logarithm (256ths of a factor of 2), to which the
attenuation is added; a second table goes back. Both are what their formulas give, rounded; see
"OPLx decapsulated" (Gambrell and Niemitalo, 2008), where they were read off the chip.

    LOG[waveform, phase of 10 bits]   and LINEAR[that + attenuation << 3], 13 bits with sign

>>> int(LINEAR[LOG[0, 256]]), int(LINEAR[LOG[0, 768]]), int(LINEAR[LOG[1, 768]])
(4084, -4084, 0)
>>> int(LINEAR[LOG[0, 256] + (32 << 3)])       # 32 steps of 0.1875 dB: a factor of 2
2042
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]

SILENT = 511  # the most attenuation, in steps of 0.1875 dB
NEGATIVE = 1 << 13  # added to a logarithm: the wave is below zero there
NOTHING = 1 << 12  # the logarithm of zero, nearly

#: Twice the factor of a frequency (MULT).
MULTIPLE = (1, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 20, 24, 24, 30, 30)
#: Attenuation at the highest block by the upper four bits of F-NUMBER, in steps of 0.75 dB.
KEY_SCALE = (0, 32, 40, 45, 48, 51, 53, 55, 56, 58, 59, 60, 61, 62, 63, 64)
#: KSL: 0, 3, 1.5 and 6 dB an octave, as a shift of the last one.
KEY_SCALE_SHIFT = (9, 1, 2, 0)
#: How much vibrato moves F-NUMBER, by eighths of its period, as a part of its upper three bits.
VIBRATO = ((0, 0), (1, 1), (1, 0), (1, 1), (0, 0), (-1, 1), (-1, 0), (-1, 1))  # sign, shift
TREMOLO_STEPS, TREMOLO_SHIFT, VIBRATO_SHIFT = 210, 6, 10  # samples as powers of 2

#: Steps of an envelope in eight turns, by the lower two bits of its rate: 4 to 7 of them.
TURNS = np.array(
    ((0, 1, 0, 1, 0, 1, 0, 1), (0, 1, 0, 1, 1, 1, 0, 1),
     (0, 1, 1, 1, 0, 1, 1, 1), (0, 1, 1, 1, 1, 1, 1, 1)), np.int64)  # fmt: skip
#: The same of the rates 52 to 55, twice as many.
FAST_TURNS = np.array(
    ((1, 1, 1, 1, 1, 1, 1, 1), (1, 1, 1, 2, 1, 1, 1, 2),
     (1, 2, 1, 2, 1, 2, 1, 2), (1, 2, 2, 2, 1, 2, 2, 2)), np.int64)  # fmt: skip


def _waves() -> Ints:
    """Eight waveforms, manual section "Wave select"."""
    quarter = np.round(-np.log2(np.sin((np.arange(256) + 0.5) * np.pi / 512)) * 256)
    half = np.concatenate((quarter, quarter[::-1])).astype(np.int64)
    nothing = np.full(512, NOTHING)
    double = np.concatenate((half[::2], half[::2]))
    ramp = np.arange(512) << 3
    return np.array(
        [
            np.concatenate((half, half + NEGATIVE)),
            np.concatenate((half, nothing)),
            np.concatenate((half, half)),
            np.tile(np.concatenate((half[:256], nothing[:256])), 2),
            np.concatenate((half[::2], half[::2] + NEGATIVE, nothing)),
            np.concatenate((double, nothing)),
            np.concatenate((np.zeros(512, np.int64), np.full(512, NEGATIVE))),
            np.concatenate((ramp, ramp[::-1] + NEGATIVE)),
        ],
        np.int64,
    )


def _linear() -> Ints:
    index = np.arange(NEGATIVE)
    parts = np.round((2 ** ((255 - np.arange(256)) / 256) - 1) * 1024).astype(np.int64)
    up = (parts[index & 255] + 1024 << 1) >> (index >> 8)
    return np.concatenate((up, -up))


def _tremolo() -> Ints:
    """The deep one, 26 steps of 0.1875 dB: up and down."""
    at = np.arange(TREMOLO_STEPS)
    return np.minimum(at, TREMOLO_STEPS - at) >> 2


LOG = _waves()
LINEAR = _linear()
TREMOLO = _tremolo()
# For what goes sample by sample.
LOG_LISTS: list[list[int]] = LOG.tolist()
LINEAR_LIST: list[int] = LINEAR.tolist()
