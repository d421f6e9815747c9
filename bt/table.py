"""The instruction table: every instruction of the Pentium Pro's integer and x87 sets, once.

One row feeds the decoder (operand shape), the interpreter (body), the scanner and the translator
(sensitivity class), the documentation and the tests. Notation is that of the opcode map in SDM
vol. 2, appendix A:

    opcode   "00", "0F A2", "FF /6" (ModRM.reg selects), "40+r" (register in the low three bits),
             "0F 01=C1" (that ModRM byte alone, a register form that its group lacks)
    operands E = ModRM register or memory, G = ModRM.reg, M = memory only, R = register only,
             Z = register in the opcode, A = accumulator, I = immediate, J = relative target,
             O = memory offset, P = far pointer, S = segment register, C/D = control/debug register
             followed by a size: b byte, w word, v word or doubleword by operand size, p far
             pointer, q 8 bytes, s sign-extended byte, and none where the size does not matter
    body     the interpreter's function for it (bt/interp), after it its leading arguments

Example: `I("03", "ADD", "Gv,Ev", "alu_ge", ALU_ADD)` is stamped into four handlers
(16 or 32 bits, register or memory), each `alu_ge(c, op, ALU_ADD, size, mem)`.

Classes, after Popek and Goldberg (1974) and Robin and Irvine (2000): INNOCUOUS; PRIVILEGED (traps
outside ring 0, so a monitor sees it); CRITICAL (sensitive but not privileged: the monitor must
find it). SENSITIVE_IO instructions trap by IOPL and the I/O bitmap, which a monitor closes.
"""

from __future__ import annotations

from bt.instruction import Class, Rows
from bt.table_simd import SIMD

#: Every row, in the order of the opcode map; behind them those of families with files of their own.
TABLE = I = Rows()  # noqa: E741

PRIV = Class.PRIVILEGED
CRIT = Class.CRITICAL

# --- the eight binary operations --------------------------------------------------------
for kind, name in enumerate(["ADD", "OR", "ADC", "SBB", "AND", "SUB", "XOR", "CMP"]):
    base = kind * 8
    w = "oszapc"
    u = "a" if name in ("OR", "AND", "XOR") else ""
    k = name != "CMP"
    I(f"{base + 0:02X}", name, "Eb,Gb", "alu_eg", kind, lock=k, writes=w, undefined=u)
    I(f"{base + 1:02X}", name, "Ev,Gv", "alu_eg", kind, lock=k, writes=w, undefined=u)
    I(f"{base + 2:02X}", name, "Gb,Eb", "alu_ge", kind, writes=w, undefined=u)
    I(f"{base + 3:02X}", name, "Gv,Ev", "alu_ge", kind, writes=w, undefined=u)
    I(f"{base + 4:02X}", name, "Ab,Ib", "alu_ei", kind, writes=w, undefined=u)
    I(f"{base + 5:02X}", name, "Av,Iv", "alu_ei", kind, writes=w, undefined=u)
    I(f"80 /{kind}", name, "Eb,Ib", "alu_ei", kind, lock=k, writes=w, undefined=u)
    I(f"81 /{kind}", name, "Ev,Iv", "alu_ei", kind, lock=k, writes=w, undefined=u)
    I(f"82 /{kind}", name, "Eb,Ib", "alu_ei", kind, lock=k, writes=w, undefined=u)
    I(f"83 /{kind}", name, "Ev,Is", "alu_ei", kind, lock=k, writes=w, undefined=u)

# --- segment registers on the stack -----------------------------------------------------
for seg, (code, name) in enumerate([("06", "ES"), ("0E", "CS"), ("16", "SS"), ("1E", "DS")]):
    I(code, f"PUSH {name}", "v", "push_seg", seg, cls=CRIT, group="PUSH-seg")
    if name != "CS":
        pop = f"{int(code, 16) + 1:02X}"
        I(pop, f"POP {name}", "v", "pop_seg", seg, cls=CRIT, group="POP-seg")
I("0F A0", "PUSH FS", "v", "push_seg", 4, cls=CRIT, group="PUSH-seg")
I("0F A1", "POP FS", "v", "pop_seg", 4, cls=CRIT, group="POP-seg")
I("0F A8", "PUSH GS", "v", "push_seg", 5, cls=CRIT, group="PUSH-seg")
I("0F A9", "POP GS", "v", "pop_seg", 5, cls=CRIT, group="POP-seg")

