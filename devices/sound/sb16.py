"""Creative Sound Blaster 16: DSP 4.05, mixer CT1745, OPL3 and MPU-401 on one card.

Manual: Sound Blaster Series Hardware Programming Guide, appendix "I/O address map".

    220-223  OPL3 (as 388-38B)        226  DSP reset        22C  DSP command, and its status
    224 225  mixer address, data      22A  DSP data         22E  is there an answer; 8-bit interrupt
    228 229  OPL2 (as 388 389)                              22F  16-bit interrupt
    330 331  MPU-401

It is heard on two tracks, what it plays and its FM, each with the mixer's volume (track.py).
"""

from __future__ import annotations

from collections.abc import Iterator

from devices.bus import Bus
from devices.device import Chip, PortHandlers
from devices.fields import PART, fields
from devices.i8237 import DmaLine, I8237Pair
from devices.sound.ct1745 import EIGHT, HIGH_DMA, LOW_DMA, MIDI, MPU, SIXTEEN, VOICE, Ct1745
from devices.sound.mpu401 import Mpu401
from devices.sound.sb_dsp import SbDsp
from devices.sound.sb_player import Player
from devices.sound.ymf262 import Ymf262

BASE, ADLIB, MIDI_PORT = 0x220, 0x388, 0x330
FM_SECOND, MIXER_ADDRESS, MIXER_DATA, RESET, FM_OLD, DATA, COMMAND, STATUS, ACK16 = (
    0x3, 0x4, 0x5, 0x6, 0x8, 0xA, 0xC, 0xE, 0xF)  # fmt: skip


class SoundBlaster16(Chip):
    """The card."""

    name = "sb16"
    state = fields(mixer=PART, player=PART, dsp=PART, fm=PART, mpu=PART)
    wiring = ("_lines",)

    def __init__(self, bus: Bus, dma: I8237Pair) -> None:
        self._lines: dict[int, DmaLine] = {}
        self.mixer = Ct1745(bus)
        self.player = Player(bus, self._line, self._block_ended)
        self._lines = {n: dma.line(n, self.player.ready) for n in (*LOW_DMA, *HIGH_DMA)}
        self.fm = Ymf262(bus)
        self.mpu = Mpu401(lambda level: self.mixer.interrupt(MPU, level))
        self.dsp = SbDsp(bus, self.mixer, self.player, self._line)
        self.mixer.before_change = self._before_change
        self.mixer.changed = self._mixer_changed
        dma.before_access = self.player.sync
        self._set_volumes()
        bus.claim_ports(BASE, 16, self)
        bus.claim_ports(ADLIB, 4, PortHandlers("ymf262", self._read_fm, self._write_fm))
        bus.claim_ports(MIDI_PORT, 2, self.mpu)

    def reset(self) -> None:
        """The bus's RESET."""
        self.player.reset()
        self.dsp.reset()
        self.fm.reset()
        self.mpu.reset()
        self.mixer.reset()

    def coming_irqs(self, input_open: bool) -> Iterator[int]:
        """Its line, while something plays."""
        irq = self.mixer.irq()
        if irq is not None and self.player.timer.live:
            yield irq

    def restored(self) -> None:
        self._set_volumes()

    # --- between the parts --------------------------------------------------------------

    def _line(self, wide: bool) -> DmaLine | None:
        channel = self.mixer.dma(wide)
        return None if channel is None else self._lines.get(channel)

    def _block_ended(self, wide: bool) -> None:
        self.mixer.interrupt(SIXTEEN if wide else EIGHT)

    def _before_change(self) -> None:
        """The mixer is about to change: what was until now sounds as it did."""
        self.player.sync()
        self.player.render()
        self.fm.render()

    def _mixer_changed(self) -> None:
        self._set_volumes()
        for line in self._lines.values():
            line.request(False)
        self.player.request()

    def _set_volumes(self) -> None:
        self.player.volume = self.mixer.volume(VOICE)
        self.fm.volume = self.mixer.volume(MIDI)

    # --- ports --------------------------------------------------------------------------

    def _read_fm(self, offset: int, size: int) -> int:
        return 0xFF if offset & 1 else self.fm.status()

    def _write_fm(self, offset: int, size: int, value: int) -> None:
        if offset & 1:
            self.fm.write(value)
        else:
            self.fm.select(offset >> 1, value)

    def read_port(self, offset: int, size: int) -> int:
        if offset <= FM_SECOND or offset & ~1 == FM_OLD:
            return self._read_fm(offset & 3, size)
        if offset == MIXER_ADDRESS:
            return self.mixer.address
        if offset == MIXER_DATA:
            return self.mixer.read()
        if offset == DATA:
            return self.dsp.read_data()
        if offset == COMMAND:
            return self.dsp.write_status()
        if offset == STATUS:
            return self.dsp.read_status()
        return self.dsp.acknowledge_16() if offset == ACK16 else 0xFF

    def write_port(self, offset: int, size: int, value: int) -> None:
        if offset <= FM_SECOND or offset & ~1 == FM_OLD:
            self._write_fm(offset & 3, size, value)
        elif offset == MIXER_ADDRESS:
            self.mixer.address = value
        elif offset == MIXER_DATA:
            self.mixer.write(value)
        elif offset == RESET:
            self.dsp.write_reset(value)
        elif offset == COMMAND:
            self.dsp.write(value)
