"""The translating processor (vmm/translating.py): into the cache, back out of it, and what for.

A budget may end anywhere; a rollback gives the guest its own registers and addresses; what is
remembered about the cache is forgotten with it.
"""

from __future__ import annotations

from typing import Any

import pytest
from kernel_lab import CODE, DATA, Kernel, agree, agree_all_along, gate, make, raw
from monitor_lab import ORIGIN, Lab, flat, lab, same_at_every_step
from patience import PATIENCE

from bt.contract import EXIT_BUDGET
from bt.policy import CONTEXTS
from monitor.vmm.shadow import HIDDEN_BASE

BRANCHES = {
    "loop taken": "mov ecx, 5",
    "loop not taken": "mov ecx, 1",
    "loope taken": "mov ecx, 5 \n cmp eax, eax",
    "loope not taken": "mov ecx, 5 \n test esp, esp",
    "loopne taken": "mov ecx, 5 \n test esp, esp",
    "loopne not taken": "mov ecx, 5 \n cmp eax, eax",
    "jecxz taken": "mov ecx, 0",
    "jecxz not taken": "mov ecx, 0x10000",
    "jcxz taken": "mov ecx, 0x10000",
    "jcxz not taken": "mov ecx, 1",
}


@pytest.mark.parametrize(("ring", "flags"), [(0, 2), (3, 0x3202)])
@pytest.mark.parametrize("name", BRANCHES)
def test_a_budget_ends_right_after_a_short_branch(name: str, ring: int, flags: int) -> None:
    verb = name.split()[0]
    source = f"""
        {BRANCHES[name]}
        {verb} away
        inc  ebx
        int  0x31
        nop
    away:
        inc  edx
        int  0x31
    """
    kernel = Kernel(source, ring=ring, flags=flags)
    agree_all_along(kernel)
    one = lab(kernel)
    one.step(source.count("mov") + source.count("cmp") + source.count("test") + 1)
    assert one.reg("eip") == kernel.symbol("away") - (4 if "not" in name else 0)


# --- the x87 unit's instruction pointer ----------------------------------------------------------

IMAGE = DATA + 0x100
HIGH_IP = HIDDEN_BASE + 0x40


@pytest.mark.parametrize("load", ["fldenv", "frstor"])
@pytest.mark.parametrize(("ring", "flags"), [(0, 2), (3, 0x3202)])
def test_an_instruction_pointer_like_one_of_the_cache(load: str, ring: int, flags: int) -> None:
    """A guest may load whatever address it likes; it is not taken for one of translated code."""
    source = f"""
        fninit
        fld1
        fnsave [{IMAGE:#x}]
        mov  dword ptr [{IMAGE + 12:#x}], {HIGH_IP:#x}
        jmp  next
    next:
        {load} [{IMAGE:#x}]
        mov  ecx, 3
    again:
        loop again
        fnstenv [{DATA:#x}]
        mov  eax, [{DATA + 12:#x}]
        int  0x31
    """
    state = agree(source, ring=ring, flags=flags).translate.registers
    assert state["eax"] == HIGH_IP


@pytest.mark.parametrize("how", ["fnstenv", "fnsave"])
def test_the_instruction_pointer_is_the_guests(how: str) -> None:
    source = f"""
        fninit
    here:
        fld1
        mov  eax, cr0
        mov  ecx, [esp]
        {how} [{DATA:#x}]
        int  0x31
    """
    kernel = Kernel(source)
    done = agree(kernel)
    assert done.translate.dword(DATA + 12) == kernel.symbol("here")


def test_the_instruction_pointer_is_the_guests_after_each_step() -> None:
    one = flat("fninit", "fld1", "fldz", "fadd", "inc eax", "here: jmp here")
    places = []
    for _ in range(6):
        one.step()
        places.append(one.cpu.ideal.fpu_ip)
    assert places == [0, ORIGIN + 2, ORIGIN + 4, ORIGIN + 6, ORIGIN + 6, ORIGIN + 6]


# --- where a budget ended ------------------------------------------------------------------------


def entries(one: Lab) -> int:
    return int(one.figures()["dispatches"])


def test_a_guest_that_is_where_its_budget_ended_goes_on_there() -> None:
    one = flat("inc eax", "inc eax", "inc eax", "here: jmp here")
    one.step()
    before = entries(one)
    one.step()
    assert entries(one) == before
    assert one.reg("eax") == 2


