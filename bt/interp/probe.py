"""Would a write succeed? The check some instructions make before they act (SDM vol. 2).

INS asks before it reads the port: a byte that a device has given away cannot be read again. ENTER
asks at its final stack pointer, where it writes nothing.
"""

from __future__ import annotations

from bt.interp.dialect import M32, func, i64, u32
from bt.interp.memory import misaligned, segment_allows, user_access
from bt.interp.paging import translate
from bt.interp.state import ACC_WRITE, Cpu


@func
def probe_pages(c: Cpu, la: u32, size: u32) -> i64:
    access = user_access(c) | ACC_WRITE
    if (la & 0xFFF) + size <= 0x1000:
        return translate(c, la, access, size)
    head: u32 = 0x1000 - (la & 0xFFF)
    if translate(c, la, access, head) < 0:
        return -1
    return translate(c, (la + head) & M32, access, size - head)


@func
def probe_write(c: Cpu, seg: u32, offset: u32, size: u32) -> i64:
    """-1 with the fault noted if storing there would fault. Nothing is written or reported."""
    if segment_allows(c, seg, offset, size, 1) < 0:
        return -1
    la: u32 = (offset + c.seg_base[seg]) & M32
    if misaligned(c, la, size):
        return -1
    hits = c.dr_hits  # a data breakpoint waits for the access itself
    seen = c.wp_hit
    found = probe_pages(c, la, size)
    c.dr_hits = hits
    c.wp_hit = seen
    return -1 if found < 0 else 0
