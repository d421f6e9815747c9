"""The tables of the Python guide for people from elsewhere: what stands on the right is run."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
GUIDE = (ROOT / "docs" / "python-guide.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| (.+?) \| (.+) \|$", re.MULTILINE)
CODE = re.compile(r"`([^`]+)`")
SHELL = ("vp ", "-")  # what is no Python


def rows(heading: str) -> list[tuple[str, list[str]]]:
    """What was done there, and the code that does it here."""
    section = GUIDE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    found = ROW.findall(section)
    assert found[1] == ("---", "---")
    return [(there, [code for code in CODE.findall(here) if not code.startswith(SHELL)])
            for there, here in found[2:]]  # fmt: skip


def names() -> dict[str, object]:
    """What the page has before the first table, and the two files of the second."""
    sys.path.insert(0, str(ROOT / "tests" / "loaders"))
    try:
        from loader_images import bzimage
    finally:
        sys.path.pop(0)
    made: dict[str, object] = {"kernel": bzimage(), "bios": b"\xf4" * 0x10000}
    exec("from bt.assembler import assemble", made)
    section = GUIDE.split("\n## Coming from Unicorn\n")[1]
    for line in re.findall(r"^>>> (.*)$", section, re.MULTILINE):
        exec(line, made)
    return made


@pytest.mark.parametrize(
    ("heading", "least"), [("Coming from Unicorn", 25), ("Coming from QEMU", 22)]
)
def test_each_row_runs(heading: str, least: int) -> None:
    table = rows(heading)
    assert len(table) >= least
    made = names()
    for there, codes in table:
        assert codes, f"{there}: no code"
        for code in codes:
            exec(compile(code, f"{heading}: {there}", "exec"), made)


def test_the_rows_are_about_what_they_say() -> None:
    there = " ".join(there for heading in ("Unicorn", "QEMU")
                     for there, _ in rows(f"Coming from {heading}"))  # fmt: skip
    for word in ("mem_map", "mem_write", "mem_read", "reg_read", "reg_write", "UC_HOOK_CODE",
                 "UC_HOOK_MEM_WRITE", "UC_HOOK_INTR", "UC_HOOK_INSN", "emu_start", "emu_stop",
                 "context_save", "count", "-device", "-kernel", "-serial", "-s -S", "sendkey",
                 "system_reset", "info registers", "-icount", "-bios"):  # fmt: skip
        assert word in there
