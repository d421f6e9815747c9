"""FXSAVE, FXRSTOR, LDMXCSR: against the host's processor, and what they may not do (SDM vol. 2)."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from user_cpu import DATA, READ_ONLY, Fault, UserCpu

from bt.engine import BUILD
from bt.hostcpu import layout as at
from bt.hostcpu.gdt import visible_descriptors
from bt.hostcpu.host import NO_FAULT, HostCpu, new_cases, set_code
from bt.interp.state import CR0_EM, CR0_TS, CR4_OSFXSR, CR4_OSXMMEXCPT
from bt.models import MODELS
from tests.instructions.guest_cpu import GuestCpu
from tests.oracle.forms_simd import random_vectors

STATES = int(os.environ.get("ORACLE_STATES", "512" if BUILD == "compiled" else "64"))
ADDRESS = at.MAIN_WINDOW.to_bytes(4, "little")
SAVE, RESTORE = b"\x0f\xae\x05" + ADDRESS, b"\x0f\xae\x0d" + ADDRESS
AREA = 512
WHOLE = slice(0, AREA)
#: What hosts differ in: AMD keeps the x87's pointers to itself unless an exception is pending, and
#: has bits in MXCSR of its own.
POINTERS, MASK = slice(6, 24), slice(28, 32)


@pytest.fixture(scope="module")
def host() -> Iterator[HostCpu]:
    reason = HostCpu.available()
    if reason is not None:
        pytest.skip(reason)
    with HostCpu() as cpu:
        yield cpu


@pytest.fixture(scope="module", params=["external", "bare"])
def guest(host: HostCpu, request: pytest.FixtureRequest) -> GuestCpu:
    return GuestCpu(visible_descriptors(host), bare=request.param == "bare")


def states(seed: int, count: int) -> Any:
    """Cases with random units and XMM registers."""
    rng = np.random.default_rng(seed)
    cases = new_cases(count)
    batch: Any = SimpleNamespace(rng=rng, count=count, cases=cases)
    random_vectors(batch, "integer", unit=True)
    return cases


def test_what_is_saved(host: HostCpu, guest: GuestCpu) -> None:
    cases = states(1, STATES)
    cases["mem"] = 0xA5
    set_code(cases, SAVE)
    theirs, ours = host.run_array(cases), guest.run_array(cases)
    for result in (theirs, ours):
        assert (result["vector"] == NO_FAULT).all()
        result["mem"][:, POINTERS] = result["mem"][:, MASK] = 0
    assert (theirs["mem"] == ours["mem"]).all()
    assert (ours["mem"][:, 288:AREA] == 0xA5).all()  # reserved: not written
    assert (ours["fpu"][:, 28:] == cases["fpu"][:, 28:]).all()


def images(count: int) -> Any:
    """Areas that another processor saved; their MXCSR has a reserved bit at times."""
    rng = np.random.default_rng(3)
    area = rng.integers(0, 256, (count, AREA), np.uint8)
    area[:, 24:28] = (
        (
            np.where(rng.random(count) < 0.1, 1 << rng.integers(18, 32, count), 0)
            | rng.integers(0, 1 << 16, count)
        )
        .astype("<u4")
        .view(np.uint8)
        .reshape(count, 4)
    )
    quiet = rng.random(count) < 0.7
    area[quiet, 0] |= 0x3F  # or most have an exception pending
    return area


def test_what_is_restored(host: HostCpu, guest: GuestCpu) -> None:
    cases = states(2, STATES)
    cases["mem"][:, WHOLE] = images(STATES)
    set_code(cases, RESTORE)
    theirs, ours = host.run_array(cases), guest.run_array(cases)
    assert set(theirs["vector"].tolist()) == {13, NO_FAULT}
    for name in ("vector", "error", "eip", "xmm", "mxcsr"):
        assert (theirs[name] == ours[name]).all(), name
    for result in (theirs, ours):
        result["fpu"][:, 12:28] = 0  # pointers
        result["fpu"][:, [2, 3, 6, 7, 10, 11]] = 0  # reserved
    assert (theirs["fpu"] == ours["fpu"]).all()


# --- what they may not do -----------------------------------------------------------------------


def machine(model: str = "pentium4") -> UserCpu:
    user = UserCpu()
    user.cpu.set_model(MODELS[model])
    user.cpu.cr4 = CR4_OSFXSR | CR4_OSXMMEXCPT
    user.set_regs(eax=DATA, ebx=READ_ONLY)
    return user


def run(user: UserCpu, code: str) -> Fault | int | None:
    user.code(code)
    return user.run()


FXSAVE, FXRSTOR, LDMXCSR, STMXCSR = "0fae00", "0fae08", "0fae10", "0fae18"


@pytest.mark.parametrize("by", [1, 2, 4, 8])
@pytest.mark.parametrize("code", [FXSAVE, FXRSTOR])
def test_the_area_is_aligned(code: str, by: int) -> None:
    user = machine()
    user.set_regs(eax=DATA + by)
    assert run(user, code) == Fault(13, 0, None)


@pytest.mark.parametrize("bit", [CR0_EM, CR0_TS])
@pytest.mark.parametrize("code", [FXSAVE, FXRSTOR])
def test_the_unit_is_not_available(code: str, bit: int) -> None:
    user = machine()
    user.cpu.cr0 |= bit
    user.set_regs(eax=DATA + 1)
    assert run(user, code) == Fault(7, 0, None)


def test_all_of_the_area_is_looked_at_first() -> None:
    user = machine()
    user.set_regs(eax=DATA + 0x8000 - 256)
    assert run(user, FXSAVE) == Fault(14, 6, DATA + 0x8000)
    assert user.peek(DATA + 0x8000 - 256, 256) == bytes(256)
    assert run(user, FXRSTOR) == Fault(14, 4, DATA + 0x8000)
    assert run(user, "0fae03") == Fault(14, 7, READ_ONLY)
    assert run(user, "0fae0b") is None


@pytest.mark.parametrize("bit", range(16, 32))
def test_reserved_bits_of_mxcsr(bit: int) -> None:
    user = machine()
    user.poke(DATA, struct.pack("<I", 0x1F80 | 1 << bit))
    assert run(user, LDMXCSR) == Fault(13, 0, None)
    user.poke(DATA, bytes(24) + struct.pack("<I", 0x1F80 | 1 << bit))
    user.cpu.set_vector(3, 7)
    assert run(user, FXRSTOR) == Fault(13, 0, None)
    assert (user.cpu.mxcsr, user.cpu.vector(3)) == (0x1F80, 7)


def test_daz_came_with_sse2() -> None:
    for model, mask, fault in (("pentium4", 0xFFFF, None), ("pentium3", 0, Fault(13, 0, None))):
        user = machine(model)
        user.poke(DATA, struct.pack("<I", 0x1FC0))
        assert run(user, LDMXCSR) == fault
        assert run(user, FXSAVE) is None
        assert struct.unpack("<I", user.peek(DATA + 28, 4)) == (mask,)


def test_without_osfxsr_there_are_no_vectors() -> None:
    user = machine("pentium2")
    user.cpu.cr4 = 0
    user.cpu.set_vector(0, (1 << 128) - 1)
    user.poke(DATA, b"\xa5" * AREA)
    assert run(user, FXSAVE) is None
    assert user.peek(DATA + 24, 8) == b"\xa5" * 8
    assert user.peek(DATA + 160, 128) == b"\xa5" * 128
    assert run(user, FXRSTOR) is None  # whatever stands where MXCSR would
    assert (user.cpu.mxcsr, user.cpu.vector(0)) == (0x1F80, (1 << 128) - 1)


def test_the_pointers_are_saved() -> None:
    user = machine()
    user.code(f"dbe3 dd00 {FXSAVE}")
    assert user.run(3) is None
    saved = user.peek(DATA, 32)
    assert struct.unpack_from("<HIHxxIH", saved, 6) == (0x500, 0x10002, 0x23, DATA, 0x2B)


@pytest.mark.parametrize("code", [LDMXCSR, STMXCSR])
def test_mxcsr_needs_the_system(code: str) -> None:
    user = machine()
    user.cpu.cr0 |= CR0_TS
    assert run(user, code) == Fault(7, 0, None)
    user.cpu.cr4 = 0
    assert run(user, code) == Fault(6, 0, None)
    user.cpu.cr4, user.cpu.cr0 = CR4_OSFXSR, user.cpu.cr0 & ~CR0_TS | CR0_EM
    assert run(user, code) == Fault(6, 0, None)
