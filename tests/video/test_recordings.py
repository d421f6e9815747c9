"""Recordings of the screen: what is in them, that they repeat, and what is wrong."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from patience import PATIENCE
from PIL import Image, ImageSequence
from vga_modes import MODE_13, TEXT_80x25
from video_lab import MODES, load, machine_with, setting

from monitor import Machine
from monitor.recording.canvas import fitted
from monitor.recording.gif import MOST, Gif
from monitor.vmm.errors import UserError

pytestmark = pytest.mark.slow  # each runs tens of millions of instructions

#: Three colours, 100 ms of the guest's time each, and another mode for as long.
STEP = "mov ecx, 20000000\n{0}: loop {0}\n"
SHOW = (
    setting(MODE_13)
    + "mov dx, 0x3c8; mov al, 1; out dx, al; inc dx; mov ecx, 9\n"
    + "colour: mov al, cl; shl al, 2; out dx, al; loop colour\n"
    + "".join(f"mov byte ptr [0xa0000], {i}\n" + STEP.format(f"wait{i}") for i in (1, 2, 3))
    + setting(TEXT_80x25) + STEP.format("last") + "hlt\n"
)  # fmt: skip


def recorded(mode: str, path: Path | str) -> Machine:
    machine = machine_with(mode)
    load(machine, SHOW)
    with machine.record(path):
        assert machine.run(timeout=PATIENCE).kind == "stuck"
    return machine


@pytest.mark.parametrize("mode", MODES)
def test_a_gif_shows_what_was_seen_for_as_long(mode: str, tmp_path: Path) -> None:
    file = tmp_path / "show.gif"
    machine = recorded(mode, file)
    with Image.open(file) as gif:
        assert gif.size == (720, 400)
        frames = [(np.asarray(each.convert("RGB")), each.info["duration"])
                  for each in ImageSequence.Iterator(gif)]  # fmt: skip
    total = sum(duration for _, duration in frames)
    assert abs(total - machine.clock.now() // 1_000_000) <= 80
    assert 4 <= len(frames) <= 8
    corners = [tuple(int(each) for each in frame[0, 0]) for frame, _ in frames]
    scaled = [tuple((c << 2 | c >> 4) for c in each)
              for each in ((36, 32, 28), (24, 20, 16), (12, 8, 4))]  # fmt: skip
    assert [each for each in corners if each in scaled] == scaled
    assert not list(tmp_path.glob(".*")), "no draft is left"


def test_modes_and_runs_record_the_same_bytes(tmp_path: Path) -> None:
    for name in ("bare", "again", "translate"):
        recorded("bare" if name == "again" else name, tmp_path / f"{name}.gif")
    data = {path.read_bytes() for path in tmp_path.iterdir()}
    assert len(data) == 1


def test_recording_changes_nothing(tmp_path: Path) -> None:
    alone = machine_with("bare")
    load(alone, SHOW)
    alone.run(timeout=PATIENCE)
    machine = recorded("bare", f"{tmp_path}/")
    assert machine.instructions == alone.instructions
    assert machine.registers == alone.registers
    assert machine.board.snapshot() == alone.board.snapshot()


def test_a_folder_of_pictures(tmp_path: Path) -> None:
    folder = tmp_path / "all"
    machine = recorded("bare", f"{folder}/")
    lines = (folder / "times.csv").read_text().splitlines()
    assert lines[0] == "file,milliseconds"
    rows = [line.split(",") for line in lines[1:]]
    assert {name for name, _ in rows} | {"times.csv"} == {path.name for path in folder.iterdir()}
    at = 0
    for name, milliseconds in rows:
        assert name == f"{at // 40:06}.png"
        at += int(milliseconds)
    assert abs(at - machine.clock.now() // 1_000_000) <= 80
    with Image.open(folder / rows[-1][0]) as last:
        assert last.size == (720, 400)


# imageio-ffmpeg leaves its pipes to the collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_film_repeats(tmp_path: Path) -> None:
    pytest.importorskip("imageio_ffmpeg", reason="imageio-ffmpeg is not installed (extra film)")
    import imageio_ffmpeg

    for name in ("a.mp4", "b.mp4"):
        machine = recorded("bare", tmp_path / name)
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()
    frames = imageio_ffmpeg.read_frames(str(tmp_path / "a.mp4"), pix_fmt="rgb24")
    about = next(frames)
    assert (about["size"], about["fps"]) == ((1024, 768), 25.0)
    count = sum(1 for _ in frames)
    assert abs(count * 40 - machine.clock.now() // 1_000_000) <= 80
    assert {path.name for path in tmp_path.iterdir()} == {"a.mp4", "b.mp4"}


def test_pictures_on_a_canvas() -> None:
    small = np.full((2, 3, 3), 7, np.uint8)
    big = fitted(small, 10, 5)
    assert big.shape == (5, 10, 3) and (big[:4, 2:8] == 7).all() and big.sum() == 4 * 6 * 3 * 7
    assert fitted(big, 5, 5).shape == (5, 5, 3) and fitted(small, 3, 2) is small


def test_a_picture_for_very_long_and_one_of_many_colours(tmp_path: Path) -> None:
    gif = Gif(tmp_path / "long.gif")
    gif.open()
    dice = np.random.default_rng(4)
    many = dice.integers(0, 256, (64, 64, 3), np.uint8)
    gif.show(many, 2 * MOST + 5)
    gif.show(many.copy(), 1)
    gif.close()
    with Image.open(tmp_path / "long.gif") as seen:
        times = [each.info["duration"] for each in ImageSequence.Iterator(seen)]
    assert sum(times) == (2 * MOST + 6) * 40


@pytest.mark.parametrize(("name", "message"), [
    ("show.avi", "no recording has such a name: take FILE.gif, FILE.mp4 or FOLDER/"),
    ("show", "no recording has such a name"),
    ("no/show.gif", "cannot write the recording {}/no/show.gif: No such file or directory"),
    ("no/show/", "cannot write the recording {}/no/show: No such file or directory"),
])  # fmt: skip
def test_names_that_are_none(name: str, message: str, tmp_path: Path) -> None:
    machine = machine_with("bare")
    with pytest.raises(UserError) as caught, machine.record(f"{tmp_path}/{name}"):
        pass
    assert message.format(tmp_path) in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_packages_that_are_missing_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = machine_with("bare")
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    with pytest.raises(UserError, match="needs the package imageio-ffmpeg: pip install"):
        machine.record("x.mp4")
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(UserError, match="needs the package Pillow: pip install"):
        machine.record("x.gif")
    with pytest.raises(UserError, match="no screen"):
        Machine(memory_mb=4).record("x.gif")
