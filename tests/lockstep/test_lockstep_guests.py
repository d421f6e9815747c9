"""Bare and translate agree: over the embedded guest's whole life, and Linux up to its shell."""

from __future__ import annotations

from pathlib import Path

import pytest

from monitor.lockstep import (
    EMBEDDED_STAGES,
    Lockstep,
    Report,
    Stage,
    embedded_guest,
    linux_guest,
    linux_stages,
)

GUESTS = Path(__file__).parents[2] / "guests"
KERNEL, INITRD = GUESTS / "vmlinuz", GUESTS / "initramfs.cpio.gz"
VMTOOLS = GUESTS / "vmtools.cpio.gz"
EVERY = 10_000_000

COMMANDS = (
    "ls / | sort | head -3\n",
    "cat /proc/cpuinfo\n",
    "awk 'BEGIN { for (i = 1; i < 40; i++) s += sin(i) / sqrt(i); print s }'\n",
    "i=0; while [ $i -lt 20 ]; do i=$((i+1)); done; gzip -c /bin/busybox | md5sum\n",
)

TOOLS_COMMANDS = (
    "vmware-rpctool 'info-set guestinfo.x 12345'\n",
    "vmware-rpctool 'info-get guestinfo.x'\n",
    "vmtoolsd -b /tmp/pid\n",
    "sleep 10\n",
)


def agreed(report: Report) -> None:
    assert report.difference is None, str(report.difference)


def test_embedded_guest_in_long_strides() -> None:
    """Runs long enough to go from block to block by themselves; a prime stride."""
    report = Lockstep(embedded_guest).run(Stage(step=1009, memory_every=1))
    agreed(report)
    assert report.outcome is not None and report.outcome.kind == "exit"
    assert report.instructions > 500_000


def test_embedded_guest_begins_step_by_step() -> None:
    agreed(Lockstep(embedded_guest).run(Stage(instructions=20_000, memory_every=16)))


@pytest.mark.slow
def test_embedded_guest_instruction_by_instruction() -> None:
    report = Lockstep(embedded_guest).run(*EMBEDDED_STAGES)
    agreed(report)
    assert report.outcome is not None and report.outcome.kind == "exit"
    assert report.states == report.instructions > 500_000


@pytest.mark.slow
@pytest.mark.timeout(1200)  # it needs 90 seconds
@pytest.mark.guest
@pytest.mark.skipif(
    not (KERNEL.exists() and INITRD.exists()), reason="no guests/vmlinuz: `make guests` fetches it"
)
def test_linux() -> None:
    """The first 100 million instructions closely, digests up to the prompt, then typed commands.

    All of RAM is compared more than a thousand times: in 64 MB Linux does what it does in 128.
    """
    prompt = linux_stages()[-1].until
    typed = [Stage(step=9973, memory_every=EVERY, until=prompt, send=line) for line in COMMANDS]
    report = Lockstep(linux_guest(KERNEL, INITRD, memory_mb=64)).run(*linux_stages(), *typed)
    agreed(report)
    assert report.outcome is not None and report.outcome.kind == "until"
    points = list(report.digests)
    assert points[0] == 110_000_000
    assert points[:-1] == list(range(points[0], points[-1], EVERY))
    assert points[-1] > 2_000_000_000
    assert report.states > 100_000


@pytest.mark.slow
@pytest.mark.guest
@pytest.mark.skipif(
    not (KERNEL.exists() and VMTOOLS.exists()), reason="no guests/vmtools.cpio.gz: `make guests`"
)
def test_linux_with_the_backdoor() -> None:
    """Calls leave the run loop in other places in either mode, and the guest cannot tell."""
    prompt = linux_stages()[-1].until
    booting = Stage(step=1_000_003, memory_every=10 * EVERY, until=prompt)
    typed = [Stage(step=4999, memory_every=EVERY, until=prompt, send=s) for s in TOOLS_COMMANDS]
    report = Lockstep(linux_guest(KERNEL, VMTOOLS, vmware_backdoor=True)).run(booting, *typed)
    agreed(report)
    assert report.outcome is not None and report.outcome.kind == "until"
    assert report.instructions > 3_000_000_000
