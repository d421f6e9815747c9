"""Bad usage: one line that says what to do, exit status 2, and no machine made."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import fake_machine
import pytest
from patience import PATIENCE
from vp_command import Result, last_machine

from monitor.settings import config
from monitor.vmm.errors import UserError

Vp = Callable[..., Result]

BAD_USAGE = [
    ("", "the following arguments are required: VERB (`vp --help` explains)"),
    ("fly", None),
    ("run", "nothing to run: give one of --kernel, --multiboot, --elf, --flat, --bios"),
    ("run --elf a --kernel b",
     "more than one guest: give one of --kernel, --multiboot, --elf, --flat, --bios"),
    ("run --no-such-option", "vp run has no option --no-such-option (`vp run --help` explains)"),
    ("run --kern vmlinuz",
     "vp run has no option --kern: did you mean --kernel? (`vp run --help` explains)"),
    ("run vmlinuz",
     "vmlinuz: not a .vmx file; an image to run goes with an option (--kernel)"),
    ("run gone.vmx --elf a",
     "gone.vmx: cannot read the .vmx file (no such file or directory); check the path"),
    ("run --elf a --engine native", None),
    ("run --elf a --mode turbo", None),
    ("run --elf a --firmware-state dos", None),
    ("run --elf a --memory lots",
     "argument -m/--memory: lots: give MiB, or a size such as 64M or 1G "
     "(`vp run --help` explains)"),
    ("run --elf a --memory 0", "memory 0: choose from 1 to 2048 (MiB)"),
    ("run --elf a --memory 4096", "memory 4096: choose from 1 to 2048 (MiB)"),
    ("run --elf a --initrd b", "--initrd goes with --kernel, not with --elf"),
    ("run --elf a --append b", "--append goes with --kernel or --multiboot, not with --elf"),
    ("run --kernel a --module b", "--module goes with --multiboot, not with --kernel"),
    ("run --elf a --entry 1", "--entry goes with --flat, not with --elf"),
    ("run --flat a", "--flat a: say where to load it, as FILE@ADDR (hello.bin@0x100000)"),
    ("run --flat a@", "--flat FILE@ : not a 32-bit number; write it as 4096 or 0x1000"),
    ("run --flat a@0x100000000",
     "--flat FILE@ 0x100000000: not a 32-bit number; write it as 4096 or 0x1000"),
    ("run --flat a@0 --entry start",
     "--entry start: not a 32-bit number; write it as 4096 or 0x1000"),
    ("run --elf a --timeout 0", "--timeout 0: give a number of seconds above 0"),
    ("run --elf a --timeout nan",
     "argument --timeout: nan: give seconds, or a time such as 90s, 1m30s or 2h "
     "(`vp run --help` explains)"),
    ("run --elf a --max-instructions 0", "--max-instructions 0: give a number above 0"),
    ("run --elf a --max-instructions many",
     "argument --max-instructions: many: give a whole number, such as 1000, 0x3e8, 20k, 1e6 or 1M "
     "(`vp run --help` explains)"),
    ("run --elf a --until=", "--until needs a text to wait for"),
    ("run --elf a --type \\q",
     "--type '\\\\q': after a backslash comes n, r, t, e, xNN or another backslash"),
    ("run --elf a --type-after b", "--type-after without a --type after it: say what to type"),
    ("run --elf a --type-after b --type-after c --type d",
     "--type-after twice in a row: put the --type it is for between them"),
    ("run --elf a --type-after= --type b", "--type-after needs a text to wait for"),
    ("lab check 7 a.py", "lab 7: choose from 1 to 5"),
    ("lab check 1 gone.py", "gone.py: no such file; `vp lab start N` writes a skeleton"),
    ("demo --seconds 0", "--seconds 0: give a number of seconds above 0"),
]


@pytest.mark.parametrize(("arguments", "message"), BAD_USAGE)
def test_bad_usage_is_one_line_and_status_2(vp: Vp, arguments: str, message: str | None) -> None:
    result = vp(*arguments.split())
    assert (result.status, result.out) == (2, "")
    assert result.err.startswith("vp: error: ") and result.err.count("\n") == 1
    if message is not None:  # argparse words the list of choices differently in each version
        assert result.err == f"vp: error: {message}\n"
    assert not fake_machine.FakeMachine.made


def test_a_missing_image_is_bad_usage(vp: Vp, tmp_path: Path) -> None:
    result = vp("run", "--flat", f"{tmp_path / 'nothing'}@0")
    assert result.status == 2
    assert "nothing: cannot read the flat image (no such file or directory)" in result.err


def test_a_missing_module_is_bad_usage(vp: Vp, tmp_path: Path) -> None:
    image = tmp_path / "image"
    image.write_text("end reset")
    result = vp("run", "--multiboot", image, "--module", tmp_path / "nothing")
    assert result.status == 2
    assert "nothing: cannot read the module (no such file or directory)" in result.err


# --- good usage arrives at the machine ------------------------------------------------------------


def test_options_reach_the_machine(play: Vp) -> None:
    options = "--mode trap --memory 64 --clock host --entry 0x100010 --until x\\ny --timeout 9"
    assert play("end timeout", *options.split(), "--max-instructions", "0x10").status == 1
    machine = last_machine()
    wanted = {"memory_mb": 64, "mode": "trap", "engine": "interp", "clock": "host"}
    assert machine.settings == wanted
    assert machine.loaded == {"kind": "flat", "address": 0x100000, "eip": 0x100010}
    assert machine.limits == {"until": b"x\ny", "timeout": 9.0, "max_instructions": 16}


def test_techniques_to_leave_out_reach_the_machine(play: Vp) -> None:
    play("end reset", "--without", "chaining, stubs")
    assert last_machine().without == ("chaining", "stubs")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--without magic", "without 'magic': choose from chaining"),
        ("--without stubs --mode bare", "goes with mode translate, not bare"),
    ],
)
def test_techniques_that_cannot_be_left_out(play: Vp, options: str, message: str) -> None:
    result = play("end reset", *options.split())
    assert result.status == 2 and message in result.err


@pytest.mark.parametrize(
    ("kind", "default"),
    [("kernel", "bios"), ("multiboot", "bios"), ("elf", "raw"), ("flat", "raw")],
)
def test_each_kind_of_guest_has_its_firmware_state(
    vp: Vp, tmp_path: Path, kind: str, default: str
) -> None:
    image = tmp_path / "image"
    image.write_text("end reset")
    command = ("run", f"--{kind}", f"{image}@0" if kind == "flat" else image, "--serial", "null")
    vp(*command)
    assert last_machine().firmware_state == default
    for state in config.FIRMWARE_STATES:
        vp(*command, "--firmware-state", state)
        assert last_machine().firmware_state == state


def test_a_kernel_gets_its_initrd_and_command_line(vp: Vp, tmp_path: Path) -> None:
    kernel = tmp_path / "kernel"
    kernel.write_text("end reset")
    vp("run", "--kernel", kernel, "--initrd", "rd", "--append", "quiet", "--serial", "null")
    assert last_machine().loaded == {"kind": "linux", "initrd": Path("rd"), "cmdline": "quiet"}


def test_multiboot_modules_carry_their_names(vp: Vp, tmp_path: Path) -> None:
    kernel, module = tmp_path / "kernel", tmp_path / "module"
    kernel.write_text("end reset")
    module.write_bytes(b"data")
    vp("run", "--multiboot", kernel, "--module", module, "--serial", "null")
    loaded = last_machine().loaded
    assert loaded == {"kind": "multiboot", "cmdline": "", "modules": [(str(module), b"data")]}


@pytest.mark.parametrize(
    ("text", "value"),
    [(r"ls\n", b"ls\n"), (r"\e[A", b"\x1b[A"), (r"a\\n", b"a\\n"), (r"\x00\xFF", b"\0\xff"),
     ("naïve", "naïve".encode())],
)
def test_escapes(text: str, value: bytes) -> None:
    assert config.unescape(text, "--type") == value


@pytest.mark.parametrize("text", ["\\", "\\x4", "\\xgg", "\\0"])
def test_wrong_escapes_are_refused(text: str) -> None:
    with pytest.raises(UserError, match="after a backslash"):
        config.unescape(text, "--type")


# --- help -----------------------------------------------------------------------------------------

HEAVY = ("numpy", "rich", "keystone", "capstone", "bt", "monitor.machine")


LIGHT = ("--help", "--version", "run --help", "demo --help", "scan --help",
         "virtualizability --help", "lab grade --help")  # fmt: skip


@pytest.mark.parametrize("option", LIGHT)
def test_help_imports_nothing_heavy(option: str) -> None:
    program = (
        "import sys; from monitor.cli import main; status = main(sys.argv[1:]);"
        f"heavy = [name for name in {HEAVY} if name in sys.modules];"
        "sys.exit(f'status {status}, imported {heavy}' if status or heavy else 0)"
    )
    command = [sys.executable, "-c", program, *option.split()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout


def test_the_module_is_the_command() -> None:
    command = [sys.executable, "-m", "monitor", "run"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 2
    assert done.stderr.startswith("vp: error: nothing to run")
