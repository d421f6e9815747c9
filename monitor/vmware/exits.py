"""The exit structure of a hypercall, in the layout published for KVM (struct kvm_vmware_exit).

    offset  0 type         1: a hypercall       80 exception.inject      not 0: raise it
            8 longmode     0 here               88 exception.vector
           12 cpl                               92 exception.error_code
           16 rax rbx rcx rdx rsi rdi rbp       96 exception.address     CR2, for a page fault
           72 result       goes into EAX       104 the end

`bytes(exit_)` are these 104 bytes; `VmwareExit.from_buffer_copy(data)` reads them back.
"""

from __future__ import annotations

import ctypes

from bt.interp.state import EAX, EBP, EBX, ECX, EDI, EDX, ESI

HCALL = 1  # KVM_EXIT_VMWARE_HCALL


class HcallException(ctypes.Structure):
    """What to raise in the guest, at the hypercall."""

    _fields_ = (
        ("inject", ctypes.c_uint32),
        ("pad2", ctypes.c_uint32),
        ("vector", ctypes.c_uint32),
        ("error_code", ctypes.c_uint32),
        ("address", ctypes.c_uint64),
    )


class Hcall(ctypes.Structure):
    """The caller's registers, and the answer."""

    _fields_ = (
        ("longmode", ctypes.c_uint32),
        ("cpl", ctypes.c_uint32),
        *((name, ctypes.c_uint64) for name in ("rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp")),
        ("result", ctypes.c_uint64),
        ("exception", HcallException),
    )


class _Kinds(ctypes.Union):
    _fields_ = (("hcall", Hcall),)


class VmwareExit(ctypes.Structure):
    """One hypercall, as user space sees it.

    Set `hcall.result` and any register, or call `inject`. As in KVM the result starts out as 0.
    """

    _anonymous_ = ("kinds",)
    _fields_ = (("type", ctypes.c_uint32), ("pad1", ctypes.c_uint32), ("kinds", _Kinds))

    hcall: Hcall

    def inject(self, vector: int, error_code: int = 0, address: int = 0) -> None:
        """Ask for an exception at the hypercall, which then has not completed: the registers keep
        what they held, but for those changed here, and `result` goes nowhere."""
        exception = self.hcall.exception
        exception.inject = 1
        exception.vector = vector
        exception.error_code = error_code
        exception.address = address

    def __repr__(self) -> str:
        call = self.hcall
        registers = " ".join(f"{name}={getattr(call, name):#x}" for name in REGISTERS)
        return f"<VmwareExit cpl={call.cpl} {registers} result={call.result:#x}>"


#: Registers of the structure, with their numbers in the processor.
REGISTERS = {"rax": EAX, "rbx": EBX, "rcx": ECX, "rdx": EDX, "rsi": ESI, "rdi": EDI, "rbp": EBP}
