"""`vp run --soundcard sb16 --sound wav:FILE`: a guest of ours plays, the same in both modes."""

from __future__ import annotations

import struct
import sys
import types
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from patience import PATIENCE
from test_vp_sound import vp

from bt.assembler import assemble
from devices.sound.samples import RATE
from monitor import Machine
from monitor.checkpoint.rewind import Rewind
from monitor.cli.ports import sources_of
from monitor.host import sound_device
from monitor.host.sound_device import Pulse, SoundDevice
from monitor.host.sound_mix import SoundMix
from monitor.host.wave_file import WaveFile
from monitor.vmm.errors import UserError

PARTS = ("speaker", "sb16")
BUFFER, SINE, FRAMES = 0x40000, 0x110000, 2205  # 44,100 Hz: one buffer of two blocks is 0.1 s
LEFT, RIGHT, LEVEL, FM = 500, 800, 12_000, 439.95
BLOCKS = 8

# Detects the card (reset, version), programs channel 5 and plays 16-bit stereo by auto-init with an
# interrupt a block; the handler counts, and plays an FM note from the second block on. In the end
# what it found goes to the debug exit: 0, or which step failed.
GUEST = """
    lidt [idtr]
    cld
    mov  esi, 0x110000
    mov  edi, 0x40000
    mov  ecx, 17640
    rep movsb
    mov  edi, 0x5000 + 0x35 * 8
    lea  eax, [handler]
    mov  [edi], ax
    mov  word ptr [edi + 2], cs
    mov  word ptr [edi + 4], 0x8e00
    shr  eax, 16
    mov  [edi + 6], ax
    lea  esi, [setup]
    call script
    mov  bl, 1
    mov  dx, 0x226
    mov  al, 1
    out  dx, al
    mov  ecx, 10
hold:
    in   al, 0x80
    loop hold
    xor  eax, eax
    out  dx, al
    mov  dx, 0x22e
    mov  ecx, 2000
ask:
    in   al, dx
    test al, 0x80
    jnz  there
    loop ask
    jmp  end
there:
    mov  dx, 0x22a
    in   al, dx
    cmp  al, 0xaa
    jne  end
    mov  bl, 2
    mov  al, 0xe1
    call dsp
    mov  dx, 0x22a
    in   al, dx
    cmp  al, 4
    jne  end
    in   al, dx
    cmp  al, 5
    jne  end
    lea  esi, [volumes]
    call script
    lea  esi, [channel]
    call script
    mov  al, 0x41
    call dsp
    mov  al, 0xac
    call dsp
    mov  al, 0x44
    call dsp
    mov  al, 0xb6
    call dsp
    mov  al, 0x30
    call dsp
    mov  al, 0x39
    call dsp
    mov  al, 0x11
    call dsp
    sti
wait:
    hlt
    cmp  ebp, 2
    jne  more
    lea  esi, [note]
    call script
more:
    cmp  ebp, 8
    jb   wait
    cli
    mov  al, 0xd5
    call dsp
    lea  esi, [last]
    call script
    mov  bl, 0
end:
    mov  al, bl
    mov  dx, 0xf4
    out  dx, al
    hlt
dsp:
    push eax
    mov  dx, 0x22c
busy:
    in   al, dx
    test al, 0x80
    jnz  busy
    pop  eax
    out  dx, al
    ret
script:
    movzx edx, word ptr [esi]
    test edx, edx
    jz   done
    mov  al, [esi + 2]
    out  dx, al
    add  esi, 3
    jmp  script
done:
    ret
handler:
    push eax
    push edx
    mov  dx, 0x224
    mov  al, 0x82
    out  dx, al
    inc  edx
    in   al, dx
    test al, 2
    jz   other
    inc  ebp
    mov  dx, 0x22f
    in   al, dx
other:
    mov  al, 0x20
    out  0x20, al
    pop  edx
    pop  eax
    iretd
"""
SCRIPTS = {
    "setup": [(0x20, 0x11), (0x21, 0x30), (0x21, 4), (0x21, 1), (0x21, 0xDF), (0xA1, 0xFF)],
    "volumes": [pair for register in range(0x30, 0x36)
                for pair in ((0x224, register), (0x225, 0xF8))],
    "channel": [(0xD4, 5), (0xD8, 0), (0xD6, 0x59), (0xC4, 0), (0xC4, 0), (0x8B, 4),
                (0xC6, 8819 & 0xFF), (0xC6, 8819 >> 8), (0xD4, 1)],
    "note": [pair for register, value in (
        (0x20, 0x01), (0x40, 0x3F), (0x60, 0), (0x23, 0x21), (0x43, 0x08), (0x63, 0xF0),
        (0x83, 0x0F),
        (0xC0, 0x30), (0xA0, 0x44), (0xB0, 0x32)) for pair in ((0x388, register), (0x389, value))],
    "last": [(0x388, 0xB0), (0x389, 0x12)],
}  # fmt: skip


