"""Where translated code lies (monitor/vmm/code_pages.py): what a flush and a write take away."""

from __future__ import annotations

import pytest
from kernel_lab import ACCESSED, GLOBAL, LARGE, PRESENT, TABLES, USER, WRITE, Kernel, agree
from monitor_lab import ORIGIN, Lab, flat, lab

WINDOW = 0x180000
ONE, TWO = 0x110000, 0x111000
PTE = TABLES + (WINDOW >> 10)
ALL = PRESENT | WRITE | USER
INC_EAX, INC_EBX, INC_ESI = b"\x40\xc3", b"\x43\xc3", b"\x46\xc3"
CR4_PSE, CR4_PGE = 0x10, 0x80
RELOAD = "mov edx, cr3 \n mov cr3, edx"


def test_mixed_pages_are_marked() -> None:
    """A page's table entry changes unseen, and a block is made of each frame."""
    kernel = Kernel("jmp target \n target: nop", paging=True, pages={WINDOW: ONE | ALL},
                    memory={ONE: INC_EAX, TWO + 0x100: INC_EBX})  # fmt: skip
    one = lab(kernel)
    survey(one, WINDOW)
    one.machine.memory.write(PTE, (TWO | ALL).to_bytes(4, "little"))
    survey(one, WINDOW + 0x100)
    one.machine.memory.write(PTE, (ONE | ALL | ACCESSED).to_bytes(4, "little"))
    gone = {block.eip for block in one.pages.recheck_page(WINDOW >> 12)}
    assert gone == {WINDOW, WINDOW + 0x100}


def survey(one: Lab, eip: int, user: bool = False) -> None:
    """Translate what is at an address."""
    from bt.policy import CONTEXTS

    assert one.cpu._translate(eip, CONTEXTS[user]) is not None


@pytest.mark.parametrize("bits", [0, GLOBAL])
def test_the_second_page_of_a_block_is_looked_up_at_every_flush(bits: int) -> None:
    """Whether it is global was not asked when the block was made."""
    back = 3
    source = f"""
        mov  ecx, {WINDOW + 0x1000 - back:#x}
        call ecx
        mov  dword ptr [{PTE + 4:#x}], {ONE | ALL | ACCESSED:#x}
        {RELOAD}
        call ecx
        int  0x31
    """
    # nop; inc eax; mov edx, imm32 over the boundary; ret
    one = b"\x90\x40\xba" + bytes(4) + b"\xc3"
    first, second = one[:back], one[back:]
    memory = {ONE + 0x1000 - back: first, TWO + 0x1000: second, ONE: b"\1\0\0\0\x43\xc3"}
    pages = {WINDOW: ONE | ALL | bits, WINDOW + 0x1000: TWO + 0x1000 | ALL}
    done = agree(Kernel(source, paging=True, cr4=CR4_PGE, pages=pages, memory=memory))
    assert done.bare.registers["ebx"] == 1


def test_the_second_page_counts_as_local() -> None:
    source = f"mov ecx, {WINDOW + 0xFFD:#x} \n call ecx \n int 0x31"
    memory = {ONE + 0xFFD: b"\x90\x40\xba", TWO: b"\1\0\0\0\xc3"}
    pages = {WINDOW: ONE | ALL | GLOBAL, WINDOW + 0x1000: TWO | ALL | GLOBAL}
    one = lab(Kernel(source, paging=True, cr4=CR4_PGE, pages=pages, memory=memory))
    one.step(5)
    local = one.pages._local
    assert WINDOW >> 12 not in local
    assert (WINDOW >> 12) + 1 in local


def test_invlpg_anywhere_in_a_large_page() -> None:
    """One TLB entry, 1,024 pages of code: all are looked up."""
    big = 0x800000
    code = 0x120000
    source = f"""
        mov  ecx, {big + code:#x}
        call ecx
        mov  dword ptr [{0x40000 + (big >> 20):#x}], {TABLES + 0x1000 | ALL:#x}
        mov  dword ptr [{TABLES + 0x1000 + (code >> 10):#x}], {TWO | ALL:#x}
        invlpg [{big + 0x300000:#x}]
        call ecx
        int  0x31
    """
    kernel = Kernel(source, paging=True, cr4=CR4_PSE, large={big: 0 | ALL | LARGE},
                    memory={code: INC_EAX, TWO: INC_EBX})  # fmt: skip
    done = agree(kernel)
    assert done.bare.registers["ebx"] == 1


