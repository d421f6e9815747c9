"""`vp run NAME.vmx`: the file's settings arrive, options beat them, and bad files are one line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import fake_machine
import pytest
from vp_command import Result, last_machine

from monitor.vmware.restrictions import Restrictions

Vp = Callable[..., Result]

FILE = """\
.encoding = "UTF-8"
displayName = "A [red]machine|1B[31m"
memsize = "64"
rtc.startTime = "1000"
serial0.present = "TRUE"
serial0.fileType = "file"
serial0.fileName = "console"
ethernet0.present = "TRUE"
ethernet0.virtualDev = "e1000"
isolation.tools.copy.disable = "TRUE"
"""


@pytest.fixture
def run(tmp_path: Path, vp: Vp) -> Vp:
    """`vp run x.vmx` with a guest that ends as asked, in a file of these lines."""

    def run(text: str, *options: object, steps: str = "print hello\nend reset") -> Result:
        (tmp_path / "x.vmx").write_text(text)
        (tmp_path / "guest").write_text(steps)
        return vp("run", tmp_path / "x.vmx", "--flat", f"{tmp_path / 'guest'}@0", *options)

    return run


def test_the_file_makes_the_machine(run: Vp, tmp_path: Path) -> None:
    (tmp_path / "console").write_text("before\n")
    result = run(FILE)
    assert (result.status, result.out) == (0, "")
    assert (last_machine().settings["memory_mb"], last_machine().start_time) == (64, 1000)
    assert (tmp_path / "console").read_bytes() == b"before\nhello\r\n"


def test_options_beat_the_file(run: Vp, tmp_path: Path) -> None:
    result = run(FILE, "--memory", 16, "--serial", "null", "--stats", tmp_path / "s.json")
    assert result.status == 0
    assert last_machine().settings["memory_mb"] == 16
    assert not (tmp_path / "console").exists()
    told = json.loads((tmp_path / "s.json").read_text())["vmx"]
    assert told["ignored"]["memsize"] == "--memory was given"
    assert told["ignored"]["serial0.fileName"] == "--serial was given"
    assert "memsize" not in told["used"]


def test_a_file_that_does_not_say_has_vmware_s_memory(run: Vp) -> None:
    assert run("", "--serial", "null").status == 0
    assert last_machine().settings["memory_mb"] == 32


def test_the_report_shows_the_text_as_it_is(run: Vp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    err = run(FILE).err
    assert "x.vmx: A [red]machine [31m\n" in err
    assert "\x1b[31m" not in err
    assert "64 MiB of memory" in err
    assert "denied: the guest's clipboard to the host" in err
    assert "ethernet0.* (2)" in err and "there is no such device yet" in err


def test_warnings_are_lines_that_name_the_place(run: Vp) -> None:
    err = run('guestOS = "fedora-64"', "--serial", "null").err
    assert "x.vmx: line 1: guestOS: 'fedora-64' needs a 64-bit processor;" in err


def test_quiet(run: Vp) -> None:
    assert run(FILE, "--quiet").err == ""


def test_many_settings_make_a_short_report(run: Vp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    lines = [f'key{number} = "1"\nguestinfo.{number} = "{"x" * 500}"' for number in range(5_000)]
    result = run("\n".join(lines), "--serial", "null")
    assert result.status == 0
    assert result.err.count("\n") < 100
    assert "guestinfo.* (5000)" in result.err and "and 4988 more" in result.err


BAD_FILES = [
    ("memsize",
     "line 1: 'memsize' has no \"=\"; write it as name = \"value\", or put a # before it"),
    ('memsize = "64', "line 1: the quote before '64' is not closed; add a \" after it"),
    ('memsize = "lots"', "line 1: memsize: 'lots': write a whole number from 4 to 1073741824"),
    ('a = "1"\na = "2"', "line 2: 'a' is '2', but '1' in line 1; remove one of them"),
    ('.encoding = "EBCDIC"', "line 1: .encoding 'EBCDIC' is not known here; save the file as UTF-8 "
     'and write .encoding = "UTF-8"'),
    ('isolation.tools.copy.disable = "ture"',
     "line 1: isolation.tools.copy.disable: 'ture': write \"TRUE\" or \"FALSE\""),
    ('serial0.present = "TRUE"\nserial0.fileType = "file"',
     "line 1: serial0.present: there is no serial0.fileName to say which file; add it"),
    ("\0", "line 1: a NUL byte: this is no text file; give a .vmx file"),
]


@pytest.mark.parametrize(("text", "message"), BAD_FILES)
def test_a_bad_file_is_one_line_and_nothing_is_written(
    run: Vp, tmp_path: Path, text: str, message: str
) -> None:
    outputs = tmp_path / "s.json", tmp_path / "out"
    result = run(text, "--stats", outputs[0], "--serial", f"file:{outputs[1]}")
    assert (result.status, result.out) == (2, "")
    assert result.err == f"vp: error: {tmp_path / 'x.vmx'}: {message}\n"
    assert not fake_machine.FakeMachine.made
    assert not any(path.exists() for path in outputs)


def test_a_file_alone_needs_firmware(
    vp: Vp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("monitor.firmware.rom_files.FOLDERS", ())
    path = tmp_path / "x.vmx"
    path.write_text(FILE)
    result = vp("run", path)
    assert result.status == 2
    assert result.err == (
        "vp: error: there is no SeaBIOS here: install Debian's package seabios, fetch it with "
        "`make guests`, or name a BIOS with --bios FILE\n"
    )
    assert not (tmp_path / "console").exists()


def test_a_file_alone_boots_as_a_pc(vp: Vp, tmp_path: Path) -> None:
    """With the firmware and the order that it names; options beat it."""
    (tmp_path / "own.rom").write_bytes(b"BIOS")
    path = tmp_path / "x.vmx"
    path.write_text(
        f'{FILE}bios440.filename = "own.rom"\nbios.bootOrder = "CDROM, hdd,cdrom,floppy"\n'
    )
    result = vp("run", path, "--serial", "null")
    assert last_machine().chipset == "i440fx"
    loaded = last_machine().loaded
    assert (loaded["bios"], loaded["boot"]) == (tmp_path / "own.rom", "order=dca"), result.err
    vp("run", path, "--boot", "a", "--bios", tmp_path / "other", "--serial", "null")
    loaded = last_machine().loaded
    assert (loaded["bios"], loaded["boot"]) == (tmp_path / "other", "a")


@pytest.mark.parametrize("name", ["/etc/passwd", "../x.rom", "c:\\\\x.rom", ".."])
def test_firmware_elsewhere_is_not_read(vp: Vp, tmp_path: Path, name: str) -> None:
    path = tmp_path / "x.vmx"
    path.write_text(f'{FILE}bios440.filename = "{name}"\n')
    result = vp("run", path, "--serial", "null")
    assert result.status == 2
    assert "is not a file below the folder of the .vmx file; --bios names any" in result.err


def test_a_console_that_cannot_be_written(run: Vp, tmp_path: Path) -> None:
    (tmp_path / "console").mkdir()
    result = run(FILE)
    assert result.status == 2
    assert "console: Is a directory" in result.err


# --- VMware's guest interfaces --------------------------------------------------------------------

BACKDOOR = "X86_VMWARE_BACKDOOR"
UUID = "56 4d 01 23 45 67 89 ab-cd ef 01 23 45 67 89 ab"


def test_a_vmware_machine_has_the_backdoor(run: Vp) -> None:
    run(f'{FILE}uuid.bios = "{UUID}"\n')
    on, options = last_machine().enabled[BACKDOOR]
    assert on is True
    assert options["restrictions"] == Restrictions(copy_disable=True)
    assert options["uuid"] == bytes.fromhex("564d0123456789abcdef0123456789ab")


def test_the_tools_are_told(run: Vp) -> None:
    run('guestinfo.Name = "ä"\nmachine.id = "7"\ntools.syncTime = "TRUE"\n', "--serial", "null")
    tools = last_machine().vmware.tools
    assert (tools.guestinfo, tools.machine_id) == ({"Name": "ä"}, "7")
    assert tools.options == {"synctime": "1"}


def test_a_vmware_machine_without_the_backdoor(run: Vp, tmp_path: Path) -> None:
    text = FILE + 'guestinfo.x = "1"\ntools.syncTime = "TRUE"\n'
    run(text, "--no-vmware-backdoor", "--stats", tmp_path / "s.json")
    assert last_machine().enabled == {BACKDOOR: (False, {})}
    ignored = json.loads((tmp_path / "s.json").read_text())["vmx"]["ignored"]
    for name in ("isolation.tools.copy.disable", "guestinfo.x", "tools.syncTime"):
        assert ignored[name] == "--no-vmware-backdoor was given"


def test_hypercalls_are_off_unless_asked_for(run: Vp) -> None:
    run(FILE)
    assert set(last_machine().enabled) == {BACKDOOR}
    run(FILE, "--vmware-hypercall", "magic")
    assert last_machine().enabled["X86_VMWARE_HYPERCALL"] == ("magic", {"serve": True})


def test_without_a_file_nothing_is_on(play: Vp) -> None:
    play("end reset")
    assert last_machine().enabled == {}
    play("end reset", "--vmware-backdoor")
    assert last_machine().enabled == {BACKDOOR: (True, {})}
