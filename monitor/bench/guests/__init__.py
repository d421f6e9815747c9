"""The benchmarks' guests, as assembler sources (reading order: nano.asm)."""
