"""Running out of the translation cache: flat CS, the vCPU pages, exits, ports."""

from __future__ import annotations

import pytest
from engine_lab import (
    CEILING,
    CODE,
    DATA,
    GP,
    MONITOR,
    PF,
    SELECTORS,
    STACK,
    assemble,
)
from small_cache import CACHE, GS, TABLE, VCPU, VCPU_PAGE, Cache
from small_cache import cache as cache

from bt.contract import (
    EXIT_SOFTINT,
    PERM_PINNED,
)
from bt.interp.state import ATTR_UNUSABLE, DS, FS, LDTR, TR
from bt.vcpu_page import (
    CONTROLS,
    LDTR_SELECTOR,
    NEAR_LANDINGS,
    READ_BOUNDS,
    SEGMENT_SHIFT,
    TR_SELECTOR,
    VSYS,
    WRITE_BOUNDS,
)
from bt.vcpu_page import SELECTORS as SELECTORS_AT

IF = 0x200


def test_registers_and_flags_go_back_eip_does_not(cache: Cache) -> None:
    cache.lab.set(eax=4)
    cache.finish("add eax, 0x7ffffffc; mov [0x20000], eax")
    assert cache.lab.reg("eax") == 0x80000000
    assert cache.lab.ideal.flags() & 0x8D5 == 0x894
    assert cache.lab.dword(DATA) == 0x80000000
    assert cache.lab.ideal.eip == CODE


def test_int3_is_the_exit(cache: Cache) -> None:
    cache.put("inc eax; nop")
    exit_ = cache.run()
    assert (exit_.reason, exit_.arg, exit_.eip, exit_.count) == (EXIT_SOFTINT, 3, CACHE + 2, 2)


def test_code_is_flat_whatever_the_guests_cs_is(cache: Cache) -> None:
    cache.lab.segment("cs", 0, CODE, 0x40FB)
    cache.put("mov eax, 5", CACHE + 0x2000)
    cache.put(f"jmp {CACHE + 0x2000:#x}")
    exit_ = cache.run()
    assert (exit_.eip, cache.lab.reg("eax")) == (CACHE + 0x2005, 5)


def test_the_guests_segments_are_truncated_here_too(cache: Cache) -> None:
    for segment in ("ds", "es", "ss", "fs"):
        cache.put(f"mov eax, {segment}:[{VCPU:#x}]")
        exit_ = cache.run()
        assert (exit_.vector, exit_.error, exit_.eip) == (12 if segment == "ss" else GP, 0, CACHE)


def test_the_vcpu_page_holds_selectors_and_control_registers(cache: Cache) -> None:
    ideal = cache.lab.ideal
    ideal.cr2, ideal.cr3, ideal.cr4 = 0x11112222, 0x5000, 0x80
    for number, selector in ((LDTR, 0x58), (TR, 0x60)):
        ideal.set_segment(number, selector, 0, 0xFFF, 0x82)
    order = ("es", "cs", "ss", "ds", "fs", "gs")
    places = [SELECTORS_AT + 4 * i for i in range(6)] + [LDTR_SELECTOR, TR_SELECTOR]
    places += [CONTROLS, CONTROLS + 8, CONTROLS + 12, CONTROLS + 16]
    cache.finish(
        "; ".join(
            f"mov eax, gs:[{at:#x}]; mov [{DATA + 4 * i:#x}], eax" for i, at in enumerate(places)
        )
    )
    seen = [cache.lab.dword(DATA + 4 * i) for i in range(len(places))]
    wanted = [*(SELECTORS[name] for name in order), 0x58, 0x60, ideal.cr0, 0x11112222, 0x5000, 0x80]
    assert seen == wanted


def test_the_reserved_segment_is_the_engines_alone(cache: Cache) -> None:
    before = tuple(cache.lab.ideal.segment(GS))
    cache.finish("mov dword ptr gs:[0], 0x1234; mov eax, gs:[0]")
    assert cache.lab.reg("eax") == 0x1234
    assert tuple(cache.lab.ideal.segment(GS)) == before
    assert cache.lab.read(VCPU_PAGE, 4) == b"\x34\x12\x00\x00"


