"""A spec is checked whole before anything runs, and what is wrong is named by its key."""

from __future__ import annotations

from pathlib import Path

import pytest
from sweeping import SMALL, SPIN, spec

from monitor.host.typist import TypedLine
from monitor.sweep.spec import Spec, load
from monitor.vmm.errors import UserError

DEMO = "[[guest]]\ndemo = true\n"
FLAT = '[[guest]]\nflat = "spin.bin@0x100000"\n'

WRONG = [
    ("[grid", "no TOML: "),
    ("", "guest: there is none; add a [[guest]]"),
    ("guest = []", "guest: there is none; add a [[guest]]"),
    ("colour = 1\n" + DEMO, "unknown: colour"),
    ("grid = 3\n" + DEMO, "grid: must be a table"),
    ("[grid]\nengine = ['interp']\n" + DEMO, "grid: unknown: engine"),
    ("[grid]\nmode = []\n" + DEMO, "grid.mode: must be a list with something in it"),
    ("[grid]\nmode = 'bare'\n" + DEMO, "grid.mode: must be a list with something in it"),
    ("[grid]\nmode = ['bare', 'fast']\n" + DEMO,
     "grid.mode: 'fast': choose from translate, trap, bare"),
    ("[grid]\nmode = ['bare', 'bare']\n" + DEMO, "grid.mode: 'bare' is there twice"),
    ("[grid]\nwithout = ['magic']\n" + DEMO, "grid.without: without 'magic': choose from chaining"),
    ("[grid]\nwithout = [['stubs']]\n" + DEMO, "grid.without: ['stubs']: must be text"),
    ("[grid]\nwithout = ['stubs,chaining', 'chaining,stubs']\n" + DEMO,
     "grid.without: 'chaining,stubs' is there twice"),
    ("[grid]\nmode = ['bare', 'trap']\nwithout = ['stubs']\n" + DEMO,
     "grid.without: goes with mode translate, which grid.mode has not"),
    ("[grid]\nmemory = [0]\n" + DEMO, "grid.memory: 0: choose from 1 to 2048 (MiB)"),
    ("[grid]\nclock = ['sun']\n" + DEMO, "grid.clock: 'sun': choose from icount, host"),
    ("[grid]\nrepetitions = 0\n" + DEMO, "grid.repetitions: must be a whole number, 1 or more"),
    ("models = []\n" + DEMO, "models: must be a list with something in it"),
    ("models = ['cray']\n" + DEMO, "models: model 'cray': choose pentium2-450"),
    ("models = ['gone.toml']\n" + DEMO, "models: cannot read the model "),
    ("time = 1\n" + DEMO, "time: must be true or false"),
    ("dask = 1\n" + DEMO, "dask: must be the address of a scheduler, as text"),
    ("baseline = { mode = 'bare' }\n" + DEMO, "baseline.mode: 'bare' is not in grid.mode"),
    ("baseline = { colour = 1 }\n" + DEMO, "baseline: unknown: colour"),
    ("[[guest]]\nname = 'x'",
     "guest 1: give one of kernel, multiboot, elf, flat, bench, own, demo"),
    (FLAT + "demo = true", "guest 1: give one of kernel"),
    (DEMO + "[[guest]]\ndemo = false", "guest 2: demo: must be true"),
    (DEMO + "[[guest]]\ndemo = true", "guest: two are named 'demo'; give one a `name`"),
    (DEMO + "name = 'a,b'", "guest 1: name: 'a,b': give one without commas"),
    (DEMO + "memory = 4096", "guest 1: memory: 4096: choose from 1 to 2048 (MiB)"),
    ("[grid]\nmemory = [8]\n" + DEMO + "memory = 8",
     "guest 1: memory: grid.memory says it for all guests already"),
    (DEMO + "until = ''", "guest 1: until needs a text to wait for"),
    (DEMO + "timeout = 0", "guest 1: timeout 0: give a number of seconds above 0"),
    (DEMO + "timeout = 'long'", "guest 1: timeout: long: give seconds, or a time"),
    (DEMO + "timeout = [1]", "guest 1: timeout: must be a whole number"),
    (DEMO + "memory = 'lots'", "guest 1: memory: lots: give MiB, or a size such as 64M"),
    (DEMO + "max-instructions = 'all'", "guest 1: max-instructions: all: give a whole number"),
    ("[grid]\nmemory = ['1Q']\n" + DEMO, "grid.memory: 1Q: give MiB, or a size such as 64M"),
    ("[grid]\nmemory = ['64M', 64]\n" + DEMO, "grid.memory: 64 is there twice"),
    (DEMO + "memroy = 8", "guest 1: unknown: memroy; did you mean memory?"),
    (DEMO + "max-instructions = 0", "guest 1: max-instructions 0: give a number above 0"),
    (DEMO + "max_instructions = 9", "guest 1: unknown: max_instructions"),
    (DEMO + "append = 'quiet'", "guest 1: unknown: append"),
    (DEMO + "type = [3]", "guest 1: type: give texts, or tables with"),
    (DEMO + "type = [{ after = 'x' }]", "guest 1: type: give texts, or tables with"),
    (DEMO + "type = [{ after = '', text = 'y' }]", "guest 1: type: `after` and `text` must be"),
    ("[[guest]]\nbench = 'macro9'", "guest 1: bench: 'macro9': choose from nano, talk"),
    ("[[guest]]\nbench = 'nano'\nonly = ['fly']", "guest 1: only: no operation 'fly'"),
    ("[[guest]]\nbench = 'nano'\nrounds = 0", "guest 1: rounds: must be 1 or more"),
    ("[[guest]]\nbench = 'nano'\nname = 'x'", "guest 1: name: the guests of vp bench have names"),
    ("[[guest]]\nflat = 'spin.bin'", "guest 1: flat spin.bin: say where to load it, as FILE@ADDR"),
    (FLAT + "entry = 'start'", "guest 1: entry start: not a 32-bit number"),
    ("[[guest]]\nflat = 'gone.bin@0'", "gone.bin: cannot read the flat (no such file"),
    ("[[guest]]\nelf = 'spin.bin'\nentry = 3", "guest 1: unknown: entry"),
    (FLAT + "firmware-state = 'dos'", "guest 1: firmware state 'dos': choose from bios, raw"),
    (FLAT + "firmware-state = 1", "guest 1: firmware-state: must be text"),
    (DEMO + "firmware-state = 'raw'", "guest 1: unknown: firmware-state"),
    ("[[guest]]\nkernel = 'spin.bin'\ninitrd = 'gone'", "gone: cannot read the initrd (no such"),
]  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "spin.bin").write_bytes(SPIN)
    return tmp_path


