"""Exit statuses, the report, the statistics file: one row for each way a run can end."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from patience import PATIENCE
from vp_command import Result, last_machine

Play = Callable[..., Result]

ENDINGS = [  # what the guest does, options, exit status, what standard error says last
    ("end poweroff", "", 0, "the guest's end: poweroff"),
    ("end reset", "", 0, "the guest's end: reset"),
    ("end stopped", "", 0, "the guest's end: stopped"),
    ("end instructions", "", 0, "the guest's end: instructions"),
    ("print ready\nspin", "--until ready", 0, "the text was seen"),
    ("end shutdown", "", 1, "the guest's end: shutdown"),
    ("end stuck", "", 1, "the guest's end: stuck"),
    ("spin", "--timeout 0.05", 1, "the time limit was reached"),
    ("end reset", "--until ready", 1, "the guest's end: reset; 'ready' was not seen"),
    ("end instructions", "--until a\\nb", 1, "the guest's end: instructions; 'a\\nb' was not seen"),
    ("end exit 1", "", 0, "the guest wrote 0 to the debug-exit port"),
    ("end exit 1", "--debug-exit", 1, "the guest wrote 0 to the debug-exit port"),
    ("end exit 3", "", 3, "the guest wrote 1 to the debug-exit port"),
    ("end exit 67", "--debug-exit", 67, "the guest wrote 33 to the debug-exit port"),
    ("end exit 511", "", 255, "the guest wrote 255 to the debug-exit port"),
    ("end exit 1", "--until ready", 1,
     "the guest wrote 0 to the debug-exit port; 'ready' was not seen"),
]


@pytest.mark.parametrize(("steps", "options", "status", "sentence"), ENDINGS)
def test_exit_status(play: Play, steps: str, options: str, status: int, sentence: str) -> None:
    result = play(steps, *options.split())
    assert result.status == status
    figures = "1,234,567 instructions in 9999.50 s, 2.5 MIPS, mode translate"
    assert f"vp: {sentence}; {figures}\n" in result.err


def test_a_bad_end_shows_where_the_guest_was(play: Play) -> None:
    assert "code at eip:\n  00100000  [ud2]\n" in play("end shutdown").err
    assert "code at eip:" in play("end shutdown", "--quiet").err
    assert "code at eip:" not in play("end poweroff").err


def test_quiet_says_nothing_about_a_good_end(play: Play) -> None:
    assert play("end poweroff", "--quiet").err == ""


def test_one_line_before_and_one_behind(play: Play, tmp_path: Path) -> None:
    for mode in ("bare", "translate"):
        err = play("print hello\nend poweroff", "--mode", mode).err
        first, last = err.splitlines()
        assert first == f"vp: running flat image {tmp_path / 'guest'} in mode {mode}, 128 MiB"
        assert last.startswith("vp: the guest's end: poweroff; ") and last.endswith(f"mode {mode}")


def test_what_the_first_line_says(vp: Callable[..., Result], tmp_path: Path) -> None:
    """And a file's name cannot act on the terminal."""
    file = tmp_path / "a\x1b[2Jb"
    file.write_text("end poweroff")
    asked = {"--kernel": "kernel", "--multiboot": "Multiboot image", "--elf": "ELF executable"}
    for option, what in asked.items():
        err = vp("run", option, file, "--serial", "null", "--memory", "8",
                 "--without", "stubs,chaining").err  # fmt: skip
        assert err.startswith(f"vp: running {what} {tmp_path}/a?[2Jb in mode translate without "
                              "chaining, stubs, 8 MiB\n")  # fmt: skip


@pytest.mark.parametrize("end", ["shutdown", "stuck", "timeout"])
def test_a_bad_end_is_told_whole_and_last(play: Play, end: str) -> None:
    """Where the guest was stands behind the line that says what happened."""
    lines = play(f"end {end}").err.splitlines()
    assert lines[1].startswith(f"vp: the guest's end: {end}; 1,234,567 instructions")
    assert lines[2:] == ["eip=00100000", "code at eip:", "  00100000  [ud2]"]


def test_trap_mode_says_what_it_got_wrong(play: Play) -> None:
    """That is what it is for; the other figures only with --report."""
    err = play("end poweroff", "--mode", "trap").err
    assert "Wrong answers" in err and "00100123" in err
    assert "world switches" not in err
    assert "Wrong answers" not in play("end poweroff", "--mode", "trap", "--quiet").err
    report = play("end poweroff", "--mode", "trap", "--report").err
    assert report.count("Wrong answers") == 1


