"""How a run ended, as an exit status and as a line for people.

    0   as asked: --until was seen, the guest powered off or reset itself, the user left, the
        number of instructions asked for has run, or the guest wrote 0 to the debug-exit port
    1   not as asked: time limit, triple fault, halted for ever, a callback that failed, or
        --until was never seen
    2   bad usage or input (raised as UserError, not decided here)
    3.. the guest wrote another code to the debug-exit port: (code << 1) | 1, eight bits of it

With --debug-exit a code of 0 counts by that formula too, and gives 1, as QEMU's isa-debug-exit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from monitor import Outcome

AS_ASKED, NOT_AS_ASKED = 0, 1
BAD = ("timeout", "shutdown", "stuck", "callback")
CODE_ZERO = 1  # (0 << 1) | 1


def exit_status(outcome: Outcome, until: str | None, debug_exit: bool = False) -> int:
    """The status of `vp run`."""
    if outcome.kind == "exit":
        status = NOT_AS_ASKED if outcome.status is None else outcome.status & 0xFF
        if status != CODE_ZERO or debug_exit:
            return status
    if outcome.kind in BAD or missed(outcome, until):
        return NOT_AS_ASKED
    return AS_ASKED


def missed(outcome: Outcome, until: str | None) -> bool:
    """Was a text waited for that never came?"""
    return until is not None and outcome.kind != "until"


def sentence(outcome: Outcome, until: str | None) -> str:
    """What happened, in one line."""
    text = outcome.detail or outcome.kind
    if outcome.kind == "exit" and outcome.status is not None:
        text = f"the guest wrote {outcome.status >> 1} to the debug-exit port"
    return f"{text}; '{until}' was not seen" if missed(outcome, until) else text


def wants_explanation(outcome: Outcome, until: str | None) -> bool:
    """Should the user be shown where the guest was?"""
    return outcome.kind in BAD or missed(outcome, until)