def test_every_page_of_a_large_one_is_noted() -> None:
    big = 0x800000
    kernel = Kernel("nop", paging=True, cr4=CR4_PSE, large={big: 0 | ALL | LARGE},
                    memory={0x120000: INC_EAX, 0x121000: INC_EBX, 0x3A0000: INC_ESI})  # fmt: skip
    one = lab(kernel)
    for at in (0x120000, 0x121000):
        survey(one, big + at)
    survey(one, ORIGIN)
    one.machine.memory.write(0x40000 + (big >> 20), bytes(4))
    assert [b.eip for b in one.pages.recheck_at(0xC00000)] == []
    gone = one.pages.recheck_at(big)
    assert {block.eip for block in gone} == {big + 0x120000, big + 0x121000}


# --- tracing ------------------------------------------------------------------------------------


def watched(one: Lab, start: int, end: int) -> list[int]:
    """Which bytes are traced."""
    return [at for at in range(start, end) if one.cpu.ram.is_traced(at)]


@pytest.mark.parametrize("without", [(), ("bytes",)])
def test_neighbours_stay_traced(without: tuple[str, ...]) -> None:
    """Two blocks over the same bytes: one goes, and what the other was made of is still traced."""
    one = flat("nop", "mov eax, 0x43434343", "ret", without=without)
    survey(one, ORIGIN)
    survey(one, ORIGIN + 2)  # in the middle of the MOV: inc ebx, ...
    inner = one.cache.find(ORIGIN + 2, 0)
    one.cpu.drop([one.cache.find(ORIGIN, 0)])
    assert one.blocks() == [ORIGIN + 2]
    traced = watched(one, ORIGIN - 4, ORIGIN + 16)
    if without:
        assert traced == list(range(ORIGIN, ORIGIN + 16))
    else:
        assert traced == list(range(ORIGIN + 2, ORIGIN + 2 + inner.length))
    one.write(ORIGIN + 3, b"\x90")
    assert one.blocks() == []
    assert watched(one, ORIGIN - 4, ORIGIN + 16) == []


def test_neighbours_in_the_same_pages_stay_traced() -> None:
    """Where whole pages are traced, any block in them is a neighbour."""
    one = flat("nop", without=("bytes",))
    at = ORIGIN + 0x2FFE
    for place in (ORIGIN + 0x2100, ORIGIN + 0x3800):
        one.write(at, b"\xba\1\0\0\0\xc3")
        one.write(place, INC_EBX)
        survey(one, at)
        survey(one, place)
        one.cpu.drop([one.cache.find(at, 0)])
        page = place & -0x1000
        assert watched(one, ORIGIN, ORIGIN + 0x5000) == list(range(page, page + 0x1000))
        one.cpu.drop([one.cache.find(place, 0)])
        assert watched(one, ORIGIN, ORIGIN + 0x5000) == []


def test_exactly_the_bytes_of_a_block_are_traced() -> None:
    one = flat("nop", "inc eax", "ret", "nop")
    survey(one, ORIGIN)
    assert watched(one, ORIGIN - 16, ORIGIN + 32) == [ORIGIN, ORIGIN + 1, ORIGIN + 2]
    one.cpu.forget_translations()
    assert watched(one, ORIGIN - 16, ORIGIN + 32) == []


def test_a_block_over_two_pages_is_traced_in_both() -> None:
    one = flat("nop")
    at = ORIGIN + 0xFFD
    one.write(at, b"\x90\x40\xba\1\0\0\0\xc3")
    survey(one, at)
    survey(one, at + 2)
    block = one.cache.find(at + 2, 0)
    assert block.length == 5, "one instruction: it lies in two pages"
    assert watched(one, at - 8, at + 16) == list(range(at, at + 7))
    one.cpu.drop([block])
    assert watched(one, at - 8, at + 16) == [at, at + 1]


def test_whole_pages_are_traced_where_bytes_are_not() -> None:
    one = flat("nop", without=("bytes",))
    at = ORIGIN + 0x2FFE
    one.write(at, b"\xba\1\0\0\0\xc3")
    survey(one, at)
    low, high = ORIGIN + 0x2000, ORIGIN + 0x4000
    assert watched(one, low - 0x1000, high + 0x1000) == list(range(low, high))
    one.cpu.drop([one.cache.find(at, 0)])
    assert watched(one, low - 0x1000, high + 0x1000) == []


