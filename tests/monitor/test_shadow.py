"""The shadow MMU (monitor/vmm/shadow.py): what the engine may reach, and when it asks again."""

from __future__ import annotations

import pytest
from kernel_lab import (
    ACCESSED,
    DATA,
    DIRTY,
    GLOBAL,
    PRESENT,
    TABLES,
    USER,
    WRITE,
    Kernel,
    agree,
    raw,
)
from monitor_lab import Lab, flat, lab

from bt.contract import PERM_EXEC, PERM_GLOBAL, PERM_PINNED, PERM_PRESENT, PERM_WRITE
from bt.policy import CONTEXTS
from bt.vcpu_page import VCPU_BYTES, VCPU_PAGES, VSYS
from monitor.vmm.shadow import (
    FLIPS,
    HIDDEN_BASE,
    HIDDEN_BYTES,
    OPEN_BUS,
    TC_BYTES,
    VCPU_LINEAR,
    vcpu_linear,
)

PAGE = 0x1000
WINDOW, FRAME = 0x180000, 0x110000
PTE = TABLES + (WINDOW >> 10)
ALL = PRESENT | WRITE | USER
SMSW, PLAIN = bytes.fromhex("0f01e0"), b"\x90\xc3"


def paged(entry: int = FRAME | ALL, code: bytes = PLAIN, cr4: int = 0, wp: bool = True) -> Lab:
    """WINDOW is FRAME with these bits; nothing is mapped there yet."""
    kernel = Kernel("nop", paging=True, wp=wp, cr4=cr4, pages={WINDOW: entry}, memory={FRAME: code})
    return lab(kernel)


def fault(one: Lab, how: str, linear: int = WINDOW) -> bool:
    """"ur": a read by the user, "kw": a write by the kernel, "ux": a fetch."""
    user, access = how
    return bool(one.cpu.shadow.fault(linear, access == "w", access == "x", user == "u"))


def mapping(one: Lab, name: str, linear: int = WINDOW) -> tuple[int, int] | None:
    """Physical address and permissions."""
    found = [(pa, perm) for la, pa, perm in one.cpu.shadow.mappings()[name] if la == linear]
    return found[0] if found else None


def entry(one: Lab) -> int:
    return int.from_bytes(one.machine.memory.read(PTE, 4), "little")


# --- filling ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bits", "how", "filled", "marked"),
    [
        (ALL, "kr", True, ACCESSED),
        (ALL, "kw", True, ACCESSED | DIRTY),
        (ALL, "ur", True, ACCESSED),
        (ALL, "uw", True, ACCESSED | DIRTY),
        (ALL, "ux", True, ACCESSED),
        (PRESENT | USER, "uw", False, 0),
        (PRESENT | USER, "kw", False, 0),
        (PRESENT | USER, "ur", True, ACCESSED),
        (PRESENT | WRITE, "ur", False, 0),
        (PRESENT | WRITE, "kw", True, ACCESSED | DIRTY),
        (0, "kr", False, 0),
    ],
)
def test_a_fill_is_the_guests_own_walk(bits: int, how: str, filled: bool, marked: int) -> None:
    one = paged(FRAME | bits)
    fills = one.cpu.shadow.fills
    assert fault(one, how, WINDOW + 0x123) == filled
    assert entry(one) == FRAME | bits | marked
    assert one.cpu.shadow.fills == fills + filled
    here, there = ("kernel", "user") if how[0] == "k" else ("user", "kernel")
    assert mapping(one, there) is None
    if filled:
        found = mapping(one, here)
        assert found is not None and found[0] == FRAME
        assert bool(found[1] & PERM_WRITE) == bool(marked & DIRTY)
        assert found[1] & PERM_PRESENT and not found[1] & PERM_PINNED
        assert bool(found[1] & PERM_EXEC) == (how[1] == "x")
    else:
        assert mapping(one, here) is None


def test_global_pages_stay_where_the_guest_keeps_them() -> None:
    one = paged(FRAME | ALL | GLOBAL, cr4=0x80)
    assert fault(one, "kr")
    found = mapping(one, "kernel")
    assert found is not None and found[1] & PERM_GLOBAL
    flushes = one.cpu.shadow.flushes
    one.cpu.shadow.flush(True)
    assert mapping(one, "kernel") is not None
    one.cpu.shadow.flush(False)
    assert mapping(one, "kernel") is None
    assert one.cpu.shadow.flushes == flushes + 2


