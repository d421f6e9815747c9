"""What a stop looks like."""

from __future__ import annotations

from engine_lab import Lab

from bt.contract import EXIT_BREAKPOINT


def stopped(lab: Lab, address: int, count: int, budget: int = 1000) -> None:
    exit_ = lab.run(budget)
    assert (exit_.reason, exit_.eip, exit_.count) == (EXIT_BREAKPOINT, address, count)
    assert lab.engine.exit_arg == lab.ideal.segment(1)[1] + address