def test_an_inner_block_traces_nothing_of_its_own() -> None:
    """Its bytes are the outer one's, and dropping it leaves them traced."""
    one = flat("nop", "inc eax", "inc ebx", "ret")
    survey(one, ORIGIN)
    survey(one, ORIGIN + 2)
    inner = one.cache.find(ORIGIN + 2, 0)
    assert inner.inner
    one.cpu.drop([inner])
    assert one.blocks() == [ORIGIN]
    assert watched(one, ORIGIN, ORIGIN + 8) == list(range(ORIGIN, ORIGIN + 4))


# --- which block covers an address ---------------------------------------------------------------


def around(one: Lab, eip: int, context: int = 0) -> list[int]:
    return [block.eip for block in one.pages.around(eip, context)]


def test_blocks_around_an_address() -> None:
    one = flat("nop", "inc eax", "inc ebx", "ret", "nop")
    survey(one, ORIGIN)
    assert around(one, ORIGIN) == []
    assert around(one, ORIGIN + 1) == [ORIGIN]
    assert around(one, ORIGIN + 3) == [ORIGIN]
    assert around(one, ORIGIN + 4) == []
    assert around(one, ORIGIN + 1, context=1) == []
    survey(one, ORIGIN + 2)  # an inner one: entries are made in the block itself
    assert around(one, ORIGIN + 3) == [ORIGIN]
    one.cpu.drop([one.cache.find(ORIGIN, 0)])
    assert around(one, ORIGIN + 1) == []


def test_a_page_of_two_frames_has_nothing_around() -> None:
    kernel = Kernel("nop", paging=True, pages={WINDOW: ONE | ALL},
                    memory={ONE: b"\x90\x90\xc3", TWO + 0x100: INC_EBX})  # fmt: skip
    one = lab(kernel)
    survey(one, WINDOW)
    assert around(one, WINDOW + 1) == [WINDOW]
    one.machine.memory.write(PTE, (TWO | ALL).to_bytes(4, "little"))
    survey(one, WINDOW + 0x100)
    assert around(one, WINDOW + 1) == []


# --- what can be translated ----------------------------------------------------------------------


def test_what_is_no_ram_is_not_surveyed() -> None:
    one = flat("nop")
    assert one.pages.survey(0xA0000, False, set()) is None
    assert one.pages.survey(0x200000, False, set()) is None, "beyond the machine's memory"
    one.write(0x9FFFD, b"\x90\xba\1")
    assert one.pages.survey(0x9FFFE, False, set()) is None, "its end is no RAM"
    assert one.pages.survey(0x9FFFD, False, set()) is not None


def test_pages_that_do_not_follow_each_other_are_not_surveyed_as_one() -> None:
    pages = {WINDOW: ONE | ALL, WINDOW + 0x1000: ONE + 0x4000 | ALL}
    kernel = Kernel("nop", paging=True, pages=pages, memory={ONE + 0xFFE: b"\xba\1"})
    one = lab(kernel)
    assert one.pages.survey(WINDOW + 0xFFE, False, set()) is None
    one.machine.memory.write(PTE + 4, (ONE + 0x1000 | ALL).to_bytes(4, "little"))
    found = one.pages.survey(WINDOW + 0xFFE, False, set())
    assert (found.pa, len(found.code), len(found.items)) == (ONE + 0xFFE, 5, 1)


def test_a_block_over_two_pages_of_the_upper_half() -> None:
    high = 0xC0000000
    pages = {high: ONE | ALL, high + 0x1000: ONE + 0x1000 | ALL}
    one = lab(Kernel("nop", paging=True, pages=pages, memory={ONE + 0xFFE: b"\xba\1"}))
    found = one.pages.survey(high + 0xFFE, False, set())
    assert (found.pa, len(found.code)) == (ONE + 0xFFE, 5)


@pytest.mark.parametrize("second", [0, PRESENT | WRITE])
def test_the_second_page_must_be_there_for_who_fetches(second: int) -> None:
    pages = {WINDOW: ONE | ALL, WINDOW + 0x1000: ONE + 0x1000 | second}
    kernel = Kernel("nop", paging=True, pages=pages, memory={ONE + 0xFFE: b"\xba\1"})
    one = lab(kernel)
    assert one.pages.survey(WINDOW + 0xFFE, True, set()) is None
    assert (one.pages.survey(WINDOW + 0xFFE, False, set()) is not None) == bool(second)