@pytest.mark.parametrize("keep", [True, False])
def test_a_flush_is_of_both_spaces(keep: bool) -> None:
    one = paged()
    assert fault(one, "kr") and fault(one, "ur")
    one.cpu.shadow.flush(keep)
    assert mapping(one, "kernel") is None and mapping(one, "user") is None
    assert mapping(one, "kernel", HIDDEN_BASE) is not None, "the monitor's own stay"


def test_one_page_is_flushed_from_both_spaces() -> None:
    one = paged()
    for at in (WINDOW, WINDOW + PAGE):
        assert fault(one, "kr", at) and fault(one, "ur", at)
    one.cpu.shadow.flush_page(WINDOW + 0x234)
    for name in ("kernel", "user"):
        assert mapping(one, name) is None
        assert mapping(one, name, WINDOW + PAGE) is not None


def test_the_monitors_region_cannot_be_flushed_or_filled() -> None:
    one = paged()
    shadow = one.cpu.shadow
    shadow.flush_page(HIDDEN_BASE)
    assert mapping(one, "kernel", HIDDEN_BASE) is not None
    assert shadow.hidden == 0
    assert not fault(one, "kr", HIDDEN_BASE)
    assert not fault(one, "kr", VCPU_LINEAR - 1)
    assert shadow.hidden == 2
    for at in (VCPU_LINEAR, VCPU_LINEAR + VSYS):
        assert not fault(one, "kw", at), "that one is a stub's"
    assert shadow.hidden == 2


@pytest.mark.parametrize("how", ["kr", "ur"])
def test_the_page_below_the_region_is_the_guests(how: str) -> None:
    last = HIDDEN_BASE - PAGE
    one = lab(Kernel("nop", paging=True, pages={last: FRAME | ALL}))
    assert fault(one, how, last + 0xFFF)
    assert mapping(one, {"k": "kernel", "u": "user"}[how[0]], last) is not None


FLUSHES = {
    "cr3": "mov edx, cr3 \n mov cr3, edx",
    "invlpg": f"invlpg [{WINDOW:#x}]",
    "pge": "mov edx, cr4 \n xor edx, 0x80 \n mov cr4, edx \n xor edx, 0x80 \n mov cr4, edx",
}


@pytest.mark.parametrize("bits", [0, GLOBAL])
@pytest.mark.parametrize("how", FLUSHES)
def test_data_moves_with_the_page_tables(how: str, bits: int) -> None:
    """What a flush reaches is read from the new frame; what it leaves, from the old one."""
    source = f"""
        mov  eax, [{WINDOW:#x}]
        mov  dword ptr [{PTE:#x}], {FRAME + PAGE | ALL | bits:#x}
        {FLUSHES[how]}
        mov  ebx, [{WINDOW:#x}]
        int  0x31
    """
    memory = {FRAME: b"\1\0\0\0", FRAME + PAGE: b"\2\0\0\0"}
    pages = {WINDOW: FRAME | ALL | bits}
    kernel = Kernel(source, paging=True, cr4=0x80, pages=pages, memory=memory)
    state = agree(kernel).translate.registers
    assert (state["eax"], state["ebx"]) == (1, 1 if bits and how == "cr3" else 2)


# --- what is no RAM -------------------------------------------------------------------------------


@pytest.mark.parametrize("frame", [0xA0000, 0xFF000, 0x400000, 0x5000000])
def test_reads_of_nothing_find_ones(frame: int) -> None:
    """Nobody answers there: reads go on without the monitor, writes and fetches do not."""
    one = paged(frame | ALL)
    for how in ("kw", "uw", "kx", "ux"):
        assert not fault(one, how)
        assert mapping(one, "kernel") is None and mapping(one, "user") is None
    fills = one.cpu.shadow.fills
    assert fault(one, "kr") and fault(one, "ur", WINDOW)
    assert one.cpu.shadow.fills == fills + 2
    begin = one.machine.memory.monitor
    for name in ("kernel", "user"):
        assert mapping(one, name) == (begin + OPEN_BUS, PERM_PRESENT)
    page = one.machine.memory.buffer[begin + OPEN_BUS : begin + HIDDEN_BYTES]
    assert bytes(page) == b"\xff" * PAGE