def test_a_report_of_a_quiet_run(play: Play) -> None:
    err = play("end poweroff", "--quiet", "--report").err
    assert "running" not in err and "world switches" in err
    assert err.splitlines()[-1].startswith("vp: the guest's end: poweroff; ")


def test_the_report_names_every_figure(play: Play) -> None:
    report = play("end poweroff", "--mode", "trap", "--report").err
    for text in ("1,234,567 instructions in 9999.50 s, 2.5 MIPS", "direct", "81.0%", "page fault",
                 "general protection", "4,000", "fills", "world switches", "42",
                 "POPF", "00100123", "00000202", "00000002"):
        assert text in report, text


def test_guest_output_is_unmodified(play: Play, tmp_path: Path) -> None:
    play("print a\nprompt b\nend reset")
    assert (tmp_path / "console").read_bytes() == b"a\r\nb"


def test_a_bug_is_a_traceback(play: Play) -> None:
    with pytest.raises(ZeroDivisionError):
        play("crash")


# --- --serial, --stats ----------------------------------------------------------------------------


def test_stats_are_the_machine_s_statistics(play: Play, tmp_path: Path) -> None:
    stats = tmp_path / "stats.json"
    stats.write_text("old")
    assert play("end reset", "--stats", stats).status == 0
    assert json.loads(stats.read_text()) == last_machine().statistics()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["console", "guest", "stats.json"]


def test_stats_are_written_when_the_guest_ends_badly(play: Play, tmp_path: Path) -> None:
    assert play("end shutdown", "--stats", tmp_path / "stats.json").status == 1
    assert json.loads((tmp_path / "stats.json").read_text())["instructions"] == 1234567


def test_stats_that_cannot_be_written_are_found_before_the_run(play: Play, tmp_path: Path) -> None:
    stats = tmp_path / "no-such-folder" / "stats.json"
    result = play("crash", "--stats", stats)
    assert result.status == 2
    assert result.err == f"vp: error: cannot write --stats {stats}: No such file or directory\n"


def test_stats_cannot_be_a_folder(play: Play, tmp_path: Path) -> None:
    result = play("crash", "--stats", tmp_path)
    assert result.status == 2
    assert result.err == f"vp: error: cannot write --stats {tmp_path}: Is a directory\n"


def test_a_run_that_fails_leaves_old_stats_alone(play: Play, tmp_path: Path) -> None:
    stats = tmp_path / "stats.json"
    stats.write_text("old")
    with pytest.raises(ZeroDivisionError):
        play("crash", "--stats", stats)
    assert stats.read_text() == "old"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["console", "guest", "stats.json"]


def test_stats_may_be_a_device(play: Play) -> None:
    assert play("end reset", "--stats", os.devnull).status == 0
    assert not os.path.isfile(os.devnull)


def test_stats_follow_a_link(play: Play, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "stats.json")
    assert play("end reset", "--stats", tmp_path / "link").status == 0
    assert (tmp_path / "link").is_symlink()
    assert json.loads((tmp_path / "stats.json").read_text())["mode"] == "translate"


def test_a_serial_file_that_cannot_be_written_is_found_before_the_run(
    play: Play, tmp_path: Path
) -> None:
    file = tmp_path / "no-such-folder" / "console"
    result = play("crash", "--serial", f"file:{file}")
    assert result.status == 2
    assert result.err == (
        f"vp: error: cannot write --serial file:{file}: No such file or directory\n"
    )


def test_a_full_disk_stops_the_machine_and_is_said(play: Play) -> None:
    result = play("print x\nspin", "--serial", "file:/dev/full", "--timeout", PATIENCE)
    assert result.status == 2
    assert "cannot write the serial output to /dev/full: No space left on device" in result.err


# --- --type ---------------------------------------------------------------------------------------


def test_typing_waits_for_each_prompt(play: Play, tmp_path: Path) -> None:
    steps = "prompt / # \nread\nprint bin\nprompt $ \nread\nend poweroff"
    assert play(steps, "--type", r"ls\n", "--type", r"exit\n").status == 0
    assert last_machine().typed == b"ls\nexit\n"
    assert (tmp_path / "console").read_bytes() == b"/ # ls\r\nbin\r\n$ exit\r\n"


def test_typing_after_a_text(play: Play) -> None:
    steps = "prompt login: \nread\nprompt # \nread\nend poweroff"
    options = ["--type-after", "login: ", "--type", r"root\n", "--type", r"halt\n"]
    assert play(steps, *options).status == 0
    assert last_machine().typed == b"root\nhalt\n"
