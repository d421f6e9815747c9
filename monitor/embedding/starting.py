"""Putting a processor where a loader says (monitor/loaders/start.py)."""

from __future__ import annotations

from collections.abc import Callable

from bt.engine import Interp
from bt.interp.marks import GENERAL
from bt.interp.state import CS
from monitor.loaders.start import StartState
from monitor.vmm.registers import SEGMENTS
from monitor.vmm.system_registers import load_selector

CODE_RIGHTS = 0xC09B  # flat 32-bit code: present, DPL 0, readable, accessed, 4 KiB granular
DATA_RIGHTS = 0xC093
REAL_RIGHTS = 0x0093  # CS too: real-mode code may be written through it (SDM vol. 3, 9.1.1)
AFTER_FIRMWARE = 0x10  # CR0: caches on, ET
PROTECTED = 0x11


def start_at(cpu: Interp, start: StartState, read: Callable[[int, int], bytes]) -> None:
    """Reset a processor and give it these registers; `read` reads linear memory.

    The x87 unit is as FNINIT leaves it, since who starts a guest has tried it by then.

    UserError: the embedder's own descriptor table has no fitting descriptor for a selector.
    """
    cpu.reset()
    cpu.init_x87()
    cpu.cr0 = PROTECTED if start.protected else AFTER_FIRMWARE
    if start.gdt is not None:
        cpu.gdtr_base, cpu.gdtr_limit = start.gdt
    for name, segment in SEGMENTS.items():
        _load(cpu, start, name, segment, read)
    for name, value in start.registers.items():
        if name in GENERAL:
            cpu.set_reg(GENERAL.index(name), value)
    cpu.set_flags(start.registers.get("eflags", 0))
    cpu.set_reg(4, start.esp)
    cpu.eip = start.eip


def _load(
    cpu: Interp, start: StartState, name: str, segment: int, read: Callable[[int, int], bytes]
) -> None:
    code = segment == CS
    if not start.protected:
        selector = start.registers.get(name, 0)
        cpu.set_segment(segment, selector, selector << 4, 0xFFFF, REAL_RIGHTS)
        return
    selector = start.code_selector if code else start.data_selector
    if start.own_table:
        load_selector(cpu, segment, selector, read)
        return
    rights = CODE_RIGHTS if code else DATA_RIGHTS
    cpu.set_segment(segment, selector, 0, 0xFFFFFFFF, rights)
