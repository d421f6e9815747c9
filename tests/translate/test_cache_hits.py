"""The statistics of the translation cache: what was looked up in it, and what was there."""

from __future__ import annotations

from typing import Any

from patience import PATIENCE

from bt.assembler import assemble
from monitor import Machine

ORIGIN = 0x100000
ROUNDS = 100
# Per round: a CALL and RET, an indirect CALL and RET, an indirect JMP. The direct CALL is chained.
SOURCE = f"""
    mov esi, {ROUNDS}
again:
    call near_by
    lea eax, [near_by]
    call eax
    lea eax, [onward]
    jmp eax
onward:
    dec esi
    jnz again
    xor eax, eax
    out 0xf4, al
near_by:
    inc ebx
    ret
"""
INDIRECT_BRANCHES = 4 * ROUNDS


def figures() -> tuple[dict[str, Any], dict[str, int]]:
    """TC statistics and exits of the program above."""
    code = assemble(SOURCE, ORIGIN)
    machine = Machine(memory_mb=4, mode="translate")
    machine.load_flat(code, ORIGIN, esp=0x90000)
    assert machine.run(timeout=PATIENCE).kind == "exit"
    assert machine.registers["ebx"] == 2 * ROUNDS
    statistics = machine.statistics()
    return statistics["tc"], statistics["exits"]


def test_every_indirect_branch_is_a_lookup() -> None:
    tc, _ = figures()
    assert tc["lookups"] == INDIRECT_BRANCHES


def test_a_lookup_that_hits_makes_no_exit() -> None:
    tc, exits = figures()
    assert tc["lookups"] - tc["lookup_hits"] == exits["indirect branch"]
    assert 0 < exits["indirect branch"] < 10  # each target once; the other rounds find it


def test_a_dispatch_finds_a_block_or_has_it_translated() -> None:
    tc, exits = figures()
    assert 0 < tc["dispatch_hits"] < tc["dispatches"]
    # Nothing was dropped: a block was translated for a dispatch, or ahead of one, once.
    assert tc["dispatches"] - tc["dispatch_hits"] <= tc["blocks"]
    assert tc["dispatches"] < sum(exits.values()) + 10


def test_a_bare_machine_has_no_translation_cache() -> None:
    machine = Machine(memory_mb=4, mode="bare")
    machine.load_flat(b"\xeb\xfe", ORIGIN)
    machine.step(10)
    assert "tc" not in machine.statistics()
