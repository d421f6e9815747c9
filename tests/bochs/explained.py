"""Differences from Bochs that the manual allows or decides, each with the manual's words.

A rule looks at a Case, which has the records of one world from both, and returns the names of the
differences that it explains. What no rule explains is a finding: the comparison fails with it.
"SDM" is Intel's Software Developer's Manual.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from tests.bochs import layout as at
from tests.bochs import objects as the
from tests.bochs.record import Record, difference
from tests.bochs.undefined import blank
from tests.bochs.world import World

DF, DB, TS, NP, SS, GP, PF, AC = 8, 1, 10, 11, 12, 13, 14, 17
TASK_FAULTS = (DF, TS, NP, SS, GP, PF, at.SHUTDOWN)
EFLAGS_TF, EFLAGS_VM, EFLAGS_VIF, EFLAGS_VIP = 0x100, 0x20000, 0x80000, 0x100000
EFLAGS_IOPL = 0x3000
CR0_TS, CR4_VME, CR4_PAE, DR6_BS, DR6_BT = 8, 1, 0x20, 0x4000, 0x8000
PREFIXES = b"\x26\x2e\x36\x3e\x64\x65\x66\x67\xf2\xf3"
ACCESSED_SEGMENT, ACCESSED_PAGE, BUSY, RF = 0x100, 0x20, 0x200, 0x10000


@dataclass
class Case:
    """One world on both; `names` are the differences, as record.difference() names them."""

    world: World
    ours: Record
    bochs: Record
    names: set[str] = field(init=False)

    def __post_init__(self) -> None:
        self.ours, self.bochs = blank(self.ours), blank(self.bochs)
        self.names = set(difference(self.ours, self.bochs))

    def pair(self, name: str) -> tuple[int, int]:
        """Both values of a difference; unchanged memory has its value from before."""
        if name.startswith("["):
            place = int(name[1:-1], 16)
            before = int.from_bytes(self.world.arena[place : place + 4], "little")
            return self.ours.memory.get(place, before), self.bochs.memory.get(place, before)
        one, other = self.ours.registers[name], self.bochs.registers[name]
        assert isinstance(one, int)
        assert isinstance(other, int)
        return one, other

    def word(self, place: int, record: Record | None = None) -> int:
        """A doubleword of an arena at the end, of ours if nothing else is said."""
        before = int.from_bytes(self.world.arena[place : place + 4], "little")
        return (record or self.ours).memory.get(place, before)

    def faulting_code(self) -> bytes:
        """What stands where the fault happened that ended the world in both, with an error code.

        Empty if both frames, of 32 bits, do not have the same place in them.
        """
        frames = []
        for record in (self.ours, self.bochs):
            top = record.registers["esp"]
            assert isinstance(top, int)
            if not 0 < top <= at.ARENA_SIZE - 16:
                return b""
            frames.append([self.word(top + offset, record) for offset in (4, 8, 12)])
        eip, cs, eflags = frames[0]
        if frames[0] != frames[1]:
            return b""
        place = eip + 16 * (cs & 0xFFFF) if eflags & EFLAGS_VM else eip  # no code has another base
        return bytes(self.world.arena[place : place + 15])

    def register(self, name: str) -> tuple[int, int]:
        """A register's values in both records."""
        return self.pair(name)

    def memory(self) -> Iterable[tuple[str, int]]:
        """The differences in memory, with their addresses."""
        return [(name, int(name[1:-1], 16)) for name in self.names if name.startswith("[")]

    @property
    def story(self) -> str:
        """What the world is about, in one line."""
        return " ".join(self.world.story)

    @property
    def same_end(self) -> bool:
        """Did the same vector end the world?"""
        return self.ours.vector == self.bochs.vector

    @property
    def task_switched(self) -> bool:
        """Has one of them switched tasks?"""
        return any(record.memory.keys() & _TSS_PLACES for record in (self.ours, self.bochs))


_TSS_PLACES = {
    base + offset for base in the.TSS.values() for offset in (*range(0x20, 0x48, 4), 0xC, 0x10)
}


@dataclass(frozen=True)
class Rule:
    """What the manual says, where, and what that explains."""

    source: str
    words: str
    explains: Callable[[Case], set[str]]

    @property
    def name(self) -> str:
        """The rule's name in a summary."""
        return self.explains.__name__


