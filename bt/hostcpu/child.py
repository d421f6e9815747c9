"""The child: maps the memory file, installs LDT and signal handler, and is gone.

Run by host.py as a script of its own (it imports nothing of the project). Its argument is a JSON
object: descriptor of the memory file, pieces to map, LDT entries, handler, signal stack, start.
The last call never returns: the machine code it goes to gives up every page of this Python.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import struct
import sys

MAP_FLAGS = 0x01 | 0x8000 | 0x10_0000  # MAP_SHARED | MAP_POPULATE | MAP_FIXED_NOREPLACE
SYS_RT_SIGACTION, SYS_SIGALTSTACK, SYS_MODIFY_LDT, SYS_PRCTL = 13, 131, 154, 157
PR_SET_PDEATHSIG = 1
WRITE_LDT = 0x11
SA_SIGINFO, SA_RESTORER, SA_ONSTACK, SA_NODEFER = 0x4, 0x0400_0000, 0x0800_0000, 0x4000_0000
SIGNALS = (
    signal.SIGSEGV,
    signal.SIGBUS,
    signal.SIGFPE,
    signal.SIGILL,
    signal.SIGTRAP,
    signal.SIGSYS,
)

libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = (
    ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long,
)  # fmt: skip


def check(what: str, ok: bool) -> None:
    """End with the reason on standard error: the parent shows it."""
    if not ok:
        sys.exit(f"{what}: {os.strerror(ctypes.get_errno())}")


def system_call(what: str, number: int, *arguments: object) -> None:
    check(what, libc.syscall(ctypes.c_long(number), *arguments) >= 0)


def map_pieces(memory: int, pieces: list[list[int]]) -> None:
    for address, size, offset, protection in pieces:
        got = libc.mmap(address, size, protection, MAP_FLAGS, memory, offset)
        check(f"mmap {address:#x}", got == address)


def write_ldt(entries: list[list[int]]) -> None:
    """struct user_desc: entry number, base, limit, flags."""
    for entry in entries:
        raw = struct.pack("<4I", *entry)
        system_call("modify_ldt", SYS_MODIFY_LDT, WRITE_LDT, raw, ctypes.c_size_t(len(raw)))


def install_handler(handler: int, stack: int, size: int) -> None:
    system_call("sigaltstack", SYS_SIGALTSTACK, struct.pack("<QQQ", stack, 0, size), None)
    flags = SA_SIGINFO | SA_RESTORER | SA_ONSTACK | SA_NODEFER
    action = struct.pack("<QQQQ", handler, flags, handler, 0)
    for number in SIGNALS:
        system_call("sigaction", SYS_RT_SIGACTION, int(number), action, None, ctypes.c_size_t(8))


def main() -> None:
    plan = json.loads(sys.argv[1])
    system_call("prctl", SYS_PRCTL, PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    map_pieces(plan["memory"], plan["pieces"])
    write_ldt(plan["ldt"])
    install_handler(plan["handler"], plan["stack"], plan["stack_size"])
    os.closerange(3, 65536)
    ctypes.CFUNCTYPE(None)(plan["start"])()


if __name__ == "__main__":
    main()
