"""Speed against peers and baselines, every figure a ratio inside one run: `make bench`."""
