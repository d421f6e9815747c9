"""What can go wrong outside the guest.

Kinds of trouble, each with its way out:

    guest fault     delivered into the guest as its processor would; never seen outside the engine
    UserError       bad input or usage: one line, exit status 2
    CallbackFailed  code of the embedder's that the machine called: the run ends, kind "callback"
    MonitorBug      the monitor broke its own rules: a traceback, please report it
"""

from __future__ import annotations

EXIT_STATUS = 2


class UserError(Exception):
    """Bad input or usage. The message is one line: what is wrong and what to do about it."""

    status = EXIT_STATUS


class CallbackFailed(Exception):
    """The machine cannot go on: `str()` says which function of the embedder's did what."""


class MonitorBug(Exception):
    """An invariant of the monitor does not hold: a bug of this program, never of the guest."""
