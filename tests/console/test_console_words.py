"""What the monitor's console answers, of a machine that stands."""

from __future__ import annotations

import random
import string
from pathlib import Path

import pytest

from bt.assembler import assemble
from monitor import Machine
from monitor.console.words import COMMANDS, INFO, completions
from monitor.guests import embedded_image
from monitor.vmm.errors import UserError

BASE = 0x100000
GUEST = embedded_image()
MODES = ("bare", "translate")
CODE = """
 mov eax, 0x12345678
 mov esp, 0x8000
 push eax
 pushfd
again:
 inc ebx
 jmp again
"""


def small(mode: str = "bare") -> Machine:
    machine = Machine(memory_mb=2, mode=mode)
    machine.load_flat(assemble(CODE, BASE), BASE)
    machine.run(max_instructions=100)
    return machine


def embedded(mode: str) -> Machine:
    machine = Machine(memory_mb=4, mode=mode)
    machine.load_flat(GUEST.image, GUEST.load_address, eip=GUEST.entry)
    machine.run(max_instructions=300_000)
    return machine


@pytest.mark.parametrize("mode", MODES)
def test_registers_are_the_guests(mode: str) -> None:
    said = small(mode).monitor("info registers")
    assert "EAX=12345678" in said and "ESP=00007ff8" in said and "CPL=0" in said
    assert "CS =" in said and "CS32 [-RA]" in said and "CR0=" in said


@pytest.mark.parametrize("word", [f"info {name}" for name in INFO if name not in ("tc", "shadow",
                                  "exits", "where", "version")])  # fmt: skip
def test_both_modes_tell_the_same_of_the_guest(word: str) -> None:
    bare, translated = (embedded(mode).monitor(word) for mode in MODES)
    if word == "info statistics":
        assert bare != translated
    else:
        assert bare.replace("mode bare", "mode translate") == translated
        assert len(bare) > 3


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("x /2xw $esp", "00007ff8: 0x00000002 0x12345678"),
        ("x/1xh $esp+4", "00007ffc: 0x5678"),
        ("x/4xb $esp + 4", "00007ffc: 0x78 0x56 0x34 0x12"),
        ("x/1xg $esp", "00007ff8: 0x1234567800000002"),
        ("x/1dw $esp+4", "00007ffc: 305419896"),
        ("x/2c 0x7ffc", "00007ffc: 'x' 'V'"),
        ("x/1ob 0x7ffc", "00007ffc: 0170"),
        ("x/2bx 0x7ffc", "00007ffc: 0x78 0x56"),
        ("xp/1xw 0x7ffc", "00007ffc: 0x12345678"),
        ("x/2i 0x10000c", "0010000c: inc ebx\n0010000d: jmp 0x10000c"),
        ("p $eax", "0x12345678"),
        ("p/d 0xffffffff", "-1"),
        ("print/u 0xffffffff", "4294967295"),
        ("p 1 << 40", "0x0000010000000000"),
        ("p/c 65", "'A'"),
        ("p $pc == 0", None),
    ],
)
def test_memory_and_values(line: str, answer: str | None) -> None:
    machine = small()
    if answer is None:
        with pytest.raises(UserError):
            machine.monitor(line)
    else:
        assert machine.monitor(line) == answer


def test_rows_have_sixteen_bytes() -> None:
    lines = small().monitor("xp /20xb 0x100000").splitlines()
    assert [line[:8] for line in lines] == ["00100000", "00100010"]
    assert [len(line.split()) for line in lines] == [17, 5]


def test_code_up_to_the_end_of_what_is_mapped() -> None:
    machine = small()
    end = 2 << 20
    machine.write_physical(end - 2, b"\x90\x90")
    assert machine.monitor(f"x /2i {end - 2:#x}").count("nop") == 2
    with pytest.raises(UserError):
        machine.monitor(f"x /3i {end - 2:#x}")