def pushed_selector(case: Case) -> set[str]:
    """We push 32 bits, the upper ones zero; Bochs writes 16."""
    found = set()
    for name, _ in case.memory():
        one, other = case.pair(name)
        if one & 0xFFFF == other & 0xFFFF and one >> 16 == 0:
            found.add(name)
        if one >> 16 == other >> 16 and one & 0xFFFF == 0:  # the zeros lie in the next doubleword
            found.add(name)
    return found


def page_behind_selector(case: Case) -> set[str]:
    """The same where the upper half of the push lies in another page."""
    if "push_segment" not in case.story and "move_stack" not in case.story:
        return set()
    return {
        name
        for name, place in case.memory()
        if the.TABLE <= place < at.ARENA_SIZE
        and case.pair(name)[0] ^ case.pair(name)[1] in (0x20, 0x40, 0x60)
    }


def upper_half_of_esp(case: Case) -> set[str]:
    """After a change to a 16-bit stack we have ESP from the TSS, Bochs only SP."""
    if not case.same_end or "ss" in case.names:
        return set()
    found = {name for name in case.names & {"esp"} if _same_lower_half(case, name)}
    if found and case.word(the.GDT + (case.pair("ss")[0] & 0xFFF8) + 4) & 0x400000:
        return set()
    for name, place in case.memory():  # ESP as a handler's frame has it
        stack = the.STACK - 0x200 <= place < the.DF_STACK
        if stack and "/16]" in case.story and _same_lower_half(case, name):
            found.add(name)
    return found


def _same_lower_half(case: Case, name: str) -> bool:
    one, other = case.pair(name)
    return one & 0xFFFF == other & 0xFFFF


def order_of_task_checks(case: Case) -> set[str]:
    """Bochs checks CS last, P6 processors first: error codes and accessed bits differ."""
    ends = {case.ours.vector, case.bochs.vector}
    if not case.task_switched or not ends <= set(TASK_FAULTS):
        return set()
    if len(ends) == 2 and ends & {TS, DF}:
        return set(case.names)  # another exception, other handlers
    found = set()
    for name, place in case.memory():
        one, other = case.pair(name)
        in_tables = the.GDT <= place < the.IDT and place & 4
        if in_tables and one ^ other == ACCESSED_SEGMENT:
            found.add(name)
        elif case.same_end and place == case.pair("esp")[0] & ~3:
            found.add(name)  # the error code on top of the handler's stack
    return found


def over_the_end(case: Case) -> set[str]:
    """An operand of a 4 GiB segment that wraps around, or a stack that does."""
    places = [
        value
        for record in (case.ours, case.bochs)
        for value in (record.registers["esp"], record.registers["cr2"])
    ]
    wraps = any(isinstance(place, int) and place >= 0xFFFF_FFE0 for place in places)
    return set(case.names) if wraps or "[0000]" in case.names else set()


def accessed_on_the_way(case: Case) -> set[str]:
    """A walk that faults, or an instruction that faults later: entries are marked that far."""
    found = set()
    for name, place in case.memory():
        one, other = case.pair(name)
        if the.DIRECTORY <= place < at.ARENA_SIZE and one ^ other == ACCESSED_PAGE:
            found.add(name)
    return found


def pointers_of_a_task(case: Case) -> set[str]:
    """A task's CR3 leads to reserved bits: here the old pointers stay, under Bochs there are none,
    so that the exception cannot be delivered either."""
    root = case.ours.registers["cr3"]
    assert isinstance(root, int)
    root &= ~31
    ends = case.ours.vector, case.bochs.vector
    if not case.world.state["cr4"] & CR4_PAE or ends != (GP, at.SHUTDOWN) or root >= at.ARENA_SIZE:
        return set()
    pointers = [(case.word(place), case.word(place + 4)) for place in range(root, root + 32, 8)]
    bad = any(low & 1 and (low & 0x1E6 or high & ~0xF) for low, high in pointers)
    return set(case.names) if bad else set()


def undefined_after_double_fault(case: Case) -> set[str]:
    """What the instruction and its exceptions wrote before they became a double or triple fault."""
    if not case.same_end or case.ours.vector not in (DF, at.SHUTDOWN):
        return set()
    return {name for name, _ in case.memory()}


def order_of_task_pages(case: Case) -> set[str]:
    """Both find a page of a TSS missing, but not the same one first."""
    if case.ours.vector != PF or not case.same_end or "cr2" not in case.names:
        return set()
    low = min(the.TSS.values()) & ~0xFFF
    both = case.pair("cr2")
    return {"cr2"} if all(low <= place < low + 0x2000 for place in both) else set()


