"""The research bench: what a guest's operations cost, bare and under the monitor (`vp bench`)."""