def test_looking_changes_nothing() -> None:
    one, other = embedded("translate"), embedded("translate")
    for name in INFO:
        one.monitor(f"info {name}")
    one.monitor("x /4i $pc")
    for machine in (one, other):
        machine.run(max_instructions=1000)
    assert one.snapshot().data == other.snapshot().data


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("infoo", "no command 'infoo'"), ("info nope", "no info 'nope'"), ("s now", "too much"),
        ("x", "missing"), ("x /9999x 0", "from 1 to 1024"), ("x /0x 0", "from 1 to 1024"),
        ("x /4y 0", "a format is"), ("x 0xfffffff0", "physical"), ("sendkey", "needs keys"),
        ("sendkey nokey", "no key named"), ("savevm", "needs a file"), ("loadvm", "needs a file"),
        ("loadvm /nonexistent/x", "cannot read"), ("cont", "run()"),
        ("info devices no", "there is no device"),
        ("info s", "may be"), ("x" * 2000, "1000 at most"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(line: str, why: str) -> None:
    with pytest.raises(UserError, match=why.replace("(", r"\(").replace(")", r"\)")):
        small().monitor(line)


def test_shorter_words_and_other_names() -> None:
    machine = small()
    assert machine.monitor("info reg") == machine.monitor("i registers")
    assert machine.monitor("?") == machine.monitor("help")
    assert machine.monitor("") == machine.monitor("   ") == ""
    assert machine.monitor("help x").startswith("x /FMT")
    assert machine.monitor("help info pic").startswith("info pic")


def test_help_has_a_line_for_each() -> None:
    said = small().monitor("help")
    assert all(f"\n{name} " in f"\n{said}" for name in COMMANDS)
    assert all(f"\ninfo {name} " in said for name in INFO)


def test_reset_and_keys() -> None:
    machine = small()
    other = small()
    machine.monitor("sendkey ctrl-alt-delete")
    for each in (machine, other):
        each.run(max_instructions=100)
    assert machine.monitor("info devices kbc") != other.monitor("info devices kbc")
    machine.monitor("system_reset")
    assert machine.registers["eip"] == 0xFFF0


@pytest.mark.parametrize("mode", MODES)
def test_a_machine_becomes_the_one_that_it_was(mode: str, tmp_path: Path) -> None:
    machine = embedded(mode)
    path = tmp_path / "then.vpcheck"
    assert f"loadvm {path}" in machine.monitor(f"savevm {path}")
    machine.run(max_instructions=50_000)
    later = machine.snapshot().data
    machine.write_physical(0x300000, b"something else")
    assert machine.monitor(f"loadvm {path}") == "at 300,000 instructions"
    assert machine.snapshot().data == Machine.restore(path).snapshot().data
    machine.run(max_instructions=50_000)
    assert machine.snapshot().data == later


@pytest.mark.parametrize(
    ("other", "what"),
    [
        ({"memory_mb": 8}, "settings"),
        ({"start_time": 5}, "settings"),
    ],
)
def test_other_hardware_is_refused(other: dict[str, int], what: str, tmp_path: Path) -> None:
    machine = Machine(**{"memory_mb": 4, **other})  # type: ignore[arg-type]
    machine.checkpoints.save(tmp_path / "x")
    mine = embedded("bare")
    before = mine.snapshot().data
    with pytest.raises(UserError, match=f"other {what}: `vp resume`"):
        mine.checkpoints.load(tmp_path / "x")
    assert mine.snapshot().data == before


def test_a_broken_file_changes_nothing(tmp_path: Path) -> None:
    machine = embedded("translate")
    path = tmp_path / "x"
    machine.checkpoints.save(path)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    machine.run(max_instructions=100)
    before = machine.snapshot().data
    with pytest.raises(UserError, match="not a checkpoint that can be restored"):
        machine.checkpoints.load(path)
    assert machine.snapshot().data == before


def test_drives() -> None:
    machine = Machine(memory_mb=2, drives={"fda": bytes(1474560), "cdrom": None})
    assert machine.monitor("info block").splitlines() == [
        "fda: an image in memory, 1,474,560 bytes, writes are forgotten", "cdrom: empty",
    ]  # fmt: skip
    machine.monitor("eject fda")
    assert machine.monitor("info block").splitlines()[0] == "fda: empty"
    wrong = {
        "eject hda": "there is no drive 'hda'",
        "change fda": "needs a drive and",
        "change fda /nonexistent": "nonexistent",
        "eject": "needs a drive",
        "screendump": "needs a file",
        "screendump x.png": "screen",
    }
    for line, why in wrong.items():
        with pytest.raises(UserError, match=why):
            machine.monitor(line)
    assert small().monitor("info block") == "the machine has no drives"


def test_a_screen_and_a_bus(tmp_path: Path) -> None:
    machine = Machine(memory_mb=2, chipset="i440fx", vga="std")
    machine.monitor(f"screendump {tmp_path / 'now.png'}")
    assert (tmp_path / "now.png").read_bytes()[:4] == b"\x89PNG"
    assert "00:00.0: class 0600, 8086:1237" in machine.monitor("info pci")
    assert "chipset" in small().monitor("info pci")


def test_what_was_written_to_a_disk_comes_back_too(tmp_path: Path) -> None:
    machine = Machine(memory_mb=2, drives={"hda": bytes(1 << 20)})
    disk = machine.storage["hda"]
    assert disk.overlay is not None
    disk.overlay.write(512, bytes([7]) * 512)
    machine.monitor(f"savevm {tmp_path / 'x'}")
    disk.overlay.write(512, bytes([9]) * 512)
    machine.monitor(f"loadvm {tmp_path / 'x'}")
    assert disk.overlay.read(512, 512) == bytes([7]) * 512
    with pytest.raises(UserError, match=r"other devices|give --hda|has no drive"):
        small().monitor(f"loadvm {tmp_path / 'x'}")


def test_completions() -> None:
    assert completions("sys") == ["system_reset"]
    assert completions("info sh") == ["info shadow"]
    assert "x" in completions("") and completions("x 1") == []


def test_no_line_raises_anything_else() -> None:
    machine = small()
    dice = random.Random(5)
    words = [*COMMANDS, *INFO, "$esp", "0x10", "/4xw", "/i", "-1", "info", "p", "~", "(", ")", "<<"]
    words = [word for word in words if word not in ("savevm", "loadvm", "system_reset")]
    for _ in range(600):
        line = " ".join(dice.choice(words) for _ in range(dice.randrange(1, 5)))
        if dice.random() < 0.3:
            line += "".join(dice.choice(string.printable) for _ in range(dice.randrange(9)))
        try:
            assert isinstance(machine.monitor(line), str)
        except UserError as why:
            assert "\n" not in str(why).strip()
