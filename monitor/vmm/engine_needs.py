"""What a machine asks of an engine beside running guest code: UserError where it cannot have it."""

from __future__ import annotations

from bt.contract import Traits
from monitor.vmm.errors import UserError


def check_engine(name: str, traits: Traits, mode: str, clock: str) -> None:
    """UserError for settings that this engine cannot serve. In mode bare there is no engine."""
    if mode == "bare":
        return
    if clock == "icount" and not traits.exact_counts:
        raise UserError(
            f"engine {name!r} does not count instructions exactly, as the clock icount needs: "
            "choose the clock host (--clock host) or another engine (--engine interp)"
        )
    if mode == "trap" and not traits.runs_directly:
        raise UserError(
            f"engine {name!r} runs translated code only, and mode trap runs the guest's own: "
            "choose mode translate (--mode translate) or another engine (--engine interp)"
        )


def check_lockstep(name: str, traits: Traits, mode: str) -> None:
    """UserError: machines with this engine cannot be compared instruction by instruction."""
    if mode != "bare" and not traits.exact_counts:
        raise UserError(
            f"engine {name!r} does not count instructions exactly, and lockstep compares machines "
            "after the same number of them: choose another engine (engine='interp')"
        )


def check_notes(traits: Traits) -> None:
    """UserError: an engine like this notes nothing for those who watch it."""
    if not traits.instruments:
        raise UserError(
            "this machine's engine does not note what it runs: choose another (--engine interp)"
        )