@pytest.mark.parametrize("frame", [0x9F000, 0x100000, 0x3FF000])
def test_ram_reaches_up_to_its_holes(frame: int) -> None:
    one = paged(frame | ALL)
    assert fault(one, "kr")
    found = mapping(one, "kernel")
    assert found is not None and found[0] == frame


def test_devices_are_asked_where_they_answer() -> None:
    one = paged(0xB8000 | ALL)
    asked = []

    def device(address: int, size: int) -> bool:
        asked.append((address, size))
        return True

    one.cpu.shadow.has_device = device
    assert not fault(one, "kr", WINDOW + 0x10)
    assert asked == [(0xB8000, PAGE)]
    assert mapping(one, "kernel") is None


# --- user code: searched before it runs -----------------------------------------------------------


def test_a_clean_page_runs_and_cannot_be_written() -> None:
    one = paged()
    assert fault(one, "uw") and fault(one, "kw")
    assert fault(one, "ux")
    found = mapping(one, "user")
    assert found is not None
    assert found[1] & (PERM_EXEC | PERM_WRITE) == PERM_EXEC
    assert mapping(one, "kernel") is None, "the writable mapping is gone"
    assert fault(one, "kr")
    assert not (mapping(one, "kernel") or (0, 0))[1] & PERM_WRITE
    statistics = one.cpu.shadow.statistics()
    assert (statistics["pages_clean"], statistics["pages_audited"]) == (1, 0)


@pytest.mark.parametrize("how", ["uw", "kw"])
def test_a_write_takes_the_right_to_run(how: str) -> None:
    one = paged()
    assert fault(one, "ux") and fault(one, "kr")
    assert fault(one, how)
    other = {"uw": "kernel", "kw": "user"}[how]
    same = {"uw": "user", "kw": "kernel"}[how]
    assert mapping(one, other) is None
    found = mapping(one, same)
    assert found is not None and found[1] & (PERM_WRITE | PERM_EXEC) == PERM_WRITE
    assert one.cpu.shadow.statistics()["pages_clean"] == 0


def test_a_page_with_candidates_is_audited_and_stays_writable() -> None:
    one = paged(code=SMSW)
    assert fault(one, "uw") and fault(one, "ux")
    found = mapping(one, "user")
    assert found is not None and found[1] & PERM_EXEC and found[1] & PERM_WRITE
    assert fault(one, "uw")
    statistics = one.cpu.shadow.statistics()
    assert (statistics["pages_clean"], statistics["pages_audited"]) == (0, 1)


def test_what_is_audited_once_is_not_searched_again() -> None:
    one = paged(code=SMSW)
    assert fault(one, "ux")
    one.machine.memory.write(FRAME, PLAIN * 2)
    one.cpu.shadow.flush(False)
    assert fault(one, "ux")
    statistics = one.cpu.shadow.statistics()
    assert (statistics["pages_clean"], statistics["pages_audited"]) == (0, 1)


def test_a_page_that_flips_often_is_audited_for_good() -> None:
    one = paged()
    for flips in range(FLIPS + 1):
        assert fault(one, "ux")
        assert one.cpu.shadow.statistics()["pages_audited"] == 0, flips
        assert fault(one, "uw")
    assert fault(one, "ux")
    statistics = one.cpu.shadow.statistics()
    assert (statistics["pages_clean"], statistics["pages_audited"]) == (0, 1)


def test_audited_code_stops_at_what_is_critical() -> None:
    """Also what comes into being while the program runs."""
    source = f"""
        call patch
        add  ebx, edx
        mov  dword ptr [patch], 0xc3e2010e
        inc  byte ptr [patch]
        call patch
        add  ebx, edx
        int  0x31
        .align 16
    patch:
        {raw("0f00cac3")}
    """
    for paging in (False, True):
        done = agree(source, ring=3, paging=paging)
        assert done.translate.exits["critical instruction"] >= 1


