"""How each instruction is translated, by ring: the patch policy, from the classes of bt/table.py.

In the guest's kernel every sensitive instruction is replaced; in user code that has to run
translated, only those that would show ring 3 something else than the guest's own state. What traps
anyway may as well exit at once.

>>> next(policy for policy, row in policies(user=False).values() if row.mnemonic == "CLI")
'flags'
"""

from __future__ import annotations

import functools

from bt.instruction import Class, Instruction
from bt.table import TABLE

# FNSTENV and FNSAVE store the address of the last x87 instruction: the guest's, not ours. FLDENV
# and FRSTOR load one, which must not be taken for ours afterwards.
X87_ENVIRONMENT = (
    *(0xD9 * 8 + 6, 0xDD * 8 + 6, 0xD9 * 8 + 4, 0xDD * 8 + 4),
    *(0x1AE * 8 + 0, 0x1AE * 8 + 1),  # FXSAVE, FXRSTOR
)

FLAG_BODIES = ("pushf", "popf")
BRANCHES = ("jcc", "loop", "jmp_near", "call_near", "ret_near", "jmp_e", "call_e")
COPY = "copy"  # the policy of what runs as it is
STUBBED = ("port", "flags", "push_seg", "mov_es", "read_system")  # policies without an exit
OPENS_WINDOW = ("sti", "popf")  # what may set IF


class Context:
    """What a translation depends on besides the bytes. Blocks of different contexts never mix."""

    def __init__(self, user: bool = False, stubs: bool = True) -> None:
        """`stubs`: CLI, STI, PUSHF, POPF may be simulated (kernel) or copied (user): IOPL is 0."""
        self.user = user
        self.stubs = stubs
        self.number = user + 2 * (not stubs)  # 0 to 3: its place in tables of contexts


CONTEXTS = (
    Context(),
    Context(user=True),
    Context(stubs=False),
    Context(user=True, stubs=False),
)


def policy_of(row: Instruction, user: bool) -> str:
    """How an instruction is translated: "copy", "emulate", or what bt/rewrite.py does it with."""
    body = row.body
    if body in BRANCHES:
        return body
    if body in ("cpuid", "rdpmc", "bound", "ud2", "int1"):
        return "emulate"
    if row.sensitivity is Class.INNOCUOUS:
        return "copy"
    if not user and body in ("in_imm", "in_dx", "out_imm", "out_dx"):
        return "port"
    if not user and body in ("cli", "sti", "pushf", "popf"):
        return "flags"
    if body in ("push_seg", "mov_es"):
        return body
    if not user and body in ("smsw", "str_e", "sldt", "mov_rc"):
        return "read_system"
    if body in FLAG_BODIES:  # the user's
        return "copy"
    return "emulate"


@functools.cache
def policies(user: bool) -> dict[int, tuple[str, Instruction]]:
    """Policy and row by survey entry (opcode * 8 + ModRM.reg)."""
    found = {}
    for row in TABLE:
        if row.modrm is not None:
            continue  # as its group's other members: left to the monitor
        for c in range(row.code, row.code + 8) if row.in_opcode else (row.code,):
            for reg in range(8) if row.extension is None else (row.extension,):
                found[c * 8 + reg] = (policy_of(row, user), row)
    return found


def plain_entries(policies: dict[int, tuple[str, Instruction]]) -> frozenset[int]:
    """Survey entries that are copied whatever their operands (but for segment overrides)."""
    return frozenset(
        entry
        for entry, (policy, row) in policies.items()
        if policy == "copy" and entry not in X87_ENVIRONMENT and row.body not in FLAG_BODIES
    )
