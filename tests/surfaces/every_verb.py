"""A command for everything that a verb prints, and the files that they need."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from bt.assembler import assemble
from monitor.cli import main

GUEST = """mov edx, 0x3f8; mov ecx, 40; l: pushf; cli; mov al, 'x'; out dx, al; popf; smsw eax
mov eax, [ecx*4+0x123456]; and dword ptr [0x104000], 0xfffffdff; dec ecx; jnz l
mov edx, 0xf4; mov al, 0; out dx, al; hlt"""
SWEEP = """grid.mode = ["bare", "translate"]
[baseline]
mode = "bare"
[[guest]]
flat = "guest.bin@0x100000"
memory = 2
"""
FLAT = "--flat guest.bin@0x100000 --memory 2"
COMMANDS = {
    "run": f"run --report {FLAT} --serial null",
    "run trap": f"run --report {FLAT} --serial null --mode trap",
    "guest": "guest list",
    "web": f"web --report {FLAT}",
    "resume": "resume machine.vpcheck --report --serial null",
    "run vmx": f"run --report machine.vmx {FLAT} --serial null",
    "demo": "demo",
    "cpus": "cpus",
    "scan": "scan guest.bin",
    "virtualizability": "virtualizability --no-host --only POPF --only 'PUSH DS' --only SMSW",
    "virtualizability all": "virtualizability --no-host --only SMSW --only CLI --all",
    "tc": f"tc {FLAT}",
    "tc summary": f"tc {FLAT} --summary",
    "mmu": f"mmu {FLAT}",
    "mmu paging": "mmu --demo --memory 4 --max-instructions 300100",
    "trace": f"trace {FLAT} --limit 40",
    "bench": "bench nano --only in --rounds 5",
    "bench talk": "bench talk --only integer --rounds 5",
    "bench ablations": "bench ablations --only nano --rounds 5",
    "bench compare": "bench compare before after",
    "sweep": "sweep sweep.toml --jobs 1",
    "lab": "lab list",
    "lab grade": "lab grade --check-host",
}
NO_DATA = {"help", "completion"}  # verbs that print texts for people or a shell
SLOW = {"mmu paging", "bench talk", "bench ablations", "virtualizability",
        "virtualizability all"}  # fmt: skip


def fill(folder: Path) -> Path:
    """Put the files there."""
    (folder / "guest.bin").write_bytes(assemble(GUEST, 0x100000))
    (folder / "sweep.toml").write_text(SWEEP)
    (folder / "machine.vmx").write_text(
        'displayName = "a name"\nmemsize = "8"\nethernet0.present = "TRUE"\nnumvcpus = "4"\n'
    )
    assert main(["run", "--quiet", "--flat", f"{folder}/guest.bin@0x100000", "--memory", "2",
                 "--serial", "null", "--max-instructions", "50",
                 "--checkpoint", f"{folder}/machine.vpcheck"]) == 0  # fmt: skip
    assert main([*COMMANDS["bench"].split(), "--out", str(folder / "before")]) == 0
    shutil.copytree(folder / "before", folder / "after")
    rows = folder / "after" / "rows.csv"
    rows.write_text(rows.read_text().replace("=5", "=123456"))
    return folder


def measure_once(monkeypatch: pytest.MonkeyPatch, kept: dict[str, list[object]]) -> None:
    """The suites of `vp bench` run for the first time only: their rows are the same each time."""

    def track(rows: Iterable[object], what: str, *_size: object, **_options: object) -> object:
        if what not in kept:
            kept[what] = list(rows)
        return kept[what]

    monkeypatch.setattr("rich.progress.track", track)


def marked(names: Iterable[str]) -> list[Any]:
    """For parametrize: some are too long for the uncompiled build."""
    return [pytest.param(name, marks=pytest.mark.slow if name in SLOW else ()) for name in names]
