"""Features of processor models, numbered: what an instruction may belong to (bt/table.py).

Names are CPUID's (SDM vol. 2, CPUID, table 3-11), but for those that it has no bit for: `486` is
what came with the 486 (BSWAP, CMPXCHG, INVD, INVLPG, WBINVD, XADD), `cpuid` the instruction itself,
`p6` the hint NOPs, `pmc` RDPMC. FEAT_NONE is what every processor has since the 386.

`Cpu.absent` has bit n set if the model lacks feature n. The decoder looks there once for each
instruction that it decodes, and makes #UD of it: running one costs nothing. Only x87's FCMOV and
FCOMI, which share their opcodes with instructions that all have, ask when they run.
"""

from __future__ import annotations

FEAT_NONE = 0
FEAT_486 = 1
FEAT_CPUID = 2
FEAT_FPU = 3
FEAT_TSC = 4
FEAT_MSR = 5
FEAT_CX8 = 6
FEAT_P6 = 7
FEAT_PMC = 8
FEAT_CMOV = 9
FEAT_SEP = 10
FEAT_MMX = 11
FEAT_FXSR = 12
FEAT_SSE = 13
FEAT_SSE2 = 14
FEAT_CLFSH = 15

# Groups of model-specific registers (msr.py), as bits of Cpu.msr_groups
MSR_GROUP_P5 = 1  # the Pentium's counters and a test register
MSR_GROUP_P6 = 2
MSR_GROUP_P4 = 4
MSR_GROUP_BOTH = 6  # of the P6 or later
MSR_GROUP_MTRR = 8
MSR_GROUP_MCA = 16
MSR_GROUP_PAT = 32
MSR_GROUP_SEP = 64

# As bits of Cpu.absent
ABSENT_CMOV = 1 << FEAT_CMOV
ABSENT_SSE2 = 1 << FEAT_SSE2
