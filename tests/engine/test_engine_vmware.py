"""VMware's guest interfaces in an engine: what it shows ring 3, what it leaves to the monitor."""

from __future__ import annotations

import pytest
from engine_lab import GP, UD, Lab

ON = (1, 1, 1, 200_000, 66_000)  # backdoor, hypercalls, served, TSC and bus in kHz
OFF = (0, 0, 0, 0, 0)


@pytest.mark.parametrize("settings", [ON, OFF])
@pytest.mark.parametrize(
    ("code", "vector"),
    [
        ("in eax, dx", GP),
        ("out dx, eax", GP),
        ("rep outsb", GP),
        ("rep insb", GP),
        ("rdpmc", GP),
        ("vmcall", UD),
        (".byte 0x0f, 0x01, 0xd9", UD),
    ],
)
def test_calls_are_the_monitors(
    lab: Lab, settings: tuple[int, int, int, int, int], code: str, vector: int
) -> None:
    lab.engine.set_vmware(*settings)
    for port in (0x5658, 0x5659):
        lab.set(edx=port, ecx=0x10001, eax=0x564D5868)
        exit_ = lab.fault(code)
        assert (exit_.vector, exit_.error) == (vector, 0)


def test_cpuid_tells(lab: Lab) -> None:
    lab.engine.set_vmware(*ON)
    lab.set(eax=0x40000010)
    lab.finish("cpuid")
    assert [lab.reg(name) for name in ("eax", "ebx", "ecx", "edx")] == [200_000, 66_000, 2, 0]


def test_cpuid_tells_nothing(lab: Lab) -> None:
    lab.engine.set_vmware(*OFF)
    lab.set(eax=0x40000000)
    lab.finish("cpuid")
    assert lab.reg("ebx") != 0x61774D56
