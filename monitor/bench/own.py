"""What an operation of your own costs, from its assembly text: the nanobenchmarks' way.

    from monitor.bench.own import KERNEL, USER, costs
    found = costs({"store": "mov [esi], ecx"}, setups=("bare", "translate", "translate -bytes"))
    found["store", "translate"].cycles          # of one operation, without the loop around it

Instructions are separated by semicolons or line ends; labels begin with a dot, and stand alone. The
code stands in the loop of guests/loop_kernel.asm or, in ring 3, of loop_user.asm: ECX counts the
rounds down and has to be kept; ESI points to memory in ring 0. Every round must execute the same
instructions; one that is rewritten must stay of its class.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from monitor.ablations import ABLATIONS
from monitor.bench.figures import Figure
from monitor.bench.figures import operations as figures_of
from monitor.bench.model import DEFAULT, load
from monitor.bench.nano import KERNEL, ROUNDS, USER, Operation, sources
from monitor.bench.rows import Setup
from monitor.bench.suite import Plan
from monitor.config import MODES
from monitor.errors import UserError

__all__ = ["KERNEL", "USER", "costs"]

USUAL = ("bare", "translate")


def costs(
    operations: Mapping[str, str],
    *,
    loop: str = KERNEL,
    setups: Sequence[str] = USUAL,
    rounds: int = ROUNDS,
    model: str = DEFAULT,
) -> dict[tuple[str, str], Figure]:
    """Figures of one operation by its name and its setup. Raises UserError."""
    known = [
        Operation(name, "", loop, code=code.replace(";", "\n")) for name, code in operations.items()
    ]
    plan = Plan(sources(known), [setup(text) for text in setups], rounds, 1, load(model))
    return {(one.operation, str(one.setup)): one for one in figures_of(list(plan.measure()), known)}


def setup(text: str) -> Setup:
    """A setup by the words that it prints as. Raises UserError.

    >>> setup("translate -bytes -stubs")
    Setup(mode='translate', without=('bytes', 'stubs'))
    """
    mode, *left_out = text.split()
    without = tuple(word.removeprefix("-") for word in left_out)
    if mode not in MODES or not all(word.startswith("-") for word in left_out):
        raise UserError(f"setup {text!r}: write a mode ({', '.join(MODES)}) and -TECHNIQUE")
    if unknown := [name for name in without if name not in ABLATIONS]:
        raise UserError(f"technique {unknown[0]!r}: choose from {', '.join(ABLATIONS)}")
    return Setup(mode, without)