# --- BCD --------------------------------------------------------------------------------
I("27", "DAA", "", "daa", writes="szapc", undefined="o")
I("2F", "DAS", "", "das", writes="szapc", undefined="o")
I("37", "AAA", "", "aaa", writes="ac", undefined="oszp")
I("3F", "AAS", "", "aas", writes="ac", undefined="oszp")
I("D4", "AAM", "Ib", "aam", writes="szp", undefined="oac")
I("D5", "AAD", "Ib", "aad", writes="szp", undefined="oac")

# --- registers, stack -------------------------------------------------------------------
I("40+r", "INC", "Zv", "incdec_e", 0, writes="oszap")
I("48+r", "DEC", "Zv", "incdec_e", 1, writes="oszap")
I("50+r", "PUSH", "Zv", "push_e")
I("58+r", "POP", "Zv", "pop_z")
I("60", "PUSHA", "v", "pusha")
I("61", "POPA", "v", "popa")
I("62", "BOUND", "Gv,M", "bound")
I("63", "ARPL", "Ew,Gw", "arpl", writes="z")
I("68", "PUSH", "Iv", "push_i")
I("69", "IMUL", "Gv,Ev,Iv", "imul_gei", writes="oc", undefined="szap")
I("6A", "PUSH", "v,Is", "push_i")
I("6B", "IMUL", "Gv,Ev,Is", "imul_gei", writes="oc", undefined="szap")
I("6C", "INSB", "b", "ins", cls=PRIV)
I("6D", "INS", "v", "ins", cls=PRIV)
I("6E", "OUTSB", "b", "outs", cls=PRIV)
I("6F", "OUTS", "v", "outs", cls=PRIV)

# --- conditional ------------------------------------------------------------------------
CONDITIONS = [
    *("O", "NO", "B", "NB", "Z", "NZ", "BE", "NBE"),
    *("S", "NS", "P", "NP", "L", "NL", "LE", "NLE"),
]
for cc, name in enumerate(CONDITIONS):
    I(f"{0x70 + cc:02X}", f"J{name}", "v,Js", "jcc", cc)
    I(f"0F {0x80 + cc:02X}", f"J{name}", "Jv", "jcc", cc)
    I(f"0F {0x90 + cc:02X}", f"SET{name}", "Eb", "set_e", cc)
    I(f"0F {0x40 + cc:02X}", f"CMOV{name}", "Gv,Ev", "cmov_ge", cc, feature="cmov")

# --- moves and tests --------------------------------------------------------------------
I("84", "TEST", "Eb,Gb", "test_eg", writes="oszapc", undefined="a")
I("85", "TEST", "Ev,Gv", "test_eg", writes="oszapc", undefined="a")
I("86", "XCHG", "Eb,Gb", "xchg_eg", lock=True)
I("87", "XCHG", "Ev,Gv", "xchg_eg", lock=True)
I("88", "MOV", "Eb,Gb", "mov_eg")
I("89", "MOV", "Ev,Gv", "mov_eg")
I("8A", "MOV", "Gb,Eb", "mov_ge")
I("8B", "MOV", "Gv,Ev", "mov_ge")
I("8C", "MOV", "Ev,S", "mov_es", cls=CRIT, group="MOV-seg")
I("8D", "LEA", "Gv,M", "lea_g")
I("8E", "MOV", "S,Ew", "mov_se", cls=CRIT, group="MOV-seg")
I("8F /0", "POP", "Ev", "pop_e")
I("90", "NOP", "", "nop")
for reg in range(1, 8):
    I(f"{0x90 + reg:02X}", "XCHG", "Zv,Av", "xchg_eg")
I("98", "CBW", "v", "convert_acc")
I("99", "CWD", "v", "convert_double")
I("9A", "CALL far", "Pv", "call_far", cls=CRIT, group="CALL-far", ends=True)
I("9B", "FWAIT", "", "fwait", feature="fpu")
I("9C", "PUSHF", "v", "pushf", cls=CRIT, group="PUSHF")
I("9D", "POPF", "v", "popf", cls=CRIT, group="POPF")
I("9E", "SAHF", "", "sahf", writes="szapc")
I("9F", "LAHF", "", "lahf")
I("A0", "MOV", "Ab,Ob", "mov_ge")
I("A1", "MOV", "Av,Ov", "mov_ge")
I("A2", "MOV", "Ob,Ab", "mov_eg")
I("A3", "MOV", "Ov,Av", "mov_eg")
I("A4", "MOVSB", "b", "movs")
I("A5", "MOVS", "v", "movs")
I("A6", "CMPSB", "b", "cmps", writes="oszapc")
I("A7", "CMPS", "v", "cmps", writes="oszapc")
I("A8", "TEST", "Ab,Ib", "test_ei", writes="oszapc", undefined="a")
I("A9", "TEST", "Av,Iv", "test_ei", writes="oszapc", undefined="a")
I("AA", "STOSB", "b", "stos")
I("AB", "STOS", "v", "stos")
I("AC", "LODSB", "b", "lods")
I("AD", "LODS", "v", "lods")
I("AE", "SCASB", "b", "scas", writes="oszapc")
I("AF", "SCAS", "v", "scas", writes="oszapc")
I("B0+r", "MOV", "Zb,Ib", "mov_ei")
I("B8+r", "MOV", "Zv,Iv", "mov_ei")