def read(folder: Path, text: str) -> Spec:
    return load(spec(folder, text))


@pytest.mark.parametrize(("text", "message"), WRONG)
def test_what_is_wrong_is_named(folder: Path, text: str, message: str) -> None:
    with pytest.raises(UserError) as error:
        read(folder, text)
    said = str(error.value)
    assert message in said and said.count("\n") == 0 and "spec.toml" in said


def test_sizes_times_and_counts_may_be_text(folder: Path) -> None:
    guest = "memory = '1G'\ntimeout = '5m'\nmax-instructions = '2M'\n"
    (found,) = read(folder, DEMO + guest).guests
    assert (found.memory_mb, found.limits.timeout, found.limits.max_instructions) == (
        1024, 300.0, 2_000_000
    )  # fmt: skip
    spec = read(folder, "baseline = { memory = '8M' }\n[grid]\nmemory = ['8M', '1G']\n" + DEMO)
    assert spec.grid.memory == (8, 1024) and spec.baseline == {"memory_mb": 8}
    bench, *_ = read(folder, "[[guest]]\nbench = 'nano'\nonly = ['in']\nrounds = '1k'").guests
    assert bench.image.rounds == 1000  # type: ignore[attr-defined]


def test_a_spec_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot read the spec"):
        load(tmp_path / "gone.toml")