def single_step_into_a_task(case: Case) -> set[str]:
    """TF was set when the instruction that switched tasks was executed: we stop behind it."""
    if case.ours.vector != DB or not case.task_switched:
        return set()
    one, other = case.register("dr6")
    return set(case.names) if one & DR6_BS and not other & DR6_BS else set()


def either_operand(case: Case) -> set[str]:
    """Two operands are not present, or two halves of one, and Bochs looks at the other first."""
    if case.ours.vector != PF or not case.same_end or "cr2" not in case.names:
        return set()
    one, other = case.pair("cr2")
    error_code = f"[{case.pair('esp')[0]:04x}]"
    found = case.names & {"cr2", error_code}
    return found if "string" in case.story or one >> 2 == other >> 2 else set()


def either_operand_of_cmps(case: Case) -> set[str]:
    """Both operands of CMPS fault, each in a way of its own: we read ES:EDI first, Bochs DS:ESI."""
    code = case.faulting_code().lstrip(PREFIXES)
    faults = {case.ours.vector, case.bochs.vector}
    if code[:1] not in (b"\xa6", b"\xa7") or len(faults) != 2 or not faults <= {SS, GP, PF, AC}:
        return set()
    return case.names & {"vector", "cr2", f"[{case.ours.registers['esp']:04x}]"}


def breakpoint_not_enabled(case: Case) -> set[str]:
    """A breakpoint matches that is not enabled: one of us sets its bit in DR6."""
    if "dr6" not in case.names or not case.same_end:
        return set()
    one, other = case.register("dr6")
    return {"dr6"} if (one ^ other) & ~0xF == 0 else set()


def between_two_elements(case: Case) -> set[str]:
    """A debug trap between two elements of a repeated instruction: we push RF set."""
    if case.ours.vector != DB or not case.same_end or "string" not in case.story:
        return set()
    return {name for name, _ in case.memory() if case.pair(name)[0] ^ case.pair(name)[1] == RF}


def pushed_before_the_fault(case: Case) -> set[str]:
    """Words just below a stack pointer, of a frame that was begun and given up."""
    if case.ours.vector not in (TS, NP, SS, GP, PF) or not case.same_end:
        return set()
    pointers = [value for value in case.ours.memory.values() if 0x3000 <= value < 0x4100]
    return {
        name for name, place in case.memory() if any(place < top <= place + 12 for top in pointers)
    }


def busy_after_failed_switch(case: Case) -> set[str]:
    """A task switch that page-faults: Bochs has cleared the old task's busy bit by then."""
    if case.ours.vector not in (PF, DF, at.SHUTDOWN):
        return set()
    tasks = {f"[{the.GDT + selector + 4:04x}]" for selector in the.TSS}
    found = case.names & tasks
    return {name for name in found if case.pair(name)[0] ^ case.pair(name)[1] == BUSY}


def alignment_of_tables(case: Case) -> set[str]:
    """SGDT and SIDT: we ask for 4 bytes of alignment, Bochs for that of each half."""
    stored = " table" in case.story
    return set(case.names) if case.ours.vector == AC and stored else set()


def pending_interrupt_without_vme(case: Case) -> set[str]:
    """Bochs raises #GP for VIF and VIP where they are not in force: by PVI, or at IOPL 3."""
    both = EFLAGS_VIF | EFLAGS_VIP
    if case.bochs.vector not in (GP, at.SHUTDOWN):
        return set()
    eflags = case.ours.registers["eflags"]
    assert isinstance(eflags, int)
    images = [eflags, *(word for word in case.bochs.memory.values() if word & EFLAGS_VM)]
    if case.world.state["cr4"] & CR4_VME:
        images = [image for image in images if image & EFLAGS_IOPL == EFLAGS_IOPL]
    return set(case.names) if any(image & both == both for image in images) else set()


