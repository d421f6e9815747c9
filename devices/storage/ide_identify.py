"""What IDENTIFY DEVICE and IDENTIFY PACKET DEVICE say, word by word.

Manual: ATA/ATAPI-6 (T13/1410D), 8.15 and 8.16.

>>> [hex(word) for word in text_words("VP1", 2)]
['0x5650', '0x3120']
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

MULTIWORD, ULTRA = range(0x20, 0x23), range(0x40, 0x43)
DISK_MODEL, CDROM_MODEL, FIRMWARE = "VIRTUAL PLATFORM DISK", "VIRTUAL PLATFORM CD-ROM", "1.0"
NS_120 = 120  # a cycle of PIO mode 4 and multiword DMA mode 2
MOST_28 = (1 << 28) - 1


def disk(
    sectors: int, geometry: tuple[int, int, int], current: tuple[int, int], multiple: int, mode: int
) -> bytes:
    """A disk of so many sectors; `geometry` is cylinders, heads and sectors a track.

    `current` are heads and sectors a track that INITIALIZE DEVICE PARAMETERS has set, `multiple`
    the sectors of a block that SET MULTIPLE has.
    """
    cylinders, heads, track = geometry
    now_heads, now_track = current
    now_cylinders = min(sectors // (now_heads * now_track), 0xFFFF) if now_track else 0
    now_size = now_cylinders * now_heads * now_track
    return _block({
        0: 0x0040,  # fixed
        1: cylinders, 3: heads, 6: track,
        10: text_words("VP0001", 10), 23: text_words(FIRMWARE, 4), 27: text_words(DISK_MODEL, 20),
        47: 0x8000 | 16,
        49: 0x0F00,  # DMA, LBA, IORDY
        50: 0x4000, 51: 0x0200,
        53: 0x0007,  # words 54 to 58, 64 to 70 and 88 hold
        54: now_cylinders, 55: now_heads, 56: now_track, 57: _words(now_size, 2),
        59: 0x0100 | multiple,
        60: _words(min(sectors, MOST_28), 2),
        **_modes(mode),
        80: 0x007E,  # ATA-1 to ATA/ATAPI-6
        82: [0x0028, 0x7400, 0x4000],  # power management, write cache; FLUSH, 48-bit addresses
        85: [0x0028, 0x3400, 0x4000],
        100: _words(sectors, 4),
    })  # fmt: skip


def cdrom(mode: int) -> bytes:
    """A CD-ROM drive: packets of 12 bytes, DRQ within 50 us."""
    return _block({
        0: 0x85C0,
        10: text_words("VP0002", 10), 23: text_words(FIRMWARE, 4), 27: text_words(CDROM_MODEL, 20),
        49: 0x0F00,
        53: 0x0006,
        **_modes(mode),
        80: 0x007E,
        82: [0x0210, 0x4000, 0x4000],  # DEVICE RESET, packets
        85: [0x0210, 0x0000, 0x4000],
    })  # fmt: skip


def _modes(mode: int) -> dict[int, int | Sequence[int]]:
    """Transfer modes that there are, and in a high byte the one that is set."""
    multiword = 0x100 << (mode & 7) if mode in MULTIWORD else 0
    ultra = 0x100 << (mode & 7) if mode in ULTRA else 0
    return {63: 0x07 | multiword, 64: 0x03, 65: [NS_120] * 4, 88: 0x07 | ultra}


def _words(value: int, count: int) -> list[int]:
    return [value >> 16 * i & 0xFFFF for i in range(count)]


def text_words(text: str, words: int) -> list[int]:
    """A text padded, two characters a word, the first one high."""
    padded = text.ljust(2 * words)[: 2 * words].encode("ascii", "replace")
    return [padded[i] << 8 | padded[i + 1] for i in range(0, 2 * words, 2)]


def _block(words: Mapping[int, int | Sequence[int]]) -> bytes:
    """256 words, from numbers and lists of them by the first word's number."""
    block = [0] * 256
    for first, value in words.items():
        for i, word in enumerate([value] if isinstance(value, int) else value):
            block[first + i] = word
    return b"".join(word.to_bytes(2, "little") for word in block)