TABLES = {name: 0x108000 + 0x100 * i for i, name in enumerate((*SCRIPTS, "idtr"))}


def guest() -> bytes:
    """The code, its tables for ports, and what lidt loads."""
    code = GUEST
    memory = bytearray(SINE - 0x100000)
    data = {
        name: b"".join(bytes((port & 0xFF, port >> 8, value)) for port, value in pairs) + bytes(2)
        for name, pairs in SCRIPTS.items()
    }
    data["idtr"] = struct.pack("<HI", 0x7FF, 0x5000)
    for name, address in TABLES.items():
        code = code.replace(f"[{name}]", f"[{address:#x}]")
        memory[address - 0x100000 : address - 0x100000 + len(data[name])] = data[name]
    text = assemble(code, 0x100000)
    memory[: len(text)] = text
    return bytes(memory)


def sine() -> bytes:
    at = np.arange(2 * FRAMES) * 2 * np.pi / RATE
    both = np.stack((np.sin(at * LEFT), np.sin(at * RIGHT)), axis=1) * LEVEL
    return np.round(both).astype("<i2").tobytes()


def image() -> bytes:
    return guest() + sine()


def read(path: Path) -> Any:
    with wave.open(str(path)) as file:
        assert file.getparams()[:3] == (2, 2, RATE)
        return np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, 2).astype(int)


def level_of(sound: Any, hertz: float) -> float:
    """The amplitude of one frequency."""
    at = np.arange(len(sound)) * 2j * np.pi * hertz / RATE
    window = np.hanning(len(sound))
    return float(2 * np.abs((sound * window * np.exp(-at)).sum()) / window.sum())


def check(sound: Any) -> None:
    """Two pitches from the first block on, and a third one on both sides from the third."""
    begin = int(np.flatnonzero(sound[:, 0])[0])
    block = FRAMES
    before, after = (
        sound[begin : begin + 2 * block],
        sound[begin + 2 * block + 500 : begin + 7 * block],
    )
    for part in (before, after):
        for side, own, other in ((0, LEFT, RIGHT), (1, RIGHT, LEFT)):
            assert level_of(part[:, side], own) == pytest.approx(LEVEL, rel=0.02)
            assert level_of(part[:, side], other) < LEVEL * 0.02
    fm = 4084 * 2 * 10 ** (-6 / 20)
    for side in (0, 1):
        assert level_of(after[:, side], FM) == pytest.approx(fm, rel=0.03)
        assert level_of(before[:, side], FM) < 100
    assert len(sound) - begin == pytest.approx(BLOCKS * block, abs=300)


def test_a_guest_finds_the_card_and_plays(tmp_path: Path) -> None:
    file = tmp_path / "guest"
    file.write_bytes(image())
    sounds = []
    for mode in ("bare", "translate", "translate"):
        wav = tmp_path / f"{mode}.wav"
        done = vp("run", "--flat", f"{file}@0x100000", "--mode", mode, "--serial", "null",
                  "--quiet", "--soundcard", "sb16", "--sound", f"wav:{wav}")  # fmt: skip
        assert (done.returncode, done.stderr) == (0, b"")
        sounds.append(wav.read_bytes())
    assert sounds[0] == sounds[1] == sounds[2]
    check(read(wav))


def test_without_a_card_there_is_none(tmp_path: Path) -> None:
    file = tmp_path / "guest"
    file.write_bytes(image())
    done = vp("run", "--flat", f"{file}@0x100000", "--serial", "null", "--quiet", "--sound", "none")
    assert done.returncode == 3, done.stderr


def made(mode: str) -> Machine:
    machine = Machine(memory_mb=2, mode=mode, parts=PARTS)
    machine.load_flat(image(), 0x100000, esp=0x90000)
    return machine


def heard(machine: Machine, path: Path, life: Any) -> Any:
    mix = SoundMix(sources_of(machine))
    with WaveFile(path, mix, RATE, mix.channels), mix:
        life(machine)
    return read(path)


def until(machine: Machine, ms: int) -> None:
    """Not much longer than so far."""
    while machine.clock.now() < ms * 1_000_000:
        assert machine.run(max_instructions=10).kind == "instructions"


def to_the_end(machine: Machine) -> None:
    outcome = machine.run(timeout=PATIENCE)
    assert (outcome.kind, outcome.status) == ("exit", 1)