# A segment for the reserved register, and one for DS: base, limit, rights. Then the offsets that a
# read and a write of so many bytes may have at most, 0 for none at all.
FLAT = (0, 0xFFFFFFFF, 0xC0F3)
ACCESSES = {
    "flat": (FLAT, FLAT, CEILING, CEILING),
    "small": ((0x20010, 0xFF, 0x40F3), FLAT, 0x100, 0x100),
    "of three bytes": ((0x20010, 2, 0x40F3), FLAT, 3, 3),
    "based DS": ((0x20010, 0xFF, 0x40F3), (0x20000, 0xFFFF, 0x40F3), 0x100, 0x100),
    "DS above it": ((0x20010, 0xFF, 0x40F3), (0x30000, 0xFFFF, 0x40F3), 0x100, 0x100),
    "read-only": ((0x20010, 0xFF, 0x40F1), FLAT, 0x100, 0),
    "code": ((0x20010, 0xFF, 0x40FB), FLAT, 0x100, 0),
    "execute-only": ((0x20010, 0xFF, 0x40F9), FLAT, 0, 0),
    "expand-down": ((0x20010, 0xFF, 0x40F7), FLAT, 0, 0),
    "null": ((0x20010, 0xFF, 0x40F3 | ATTR_UNUSABLE), FLAT, 0, 0),
    "not present": ((0x20010, 0xFF, 0x4073), FLAT, 0, 0),
    "up to the ceiling": ((CEILING - 0x10, 0xFFFFFFFF, 0xC0F3), FLAT, 0x10, 0x10),
    "beyond the ceiling": ((CEILING, 0xFFFFFFFF, 0xC0F3), FLAT, 0, 0),
}


@pytest.mark.parametrize("name", ACCESSES)
@pytest.mark.parametrize("size", [1, 2, 4, 8])
def test_how_the_guests_own_segment_is_reached(cache: Cache, name: str, size: int) -> None:
    """BOUND lets pass what its segment has, and the offset plus SEGMENT_SHIFT is one in DS."""
    segment, ds, *ends = ACCESSES[name]
    cache.lab.ideal.set_segment(GS, 0x33, *segment)
    cache.lab.ideal.set_segment(DS, 0x23, *ds)
    for slot, end in zip((READ_BOUNDS, WRITE_BOUNDS), ends, strict=True):
        last = end - size
        for offset in {0, 1, last - 1, last, last + 1, end, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF}:
            passes = 0 <= offset <= last
            if offset < 0:
                continue
            at = slot + 8 * (size.bit_length() - 1)
            end_at = cache.put(
                f"lea ecx, [ecx + 0x80000000]; bound ecx, gs:[{at:#x}];"
                f"mov edx, gs:[{SEGMENT_SHIFT:#x}]; lea ecx, [ecx + edx]"
            )
            cache.lab.set(ecx=offset)
            exit_ = cache.run()
            if passes:
                assert exit_.eip == end_at, (offset, exit_)
                assert cache.lab.reg("ecx") == segment[0] + offset - ds[0] & 0xFFFFFFFF
            else:
                assert exit_.vector == 5, (offset, exit_)


@pytest.mark.parametrize("reserved", [FS, GS])
def test_it_is_the_segment_of_the_register_that_is_reserved(cache: Cache, reserved: int) -> None:
    lab = cache.lab
    lab.ideal.set_segment(FS, 0x33, 0x20010, 0xFF, 0x40F3)
    lab.ideal.set_segment(GS, 0x3B, 0x20020, 0xFF, 0x40F3)
    name = {FS: "fs", GS: "gs"}[reserved]
    cache.put(f"mov ecx, {name}:[{SEGMENT_SHIFT:#x}]")
    lab.engine.run_translated(
        lab.ideal, CACHE, CEILING, lab.count, 1000, VCPU_PAGE, VCPU, reserved
    )
    assert lab.reg("ecx") == {FS: 0x80020010, GS: 0x80020020}[reserved]


