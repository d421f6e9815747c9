"""The rows of MMX, SSE and SSE2, which bt/table.py takes in (SDM vol. 2, appendix A; vol. 1, B).

One opcode stands for up to four instructions here, told apart by a *mandatory prefix*: 66, F3, F2
or none of them, which the column `opcode` has in front of 0F. Of F2 and F3 the last one counts,
and 66 only where there is neither. Operands, in the notation of the opcode map but for the letter
P:

    Pq  MMX register by ModRM.reg           Vx  XMM register by ModRM.reg
    Qq  MMX register or memory by ModRM.rm  Wx  XMM register or memory by ModRM.rm
    Nq  MMX register by ModRM.rm            Ux  XMM register by ModRM.rm
    M   memory                              Ed  general register or memory

and after it the bytes in memory: d 4, q 8, x 16. U alone: ModRM says register, and names none.
A row with M and one with U may share an opcode: MOVLPS and MOVHLPS.

Example: "66 0F 58" is ADDPD, "F3 0F 58" ADDSS. `F2 66 0F 58` in memory is ADDSD, since 66 then does
not count.
"""

from __future__ import annotations

from bt.instruction import Rows

SIMD = Rows()

# --- MMX, and the same in XMM registers -------------------------------------------------

#: Operations on two registers (packed.py), by opcode: MMX had them, SSE and SSE2 gave it more.
PACKED = {
    0x64: "PCMPGTB", 0x65: "PCMPGTW", 0x66: "PCMPGTD",
    0x74: "PCMPEQB", 0x75: "PCMPEQW", 0x76: "PCMPEQD",
    0xD5: "PMULLW", 0xD8: "PSUBUSB", 0xD9: "PSUBUSW", 0xDB: "PAND", 0xDC: "PADDUSB",
    0xDD: "PADDUSW", 0xDF: "PANDN", 0xE5: "PMULHW", 0xE8: "PSUBSB", 0xE9: "PSUBSW", 0xEB: "POR",
    0xEC: "PADDSB", 0xED: "PADDSW", 0xEF: "PXOR", 0xF5: "PMADDWD", 0xF8: "PSUBB", 0xF9: "PSUBW",
    0xFA: "PSUBD", 0xFC: "PADDB", 0xFD: "PADDW", 0xFE: "PADDD",
}  # fmt: skip
PACKED_SSE = {
    0xDA: "PMINUB", 0xDE: "PMAXUB", 0xE0: "PAVGB", 0xE3: "PAVGW", 0xE4: "PMULHUW", 0xEA: "PMINSW",
    0xEE: "PMAXSW", 0xF6: "PSADBW",
}  # fmt: skip
PACKED_SSE2 = {0xD4: "PADDQ", 0xF4: "PMULUDQ", 0xFB: "PSUBQ"}
SHIFTS = {
    0xD1: "PSRLW", 0xD2: "PSRLD", 0xD3: "PSRLQ", 0xE1: "PSRAW", 0xE2: "PSRAD",
    0xF1: "PSLLW", 0xF2: "PSLLD", 0xF3: "PSLLQ",
}  # fmt: skip
NARROWING = {0x63: "PACKSSWB", 0x67: "PACKUSWB", 0x6B: "PACKSSDW"}
UNPACK_LOW = {0x60: "PUNPCKLBW", 0x61: "PUNPCKLWD", 0x62: "PUNPCKLDQ"}
UNPACK_HIGH = {0x68: "PUNPCKHBW", 0x69: "PUNPCKHWD", 0x6A: "PUNPCKHDQ"}

for names, since in ((PACKED, "mmx"), (PACKED_SSE, "sse"), (PACKED_SSE2, "sse2")):
    for code, name in names.items():
        SIMD(f"0F {code:02X}", name, "Pq,Qq", "mmx_packed", code, feature=since)
        SIMD(f"66 0F {code:02X}", name, "Vx,Wx", "xmm_packed", code, feature="sse2")
for code, name in SHIFTS.items():
    SIMD(f"0F {code:02X}", name, "Pq,Qq", "mmx_shift", code, feature="mmx")
    SIMD(f"66 0F {code:02X}", name, "Vx,Wx", "xmm_shift", code, feature="sse2")
    group = f"{0x70 + (code & 3):02X} /{2 * (code >> 4 & 3)}"  # D: /2, E: /4, F: /6
    SIMD(f"0F {group}", name, "Nq,Ib", "mmx_shift_i", code, feature="mmx")
    SIMD(f"66 0F {group}", name, "Ux,Ib", "xmm_shift_i", code, feature="sse2")
