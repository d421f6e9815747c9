"""What can go wrong outside the guest.

Three kinds of trouble, three ways out:

    guest fault   delivered into the guest as its processor would; never seen outside the engine
    UserError     bad input or usage: one line, exit status 2
    MonitorBug    the monitor broke its own rules: a traceback, please report it
"""

from __future__ import annotations

EXIT_STATUS = 2


class UserError(Exception):
    """Bad input or usage. The message is one line: what is wrong and what to do about it."""

    status = EXIT_STATUS


class MonitorBug(Exception):
    """An invariant of the monitor does not hold: a bug of this program, never of the guest."""