def test_an_interrupt_makes_the_way_back_void() -> None:
    """Its handler may begin at that very instruction, and then it is a beginning like any."""
    kernel = Kernel("nop \n inc eax \n inc eax \n here: jmp here", idt={0x33: gate(CODE + 1, 0x8E)})
    one = lab(kernel)
    one.step()
    assert one.reg("eip") == CODE + 1
    before = entries(one)
    one.cpu.interrupt(0x33)
    assert one.reg("eip") == CODE + 1
    one.step()
    assert entries(one) == before + 1
    assert one.reg("eip") == CODE + 2


def test_registers_that_were_set_are_not_undone_by_the_way_back() -> None:
    """A budget that ended in the middle of what a stub makes of EAX and ECX."""
    one = flat("mov ecx, 5", "again: call sub", "loop again", "end: jmp end", "sub: ret")
    for done in range(12):
        one.machine.set_register("eax", 100 + done)
        one.machine.set_register("edx", 1)
        one.step()
        assert one.reg("eax") == 100 + done


def test_code_that_was_written_makes_the_way_back_void() -> None:
    one = flat("inc eax", "inc eax", "inc eax", "here: jmp here")
    one.step()
    one.write(ORIGIN + 1, b"\x43")
    one.step(2)
    assert (one.reg("eax"), one.reg("ebx")) == (2, 1)


def test_the_way_back_is_for_one_context() -> None:
    """The kernel's translation of an address is not the user's."""
    one = flat("inc eax", "inc eax", "here: jmp here")
    one.step()
    before = entries(one)
    one.machine.set_register("eflags", 0x3002)
    one.step()
    assert entries(one) == before + 1


# --- the cache starts anew -----------------------------------------------------------------------


def test_the_engine_forgets_what_it_decoded_when_the_cache_starts_anew() -> None:
    """Other code comes to lie where some was that ran before."""
    one = flat("inc eax", "inc eax", "here: jmp here")
    one.write(ORIGIN + 0x100, "inc ebx \n inc ebx \n end: jmp end")
    one.step(2)
    one.cpu.forget_translations()
    one.machine.set_register("eip", ORIGIN + 0x100)
    one.step(2)
    assert (one.reg("eax"), one.reg("ebx")) == (2, 2)


def test_a_full_cache_starts_anew() -> None:
    one = flat("again: inc eax", "jmp again")
    one.step(4)
    one.cache.used = one.cache.size - 100
    one.machine.set_register("eip", ORIGIN + 0x400)
    one.write(ORIGIN + 0x400, "inc ebx \n here: jmp here")
    one.step(4)
    assert one.reg("ebx") == 1
    assert one.figures()["flushes"] == 1
    assert one.blocks() == [ORIGIN + 0x400, ORIGIN + 0x401][: len(one.blocks())]


def test_nothing_is_chained_across_a_flush_of_the_cache() -> None:
    """A branch left for the monitor; before its target is there, all code goes."""
    one = flat("jmp next", "nop", "next: inc eax", "here: jmp here")
    one.step()
    assert one.cpu.pending_chain is not None or one.cpu._interrupted is not None
    one.cpu.forget_translations()
    one.step(3)
    assert one.reg("eax") == 1
    assert all(block.live for block in one.cache.live_blocks())


# --- chains --------------------------------------------------------------------------------------


def test_a_direct_branch_is_chained_once() -> None:
    one = flat("again: inc eax", "jmp over", "nop", "over: inc ebx", "jmp again")
    one.step(200)
    exits = one.machine.statistics()["exits"]
    assert exits["chain"] <= 2
    one.step(200)
    assert one.machine.statistics()["exits"] == exits
    assert one.reg("eax") == one.reg("ebx") == 100


def test_a_branch_is_chained_to_its_own_target_only() -> None:
    """The embedder goes elsewhere between the branch and its target."""
    one = flat("jmp next", "nop", "next: inc eax", "here: jmp here")
    one.write(ORIGIN + 0x100, f"inc ebx \n jmp {ORIGIN:#x}")
    assert one.cpu.run(1) == EXIT_BUDGET
    one.machine.set_register("eip", ORIGIN + 0x100)
    one.step(3)
    one.step(2)
    assert (one.reg("eax"), one.reg("ebx")) == (1, 1)