SIMD("66 0F 73 /3", "PSRLDQ", "Ux,Ib", "xmm_byte_shift", 0, feature="sse2")
SIMD("66 0F 73 /7", "PSLLDQ", "Ux,Ib", "xmm_byte_shift", 1, feature="sse2")
for code, name in NARROWING.items():
    SIMD(f"0F {code:02X}", name, "Pq,Qq", "mmx_narrow", code, feature="mmx")
    SIMD(f"66 0F {code:02X}", name, "Vx,Wx", "xmm_narrow", code, feature="sse2")
for code, name in UNPACK_LOW.items():
    SIMD(f"0F {code:02X}", name, "Pq,Qd", "mmx_unpack_low", code, feature="mmx")
    SIMD(f"66 0F {code:02X}", name, "Vx,Wx", "xmm_unpack", 8 << (code & 3), 0, feature="sse2")
for code, name in UNPACK_HIGH.items():
    SIMD(f"0F {code:02X}", name, "Pq,Qq", "mmx_unpack_high", code, feature="mmx")
    SIMD(f"66 0F {code:02X}", name, "Vx,Wx", "xmm_unpack", 8 << (code & 3), 1, feature="sse2")
SIMD("66 0F 6C", "PUNPCKLQDQ", "Vx,Wx", "xmm_unpack", 64, 0, feature="sse2")
SIMD("66 0F 6D", "PUNPCKHQDQ", "Vx,Wx", "xmm_unpack", 64, 1, feature="sse2")

SIMD("0F 6E", "MOVD", "Pq,Ed", "mmx_load32", feature="mmx")
SIMD("0F 7E", "MOVD", "Ed,Pq", "mmx_store32", feature="mmx")
SIMD("0F 6F", "MOVQ", "Pq,Qq", "mmx_load", feature="mmx")
SIMD("0F 7F", "MOVQ", "Qq,Pq", "mmx_store", feature="mmx")
SIMD("0F 77", "EMMS", "", "emms", feature="mmx")
SIMD("0F 70", "PSHUFW", "Pq,Qq,Ib", "mmx_shuffle", feature="sse")
SIMD("0F C4", "PINSRW", "Pq,Ew,Ib", "mmx_insert", feature="sse")
SIMD("0F C5", "PEXTRW", "Gd,Nq,Ib", "mmx_extract", feature="sse")
SIMD("0F D7", "PMOVMSKB", "Gd,Nq", "mmx_signs", feature="sse")
SIMD("0F E7", "MOVNTQ", "Mq,Pq", "mmx_store", feature="sse")
SIMD("0F F7", "MASKMOVQ", "Pq,Nq", "mmx_masked_store", feature="sse")

SIMD("66 0F 6E", "MOVD", "Vx,Ed", "xmm_load32", feature="sse2")
SIMD("66 0F 7E", "MOVD", "Ed,Vx", "xmm_store32", feature="sse2")
SIMD("66 0F 70", "PSHUFD", "Vx,Wx,Ib", "xmm_shuffle32", feature="sse2")
SIMD("F2 0F 70", "PSHUFLW", "Vx,Wx,Ib", "xmm_shuffle16", 0, feature="sse2")
SIMD("F3 0F 70", "PSHUFHW", "Vx,Wx,Ib", "xmm_shuffle16", 1, feature="sse2")
SIMD("66 0F C4", "PINSRW", "Vx,Ew,Ib", "xmm_insert", feature="sse2")
SIMD("66 0F C5", "PEXTRW", "Gd,Ux,Ib", "xmm_extract", feature="sse2")
SIMD("66 0F D7", "PMOVMSKB", "Gd,Ux", "xmm_signs8", feature="sse2")
SIMD("66 0F F7", "MASKMOVDQU", "Vx,Ux", "xmm_masked_store", feature="sse2")