# --- shifts and rotates (SHL /6 is an undocumented alias of /4 that every processor has) ---
for kind, name in enumerate(["ROL", "ROR", "RCL", "RCR", "SHL", "SHR", "SHL", "SAR"]):
    body_kind = 4 if kind == 6 else kind
    w = "oc" if kind < 4 else "oszapc"
    u = "" if kind < 4 else "a"
    I(f"C0 /{kind}", name, "Eb,Ib", "shift_e", body_kind, 0, writes=w, undefined=u)
    I(f"C1 /{kind}", name, "Ev,Ib", "shift_e", body_kind, 0, writes=w, undefined=u)
    I(f"D0 /{kind}", name, "Eb,1", "shift_e", body_kind, 0, writes=w, undefined=u)
    I(f"D1 /{kind}", name, "Ev,1", "shift_e", body_kind, 0, writes=w, undefined=u)
    I(f"D2 /{kind}", name, "Eb", "shift_e", body_kind, 1, writes=w, undefined=u)
    I(f"D3 /{kind}", name, "Ev", "shift_e", body_kind, 1, writes=w, undefined=u)

# --- near and far transfers, frames -----------------------------------------------------
I("C2", "RET", "v,Iw", "ret_near", ends=True)
I("C3", "RET", "v", "ret_near", ends=True)
I("C4", "LES", "Gv,Mp", "load_far_pointer", 0, cls=CRIT, group="MOV-seg")
I("C5", "LDS", "Gv,Mp", "load_far_pointer", 3, cls=CRIT, group="MOV-seg")
I("C6 /0", "MOV", "Eb,Ib", "mov_ei")
I("C7 /0", "MOV", "Ev,Iv", "mov_ei")
I("C8", "ENTER", "v,Iw,Ib", "enter")
I("C9", "LEAVE", "v", "leave")
I("CA", "RET far", "v,Iw", "ret_far", cls=CRIT, group="RET-far/IRET", ends=True)
I("CB", "RET far", "v", "ret_far", cls=CRIT, group="RET-far/IRET", ends=True)
I("CC", "INT3", "", "int3", cls=CRIT, group="INT-n", ends=True)
I("CD", "INT", "Ib", "int_n", cls=CRIT, group="INT-n", ends=True)
I("CE", "INTO", "", "into", cls=CRIT, group="INT-n")
I("CF", "IRET", "v", "iret", cls=CRIT, group="RET-far/IRET", ends=True)
I("D6", "SALC", "", "salc")
I("D7", "XLAT", "", "xlat")
I("E0", "LOOPNE", "v,Js", "loop", 0)
I("E1", "LOOPE", "v,Js", "loop", 1)
I("E2", "LOOP", "v,Js", "loop", 2)
I("E3", "JCXZ", "v,Js", "loop", 3)
I("E8", "CALL", "Jv", "call_near", ends=True)
I("E9", "JMP", "Jv", "jmp_near", ends=True)
I("EA", "JMP far", "Pv", "jmp_far", cls=CRIT, group="JMP-far", ends=True)
I("EB", "JMP", "v,Js", "jmp_near", ends=True)

# --- ports: sensitive, trap unless IOPL or the I/O bitmap let them through --------------
I("E4", "IN", "b,Ib", "in_imm", cls=PRIV)
I("E5", "IN", "v,Ib", "in_imm", cls=PRIV)
I("E6", "OUT", "b,Ib", "out_imm", cls=PRIV)
I("E7", "OUT", "v,Ib", "out_imm", cls=PRIV)
I("EC", "IN", "b", "in_dx", cls=PRIV)
I("ED", "IN", "v", "in_dx", cls=PRIV)
I("EE", "OUT", "b", "out_dx", cls=PRIV)
I("EF", "OUT", "v", "out_dx", cls=PRIV)