def test_a_branch_between_contexts_is_not_chained() -> None:
    """IRET to ring 3 and back: each context has its own blocks."""
    source = """
        mov  ecx, 4
    again:
        pushfd
        or   dword ptr [esp], 0x3000
        popfd
        inc  eax
        pushfd
        and  dword ptr [esp], 0xFFFFCFFF
        popfd
        inc  ebx
        loop again
        int  0x31
    """
    done = agree(source)
    assert done.translate.registers["eax"] == done.translate.registers["ebx"] == 4


@pytest.mark.parametrize("without", [(), ("chaining",)])
def test_without_chaining_every_branch_exits(without: tuple[str, ...]) -> None:
    one = flat("again: inc eax", "jmp over", "nop", "over: jmp again", without=without)
    one.step(300)
    chains = one.machine.statistics()["exits"]["chain"]
    assert chains >= 190 if without else chains <= 3


@pytest.mark.parametrize("flags", [0x202, 0x3202, 2])
def test_user_code_that_may_not_run_directly_is_translated(flags: int) -> None:
    kernel = Kernel("mov ecx, 50 \n again: inc eax \n loop again \n int 0x31", ring=3, flags=flags)
    found = []
    for without in ((), ("direct",)):
        machine = make(kernel, "translate", without=without)
        assert machine.run(timeout=PATIENCE).kind == "exit"
        kinds = machine.statistics()["by_kind"]
        found.append(kinds.get("direct", 0))
        assert machine.registers["eax"] == 50
        assert sum(kinds.values()) == machine.instructions
        contexts = {block.context for block in machine.processor.cache.live_blocks()}
        assert 1 in contexts if without and flags == 0x202 else 1 not in contexts
    assert found[1] == 0
    assert found[0] > 100 if flags == 0x202 else found[0] == 0


# --- stubs ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("image", [0x102, 0x302, 0x1002, 0x2002])
def test_popf_leaves_tf_and_iopl_to_the_monitor(image: int) -> None:
    source = f"""
        push {image:#x}
        popfd
        inc  eax
        inc  eax
        pushfd
        and  dword ptr [esp], 0xFEFF
        popfd
        int  0x31
    """
    done = agree(source)
    steps = done.translate.vectors.count(1)
    assert steps == (5 if image & 0x100 else 0), done.translate.log
    same_at_every_step(Kernel(source))


@pytest.mark.parametrize("mode", ["bare", "translate"])
def test_a_device_that_fails_leaves_the_guests_state_whole(mode: str) -> None:
    """A bug in a device, or Ctrl-C, in the middle of translated code."""
    one = flat("mov ecx, 7", "inc eax", "out 0x80, al", "inc eax", "here: jmp here", mode=mode)

    def fail(*access: object) -> None:
        raise RuntimeError("a device's bug")

    one.machine.board.on_access.append(fail)
    with pytest.raises(RuntimeError):
        one.machine.run(max_instructions=10)
    assert (one.reg("eip"), one.reg("eax"), one.reg("ecx")) == (ORIGIN + 8, 1, 7)
    assert one.cpu.count() == 3
    one.machine.board.on_access.clear()
    one.step(1)
    assert (one.reg("eip"), one.reg("eax"), one.cpu.count()) == (ORIGIN + 9, 2, 4)


# --- what is known of the cache, for those who look ----------------------------------------------


def test_the_listing_is_of_the_block_at_eip() -> None:
    one = flat("inc eax", "inc ebx", "here: jmp here")
    assert one.machine.debug.block_listing() == []
    one.step(3)
    one.machine.set_register("eip", ORIGIN)
    assert any("inc" in line for line in one.machine.debug.block_listing())


def test_traces_tell_guest_addresses_even_across_a_flush() -> None:
    one = flat("inc eax", "jmp over", "nop", "over: inc ebx", "here: jmp here")
    one.cpu.record(100)
    one.step(2)
    one.cpu.forget_translations()
    one.step(2)
    places = [note[0] & 0xFFFFFFFF for note in one.cpu.take_record()]
    assert places == [ORIGIN, ORIGIN + 1, ORIGIN + 4, ORIGIN + 5]
    assert one.cpu.take_record() == []
    one.cpu.record(0)
    one.step(2)
    assert one.cpu.take_record() == []