def test_spills_stay_between_runs(cache: Cache) -> None:
    cache.lab.set(eax=0xCAFE)
    cache.finish("mov gs:[0], eax")
    cache.finish("mov ebx, gs:[0]")
    assert cache.lab.reg("ebx") == 0xCAFE


@pytest.mark.parametrize("before", [0, IF])
@pytest.mark.parametrize("code", ["nop", "cli", "sti"])
def test_the_virtual_interrupt_flag(cache: Cache, before: int, code: str) -> None:
    """Filled in on entry, taken back on exit, of a whole image bit 9 only; the real IF is 1."""
    stub = {"nop": "nop", "cli": f"mov dword ptr gs:[{VSYS:#x}], 0",
            "sti": f"mov dword ptr gs:[{VSYS:#x}], 0xffffffff"}[code]  # fmt: skip
    cache.lab.set(flags=2 | before)
    cache.finish(f"pushfd; pop ebx; mov ecx, gs:[{VSYS:#x}]; {stub}")
    assert cache.lab.reg("ebx") == 0x202
    assert cache.lab.reg("ecx") == before
    assert cache.lab.ideal.flags() == 2 | {"nop": before, "cli": 0, "sti": IF}[code]


def test_a_read_only_vcpu_page_faults(cache: Cache) -> None:
    """So a stub that would set IF leaves, while an interrupt waits."""
    lab = cache.lab
    lab.engine.unmap_page(lab.space, VCPU + VSYS)
    lab.map(VCPU + VSYS, VCPU_PAGE + VSYS >> 12, PERM_PINNED)
    cache.put(f"mov eax, gs:[{VSYS:#x}]; mov dword ptr gs:[{VSYS:#x}], 0x200")
    lab.set(flags=2)
    exit_ = cache.run()
    assert (exit_.vector, exit_.error, exit_.address, exit_.count) == (PF, 7, VCPU + VSYS, 1)
    assert lab.ideal.flags() == 2


def test_the_cache_cannot_be_written_by_its_code(cache: Cache) -> None:
    cache.put(f"mov dword ptr gs:[{(CACHE - VCPU) & 0xFFFFFFFF:#x}], 5")
    assert cache.run().vector == GP


def test_landings_are_reached_through_the_reserved_segment(cache: Cache) -> None:
    landing = CACHE + 0x1800
    cache.put("inc esi", landing)
    cache.lab.write(TABLE + 4 * 0x123, landing.to_bytes(4, "little"))
    cache.put(f"jmp dword ptr gs:[ecx * 4 + {NEAR_LANDINGS:#x}]")
    cache.lab.set(ecx=0x123, esi=1)
    exit_ = cache.run()
    assert (exit_.arg, exit_.eip, exit_.count) == (3, landing + 1, 2)


def test_patched_code_is_seen_once_it_is_told(cache: Cache) -> None:
    """A slot: INT3 until its target is known, then a jump."""
    cache.put("inc eax")
    cache.put("inc ebx", CACHE + 0x1000)
    assert cache.run().eip == CACHE + 1
    cache.lab.write(MONITOR + 1, assemble(f"jmp {CACHE + 0x1000:#x}", CACHE + 1))
    assert cache.run().eip == CACHE + 0x1001
    cache.lab.write(MONITOR + 1, b"\xcc")
    assert cache.run().eip == CACHE + 1


def test_guest_memory_is_not_run_by_accident(cache: Cache) -> None:
    """Only what is mapped executable; a data page of the guest is not."""
    cache.put(f"jmp {STACK:#x}")
    exit_ = cache.run()
    assert (exit_.vector, exit_.address, exit_.eip) == (PF, STACK, STACK)
