"""`vp run --config FILE.toml`: the file's options, the command line's, and which of them win."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import fake_machine
import pytest
from vp_command import Result, last_machine

from monitor.cli import config_file
from monitor.cli.parser import build_parser
from monitor.cli.typos import below

Vp = Callable[..., Result]


@pytest.fixture
def run(vp: Vp, tmp_path: Path) -> Callable[..., Result]:
    """`vp run --config` with these lines, of a guest named `guest` beside the file."""
    folder = tmp_path / "folder"
    folder.mkdir()
    for name in ("guest", "other"):
        (folder / name).write_text("prompt / # \nread\nprompt login: \nread\nend reset")
    (tmp_path / "here").write_text("end reset")

    def command(lines: str, *options: object) -> Result:
        (folder / "run.toml").write_text(lines)
        return vp("run", "--config", folder / "run.toml", *options)

    return command


MACHINE = """
kernel = "guest"
initrd = "rd"
append = "quiet"
serial = "file:console"
memory = "64M"
mode = "trap"
clock = "host"
timeout = "5m"
max-instructions = "2M"
firmware-state = "raw"
until = 'a\\n"'
quiet = true
vmware-backdoor = true
vmware-hypercall = true
type = ["ls\\\\x\\n", { after = "login: ", text = "root\\n" }]
"""


def test_every_kind_of_value_reaches_the_machine(
    run: Callable[..., Result], tmp_path: Path
) -> None:
    result = run(MACHINE)
    machine = last_machine()
    wanted = {"memory_mb": 64, "mode": "trap", "engine": "interp", "clock": "host"}
    assert machine.settings == wanted
    assert machine.loaded == {
        "kind": "linux", "initrd": tmp_path / "folder" / "rd", "cmdline": "quiet",
    }  # fmt: skip
    assert machine.firmware_state == "raw"
    assert machine.limits["timeout"] == 300 and machine.limits["max_instructions"] == 2_000_000
    assert machine.limits["until"] == b'a\\n"'  # TOML's text, no escapes of ours
    assert machine.enabled["X86_VMWARE_BACKDOOR"][0] is True
    assert machine.enabled["X86_VMWARE_HYPERCALL"][0] == "all"
    assert bytes(machine.typed).startswith(b"ls\\x\n")
    assert (tmp_path / "folder" / "console").read_bytes().startswith(b"/ # ls\\x\r\n")
    assert (result.status, result.out, result.err[:4]) == (1, "", "vp: ")  # `until` never came


def test_the_command_line_wins(run: Callable[..., Result], tmp_path: Path) -> None:
    guest = 'flat = "guest@0x1000"\nserial = "null"\n'
    file = 'mode = "trap"\nmemory = 64\nuntil = "file"\ntype = ["a\\n", "b\\n", "c\\n"]\n'
    run(guest + file, "--mode", "translate", "-m", "128", "--until", "login",
        "--type", "x\\n", "--type-after", "login: ", "--type", "y\\n")  # fmt: skip
    machine = last_machine()
    assert machine.settings["mode"] == "translate"  # though that is the default
    assert machine.settings["memory_mb"] == 128
    assert machine.limits["until"] == b"login"
    assert bytes(machine.typed) == b"x\n"  # a list is replaced, not longer
    assert machine.loaded["address"] == 0x1000


def test_options_before_the_file_win_too(vp: Vp, tmp_path: Path) -> None:
    file = tmp_path / "run.toml"
    file.write_text('mode = "trap"\nmemory = 64\nserial = "null"\nflat = "guest@0"')
    (tmp_path / "guest").write_text("end reset")
    vp("run", "--mode", "bare", "--config", file)
    assert last_machine().settings["mode"] == "bare"
    assert last_machine().settings["memory_mb"] == 64


def test_another_guest_of_the_same_kind_keeps_the_rest(
    run: Callable[..., Result], tmp_path: Path
) -> None:
    run(MACHINE, "--kernel", tmp_path / "here", "--append", "debug")
    assert last_machine().loaded["cmdline"] == "debug"
    assert last_machine().loaded["initrd"] == tmp_path / "folder" / "rd"


def test_a_guest_of_another_kind_replaces_all_that_is_said_about_the_guest(
    run: Callable[..., Result], tmp_path: Path
) -> None:
    result = run(MACHINE, "--elf", tmp_path / "here", "--until=")
    assert result.err == "vp: error: --until needs a text to wait for\n"  # not the file's
    assert run(MACHINE, "--elf", tmp_path / "here").status == 1  # `until` never came
    assert last_machine().loaded == {"kind": "elf"}
    assert last_machine().settings["memory_mb"] == 64


def test_modules_are_a_list(run: Callable[..., Result], tmp_path: Path) -> None:
    lines = 'multiboot = "guest"\nmodule = ["other"]\nserial = "null"\nmax-instructions = 1e6'
    run(lines, "--timeout", "1ms")
    folder = tmp_path / "folder"
    found = last_machine().loaded["modules"]
    assert found == [(str(folder / "other"), (folder / "other").read_bytes())]
    assert last_machine().limits["max_instructions"] == 1_000_000
    run(lines, "--timeout", "1ms", "--module", tmp_path / "here")
    found = last_machine().loaded["modules"]
    assert found == [(str(tmp_path / "here"), b"end reset")]


def test_every_option_is_a_key() -> None:
    parser = below(build_parser())["run"]
    keys = config_file.keys(parser)
    options = {name for action in parser._actions for name in action.option_strings[-1:]}
    assert {f"--{key}" for key in keys} >= options - {
        "--help", "--config", "--type-after", "--keys", "--no-vmware-backdoor"
    }  # fmt: skip
    assert "vmx" in keys and "vmware-backdoor" in keys


WRONG = [
    ("memry = 1", "unknown: memry; did you mean memory?"),
    ("frobnicate = 1", "unknown: frobnicate"),
    ('config = "a"', "unknown: config"),
    ('memory = "lots"', "memory: lots: give MiB, or a size such as 64M or 1G"),
    ("memory = 4096", "memory: 4096: choose from 1 to 2048 (MiB)"),
    ("memory = true", "memory: must be text or a number"),
    ("memory = [64]", "memory: must be text or a number"),
    ('mode = "trnslate"',
     "mode: 'trnslate': choose from translate, trap, bare; did you mean translate?"),
    ('without = "chainig"', None),
    ('timeout = "soon"', "timeout: soon: give seconds, or a time such as 90s, 1m30s or 2h"),
    ("timeout = 0", "timeout: 0: give a number of seconds above 0"),
    ('quiet = "yes"', "quiet: must be true or false"),
    ('type = "ls"', "type: must be a list of texts, or tables with `after` and `text`"),
    ('type = [{ after = "x" }]', "type: give texts, or tables with `after` and `text`"),
    ('type = [{ text = "x", then = "y" }]', "type: give texts, or tables with `after` and `text`"),
    ("type = [1]", "type: give texts, or tables with `after` and `text`"),
    ('type = [{ after = "", text = "x" }]', "type-after needs a text to wait for"),
    ('module = "a"', "module: must be a list of texts"),
    ('initrd = "a"', "initrd: goes with --kernel, not with --elf"),
    ('kernel = "a"', "more than one guest: give one of --kernel, --multiboot, --elf, --flat, --b"),
    ('serial = "unix:a"', None),
    ('until = ""', "until: needs a text to wait for"),
    ("gdb = 70000", "gdb: 70000: choose a port from 0 (any that is free) to 65535"),
    ('vmx = "a"', None),
    ("a = ", None),
]  # fmt: skip


@pytest.mark.parametrize(("line", "message"), WRONG)
def test_what_is_wrong_is_told_with_file_and_key(
    run: Callable[..., Result], tmp_path: Path, line: str, message: str | None
) -> None:
    result = run(f'elf = "guest"\n{line}\n')
    assert (result.status, result.out, result.err.count("\n")) == (2, "", 1)
    file = tmp_path / "folder" / "run.toml"
    if message is None:
        key = line.split()[0]
        assert key in ("a", "vmx") or f"{key}: " in result.err
        assert str(file.parent) in result.err
    elif message.startswith(("more", "type-after")):
        assert message in result.err
    else:
        assert result.err == f"vp: error: {file}: {message}\n"
    assert not fake_machine.FakeMachine.made


def test_what_the_command_line_says_is_not_blamed_on_the_file(run: Callable[..., Result]) -> None:
    assert run('elf = "guest"\nmemory = 64', "-m", "0").err == (
        "vp: error: memory 0: choose from 1 to 2048 (MiB)\n"
    )


def test_a_file_that_is_not_there(vp: Vp, tmp_path: Path) -> None:
    result = vp("run", "--config", tmp_path / "gone.toml")
    assert result.status == 2 and "cannot read the configuration" in result.err
