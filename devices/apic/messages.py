"""What goes over the APIC bus: interrupt messages, and to whom.

Manual: SDM vol. 3, 10.6 "Issuing interprocessor interrupts" (1999's vol. 3, 7.5.11 and 7.6.2), 10.8
"Handling interrupts"; 82093AA datasheet (290566), 3.2.4: the redirection table has the same fields.

    10:8   delivery mode   0 fixed, 1 lowest priority, 2 SMI, 4 NMI, 5 INIT, 6 start-up, 7 ExtINT
    11     destination     0 physical: an ID; 1 logical: a set of processors
    7:0    vector

>>> reaches(0xFF, logical=False, own_id=3, ldr=0, dfr=0xF)        # all of them
True
>>> reaches(0x06, logical=True, own_id=0, ldr=0x02, dfr=0xF)      # flat: a bit for each
True
>>> reaches(0x31, logical=True, own_id=0, ldr=0x32, dfr=0x0)      # cluster 3, members 0 and 1
False
"""

from __future__ import annotations

FIXED, LOWEST_PRIORITY, SMI, NMI, INIT, STARTUP, EXTINT = 0, 1, 2, 4, 5, 6, 7
VECTOR = 0xFF
LOGICAL = 1 << 11
LEVEL = 1 << 15
EVERYBODY = 0xFF
FLAT, CLUSTER = 0xF, 0x0
FIRST_VECTOR = 16  # those below are exceptions, and illegal here


def mode_of(word: int) -> int:
    """The delivery mode in a register."""
    return word >> 8 & 7


def reaches(destination: int, logical: bool, own_id: int, ldr: int, dfr: int) -> bool:
    """Is a message for the processor with these registers? `dfr` is the model, four bits."""
    if not logical:
        return destination in (EVERYBODY, own_id)
    if dfr == FLAT:
        return bool(destination & ldr)
    if dfr != CLUSTER:
        return False
    return destination >> 4 in (0xF, ldr >> 4) and bool(destination & ldr & 0xF)
