"""Hypercalls as VMware takes them: backdoor calls by another door (backdoor_def.h, BDOOR_FLAGS_*).

    mov eax, 564D5868h      ; the magic
    mov ecx, 10             ; GETVERSION
    mov edx, 0              ; flags where the port would be: low bandwidth, "IN"
    vmcall                  ; EAX 6, EBX the magic

What has no magic is answered as "unsupported", high bandwidth too: CPUID announces the hypercalls,
and whoever uses them finds the string instructions at the port as well.
"""

from __future__ import annotations

from bt.interp.state import IOPL
from monitor.vmware.call import MAGIC, PORT, UNSUPPORTED, Call
from monitor.vmware.exits import VmwareExit
from monitor.vmware.guest_calls import GuestCalls

FLAG_HIGH, FLAG_OUT = 1, 2
M32 = 0xFFFFFFFF


def serve(calls: GuestCalls, exit_: VmwareExit) -> None:
    """Answer a hypercall by the backdoor's commands, if it is on."""
    hcall = exit_.hcall
    flags = hcall.rdx & 0xFFFF
    if calls.backdoor is None or hcall.rax != MAGIC or flags & FLAG_HIGH:
        hcall.result = UNSUPPORTED
        return
    edx = hcall.rdx & 0xFFFF0000 | PORT
    call = Call(
        hcall.rax, hcall.rbx, hcall.rcx, edx, hcall.rsi, hcall.rdi, hcall.rbp, hcall.cpl,
        iopl=(calls.processor.ideal.eflags & IOPL) >> 12, out=bool(flags & FLAG_OUT),
    )  # fmt: skip
    calls.backdoor.low(call)
    hcall.result = call.eax & M32
    for name in ("ebx", "ecx", "esi", "edi", "ebp"):
        setattr(hcall, "r" + name[1:], getattr(call, name) & M32)
    if call.edx != edx:
        hcall.rdx = call.edx & M32
