"""What an operation of your own costs, from its assembly text: the nanobenchmarks' way.

    from monitor.bench.own import KERNEL, USER, costs
    found = costs({"store": "mov [esi], ecx"}, setups=("bare", "translate", "translate -bytes"))
    found["store", "translate"].cycles          # of one operation, without the loop around it
    found["store", "translate"].steady.cycles   # when nothing happens for the first time any more

Instructions are separated by semicolons or line ends, and labels stand alone. The help of `costs`
says what an operation may use.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from monitor.bench.apart import Cost
from monitor.bench.model import DEFAULT, load
from monitor.bench.nano import KERNEL, ROUNDS, SETUPS, USER
from monitor.bench.own_loop import OwnOperation
from monitor.bench.own_plan import INSTRUCTIONS, SECONDS, Bounds, OwnPlan
from monitor.bench.progress import Progress, collect
from monitor.bench.rows import Setup
from monitor.settings.machine import MODES, check_ablations
from monitor.vmm.errors import UserError

__all__ = ["EVERY", "KERNEL", "USER", "costs"]

USUAL = ("bare", "translate")
EVERY = tuple(str(setup) for setup in SETUPS)  #: all modes, and translate without each technique


def costs(
    operations: Mapping[str, str],
    *,
    loop: str = KERNEL,
    setups: Sequence[str] = USUAL,
    rounds: int = ROUNDS,
    model: str = DEFAULT,
    seconds: float = SECONDS,
    instructions: int = INSTRUCTIONS,
    progress: Progress = True,
) -> dict[tuple[str, str], Cost]:
    """Costs of operations, each by its name and its setup.

    * `operations`: assembly text by name. The loop goes on at its end.
    * `loop`: KERNEL runs it in ring 0, USER in ring 3.
    * `setups`: "bare", "trap", "translate", "translate -TECHNIQUE ..."; EVERY has all of them.
    * `rounds`: passes through the loop. It runs for `rounds`, for half as many, and for one.
    * `model`: a cost model, by its name or its .toml file.
    * `seconds`, `instructions`: limits, of real time for the whole call, and of guest instructions
      for one run. One pass may take 100,000 instructions.
    * `progress`: True shows a bar on standard error if that is a terminal; a function is called
      with the rows that are done and how many there will be.

    **Registers.** An operation may use EAX, EBX, ECX, EDX, ESI, EDI, EBP, the flags, the x87 unit,
    and the segment registers DS, ES, FS and GS. The loop's counter lies in memory. Only ESP has to
    end as it began, and the operation in the ring where it began.

    When a pass begins, ECX has the passes that are left, down to 1; every other register has what
    the pass before left in it, and before the first: ESI points to 512 KiB of memory of its own,
    EDI to a page that is not mapped; EAX, EBX, EDX and EBP are 0.

    **Around it.** #DE and #PF have handlers that go on two bytes further, behind an instruction of
    two bytes. No timer runs. Names: ARRAYS (what ESI points to), ABSENT_PAGE (EDI), SPARE_PAGE and
    its page table entry SPARE_PTE, POST_PORT, SYSTEM_CALL (a gate to IRET), `nothing` (a procedure
    of one RET).

    UserError, with the operation's name, for text that cannot be assembled and for an operation
    that stops (HLT), loops for ever, leaves its code, faults, does not keep the stack balanced, or
    whose passes differ; where a limit is reached; and in setup "trap" where wrong answers lead it
    astray.
    """
    known = [OwnOperation(name, code.replace(";", "\n"), loop) for name, code in operations.items()]
    if loop not in (KERNEL, USER):
        raise UserError(f"loop {loop!r}: choose KERNEL or USER of monitor.bench.own")
    if rounds < 1:
        raise UserError(f"{rounds} rounds: choose 1 or more")
    plan = OwnPlan(known, [setup(text) for text in setups], rounds, 1, load(model),
                   Bounds(seconds, instructions))  # fmt: skip
    rows = collect(plan.measure(), plan.size, "measuring", progress)
    return {(name, str(one)): _there(name, one, found)
            for (name, one), found in plan.costs(rows).items()}  # fmt: skip


def _there(name: str, setup: Setup, found: Cost | None) -> Cost:
    if found is None:
        raise UserError(f"operation {name!r}, {setup}: critical instructions give wrong answers "
                        "there, and it did not come to its end; leave that setup out")  # fmt: skip
    return found


def setup(text: str) -> Setup:
    """A setup by the words that it prints as. Raises UserError.

    >>> setup("translate -bytes -stubs")
    Setup(mode='translate', without=('bytes', 'stubs'))
    """
    mode, *left_out = text.split() or [""]
    without = tuple(word.removeprefix("-") for word in left_out)
    if mode not in MODES or not all(word.startswith("-") for word in left_out):
        raise UserError(f"setup {text!r}: write a mode ({', '.join(MODES)}) and -TECHNIQUE")
    check_ablations(mode, without)
    return Setup(mode, without)
