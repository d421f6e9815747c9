"""Which instructions can have a stub of one's own, and what they are called: out of the table.

Those that the translator replaces, be it by a stub or an exit, and RDTSC: it is copied, but the
time that it tells is the machine's, so that other monitors let it leave. A name is the mnemonic;
where one mnemonic has several sorts of instruction, it says from or to what sort of register.

>>> name_of(next(row for row in TABLE if row.body == "mov_rc"))
'mov from cr'
"""

from __future__ import annotations

import difflib
import functools

from bt.instruction import Instruction
from bt.policy import BRANCHES, COPY, policies, policy_of
from bt.table import TABLE

TIMED = "rdtsc"
SORTS = {"S": "sreg", "C": "cr", "D": "dr"}
SHOWN = 3  # names that are like a wrong one


def name_of(row: Instruction) -> str:
    """What `Extensions(stubs=...)` calls an instruction."""
    mnemonic = row.mnemonic.lower()
    letters = [text[:1] for text in row.operands.split(",")]
    for letter, sort in SORTS.items():
        if letter in letters:
            return f"{mnemonic} {'to' if letters[0] == letter else 'from'} {sort}"
    return mnemonic


def may_have_stub(row: Instruction) -> bool:
    """Can a row's instructions have a stub of one's own?"""
    return row.modrm is None and not _why_not(row)


def _why_not(row: Instruction) -> str:
    """Empty, or why there can be no stub for a row."""
    policy = policy_of(row, user=False)
    if row.modrm is not None:
        return "it has no place of its own in the opcode map, so the monitor gets all that is there"
    if policy in BRANCHES:
        return "near branches are linked and looked up, which `chaining` is the extension point of"
    if policy == COPY and row.body != TIMED:
        return "it is innocuous: translated code has it as it is, which nothing can be faster than"
    return ""


@functools.cache
def entries() -> dict[str, frozenset[int]]:
    """Survey entries (bt/policy.py, `policies`) by name, in the order of the opcode map."""
    found: dict[str, set[int]] = {}
    for entry, (_, row) in policies(False).items():
        if may_have_stub(row):
            found.setdefault(name_of(row), set()).add(entry)
    return {name: frozenset(numbers) for name, numbers in found.items()}


def refusal(name: str) -> str:
    """Why there is no stub of this name: a sentence that names those there are."""
    listed = ", ".join(sorted(entries()))
    rows = [row for row in TABLE if name in (name_of(row), row.mnemonic.lower())]
    reasons = {_why_not(row) for row in rows} - {""}
    if several := [known for known in entries() if known.startswith(f"{name} ")]:
        others = f"; for any other there can be none: {min(reasons)}" if reasons else ""
        return f"say which: {', '.join(several)}{others}"
    if reasons:
        return f"there can be none: {min(reasons)}; there can be stubs for {listed}"
    like = difflib.get_close_matches(name, entries(), SHOWN)
    hint = f"did you mean {' or '.join(like)}? " if like else ""
    return f"{hint}there can be stubs for {listed}"
