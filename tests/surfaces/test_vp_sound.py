"""`vp run --sound wav:FILE`: what the speaker plays, the same bare and translated."""

from __future__ import annotations

import subprocess
import sys
import wave
from pathlib import Path

import numpy as np
import pytest
from patience import PATIENCE

from bt.assembler import assemble
from devices.sound.samples import RATE
from devices.sound.speaker import LOUD
from monitor import Machine
from monitor.checkpoint.rewind import Rewind
from monitor.host.wave_file import WaveFile

# Half a second of silence, then of A (440 Hz), by the refresh bit of port 61h; then the end.
GUEST = """
    call wait
    mov  al, 0xb6
    out  0x43, al
    mov  al, 0x98
    out  0x42, al
    mov  al, 0x0a
    out  0x42, al
    mov  al, 3
    out  0x61, al
    call wait
    xor  eax, eax
    out  0x61, al
    mov  dx, 0xf4
    out  dx, al
wait:
    mov  ecx, 16000
again:
    in   al, 0x61
    and  al, 0x10
    cmp  al, bl
    je   again
    mov  bl, al
    loop again
    ret
"""


def vp(*arguments: object) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "monitor", *map(str, arguments)],
        stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE, check=False,
    )  # fmt: skip


def read(path: Path) -> np.ndarray:
    with wave.open(str(path)) as file:
        assert file.getparams()[:3] == (1, 2, RATE)
        return np.frombuffer(file.readframes(file.getnframes()), "<i2")


def test_a_tone_after_silence(tmp_path: Path) -> None:
    image = tmp_path / "guest"
    image.write_bytes(assemble(GUEST.replace("16000", "2000"), 0x100000))
    sounds = []
    for mode in ("bare", "translate"):
        wav = tmp_path / f"{mode}.wav"
        done = vp("run", "--flat", f"{image}@0x100000", "--mode", mode, "--serial", "null",
                  "--sound", f"wav:{wav}", "--quiet")  # fmt: skip
        assert (done.returncode, done.stderr) == (0, b"")
        sounds.append(read(wav))
    assert (sounds[0] == sounds[1]).all()
    begin = int(np.flatnonzero(sounds[0])[0])
    tone = sounds[0][begin:].astype(float)
    assert begin / RATE == pytest.approx(2000 * 15.085e-6, rel=0.02)
    assert len(tone) / RATE == pytest.approx(2000 * 15.085e-6, rel=0.04)
    assert np.count_nonzero(np.diff((tone > LOUD / 2).astype(int)) == 1) in (12, 13, 14)


def test_what_cannot_be(tmp_path: Path) -> None:
    image = tmp_path / "guest"
    image.write_bytes(b"\xf4")
    for option, message in (
        ("mp3:x", "--sound mp3:x: choose from wav:FILE, host, none"),
        ("wav:/nowhere/x", "cannot write --sound wav:/nowhere/x: No such file or directory"),
    ):
        done = vp("run", "--flat", f"{image}@0x100000", "--sound", option)
        assert (done.returncode, done.stderr.decode()) == (2, f"vp: error: {message}\n")


@pytest.mark.parametrize("mode", ["bare", "translate"])
def test_going_back_is_not_heard(mode: str, tmp_path: Path) -> None:
    def life(back: bool) -> np.ndarray:
        machine = Machine(memory_mb=2, mode=mode, parts=["speaker"])
        source = GUEST.replace("16000", "300")
        machine.load_flat(assemble(source, 0x100000), 0x100000, esp=0x90000)
        rewind = Rewind(machine)
        wav = tmp_path / f"{mode}{back}.wav"
        with WaveFile(wav, machine.devices["speaker"], RATE):
            if back:
                machine.run(max_instructions=9_000)
                rewind._take(exact=False)
                machine.run(max_instructions=1_000)
                rewind._to_count(9_500)
                rewind._to_count(100)
            assert machine.run(timeout=PATIENCE).kind == "exit"
        return read(wav)

    once, again = life(False), life(True)
    assert len(once) > 100 and (once == again).all()