# --- moves of XMM registers -------------------------------------------------------------
for prefix, kind, since in (("", "PS", "sse"), ("66 ", "PD", "sse2")):
    SIMD(f"{prefix}0F 10", f"MOVU{kind}", "Vx,Wx", "xmm_load", 0, feature=since)
    SIMD(f"{prefix}0F 11", f"MOVU{kind}", "Wx,Vx", "xmm_store", 0, feature=since)
    SIMD(f"{prefix}0F 12", f"MOVL{kind}", "Vx,Mq", "half_load", 0, feature=since)
    SIMD(f"{prefix}0F 13", f"MOVL{kind}", "Mq,Vx", "half_store", 0, feature=since)
    SIMD(f"{prefix}0F 14", f"UNPCKL{kind}", "Vx,Wx", "xmm_unpack", 64 if prefix else 32, 0,
         feature=since)  # fmt: skip
    SIMD(f"{prefix}0F 15", f"UNPCKH{kind}", "Vx,Wx", "xmm_unpack", 64 if prefix else 32, 1,
         feature=since)  # fmt: skip
    SIMD(f"{prefix}0F 16", f"MOVH{kind}", "Vx,Mq", "half_load", 1, feature=since)
    SIMD(f"{prefix}0F 17", f"MOVH{kind}", "Mq,Vx", "half_store", 1, feature=since)
    SIMD(f"{prefix}0F 28", f"MOVA{kind}", "Vx,Wx", "xmm_load", 1, feature=since)
    SIMD(f"{prefix}0F 29", f"MOVA{kind}", "Wx,Vx", "xmm_store", 1, feature=since)
    SIMD(f"{prefix}0F 2B", f"MOVNT{kind}", "Mx,Vx", "xmm_store", 1, feature=since)
    SIMD(f"{prefix}0F 50", f"MOVMSK{kind}", "Gd,Ux", f"movmsk{kind.lower()}", feature=since)
SIMD("0F 12", "MOVHLPS", "Vx,Ux", "half_move", 0, feature="sse")
SIMD("0F 16", "MOVLHPS", "Vx,Ux", "half_move", 1, feature="sse")
SIMD("F3 0F 10", "MOVSS", "Vx,Wd", "scalar_load", 4, feature="sse")
SIMD("F3 0F 11", "MOVSS", "Wd,Vx", "scalar_store", 4, feature="sse")
SIMD("F2 0F 10", "MOVSD", "Vx,Wq", "scalar_load", 8, feature="sse2")
SIMD("F2 0F 11", "MOVSD", "Wq,Vx", "scalar_store", 8, feature="sse2")
SIMD("66 0F 6F", "MOVDQA", "Vx,Wx", "xmm_load", 1, feature="sse2")
SIMD("66 0F 7F", "MOVDQA", "Wx,Vx", "xmm_store", 1, feature="sse2")
SIMD("F3 0F 6F", "MOVDQU", "Vx,Wx", "xmm_load", 0, feature="sse2")
SIMD("F3 0F 7F", "MOVDQU", "Wx,Vx", "xmm_store", 0, feature="sse2")
SIMD("66 0F E7", "MOVNTDQ", "Mx,Vx", "xmm_store", 1, feature="sse2")
SIMD("F3 0F 7E", "MOVQ", "Vx,Wq", "xmm_load64", feature="sse2")
SIMD("66 0F D6", "MOVQ", "Wq,Vx", "xmm_store64", feature="sse2")
SIMD("F2 0F D6", "MOVDQ2Q", "Pq,Ux", "movdq2q", feature="sse2")
SIMD("F3 0F D6", "MOVQ2DQ", "Vx,Nq", "movq2dq", feature="sse2")

# --- floating point ---------------------------------------------------------------------
for code, name in {0x54: "AND", 0x55: "ANDN", 0x56: "OR", 0x57: "XOR"}.items():
    SIMD(f"0F {code:02X}", f"{name}PS", "Vx,Wx", "xmm_packed", code, feature="sse")
    SIMD(f"66 0F {code:02X}", f"{name}PD", "Vx,Wx", "xmm_packed", code, feature="sse2")
ARITHMETIC = {
    0x51: "SQRT", 0x58: "ADD", 0x59: "MUL", 0x5C: "SUB", 0x5D: "MIN", 0x5E: "DIV", 0x5F: "MAX",
}  # fmt: skip
for code, name in ARITHMETIC.items():
    SIMD(f"0F {code:02X}", f"{name}PS", "Vx,Wx", "sse_packed", code, 0, feature="sse")
    SIMD(f"66 0F {code:02X}", f"{name}PD", "Vx,Wx", "sse_packed", code, 1, feature="sse2")
    SIMD(f"F3 0F {code:02X}", f"{name}SS", "Vx,Wd", "sse_scalar", code, 0, feature="sse")
    SIMD(f"F2 0F {code:02X}", f"{name}SD", "Vx,Wq", "sse_scalar", code, 1, feature="sse2")
for code, name in {0x52: "RSQRT", 0x53: "RCP"}.items():
    SIMD(f"0F {code:02X}", f"{name}PS", "Vx,Wx", "estimate_packed", code, feature="sse")
    SIMD(f"F3 0F {code:02X}", f"{name}SS", "Vx,Wd", "estimate_scalar", code, feature="sse")