def test_a_survey_stops_before_a_breakpoint_unless_it_begins_there() -> None:
    one = flat("nop", "inc eax", "inc ebx", "ret")
    stops = range(ORIGIN, ORIGIN + 5)
    items = [len(one.pages.survey(ORIGIN, False, {stop}).items) for stop in stops]
    assert items == [4, 1, 2, 3, 4]
    assert len(one.pages.survey(ORIGIN, False, {ORIGIN, ORIGIN + 2}).items) == 2


def test_a_survey_says_whether_its_end_falls_through() -> None:
    one = flat("nop", "ret")
    assert one.pages.survey(ORIGIN, False, set()).whole
    assert not one.pages.survey(ORIGIN, False, {ORIGIN + 1}).whole


# --- what a flush asks ---------------------------------------------------------------------------


def paged(bits: int = 0, user: bool = False) -> Lab:
    """WINDOW is frame ONE; a block of the kernel's or the user's is made there."""
    pages = {WINDOW: ONE | ALL | bits}
    one = lab(Kernel("nop", paging=True, cr4=CR4_PGE, pages=pages, memory={ONE: INC_EAX}))
    survey(one, WINDOW, user)
    return one


def entry(one: Lab, value: int) -> None:
    one.machine.memory.write(PTE, value.to_bytes(4, "little"))


@pytest.mark.parametrize(
    ("now", "user", "moved"),
    [
        (ONE | ALL | ACCESSED, 0, False),
        (ONE | ALL, 0, True),  # no longer accessed: a walk would have to mark it
        (TWO | ALL | ACCESSED, 0, True),
        (0, 0, True),
        (ONE | PRESENT | ACCESSED, 0, False),
        (ONE | PRESENT | ACCESSED, 1, True),  # the user's code, in a page that is not the user's
        (ONE | PRESENT | USER | ACCESSED, 1, False),
    ],
)
@pytest.mark.parametrize("how", ["recheck", "everything", "at"])
def test_which_changes_of_an_entry_count(now: int, user: int, moved: bool, how: str) -> None:
    one = paged(user=bool(user))
    entry(one, now)
    found = {
        "recheck": lambda: one.pages.recheck(False),
        "everything": lambda: one.pages.recheck(True),
        "at": lambda: one.pages.recheck_at(WINDOW + 0x123),
    }[how]()
    assert [block.eip for block in found] == [WINDOW] * moved
    assert one.pages.recheck(True) == [], "it is known now"


def test_global_pages_are_looked_up_when_everything_goes() -> None:
    one = paged(bits=GLOBAL)
    entry(one, TWO | ALL | GLOBAL | ACCESSED)
    assert one.pages.recheck(False) == []
    assert [block.eip for block in one.pages.recheck(True)] == [WINDOW]


def test_a_page_becomes_local_and_global_again() -> None:
    one = paged(bits=GLOBAL)
    entry(one, ONE | ALL | ACCESSED)
    assert one.pages.recheck_at(WINDOW) == []
    entry(one, ONE | ALL | ACCESSED | GLOBAL)
    assert one.pages.recheck(False) == [], "looked up as a local one; global from now on"
    entry(one, TWO | ALL | ACCESSED | GLOBAL)
    assert one.pages.recheck(False) == []
    entry(one, ONE | ALL | ACCESSED)
    assert one.pages.recheck_at(WINDOW) == []
    entry(one, TWO | ALL | ACCESSED)
    assert [block.eip for block in one.pages.recheck(False)] == [WINDOW]


def test_what_moved_is_forgotten_whole() -> None:
    """Nothing of the old page's state is left for code that is translated there next."""
    one = paged(user=True)
    entry(one, ONE | PRESENT | WRITE | ACCESSED)
    one.cpu.drop(one.pages.recheck(True))
    survey(one, WINDOW, False)
    assert one.pages.recheck(True) == [], "it is the kernel's now: USER is not asked for"


def test_forgetting_everything() -> None:
    one = paged(user=True)
    one.cpu.forget_translations()
    entry(one, TWO | ALL)
    assert one.pages.recheck(True) == []
    assert one.pages.recheck_at(WINDOW) == []
    survey(one, WINDOW, False)
    entry(one, TWO | PRESENT | ACCESSED)
    assert one.pages.recheck(True) == []
    assert one.blocks() == [WINDOW]
