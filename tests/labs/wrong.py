"""Submissions with one mistake each: the solution of a lab with a piece of it changed.

A row: lab, what is wrong, the test that must catch it, a piece of the solution and what stands
there instead (several, if one alone is no program).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Wrong:
    lab: int
    mistake: str
    caught_by: str  # how the name of the test begins
    pieces: tuple[tuple[str, str], ...]


def _wrong(lab: int, mistake: str, caught_by: str, *pieces: tuple[str, str]) -> Wrong:
    return Wrong(lab, mistake, caught_by, pieces)


STI = """    mov dword ptr gs:[SAVE_EAX], eax
    mov eax, 0x200                    | eax
    xchg dword ptr gs:[VSYS], eax     | eax
    mov dword ptr gs:[STI_BEFORE], eax | eax
    mov eax, dword ptr gs:[SAVE_EAX]  | eax, done
"""
IOPL_CHECK = "    if cpu.cpl > cpu.iopl:\n        return False\n    cpu.interrupt_flag"
GUARD = """        if (next_block.eip, next_block.context) != (exit.target, exit.context):
            return
"""

WRONG = (
    _wrong(1, "one trial that traps is enough", "privileged",
           ("return all(trial[world]", "return any(trial[world]")),
    _wrong(1, "the lenient world is forgotten", "sensitive",
           ("    if trapped and always_traps(evidence, LENIENT):", "    if trapped:")),
    _wrong(1, "only visible results count", "critical",
           ("if ring0.changes() or ring3.changes():", "if False:")),
    _wrong(1, "what completes nowhere is privileged", "innocuous",
           ("trapped = completes and always_traps", "trapped = always_traps")),
    _wrong(1, "what is sensitive and does not trap is critical", "instructions that nobody",
           ('return "critical" if goes_wrong(evidence) else "innocuous"', 'return "critical"')),
    _wrong(2, "user programs may halt", "what a user program",
           ("    if cpu.cpl != 0:\n        return False\n", "")),
    _wrong(2, "user programs may clear IF", "what a user program",
           (IOPL_CHECK, "    cpu.interrupt_flag")),
    _wrong(2, "STI casts no shadow", "CLI and STI", ("cpu.hold_interrupts()", "pass")),
    _wrong(2, "HLT does not halt", "HLT", ("        cpu.halt()\n", "")),
    _wrong(2, "IN to AL clears the rest of EAX", "IN and OUT",
           ("cpu.reg(EAX) & ~mask | cpu.port_in", "cpu.port_in")),
    _wrong(2, "an immediate port is no byte", "IN and OUT", ("(1 if opcode & 8 else 2)", "1")),
    _wrong(2, "a base of 24 bits has 32", "LGDT",
           ("(0xFFFFFF if size == 2 else 0xFFFFFFFF)", "0xFFFFFFFF")),
    _wrong(2, "CLTS leaves TS", "MOV to and from CR", (" & ~TS", "")),
    _wrong(3, "AND changes flags", "CLI",
           ("mov dword ptr gs:[VSYS], 0 ", "and dword ptr gs:[VSYS], 0 ")),
    _wrong(3, "STI_BEFORE is not stored", "STI",
           ("    mov dword ptr gs:[STI_BEFORE], eax | eax\n", "")),
    _wrong(3, "STI in one line", "STI", (STI, "    mov dword ptr gs:[VSYS], 0x200    | done\n")),
    _wrong(3, "EAX is not spilled", "STI",
           ("    mov dword ptr gs:[SAVE_EAX], eax\n", ""),
           ("    mov eax, dword ptr gs:[SAVE_EAX]  | eax, done", "    nop    | done")),
    _wrong(3, "a tag is missing", "interrupts",
           ("xchg dword ptr gs:[VSYS], eax     | eax\n", "xchg dword ptr gs:[VSYS], eax\n")),
    _wrong(3, "PUSHF destroys flags", "PUSHF, IF clear",
           ("shown: popfd\n    lea esp, [esp - 4] ", "shown: nop ")),
    _wrong(3, "PUSHF shows IF always clear", "PUSHF, IF set", ("    jnz shown\n", "")),
    _wrong(3, "POPF takes what the engine makes of it", "POPF",
           ("    pop dword ptr gs:[VSYS]\n    lea esp, [esp - 4]\n", "")),
    _wrong(3, "IOPL is taken as it comes", "POPF leaves",
           ("    test dword ptr [esp], 0x3100\n    jnz slow\n", ""), ("slow:\n    exit\n", "")),
    _wrong(3, "POPF is done too early", "POPF",
           ("    pop dword ptr gs:[VSYS]\n", "    pop dword ptr gs:[VSYS]  | done\n"),
           ("    popfd                             | done\nslow", "    popfd\nslow")),
    _wrong(4, "no accessed bit", "hidden faults", ("[value | A for value in values]", "values[:]")),
    _wrong(4, "reads make pages dirty", "dirty bits", ("    if fault.write:\n", "    if True:\n")),
    _wrong(4, "clean pages may be written", "dirty bits",
           ("writable=bool(last & D) and may_write", "writable=may_write")),
    _wrong(4, "A is set before the fault is judged", "true faults",
           ("    if not all(value & P",
            "    for address in entries:\n"
            "        guest.write(address, guest.read(address) | A)\n    if not all(value & P")),
    _wrong(4, "every fault is true", "hidden faults",
           ("    linear = fault.linear\n    entries", "    return False\n    entries")),
    _wrong(4, "U/S is ignored", "user or supervisor",
           ("    if fault.user and not all(value & US for value in values):\n"
            "        return False\n", "")),
    _wrong(4, "the supervisor is bound by R/W", "user or supervisor",
           (" or (not user and not guest.write_protect)", "")),
    _wrong(4, "CR0.WP is ignored", "user or supervisor",
           ("(not user and not guest.write_protect)", "(not user)")),
    _wrong(4, "the directory's R/W is ignored", "user or supervisor",
           ("    return all(value & RW for value in values) or",
            "    return bool(values[-1] & RW) or")),
    _wrong(4, "CR4.PSE is ignored", "pages of 4 MiB",
           ("(entry & PS and guest.large_pages)", "entry & PS"),
           ("bool(values[0] & PS) and guest.large_pages", "bool(values[0] & PS)")),
    _wrong(4, "pieces are told from each other", "pages of 4 MiB", ("        large=large,\n", "")),
    _wrong(4, "no page is global", "global pages",
           ("        is_global=bool(last & G) and guest.global_pages,\n", "")),
    _wrong(4, "nothing is traced", "traced page tables: nothing",
           ("        shadow.trace(address)\n", "")),
    _wrong(4, "nothing is unmapped", "traced page tables: a shadow",
           ("        shadow.unmap(linear)", "        pass")),
    _wrong(5, "interrupts are forgotten", "an interrupt", (GUARD, "")),
    _wrong(5, "contexts are forgotten", "the target in another context",
           ("(next_block.eip, next_block.context) != (exit.target, exit.context)",
            "next_block.eip != exit.target")),
    _wrong(5, "nothing is unlinked", "code that changes",
           ("in self.incoming.pop(block.start, ()):", "in ():")),
    _wrong(5, "nothing is unlinked", "code that is mapped",
           ("in self.incoming.pop(block.start, ()):", "in ():")),
    _wrong(5, "conditional branches stay linked", "code that changes",
           ("                self.code.write(exit.jump + 2, distance(exit.jump + 6, exit.address))",
            "                pass")),
    _wrong(5, "notes outlive the cache", "an emptied cache",
           ("        self.incoming.clear()", "        pass")),
    _wrong(5, "a displacement from the wrong place", "JMP, CALL",
           ("exit.address + 5", "exit.address + 4")),
)  # fmt: skip
