"""Sweeps: a grid of guests, modes, ablations and settings, run anywhere, one table (`vp sweep`).

    from monitor.sweep.sweep import run
    rows = run("spec.toml", "table.csv", jobs=2)
"""
