"""How long tests wait for what must come: as long as no slow or shared host ever needs.

    machine.run(timeout=PATIENCE)
    subprocess.run(command, timeout=PATIENCE)

A limit of this kind ends what hangs, and says where; it must not end what is slow. The rule, which
tests/suite/test_limits.py checks:

* What should end by itself gets PATIENCE, ten times what the longest of them needs on a quiet
  processor, and a test gets a limit of processor time (time_limit.py).
* A limit that is itself under test, as in `--timeout 0.3`, is short; then nothing else is asked of
  the clock: neither that it was quick, nor that something else came first.
"""

from __future__ import annotations

PATIENCE = 900.0  # seconds
SHORT = 5.0  # seconds: the most that a limit under test may have, since its test waits for it
