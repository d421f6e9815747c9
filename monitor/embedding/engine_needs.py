"""What settings ask of an engine beside running guest code: UserError where it cannot give it."""

from __future__ import annotations

from bt.contract import Traits
from bt.engine import ENGINES
from monitor.settings.machine import Settings
from monitor.vmm.errors import UserError


def check_engine(settings: Settings) -> None:
    """UserError for settings that the machine's engine cannot serve."""
    traits = traits_of(settings)
    if traits is None:
        return
    if settings.clock == "icount" and not traits.exact_counts:
        raise UserError(
            f"engine {settings.engine!r} does not count instructions exactly, as the clock icount "
            "needs: choose the clock host (--clock host) or another engine (--engine interp)"
        )
    if settings.mode == "trap" and not traits.runs_directly:
        raise UserError(
            f"engine {settings.engine!r} runs translated code only, and mode trap the guest's own: "
            "choose mode translate (--mode translate) or another engine (--engine interp)"
        )


def check_counts(settings: Settings, what: str) -> None:
    """UserError: `what` needs exact counts, and this engine has none."""
    traits = traits_of(settings)
    if traits is not None and not traits.exact_counts:
        raise UserError(
            f"engine {settings.engine!r} does not count instructions exactly, as {what} needs: "
            "choose another engine (--engine interp)"
        )


def traits_of(settings: Settings) -> Traits | None:
    """What the engine is like; None in mode bare, which has none."""
    return None if settings.mode == "bare" else ENGINES[settings.engine].traits