STI = {
    "and on": ("sti", "inc eax", "cli"),
    "twice": ("sti", "sti", "inc eax", "cli"),
    "last of a block": (*["inc eax"] * 47, "sti", "inc ebx", "cli"),
    "before a branch": ("sti", "jmp next", "nop", "next: inc eax", "cli"),
    "before one that is emulated": ("sti", "mov eax, cr3", "mov cr3, eax", "cli"),
    "before another block": ("jmp a", "b: inc eax", *["inc ebx"] * 6, "jmp c", "a: sti", "jmp b",
                             "c: sti", "cli"),
}  # fmt: skip


@pytest.mark.parametrize("name", STI)
def test_a_trace_is_the_same_bare_and_translated(name: str) -> None:
    """Each instruction once, those behind STI too."""
    found = []
    for mode in ("bare", "translate"):
        one = flat(*STI[name], "here: jmp here", mode=mode)
        one.cpu.record(1000)
        one.step(64)
        notes = [(note[0] & 0xFFFFFFFF, note[2]) for note in one.cpu.take_record()]
        if "emulated" in name:  # it begins in the cache, too
            notes = list(dict.fromkeys(notes))
        found.append(notes)
    assert len(found[0]) == 64
    assert found[0] == found[1]


def test_a_trace_starts_empty() -> None:
    one = flat("inc eax", "inc eax", "here: jmp here")
    one.cpu.record(100)
    one.step()
    one.cpu.forget_translations()
    one.cpu.record(100)
    one.step()
    assert [note[0] & 0xFFFFFFFF for note in one.cpu.take_record()] == [ORIGIN + 1]


def test_statistics_count_what_was_done() -> None:
    one = flat("cli", "sti", "nop", "pushfd", "popfd", "inc eax", "here: jmp here")
    one.step(7)
    statistics = one.machine.statistics()
    assert statistics["by_kind"] == {"translated": 3, "stubs": 4}
    assert statistics["patches"] == {"CLI": 1, "STI": 1, "PUSHF": 1, "POPF": 1}
    assert one.figures()["blocks"] == len(one.blocks())
    assert one.figures()["bytes"] == one.cache.used
    assert one.figures()["guest_instructions_translated"] >= 7


def test_contexts_are_told_apart_by_what_they_may_do() -> None:
    assert [context.number for context in CONTEXTS] == [0, 1, 2, 3]
    assert [(c.user, c.stubs) for c in CONTEXTS] == [
        (False, True),
        (True, True),
        (False, False),
        (True, False),
    ]


def test_writes_that_were_too_many_to_note_drop_everything() -> None:
    one = flat("inc eax", "here: jmp here")
    one.step(3)
    assert one.blocks()
    one.cpu.traced_writes_lost()
    assert one.blocks() == []


def test_an_overflow_of_the_notes_drops_everything() -> None:
    """The ideal processor wrote at more places than it could note."""
    one = flat("inc eax", "here: jmp here")
    one.step(3)
    one.cpu.ram = Overflown(one.cpu.ram)
    one.cpu.traced_bytes_written()
    assert one.blocks() == []
    assert one.machine.statistics()["exits"]["traced bytes written"] == 1


class Overflown:
    """A Ram whose log of writes is full."""

    def __init__(self, ram: Any) -> None:
        self._ram = ram

    def take_write_log(self) -> None:
        return None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ram, name)


def test_a_block_whose_pages_have_both_moved_is_dropped_once() -> None:
    pages = {0x180000: 0x110007, 0x181000: 0x111007}
    memory = {0x110FFD: b"\x90\x40\xba", 0x111000: b"\1\0\0\0\xc3"}
    one = lab(Kernel("nop", paging=True, pages=pages, memory=memory))
    assert one.cpu._translate(0x180FFF, CONTEXTS[0]) is not None
    for at in (0, 4):
        one.machine.memory.write(0x41000 + (0x180000 >> 10) + at, bytes(4))
    one.cpu.mappings_changed(everything=True)
    assert 0x180FFF not in one.blocks()
    assert one.cache.overlapping(0x110FFF, 2) == []


def test_a_written_byte_drops_its_block_and_no_other() -> None:
    one = flat("inc eax", "jmp over", "nop", "over: inc ebx", "here: jmp here", raw("90"))
    one.step(5)
    blocks = one.blocks()
    one.cpu.traced_write(ORIGIN + 3, 1)  # the NOP
    assert one.blocks() == blocks
    one.cpu.traced_write(ORIGIN, 1)
    assert one.blocks() == [eip for eip in blocks if eip >= ORIGIN + 4]
