"""The commands of a Sound Blaster 16's DSP 4.05: numbers, and how many bytes follow.

Manual: Sound Blaster Series Hardware Programming Guide, chapter 6 "DSP commands".
"""

from __future__ import annotations

from dataclasses import dataclass

from devices.sound.sb_formats import ADPCM2, ADPCM4, ADPCM26, PCM8

DIRECT_OUT, DIRECT_IN = 0x10, 0x20
MIDI_OUT, UART_FIRST, UART_LAST = 0x38, 0x34, 0x37
TIME_CONSTANT, OUTPUT_RATE, INPUT_RATE = 0x40, 0x41, 0x42
CONTINUE_AUTO_8, CONTINUE_AUTO_16, BLOCK_SIZE = 0x45, 0x47, 0x48
SILENCE_BLOCK = 0x80
PAUSE_8, SPEAKER_ON, SPEAKER_OFF, CONTINUE_8 = 0xD0, 0xD1, 0xD3, 0xD4
PAUSE_16, CONTINUE_16, SPEAKER_STATUS, EXIT_AUTO_16, EXIT_AUTO_8 = 0xD5, 0xD6, 0xD8, 0xD9, 0xDA
IDENTIFY, VERSION, IDENTIFY_DMA, COPYRIGHT, WRITE_TEST, READ_TEST = (
    0xE0, 0xE1, 0xE2, 0xE3, 0xE4, 0xE8)  # fmt: skip
IRQ_8, IRQ_16, UNDOCUMENTED_0 = 0xF2, 0xF3, 0xF8


@dataclass(frozen=True)
class Transfer:
    """A command that plays or records by DMA."""

    form: str = PCM8
    auto: bool = False
    records: bool = False
    reference: bool = False
    sized: bool = True  # its block's size follows; else it is that of command 48h


TRANSFERS = {
    0x14: Transfer(),
    0x15: Transfer(),
    0x16: Transfer(ADPCM2),
    0x17: Transfer(ADPCM2, reference=True),
    0x1C: Transfer(auto=True, sized=False),
    0x1F: Transfer(ADPCM2, auto=True, reference=True, sized=False),
    0x24: Transfer(records=True),
    0x2C: Transfer(auto=True, records=True, sized=False),
    0x74: Transfer(ADPCM4),
    0x75: Transfer(ADPCM4, reference=True),
    0x76: Transfer(ADPCM26),
    0x77: Transfer(ADPCM26, reference=True),
    0x7D: Transfer(ADPCM4, auto=True, reference=True, sized=False),
    0x7F: Transfer(ADPCM26, auto=True, reference=True, sized=False),
    0x90: Transfer(auto=True, sized=False),  # at high speed, which a DSP 4 needs no mode for
    0x91: Transfer(sized=False),
    0x98: Transfer(auto=True, records=True, sized=False),
    0x99: Transfer(records=True, sized=False),
}

# Bx and Cx: 16 or 8 bits, then a mode, and the size.
GENERIC_FIRST, GENERIC_LAST, GENERIC_8 = 0xB0, 0xCF, 0x40
GENERIC_AUTO, GENERIC_RECORDS = 0x04, 0x08
MODE_SIGNED, MODE_STEREO = 0x10, 0x20

#: Bytes behind a command. All others have none.
PARAMETERS = {
    **{command: 2 for command, transfer in TRANSFERS.items() if transfer.sized},
    **dict.fromkeys(range(GENERIC_FIRST, GENERIC_LAST + 1), 3),
    DIRECT_OUT: 1,
    MIDI_OUT: 1,
    TIME_CONSTANT: 1,
    OUTPUT_RATE: 2,
    INPUT_RATE: 2,
    BLOCK_SIZE: 2,
    SILENCE_BLOCK: 2,
    IDENTIFY: 1,
    IDENTIFY_DMA: 1,
    WRITE_TEST: 1,
    # The signal processor of some cards, which this one has not: it hears nothing.
    0x04: 1, 0x05: 2, 0x0E: 2, 0x0F: 1, 0xF9: 1,
}  # fmt: skip