# --- flags, halt ------------------------------------------------------------------------
I("F1", "INT1", "", "int1", ends=True)
I("F4", "HLT", "", "hlt", cls=PRIV, ends=True)
I("F5", "CMC", "", "flag_carry", 2, writes="c")
I("F8", "CLC", "", "flag_carry", 0, writes="c")
I("F9", "STC", "", "flag_carry", 1, writes="c")
I("FA", "CLI", "", "cli", cls=PRIV)
I("FB", "STI", "", "sti", cls=PRIV)
I("FC", "CLD", "", "flag_direction", 0)
I("FD", "STD", "", "flag_direction", 1)

# --- unary group 3, groups 4 and 5 ------------------------------------------------------
for size in "bv":
    code = "F6" if size == "b" else "F7"
    I(f"{code} /0", "TEST", f"E{size},I{size}", "test_ei", writes="oszapc", undefined="a")
    I(f"{code} /1", "TEST", f"E{size},I{size}", "test_ei", writes="oszapc", undefined="a")
    I(f"{code} /2", "NOT", f"E{size}", "not_e", lock=True)
    I(f"{code} /3", "NEG", f"E{size}", "neg_e", lock=True, writes="oszapc")
    I(f"{code} /4", "MUL", f"E{size}", "mul_e", writes="oc", undefined="szap")
    I(f"{code} /5", "IMUL", f"E{size}", "imul_e", writes="oc", undefined="szap")
    I(f"{code} /6", "DIV", f"E{size}", "div_e", undefined="oszapc")
    I(f"{code} /7", "IDIV", f"E{size}", "idiv_e", undefined="oszapc")
    code = "FE" if size == "b" else "FF"
    I(f"{code} /0", "INC", f"E{size}", "incdec_e", 0, lock=True, writes="oszap")
    I(f"{code} /1", "DEC", f"E{size}", "incdec_e", 1, lock=True, writes="oszap")
I("FF /2", "CALL", "Ev", "call_e", ends=True)
I("FF /3", "CALL far", "v,Mp", "call_far_m", cls=CRIT, group="CALL-far", ends=True)
I("FF /4", "JMP", "Ev", "jmp_e", ends=True)
I("FF /5", "JMP far", "v,Mp", "jmp_far_m", cls=CRIT, group="JMP-far", ends=True)
I("FF /6", "PUSH", "Ev", "push_e")

# --- 0F: system -------------------------------------------------------------------------
I("0F 00 /0", "SLDT", "Ev", "sldt", cls=CRIT, group="SLDT")
I("0F 00 /1", "STR", "Ev", "str_e", cls=CRIT, group="STR")
I("0F 00 /2", "LLDT", "Ew", "lldt", cls=PRIV)
I("0F 00 /3", "LTR", "Ew", "ltr", cls=PRIV)
I("0F 00 /4", "VERR", "Ew", "ver", 0, cls=CRIT, group="VERR", writes="z")
I("0F 00 /5", "VERW", "Ew", "ver", 1, cls=CRIT, group="VERW", writes="z")
I("0F 01 /0", "SGDT", "v,M", "sgdt", cls=CRIT, group="SGDT")
I("0F 01 /1", "SIDT", "v,M", "sidt", cls=CRIT, group="SIDT")
I("0F 01 /2", "LGDT", "v,M", "lgdt", cls=PRIV)
I("0F 01 /3", "LIDT", "v,M", "lidt", cls=PRIV)
I("0F 01 /4", "SMSW", "Ev", "smsw", cls=CRIT, group="SMSW")
I("0F 01 /6", "LMSW", "Ew", "lmsw", cls=PRIV)
I("0F 01 /7", "INVLPG", "M", "invlpg", cls=PRIV, feature="486")
I("0F 01=C1", "VMCALL", "", "hypercall", 0xC1)  # of later processors; without a hypervisor, #UD
I("0F 01=D9", "VMMCALL", "", "hypercall", 0xD9)
I("0F 02", "LAR", "Gv,Ew", "lar", cls=CRIT, group="LAR", writes="z")
I("0F 03", "LSL", "Gv,Ew", "lsl", cls=CRIT, group="LSL", writes="z")
I("0F 06", "CLTS", "", "clts", cls=PRIV)
I("0F 08", "INVD", "", "wbinvd", cls=PRIV, feature="486")
I("0F 09", "WBINVD", "", "wbinvd", cls=PRIV, feature="486")
I("0F 0B", "UD2", "", "ud2", ends=True)
for hint in range(0x18, 0x20):  # hint NOPs: every P6 runs them (prefetches and ENDBR32 came later)
    I(f"0F {hint:02X}", "NOP", "Ev", "nop", feature="p6")
