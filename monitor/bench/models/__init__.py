"""Cost models: one TOML file each (monitor/bench/model.py explains them)."""
