"""Operations of one's own, measured as the nanobenchmarks are, and told apart."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from functools import cache
from pathlib import Path

import pytest

import monitor
from monitor.bench import nano
from monitor.bench.apart import Cost, Share
from monitor.bench.own import EVERY, KERNEL, USER, costs, setup
from monitor.bench.own_loop import OwnOperation
from monitor.machine import Machine
from monitor.vmm.errors import UserError

ROOT = Path(monitor.__file__).parent.parent
ROUNDS = 40
GENERAL = ("eax", "ebx", "ecx", "edx", "esi", "edi", "ebp")


@cache
def flags() -> dict[tuple[str, str], Cost]:
    """PUSHFD and POPFD, in every setup."""
    return costs({"flags": "pushfd; popfd"}, setups=EVERY, rounds=ROUNDS)


@cache
def call() -> dict[tuple[str, str], Cost]:
    return costs({"call": "call nothing"}, rounds=ROUNDS)


@pytest.mark.slow
def test_it_is_measured_as_ours_are() -> None:
    from monitor import bench

    results = bench.run("nano", only=["callret"], rounds=2000)
    for mode in ("bare", "translate"):
        theirs, ours = results.figure("callret", mode), call()["call", mode].steady
        assert round(theirs.instructions) == ours.instructions == 2
        assert (round(theirs.exits), round(theirs.stubs)) == (ours.exits, ours.in_stubs)
        assert abs(theirs.cycles - ours.cycles) < 2  # theirs with a share of the start-up


def test_the_loop_around_it_is_not_counted() -> None:
    found = costs({"two": "add ebx, ecx; xor edx, ebx"}, rounds=ROUNDS)
    assert set(found) == {("two", "bare"), ("two", "translate")}
    assert found["two", "bare"].instructions == 2
    assert found["two", "bare"].cycles == 2
    assert found["two", "translate"].exits == 0


def test_techniques_can_be_left_out() -> None:
    names = ("translate", "translate -stubs")
    found = costs({"cli": "cli"}, setups=names, rounds=ROUNDS)
    assert [round(found["cli", name].exits) for name in names] == [0, 1]
    assert found["cli", "translate"].ratio is None  # there is no bare machine beside it


def test_it_may_run_in_ring_3() -> None:
    found = costs({"add": "add eax, eax"}, loop=USER, rounds=ROUNDS)
    assert found["add", "translate"].exits == 0
    assert found["add", "translate"].stubs == 0


# --- registers ------------------------------------------------------------------------------------


@pytest.mark.parametrize("loop", [KERNEL, USER])
def test_every_register_but_esp_may_be_used(loop: str) -> None:
    code = "; ".join(f"mov {name}, 0xdeadbeef" for name in GENERAL)
    found = costs({"all": code}, loop=loop, rounds=ROUNDS)
    assert found["all", "bare"].steady.instructions == len(GENERAL)
    assert found["all", "translate"].steady.cycles == len(GENERAL)


@pytest.mark.parametrize("loop", [KERNEL, USER])
def test_so_may_segment_registers_and_flags(loop: str) -> None:
    code = "xor eax, eax; mov ds, ax; mov es, ax; mov fs, ax; mov gs, ax; std"
    found = costs({"all": code}, loop=loop, rounds=ROUNDS)
    assert found["all", "translate"].steady.instructions == 6


@pytest.mark.parametrize("loop", [KERNEL, USER])
def test_what_is_in_them_when_passes_begin(loop: str) -> None:
    operation = OwnOperation("all", "mov eax, 1\nmov ebx, 2\nmov ecx, 0\nmov edi, 3", loop)
    at = operation.places().operation
    machine = Machine(memory_mb=8, mode="bare")
    machine.load_multiboot(operation.workload(3).image, firmware_state="raw")
    seen = []
    for _ in range(3):
        machine.run(until_address=at)
        seen.append([machine.registers[name] for name in GENERAL])
    assert seen == [[0, 0, 3, 0, 0x300000, 0x380000, 0], [1, 2, 2, 0, 0x300000, 3, 0],
                    [1, 2, 1, 0, 0x300000, 3, 0]]  # fmt: skip


# --- told apart -----------------------------------------------------------------------------------


def test_a_steady_pass_is_exact_whatever_the_number_of_passes() -> None:
    for rounds in (1, 2, 7):
        few = costs({"flags": "pushfd; popfd"}, rounds=rounds)
        assert few["flags", "bare"].steady == flags()["flags", "bare"].steady
    assert few["flags", "translate"].steady == flags()["flags", "translate"].steady


def test_what_a_steady_pass_is_made_of() -> None:
    bare, stub = flags()["flags", "bare"].steady, flags()["flags", "translate"].steady
    assert (bare.cycles, bare.native, bare.stubs, bare.monitor) == (25, 25, 0, 0)  # 8 and 17
    assert (stub.cycles, stub.native, stub.stubs, stub.monitor) == (12, 0, 12, 0)
    assert (stub.in_stubs, stub.exits, stub.engine) == (2, 0, 11)  # 2 stubs of 6 and 5 instructions
    exits = flags()["flags", "translate -stubs"].steady
    assert (exits.cycles, exits.stubs, exits.monitor, exits.exits) == (1000, 0, 1000, 2)
    assert exits.reasons == {"emulate": 2}


def test_lookups_of_returns_are_code_in_the_cache_as_stubs_are() -> None:
    bare, one = call()["call", "bare"].steady, call()["call", "translate"].steady
    assert (bare.native, one.native, one.stubs, one.monitor) == (4, 4, 8, 0)


def test_what_is_paid_once() -> None:
    bare, stub = flags()["flags", "bare"], flags()["flags", "translate"]
    assert bare.once.cycles == 0 and bare.first.cycles == bare.steady.cycles
    assert (stub.once.translated, stub.once.translation) == (2, 800)
    assert stub.once.cycles == 800  # nothing to chain, no page to fill
    assert stub.first.cycles == 812


@pytest.mark.parametrize("name", EVERY)
def test_the_parts_add_up(name: str) -> None:
    one = flags()["flags", name]
    for share in (one.steady, one.first, one.once):
        assert share.native + share.stubs + share.monitor + share.translation == share.cycles
        assert share.native >= 0 and share.stubs >= 0 and share.translation >= 0
    assert one.once.cycles + ROUNDS * one.steady.cycles == ROUNDS * one.cycles
    assert one.steady.cycles > 0


def test_code_that_is_rewritten_is_translated_in_every_pass() -> None:
    code = {"smc": "mov dword ptr [.code + 1], ecx; .code:; mov edx, 0"}
    share: Share = costs(code, rounds=ROUNDS)["smc", "translate"].steady
    assert share.translated == 4 and share.translation == 1600
    assert share.reasons == {"traced write": 1, "traced bytes written": 1}


def test_what_takes_some_passes_to_settle_is_paid_once() -> None:
    """A page of ring 3 that is written and executed in turns is left alone after nine times."""
    code = "mov [.code + 1], ecx; call .code; jmp .on; .align 4096; .code:; mov edx, 0; ret;"
    found = costs({"smc": code + ".align 4096; .on:"}, loop=USER, rounds=60)["smc", "translate"]
    assert found.steady.exits == 0 and found.steady.cycles == found.steady.native == 8
    assert found.once.exits > found.first.exits > 0


# --- setups, names, progress ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "told"),
    [("fast", "setup 'fast'"), ("", "setup ''"), ("translate stubs", "setup"),
     ("translate -magic", "'magic'"), ("bare -stubs", "goes with mode translate, not bare")],
)  # fmt: skip
def test_a_setup_that_is_none_is_told(text: str, told: str) -> None:
    with pytest.raises(UserError, match=told):
        setup(text)


def test_every_setup_is_that_of_the_nanobenchmarks() -> None:
    assert [setup(text) for text in EVERY] == list(nano.SETUPS)


def test_progress_can_be_followed() -> None:
    told: list[tuple[int, int]] = []
    costs({"nop": "nop"}, rounds=4, progress=lambda done, size: told.append((done, size)))
    assert told == [(done, 12) for done in range(13)]  # two loops, two setups, three lengths


def test_nothing_is_shown_where_there_is_no_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    costs({"nop": "nop"}, rounds=2)
    assert capfd.readouterr() == ("", "")


def test_a_terminal_sees_a_bar_and_the_output_none_of_it() -> None:
    ours, theirs = os.openpty()
    program = "from monitor.bench.own import costs; costs({'nop': 'nop'}, rounds=2)"
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "80", "PYTHONPATH": str(ROOT)}
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=theirs,
                          env=environment, text=True) as process:  # fmt: skip
        os.close(theirs)
        shown = b""
        with suppress(OSError):  # EIO: the other end is closed
            while piece := os.read(ours, 4096):
                shown += piece
        os.close(ours)
        assert process.stdout is not None and process.stdout.read() == ""
    assert process.returncode == 0 and b"measuring" in shown and b"100%" in shown
