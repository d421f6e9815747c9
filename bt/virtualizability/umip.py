"""What UMIP changes: user-mode instruction prevention (SDM vol. 3, 2.5, CR4 bit 11).

With CR4.UMIP set five instructions are #GP(0) at a CPL above 0. The interpreter's processor is
older; so this is the manual's sentence as a rule over outcomes, applied before they are classified
once more (classify.Rule).
"""

from __future__ import annotations

from dataclasses import replace

from bt.virtualizability.forms import Form
from bt.virtualizability.outcome import ExperimentOutcome, Trap
from bt.virtualizability.worlds import World

PREVENTED = frozenset(("SGDT", "SIDT", "SLDT", "SMSW", "STR"))
UMIP_TRAP = Trap(13, 0)  # #GP(0)


def with_umip(world: World, form: Form, outcome: ExperimentOutcome) -> ExperimentOutcome:
    """The outcome on a processor with CR4.UMIP set."""
    if world.cpl == 0 or form.row.mnemonic not in PREVENTED or outcome.trap is not None:
        return outcome
    return replace(outcome, trap=UMIP_TRAP, after=outcome.before)
