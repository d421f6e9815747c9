"""Instruction classes: what a cost model prices. Every row of the instruction table is in one.

The classes of NATIVE run at the hardware's speed in every mode; those of SYSTEM do so only bare,
because a monitor simulates or emulates them, at a price of its own.
"""

from __future__ import annotations

from bt.instruction import Class, Instruction

SIMPLE = "simple"
NATIVE = (SIMPLE, "branch", "multiply", "divide", "string", "x87")
SYSTEM = ("read_flags", "write_flags", "interrupt_flag", "port", "software_interrupt",
          "interrupt_return", "segment", "far_transfer", "control_register", "invlpg",
          "system_other")  # fmt: skip
CLASSES = (*NATIVE, *SYSTEM)

_BY_MNEMONIC = {
    **dict.fromkeys(("JMP", "CALL", "RET", "LOOP", "LOOPE", "LOOPNE"), "branch"),
    **dict.fromkeys(("MUL", "IMUL"), "multiply"),
    **dict.fromkeys(("DIV", "IDIV"), "divide"),
    **dict.fromkeys(("MOVS", "STOS", "LODS", "CMPS", "SCAS"), "string"),
    **dict.fromkeys(("x87", "FWAIT"), "x87"),
    **dict.fromkeys(("CPUID", "RDTSC", "RDPMC", "VMCALL", "VMMCALL"), "system_other"),
}
_SYSTEM_BY_MNEMONIC = {
    **dict.fromkeys(("CLI", "STI"), "interrupt_flag"),
    **dict.fromkeys(("IN", "OUT", "INS", "INSB", "OUTS", "OUTSB"), "port"),
    "IRET": "interrupt_return",
    "MOV": "control_register",  # to and from debug registers as well
    "INVLPG": "invlpg",
}
_BY_GROUP = {
    "PUSHF": "read_flags",
    "POPF": "write_flags",
    "INT-n": "software_interrupt",
    **dict.fromkeys(("MOV-seg", "POP-seg", "PUSH-seg"), "segment"),
    **dict.fromkeys(("CALL-far", "JMP-far"), "far_transfer"),
}


def class_of(row: Instruction) -> str:
    """The class of a row of the instruction table."""
    name = row.mnemonic
    if row.sensitivity is not Class.INNOCUOUS:
        return _system(name, row.group)
    if name.startswith("J"):
        return "branch"
    string = name[:-1] if name[:-1] in _BY_MNEMONIC and name.endswith("B") else name
    return _BY_MNEMONIC.get(string, SIMPLE)


def _system(name: str, group: str) -> str:
    if group in _BY_GROUP:
        return _BY_GROUP[group]
    if group == "RET-far/IRET" and name != "IRET":
        return "far_transfer"
    return _SYSTEM_BY_MNEMONIC.get(name, "system_other")