@pytest.mark.parametrize("mode", ["bare", "translate"])
def test_going_back_is_not_heard(mode: str, tmp_path: Path) -> None:
    def there_and_back(machine: Machine) -> None:
        rewind = Rewind(machine)
        until(machine, 230)
        rewind._take(exact=False)
        until(machine, 260)
        count = machine.instructions
        until(machine, 330)
        rewind._to_count(count)
        to_the_end(machine)

    once = heard(made(mode), tmp_path / "a.wav", to_the_end)
    again = heard(made(mode), tmp_path / "b.wav", there_and_back)
    assert once.shape == again.shape and (once == again).all()


@pytest.mark.parametrize("mode", ["bare", "translate"])
def test_a_checkpoint_in_the_middle_of_a_block_and_a_note(mode: str, tmp_path: Path) -> None:
    whole = heard(made(mode), tmp_path / "whole.wav", to_the_end)

    def half(machine: Machine) -> None:
        until(machine, 230)

    machine = made(mode)
    first = heard(machine, tmp_path / "first.wav", half)
    assert machine.devices["sb16"].player.runs and not machine.devices["sb16"].fm.silent
    saved = machine.snapshot()
    other = "bare" if mode == "translate" else "translate"
    again = Machine.restore(saved, mode=other)
    second = heard(again, tmp_path / "second.wav", to_the_end)
    joined = np.concatenate((first[: len(whole) - len(second)], second))
    assert len(second) > 0.1 * RATE
    assert len(joined) == len(whole) and (joined != whole).any(axis=1).sum() < 100
    check(whole)


# --- the host's device ----------------------------------------------------------------------------


class Fake(types.ModuleType):
    """As much of sounddevice as there is need for."""

    class PortAudioError(Exception):
        """No device."""

    device = True

    def __init__(self) -> None:
        super().__init__("sounddevice")
        self.streams: list[Any] = []

    def OutputStream(self, **options: Any) -> Any:
        if not self.device:
            raise self.PortAudioError("Error querying device -1")
        stream = types.SimpleNamespace(
            **options, start=lambda: None, close=lambda: None, closed=False
        )
        self.streams.append(stream)
        return stream


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Fake:
    found = Fake()
    monkeypatch.setitem(sys.modules, "sounddevice", found)
    return found


def test_the_host_hears_the_same(
    fake: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sound_device, "AHEAD", 1 << 30)  # nobody takes it, nobody waits
    machine = made("translate")
    mix = SoundMix(sources_of(machine))
    out = np.zeros((3 * RATE, 2), np.int16)
    with SoundDevice(mix), mix:
        Pulse(machine.board.bus, mix)
        to_the_end(machine)
        mix.render()
        fake.streams[0].callback(out[: RATE // 8], RATE // 8, None, None)
        fake.streams[0].callback(out[RATE // 8 :], len(out) - RATE // 8, None, None)
    once = heard(made("bare"), tmp_path / "a.wav", to_the_end)
    begin, first = (int(np.flatnonzero(each[:, 0])[0]) for each in (out, once))
    length = len(once) - first - 600
    assert (out[begin : begin + length] == once[first : first + length]).all()


def test_no_package_no_library_and_no_device(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused() -> str:
        machine = Machine(memory_mb=2, parts=PARTS)
        with pytest.raises(UserError) as error, SoundDevice(SoundMix(sources_of(machine))):
            pass
        return str(error.value)

    fake.device = False
    assert refused() == (
        "--sound host: there is no sound device to play on (Error querying device -1); give a "
        "file, as --sound wav:FILE"
    )
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    assert refused() == (
        "--sound host needs the package sounddevice: pip install 'virtual-platform[sound]', or "
        "give a file, as --sound wav:FILE"
    )


def test_who_is_too_fast_waits_and_who_goes_back_is_not_heard(fake: Fake) -> None:
    source = types.SimpleNamespace(samples=0, on_samples=None, render=lambda: None)
    with SoundDevice(source) as device:
        device.write(0, np.full(1000, 7, np.int16))
        device.write(500, np.full(1000, 9, np.int16))
        out = np.zeros((2000, 2), np.int16)
        fake.streams[0].callback(out, 2000, None, None)
        assert out[:, 0].tolist() == [7] * 1000 + [9] * 500 + [0] * 500
        device.write(RATE, np.full(10, 5, np.int16))
        long = np.zeros((2 * RATE, 2), np.int16)
        fake.streams[0].callback(long, len(long), None, None)
        assert int(np.flatnonzero(long[:, 0])[0]) == sound_device.SILENCE
