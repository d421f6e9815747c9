"""vp trace and VMware's guest interfaces: calls are accesses as those of ports are."""

from __future__ import annotations

import pytest
from patience import PATIENCE
from watch_lab import ORIGIN

from bt.assembler import assemble
from monitor import Machine
from monitor.vmware.call import HIGH_PORT, MAGIC
from monitor.watch.trace_model import DEVICE, TraceEvent

SOURCE = f"""
    mov eax, {MAGIC:#x}
    mov ecx, 10
    mov edx, 0x5658
    in eax, dx
    mov eax, {MAGIC:#x}
    mov ecx, 0x7fff
    in eax, dx
    mov ecx, 0x10001
    rdpmc
    mov eax, 0x1234
    vmcall
    mov al, 0x41
    mov edx, {HIGH_PORT:#x}
    in al, dx
    in al, 0x21
    out 0xf4, al
"""


def calls(mode: str) -> list[TraceEvent]:
    machine = Machine(memory_mb=4, mode=mode)
    machine.enable("X86_VMWARE_BACKDOOR")
    machine.enable("X86_VMWARE_HYPERCALL")
    machine.vmware.on_hypercall = lambda exit_: None
    machine.load_flat(assemble(SOURCE, ORIGIN), ORIGIN)
    with machine.watch.trace(DEVICE) as trace:
        assert machine.run(timeout=PATIENCE).kind == "exit"
    return trace.events


@pytest.mark.parametrize("mode", ["bare", "trap", "translate"])
def test_calls_are_told_where_they_were_made(mode: str) -> None:
    told = [(event.count, event.eip - ORIGIN, event.text) for event in calls(mode)]
    assert told == [
        (3, 15, "call GETVERSION (10)"),
        (6, 26, "call of an unknown command (32767)"),
        (8, 32, "rdpmc 0x10001"),
        (10, 39, "hypercall 0x1234"),
        (13, 49, "in 0x5659 -> 0xff"),
        (14, 50, "in 0x21 -> 0xff"),
        (15, 52, "out 0xf4 <- 0xff"),
    ]