RULES = (
    Rule(
        "SDM vol. 2, PUSH",
        "If the source operand is a segment register (16 bits) and the operand size is "
        "32-bits, either a zero-extended value is pushed on the stack or the segment selector"
        " is written on the stack using a 16-bit move.",
        pushed_selector,
    ),
    Rule(
        "SDM vol. 2, PUSH",
        "For the last case, all recent Intel Core and Intel Atom processors perform a 16-bit "
        "move, leaving the upper portion of the stack location unmodified.",
        page_behind_selector,
    ),
    Rule(
        "SDM vol. 3, 3.4.5, D/B flag",
        "If the flag is set, a 32-bit stack pointer is used, which is stored in the 32-bit "
        "ESP register; if the flag is clear, a 16-bit stack pointer is used, which is stored "
        "in the 16-bit SP register.",
        upper_half_of_esp,
    ),
    Rule(
        "SDM vol. 3, 7.3",
        "The order of the checks in the table is the order used in the P6 family processors. "
        "The exact order is model specific and may be different for other IA-32 processors.",
        order_of_task_checks,
    ),
    Rule(
        "SDM vol. 3, 5.3",
        "When the effective limit is FFFFFFFFH (4 GBytes), these accesses may or may not "
        "cause the indicated exceptions. Behavior is implementation-specific and may vary "
        "from one execution to another.",
        over_the_end,
    ),
    Rule(
        "SDM vol. 3, 4.8",
        "Whenever the processor uses a paging-structure entry as part of linear-address "
        "translation, it sets the accessed flag in that entry (if it is not already set).",
        accessed_on_the_way,
    ),
    Rule(
        "SDM vol. 3, 4.4.1",
        "If any of the PDPTEs sets both the P flag (bit 0) and any reserved bit, the MOV to CR "
        "instruction causes a general-protection exception (#GP(0)) and the PDPTEs are not loaded.",
        pointers_of_a_task,
    ),
    Rule(
        "SDM vol. 3, 6.15, interrupt 8",
        "The program-state following a double-fault exception is undefined. The program or "
        "task cannot be resumed or restarted.",
        undefined_after_double_fault,
    ),
    Rule(
        "SDM vol. 3, 7.3, step 5",
        "Checks that the old TSS, new TSS, and all segment descriptors used in the task "
        "switch are paged into system memory.",
        order_of_task_pages,
    ),
    Rule(
        "SDM vol. 3, 17.3.1.4",
        "The processor generates a single-step debug exception if (while an instruction is "
        "being executed) it detects that the TF flag in the EFLAGS register is set.",
        single_step_into_a_task,
    ),
    Rule(
        "SDM vol. 3, 6.15, interrupt 14",
        "The processor loads the CR2 register with the 32-bit linear address that generated "
        "the exception.",
        either_operand,
    ),
    Rule(
        "SDM vol. 3, 6.9",
        "While priority among these classes listed in Table 6-2 is consistent throughout the "
        "architecture, exceptions within each class are implementation-dependent and may vary from "
        "processor to processor.",
        either_operand_of_cmps,
    ),
    Rule(
        "SDM vol. 3, 17.2.3",
        "They may or may not be set if the breakpoint is not enabled by the Ln or the Gn "
        "flags in register DR7.",
        breakpoint_not_enabled,
    ),
    Rule(
        "SDM vol. 3, 17.3.1.1",
        "For any trap-class exception generated by any iteration of a repeated string "
        "instruction but the last iteration, the value pushed for RF is 1.",
        between_two_elements,
    ),
    Rule(
        "SDM vol. 3, 6.5, faults",
        "When a fault is reported, the processor restores the machine state to the state "
        "prior to the beginning of execution of the faulting instruction.",
        pushed_before_the_fault,
    ),
    Rule(
        "SDM vol. 3, 7.3",
        "the processor does not complete the task switch and insures that the processor is "
        "returned to its state prior to the execution of the instruction that initiated the "
        "task switch.",
        busy_after_failed_switch,
    ),
    Rule(
        "SDM vol. 3, table 6-7",
        "GDTR, IDTR, LDTR, or Task Register Contents: 4",
        alignment_of_tables,
    ),
    Rule(
        "SDM vol. 3, 20.3.2",
        "When the VME flag in control register CR4 is set and the IOPL field in the EFLAGS "
        "register is less than 3, two additional flags are activated in the EFLAGS register",
        pending_interrupt_without_vme,
    ),
)


def explain(case: Case) -> tuple[set[str], set[str]]:
    """Names of the rules that were needed, and of the differences that none explains."""
    needed: set[str] = set()
    left = set(case.names)
    for rule in RULES:
        found = rule.explains(case) & left
        if found:
            needed.add(rule.name)
            left -= found
    return needed, left