def test_trap_mode_runs_anything_that_is_ram() -> None:
    pages = {WINDOW: FRAME | PRESENT, WINDOW + PAGE: 0xB8000 | ALL, WINDOW + 2 * PAGE: 0}
    pages[WINDOW + 3 * PAGE] = FRAME | ALL | DIRTY | GLOBAL
    one = lab(Kernel("nop", paging=True, cr4=0x80, pages=pages), "trap")
    shadow = one.cpu.shadow
    fills = shadow.fills
    assert shadow.run_anything(WINDOW + 0x345)
    found = mapping(one, "kernel")
    assert found is not None and found[0] == FRAME and found[1] & PERM_EXEC
    assert not shadow.run_anything(WINDOW + PAGE)
    assert not shadow.run_anything(WINDOW + 2 * PAGE)
    assert shadow.fills == fills + 1
    assert not found[1] & (PERM_WRITE | PERM_GLOBAL)
    assert shadow.run_anything(WINDOW + 3 * PAGE)
    found = mapping(one, "kernel", WINDOW + 3 * PAGE)
    assert found is not None
    assert found[1] & (PERM_WRITE | PERM_GLOBAL | PERM_EXEC) == PERM_WRITE | PERM_GLOBAL | PERM_EXEC


# --- the monitor's own pages ----------------------------------------------------------------------


def test_the_map_of_the_hidden_region() -> None:
    one = flat("nop")
    size = one.machine.memory.monitor
    shadows = one.cpu.shadow.mappings()
    for name, numbers in (("kernel", (0, 2)), ("user", (1, 3))):
        hidden = {la: (pa, perm) for la, pa, perm in shadows[name] if la >= HIDDEN_BASE}
        cache = PERM_PINNED | PERM_EXEC
        for offset in range(0, TC_BYTES, PAGE):
            pa, perm = hidden.pop(HIDDEN_BASE + offset)
            assert (pa, perm & (cache | PERM_WRITE)) == (size + offset, cache)
        for number in numbers:
            base = vcpu_linear(CONTEXTS[number])
            for offset in range(0, VCPU_BYTES, PAGE):
                pa, perm = hidden.pop(base + offset)
                own = number * (VCPU_BYTES - VCPU_PAGES) if offset >= VCPU_PAGES else 0
                assert pa == size + TC_BYTES + offset + own
                assert perm & (PERM_PINNED | PERM_WRITE | PERM_EXEC) == PERM_PINNED | PERM_WRITE
        assert not hidden, "nothing else of the monitor is mapped"
    ranges = [vcpu_linear(context) for context in CONTEXTS]
    assert ranges == [VCPU_LINEAR + i * VCPU_BYTES for i in range(4)]
    assert ranges[-1] + VCPU_BYTES <= 1 << 32
    assert one.machine.memory.extra >= HIDDEN_BYTES
    assert TC_BYTES + VCPU_PAGES + 4 * (VCPU_BYTES - VCPU_PAGES) == OPEN_BUS


@pytest.mark.parametrize("number", range(4))
def test_the_page_of_the_flag_is_read_only_while_an_interrupt_waits(number: int) -> None:
    one = flat("nop")
    shadow, context = one.cpu.shadow, CONTEXTS[number]
    name = "user" if context.user else "kernel"
    place = vcpu_linear(context) + VSYS

    def perms() -> list[int]:
        found = [mapping(one, name, place + at) or (0, 0) for at in (-PAGE, 0, PAGE)]
        return [perm & PERM_WRITE for _, perm in found]

    for held in (True, True, False, False, True):
        shadow.hold_interrupt_flag(context, held)
        assert perms() == [PERM_WRITE, 0 if held else PERM_WRITE, PERM_WRITE]
    others = [c for c in CONTEXTS if c is not context]
    for other in others:
        at = vcpu_linear(other) + VSYS
        found = mapping(one, "user" if other.user else "kernel", at)
        assert found is not None and found[1] & PERM_WRITE


def test_statistics_name_what_they_count() -> None:
    assert set(flat("nop").cpu.shadow.statistics()) == {
        "fills", "flushes", "hidden_region_accesses", "pages_clean", "pages_audited",
    }  # fmt: skip
    assert DATA