def test_the_grid_in_the_order_of_the_table(folder: Path) -> None:
    points = read(folder, "[grid]\nmode = ['bare', 'translate']\nwithout = ['stubs', '']\n"
                          "memory = [8, 4]\nrepetitions = 2\n" + DEMO).points()  # fmt: skip
    assert [(p.mode, p.without, p.memory_mb, p.repetition) for p in points] == [
        (mode, without, memory, repetition)
        for mode, without in (("bare", ()), ("translate", ("stubs",)), ("translate", ()))
        for memory in (8, 4)
        for repetition in (1, 2)
    ]


def test_a_repetition_runs_everything_once(folder: Path) -> None:
    from monitor.sweep.grid import running_order

    points = read(folder, SMALL).points()
    order = [points[number].repetition for number in running_order(points)]
    assert order == sorted(order) and len(set(running_order(points))) == len(points)


def test_guests_of_vp_bench_are_those_that_vp_bench_runs(folder: Path) -> None:
    found = read(folder, "[[guest]]\nbench = 'nano'\nonly = ['usercall', 'in']\n[[guest]]\n"
                         "bench = 'talk'")  # fmt: skip
    assert [guest.name for guest in found.guests] == [
        "empty (ring 3)", "empty (ring 0)", "usercall", "in", "direct", "patched", "integer",
        "float",
    ]  # fmt: skip
    assert {guest.memory_mb for guest in found.guests} == {8}


def test_a_guest_has_the_options_of_vp_run(folder: Path) -> None:
    (folder / "module").write_bytes(b"m")
    more = """
    append = "quiet --fast"
    module = ["module"]
    memory = 16
    until = "done"
    timeout = 2.5
    max-instructions = 0x10
    firmware-state = "raw"
    type = ["ls\\n", { after = "login: ", text = "root\\n" }]
    """
    guest = read(folder, "[[guest]]\nname = 'my guest'\nmultiboot = 'spin.bin'\n" + more).guests[0]
    assert (guest.name, guest.memory_mb) == ("my guest", 16)
    limits = guest.limits
    assert (limits.until, limits.timeout, limits.max_instructions) == ("done", 2.5, 16)
    assert list(guest.typing) == [TypedLine(b"ls\n"), TypedLine(b"root\n", b"login: ")]
    assert guest.image.config.cmdline == "quiet --fast"
    assert guest.image.config.firmware_state == "raw"
    assert guest.image.contents == {Path("spin.bin"): SPIN, Path("module"): b"m"}


def test_the_usual_baseline_is_bare_where_there_is_one(folder: Path) -> None:
    assert read(folder, "[grid]\nmode = ['bare', 'trap']\n" + DEMO).baseline == {"mode": "bare"}
    assert read(folder, DEMO).baseline == {}
    own = read(folder, "baseline = { without = '', memory = 8 }\n[grid]\nmemory = [8, 9]\n" + DEMO)
    assert own.baseline == {"without": (), "memory_mb": 8}


def test_what_changes_no_row_is_no_other_sweep(folder: Path) -> None:
    plain = read(folder, SMALL).identity
    assert read(folder, "baseline = { mode = 'translate' }\ndask = 'tcp://there'\n"
                        + SMALL).identity == plain  # fmt: skip
    assert read(folder, "time = true\n" + SMALL).identity != plain


def test_another_file_of_the_same_name_is_another_sweep(folder: Path) -> None:
    from monitor.sweep.identity import differences

    before = read(folder, FLAT).identity
    (folder / "spin.bin").write_bytes(SPIN * 2)
    assert differences(before, read(folder, FLAT).identity) == ["contents of spin.bin changed"]
