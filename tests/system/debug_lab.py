"""Arming breakpoints, and reading off what they hit (SDM vol. 3, 17.2)."""

from __future__ import annotations

from system_lab import CODE, DATA0, EXIT_HALT, Lab, Stop

EXECUTE, WRITE, IO, READ_WRITE = range(4)  # R/W of DR7
BYTE, WORD, DWORD = 0, 1, 3  # LEN


def watch(lab: Lab, *points: tuple[int, int, int]) -> Lab:
    """Arm (address, kind, length) as DR0, DR1...; by an instruction, as a program does it."""
    control = 0
    source = "".join(
        f"mov eax, {address}; mov dr{i}, eax;" for i, (address, _, _) in enumerate(points)
    )
    for i, (_, kind, length) in enumerate(points):
        control |= 2 << (2 * i) | (kind | length << 2) << (16 + 4 * i)
    flags = lab.cpu.flags()
    lab.cpu.set_flags(2)
    stop = lab.run(source + f"mov eax, {control}; mov dr7, eax; mov eax, {DATA0}")
    assert stop.reason == EXIT_HALT and stop.vector is None
    lab.cpu.set_flags(flags)
    return lab


def hits(lab: Lab) -> int:
    return int(lab.cpu.debug_register(6)) & 0xE00F


def at(stop: Stop) -> tuple[int | None, int]:
    """The exception, and how far into the code its return address lies."""
    return stop.vector, stop.frame[0] - CODE
