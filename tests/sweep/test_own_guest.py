"""Operations of the user's own in a sweep: the same figures as `vp bench own`, point by point."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sweeping import spec

from monitor.bench.own import costs
from monitor.bench.own_plan import INSTRUCTIONS
from monitor.sweep import task
from monitor.sweep.spec import Spec, load
from monitor.sweep.summary import table
from monitor.sweep.task import run_point
from monitor.vmm.errors import UserError

MODEL = "pentium2-450"
POPF = "LENGTH = 2\npopf:\n pushfd\n .fill LENGTH, 1, 0x90\n popfd\nother:\n nop\n"
GRID = "[grid]\nmode = ['bare', 'trap', 'translate']\nwithout = ['', 'stubs']\n"
OWN = "[[guest]]\nown = 'mine.asm'\nrounds = 9\n"
ASTRAY = "pushfd\npop eax\ntest eax, 0x200\njz .on\n.a: jmp .a\n.on:\n"


def read(folder: Path, text: str, asm: str = POPF) -> Spec:
    (folder / "mine.asm").write_text(asm)
    return load(spec(folder, text))


def rows(found: Spec) -> list[dict[str, Any]]:
    guests = {guest.name: guest for guest in found.guests}
    return [point.cells() | run_point(guests[point.guest], point, found.models, False)
            for point in found.points()]  # fmt: skip


def test_the_columns_are_the_figures_of_vp_bench_own(tmp_path: Path) -> None:
    found = rows(read(tmp_path, GRID + OWN + "only = ['popf']\nset = { LENGTH = [0, 3] }\n"))
    assert [(row["guest"], row["mode"], row["without"]) for row in found[:4]] == [
        ("popf LENGTH=0", "bare", ""), ("popf LENGTH=0", "trap", ""),
        ("popf LENGTH=0", "translate", ""), ("popf LENGTH=0", "translate", "stubs")]  # fmt: skip
    setups = ("bare", "trap", "translate", "translate -stubs")
    for length in (0, 3):
        known = costs({"popf": f"pushfd; .fill {length}, 1, 0x90; popfd"}, setups=setups, rounds=9)
        for row, one in zip(found[4 * (length > 0):], known.values(), strict=False):
            assert row["ok"] == 1 and row["ended"] == "exit"
            assert float(row[f"steady:{MODEL}"]) == one.steady.cycles
            assert float(row[f"native:{MODEL}"]) == one.steady.native
            assert float(row[f"stubs:{MODEL}"]) == one.steady.stubs
            assert float(row[f"first pass:{MODEL}"]) == one.first.cycles
            assert float(row[f"once:{MODEL}"]) == one.once.cycles
            assert float(row[f"translation:{MODEL}"]) == one.once.translation
            assert row[f"cycles:{MODEL}"] > 0


def test_ring_3_and_every_model(tmp_path: Path) -> None:
    from importlib.resources import files

    text = files("monitor.bench.models").joinpath(f"{MODEL}.toml").read_text()
    dear = text.replace('name = "pentium2-450"', 'name = "dear"')
    before = "[instruction.simple]\ncycles = 1"
    assert before in dear
    (tmp_path / "dear.toml").write_text(dear.replace(before, "[instruction.simple]\ncycles = 7"))
    found = rows(read(tmp_path, f"models = ['{MODEL}', 'dear.toml']\n" + OWN
                      + "only = ['other']\nring = 3\n"))  # fmt: skip
    assert [found[0][f"steady:{name}"] for name in (MODEL, "dear")] == ["1.00", "7.00"]
    assert found[0]["direct"] > 9


def test_the_table_has_the_columns_only_where_there_are_such_guests(tmp_path: Path) -> None:
    from monitor.sweep.table import as_csv

    with_own = read(tmp_path, OWN)
    found = dict(enumerate(rows(with_own)))
    text = as_csv(with_own.points(), found, [MODEL])
    assert f",steady:{MODEL},native:{MODEL},stubs:{MODEL},first pass:{MODEL}," in text
    other = read(tmp_path, "[[guest]]\nbench = 'nano'\nonly = ['in']\nrounds = 5\n")
    assert "steady" not in as_csv(other.points(), dict(enumerate(rows(other))), [MODEL])


def test_the_summary_compares_steady_passes(tmp_path: Path) -> None:
    found = read(tmp_path, GRID + OWN + "only = ['popf']\n")
    shown = table(found, dict(enumerate(rows(found))))
    column = next(one for one in shown.columns if one.header == "steady ratio")
    setups = next(one for one in shown.columns if one.header == "setup")
    assert [str(cell).endswith("(wrong)") for cell in setups.cells] == [False, True, False, False]
    assert list(map(str, column.cells)) == ["1.00", "0.15", "0.52", "37.11"]  # of 27: 4, 14, 1002


def test_wrong_answers_that_lead_it_astray_end_the_row_soon(tmp_path: Path) -> None:
    found = rows(read(tmp_path, "[grid]\nmode = ['trap', 'translate']\n" + OWN
                      + "max-instructions = 50000\n", ASTRAY))  # fmt: skip
    trap, translated = found
    assert (trap["ok"], trap["detail"]) == (0, task.ASTRAY) and trap["ended"] == "instructions"
    assert f"steady:{MODEL}" not in trap and translated["ok"] == 1


def test_they_are_limited_where_the_spec_has_no_limit(tmp_path: Path) -> None:
    assert read(tmp_path, OWN).guests[0].limits.max_instructions == INSTRUCTIONS
    limits = read(tmp_path, OWN + "max-instructions = 9\n").guests[0].limits
    assert limits.max_instructions == 9


def test_what_cannot_be_measured_is_a_row_that_says_so(tmp_path: Path) -> None:
    later = "inc dword ptr [esi]\ncmp dword ptr [esi], 5\njnz .on\nnop\n.on:\n"
    [differs] = rows(read(tmp_path, OWN, later))
    assert (differs["ended"], differs["ok"]) == ("refused", 0)
    assert "its passes differ" in differs["detail"]
    [small] = rows(read(tmp_path, OWN + "memory = 3\n", "nop\n"))
    assert "operations of one's own need 4 MiB" in small["detail"]
    [slow] = rows(read(tmp_path, OWN + "timeout = 0.0001\n", "nop\n"))
    assert slow["ended"] == "timeout" and "instructions" not in slow


WRONG = [
    (OWN + "name = 'x'", "guest 1: name: the labels of the file are names already"),
    (OWN + "ring = 1", "guest 1: ring: 1: choose 0 or 3"),
    ("[[guest]]\nown = 'mine.asm'\nrounds = 0", "guest 1: rounds: must be 1 or more"),
    (OWN + "only = ['fly']", "guest 1: own: no operation 'fly': choose from popf, other"),
    (OWN + "only = [3]", "guest 1: only: must be a list of texts"),
    (OWN + "set = 3", "guest 1: set: must be a table"),
    (OWN + "set = { LENGTH = [] }", "guest 1: set.LENGTH: must be a number"),
    (OWN + "set = { LENGTH = 'x' }", "guest 1: set.LENGTH: must be a number"),
    (OWN + "set = { LENGTH = [-1] }", "guest 1: set.LENGTH: must be a number of 32 bits"),
    (OWN + "set = { LENGTH = [1, 1] }", "guest 1: set.LENGTH: a number is there twice"),
    (OWN + "set = { WIDTH = 1 }", "guest 1: own: mine.asm has no WIDTH"),
    ("[[guest]]\nown = 'gone.asm'", "guest 1: own: cannot read the assembly file"),
    (OWN + OWN, "guest: two are named 'popf'"),
]


@pytest.mark.parametrize(("text", "message"), WRONG)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UserError) as error:
        read(tmp_path, text)
    assert message in str(error.value) and "spec.toml" in str(error.value)


def test_mistakes_are_found_before_anything_runs(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="guest 1: own: operation 'mine': it stops: HLT"):
        read(tmp_path, OWN, "hlt\n")


def test_another_text_is_another_sweep(tmp_path: Path) -> None:
    first = read(tmp_path, OWN).identity
    assert first == read(tmp_path, OWN).identity
    second = read(tmp_path, OWN, POPF.replace("nop", "cld")).identity
    assert [key for key in first if first[key] != second[key]] == ["contents of mine.asm"]
    third = read(tmp_path, OWN + "set = { LENGTH = 1 }\n").identity
    assert "guest 1.set.LENGTH" in third
