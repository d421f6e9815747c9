"""The labs of a course on virtual machine monitors: what they are, and how they are graded.

Each lab is a module `labN.py` here, with its tests, and a folder `notebooks/labs/labN` with the
handout and the skeleton that a student completes. What a student writes is plugged into the real
monitor through monitor/extensions/; nothing of the monitor is copied. notebooks/labs/README.md is
for the teacher.

    >>> [(lab.number, lab.title) for lab in all_labs()][0]
    (1, 'Find the critical instructions')
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from monitor.labs.cases import Case
from monitor.vmm.errors import UserError

TITLES = {
    1: "Find the critical instructions",
    2: "Write a trap-and-emulate handler",
    3: "Write the stubs of CLI, STI, PUSHF and POPF",
    4: "Write the shadow page fault handler",
    5: "Make chaining work",
}
#: What a submission defines, which is what the tests ask it for.
PARTS = {
    1: ("classify",),
    2: ("handle",),
    3: ("STUBS",),
    4: ("fill", "table_written"),
    5: ("Chaining",),
}


def _folder() -> Path:
    """Where the handouts are: in the source tree, or where an installation has put them."""
    sources = Path(__file__).parents[2] / "notebooks" / "labs"
    return sources if sources.is_dir() else Path(__file__).parent / "handouts"


FOLDER = _folder()


@dataclass(frozen=True)
class Lab:
    number: int
    title: str

    @property
    def file_name(self) -> str:
        """What the student's file is called."""
        return f"lab{self.number}.py"

    @property
    def folder(self) -> Path:
        """Where handout and skeleton are; UserError where they were not installed."""
        folder = FOLDER / f"lab{self.number}"
        if not folder.is_dir():
            raise UserError(f"{folder} is missing: install the package again, or use a clone")
        return folder

    def cases(self) -> tuple[Case, ...]:
        """The tests, in the order in which they should be made to pass."""
        cases: tuple[Case, ...] = import_module(f"monitor.labs.lab{self.number}").CASES
        return cases


def find_lab(number: int) -> Lab:
    """UserError if there is none of this number."""
    if number not in TITLES:
        raise UserError(f"lab {number}: choose from {min(TITLES)} to {max(TITLES)}")
    return Lab(number, TITLES[number])


def all_labs() -> Iterator[Lab]:
    return (Lab(number, title) for number, title in TITLES.items())