I("0F 20", "MOV", "Rd,C", "mov_rc", cls=PRIV)
I("0F 21", "MOV", "Rd,D", "mov_rd", cls=PRIV)
I("0F 22", "MOV", "C,Rd", "mov_cr", cls=PRIV)
I("0F 23", "MOV", "D,Rd", "mov_dr", cls=PRIV)
I("0F 30", "WRMSR", "", "wrmsr", cls=PRIV, feature="msr")
I("0F 31", "RDTSC", "", "rdtsc", feature="tsc")
I("0F 32", "RDMSR", "", "rdmsr", cls=PRIV, feature="msr")
I("0F 33", "RDPMC", "", "rdpmc", feature="pmc")
# SYSENTER traps while its MSR names no segment, and so for a monitor, who keeps it thus.
I("0F 34", "SYSENTER", "", "sysenter", cls=PRIV, ends=True, feature="sep")
I("0F 35", "SYSEXIT", "", "sysexit", cls=PRIV, ends=True, feature="sep")

# --- 0F: the rest -----------------------------------------------------------------------
I("0F A2", "CPUID", "", "cpuid", feature="cpuid")
for code, name, kind in (("A3", "BT", 0), ("AB", "BTS", 1), ("B3", "BTR", 2), ("BB", "BTC", 3)):
    k = kind != 0
    I(f"0F {code}", name, "Ev,Gv", "bt_eg", kind, lock=k, writes="c", undefined="osap")
    I(f"0F BA /{4 + kind}", name, "Ev,Ib", "bt_ei", kind, lock=k, writes="c", undefined="osap")
I("0F A4", "SHLD", "Ev,Gv,Ib", "shld", 0, writes="oszpc", undefined="a")
I("0F A5", "SHLD", "Ev,Gv", "shld", 1, writes="oszpc", undefined="a")
I("0F AC", "SHRD", "Ev,Gv,Ib", "shrd", 0, writes="oszpc", undefined="a")
I("0F AD", "SHRD", "Ev,Gv", "shrd", 1, writes="oszpc", undefined="a")
I("0F AF", "IMUL", "Gv,Ev", "imul_ge", writes="oc", undefined="szap")
I("0F B0", "CMPXCHG", "Eb,Gb", "cmpxchg", lock=True, writes="oszapc", feature="486")
I("0F B1", "CMPXCHG", "Ev,Gv", "cmpxchg", lock=True, writes="oszapc", feature="486")
I("0F B2", "LSS", "Gv,Mp", "load_far_pointer", 2, cls=CRIT, group="MOV-seg")
I("0F B4", "LFS", "Gv,Mp", "load_far_pointer", 4, cls=CRIT, group="MOV-seg")
I("0F B5", "LGS", "Gv,Mp", "load_far_pointer", 5, cls=CRIT, group="MOV-seg")
I("0F B6", "MOVZX", "Gv,Eb", "movx_ge", 0, 1)
I("0F B7", "MOVZX", "Gv,Ew", "movx_ge", 0, 2)
I("0F BC", "BSF", "Gv,Ev", "bsf", writes="z", undefined="osapc")
I("0F BD", "BSR", "Gv,Ev", "bsr", writes="z", undefined="osapc")
I("0F BE", "MOVSX", "Gv,Eb", "movx_ge", 1, 1)
I("0F BF", "MOVSX", "Gv,Ew", "movx_ge", 1, 2)
I("0F C0", "XADD", "Eb,Gb", "xadd", lock=True, writes="oszapc", feature="486")
I("0F C1", "XADD", "Ev,Gv", "xadd", lock=True, writes="oszapc", feature="486")
I("0F C7 /1", "CMPXCHG8B", "M", "cmpxchg8b", lock=True, writes="z", feature="cx8")
I("0F C8+r", "BSWAP", "Zv", "bswap", feature="486")

# --- x87: D8 to DF, memory and register forms (bt/interp/x87.py tells them apart by ModRM) ---
for escape in range(0xD8, 0xE0):
    I(f"{escape:02X}", "x87", "E", "x87", escape & 7, feature="fpu")

TABLE.extend(SIMD)  # MMX, SSE and SSE2