SIMD("0F C2", "CMPPS", "Vx,Wx,Ib", "cmp_packed", 0, feature="sse")
SIMD("66 0F C2", "CMPPD", "Vx,Wx,Ib", "cmp_packed", 1, feature="sse2")
SIMD("F3 0F C2", "CMPSS", "Vx,Wd,Ib", "cmp_scalar", 0, feature="sse")
SIMD("F2 0F C2", "CMPSD", "Vx,Wq,Ib", "cmp_scalar", 1, feature="sse2")
for code, name, quiet in ((0x2E, "UCOMIS", 1), (0x2F, "COMIS", 0)):
    SIMD(f"0F {code:02X}", f"{name}S", "Vx,Wd", "comis", 0, quiet, writes="oszapc", feature="sse")
    SIMD(f"66 0F {code:02X}", f"{name}D", "Vx,Wq", "comis", 1, quiet, writes="oszapc",
         feature="sse2")  # fmt: skip
SIMD("0F C6", "SHUFPS", "Vx,Wx,Ib", "shufps", feature="sse")
SIMD("66 0F C6", "SHUFPD", "Vx,Wx,Ib", "shufpd", feature="sse2")

# --- conversions ------------------------------------------------------------------------
SIMD("0F 2A", "CVTPI2PS", "Vx,Qq", "from_mmx", 0, feature="sse")
SIMD("66 0F 2A", "CVTPI2PD", "Vx,Qq", "from_mmx", 1, feature="sse2")
SIMD("F3 0F 2A", "CVTSI2SS", "Vx,Ed", "from_general", 0, feature="sse")
SIMD("F2 0F 2A", "CVTSI2SD", "Vx,Ed", "from_general", 1, feature="sse2")
for code, name, chops in ((0x2C, "CVTT", 1), (0x2D, "CVT", 0)):
    SIMD(f"0F {code:02X}", f"{name}PS2PI", "Pq,Wq", "to_mmx", 0, chops, feature="sse")
    SIMD(f"66 0F {code:02X}", f"{name}PD2PI", "Pq,Wx", "to_mmx", 1, chops, feature="sse2")
    SIMD(f"F3 0F {code:02X}", f"{name}SS2SI", "Gd,Wd", "to_general", 0, chops, feature="sse")
    SIMD(f"F2 0F {code:02X}", f"{name}SD2SI", "Gd,Wq", "to_general", 1, chops, feature="sse2")
SIMD("0F 5A", "CVTPS2PD", "Vx,Wq", "packed_widening", 0, feature="sse2")
SIMD("66 0F 5A", "CVTPD2PS", "Vx,Wx", "cvtpd2ps", feature="sse2")
SIMD("F3 0F 5A", "CVTSS2SD", "Vx,Wd", "scalar_format", 0, feature="sse2")
SIMD("F2 0F 5A", "CVTSD2SS", "Vx,Wq", "scalar_format", 1, feature="sse2")
SIMD("0F 5B", "CVTDQ2PS", "Vx,Wx", "cvtdq2ps", feature="sse2")
SIMD("66 0F 5B", "CVTPS2DQ", "Vx,Wx", "packed_to_ints", 0, 0, feature="sse2")
SIMD("F3 0F 5B", "CVTTPS2DQ", "Vx,Wx", "packed_to_ints", 0, 1, feature="sse2")
SIMD("66 0F E6", "CVTTPD2DQ", "Vx,Wx", "packed_to_ints", 1, 1, feature="sse2")
SIMD("F3 0F E6", "CVTDQ2PD", "Vx,Wq", "packed_widening", 1, feature="sse2")
SIMD("F2 0F E6", "CVTPD2DQ", "Vx,Wx", "packed_to_ints", 1, 0, feature="sse2")

# --- state, caches, fences --------------------------------------------------------------
SIMD("0F AE /0", "FXSAVE", "M", "fxsave", feature="fxsr")
SIMD("0F AE /1", "FXRSTOR", "M", "fxrstor", feature="fxsr")
SIMD("0F AE /2", "LDMXCSR", "Md", "ldmxcsr", feature="sse")
SIMD("0F AE /3", "STMXCSR", "Md", "stmxcsr", feature="sse")
SIMD("0F AE /5", "LFENCE", "U", "nop", feature="sse2")
SIMD("0F AE /6", "MFENCE", "U", "nop", feature="sse2")
SIMD("0F AE /7", "SFENCE", "U", "nop", feature="sse")
SIMD("0F AE /7", "CLFLUSH", "M", "clflush", feature="clfsh")
SIMD("0F C3", "MOVNTI", "Md,Gd", "movnti", feature="sse2")
