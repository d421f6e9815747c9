"""The system-call filter: policy.py as a program of the kernel's (seccomp(2), classic BPF).

It cannot be taken off again, and what the process starts would inherit it. A call made another way
than as a 64-bit one (INT 80h) ends the process: its numbers mean other calls.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import sys

from monitor.grading import linux, policy

MACHINE = "x86_64"  # the numbers of policy.py

_ARCH_X86_64 = 0xC000_003E
_SYS_SECCOMP, _SET_MODE_FILTER, _GET_ACTION_AVAIL = 317, 1, 2
_LD_W_ABS, _AND_K, _JEQ_K, _JGE_K, _RET_K = 0x20, 0x54, 0x15, 0x35, 0x06
_ALLOW, _ERRNO, _KILL_PROCESS = 0x7FFF_0000, 0x0005_0000, 0x8000_0000
_NR, _ARCH, _ARGUMENTS = 0, 4, 16  # offsets in struct seccomp_data


def available() -> bool:
    """Can this kernel filter, and are policy.py's numbers its own?"""
    if (sys.platform, os.uname().machine) != ("linux", MACHINE):
        return False
    try:
        linux.system_call(_SYS_SECCOMP, _GET_ACTION_AVAIL, 0,
                          ctypes.byref(ctypes.c_uint32(_KILL_PROCESS)))  # fmt: skip
    except OSError:
        return False
    return True


def install(pid: int) -> None:
    """From here on, in this process, for good. Needs PR_SET_NO_NEW_PRIVS."""
    code = program(pid)
    text = ctypes.create_string_buffer(code, len(code))
    header = struct.pack("<HxxxxxxQ", len(code) // 8, ctypes.addressof(text))
    linux.system_call(_SYS_SECCOMP, _SET_MODE_FILTER, 0, header)


def program(pid: int) -> bytes:
    """The filter of process `pid`: struct sock_filter, one after the other."""
    body = _step(_LD_W_ABS, _ARCH) + _step(_JEQ_K, _ARCH_X86_64, 1, 0) + _end(_KILL_PROCESS)
    for rule in policy.by_argument(pid):
        body += _rule(rule)
    body += _step(_LD_W_ABS, _NR)
    for number in policy.ALLOWED.values():
        body += _step(_JEQ_K, number, 0, 1) + _end(_ALLOW)
    body += _step(_JGE_K, policy.NEW_CALLS, 0, 1) + _end(_ERRNO | errno.ENOSYS)
    return body + _end(_ERRNO | errno.EPERM)


def _rule(rule: policy.Argument) -> bytes:
    """Ends with a verdict if the call is the rule's, else goes on behind it."""
    verdict = _step(_LD_W_ABS, _ARGUMENTS + 8 * rule.index)  # the low half: all are ints
    if rule.values:
        for value in rule.values:
            verdict += _step(_JEQ_K, value, 0, 1) + _end(_ALLOW)
    else:
        verdict += _step(_AND_K, rule.bits) + _step(_JEQ_K, 0, 0, 1) + _end(_ALLOW)
    verdict += _end(_ERRNO | errno.EPERM)
    return _step(_LD_W_ABS, _NR) + _step(_JEQ_K, rule.call, 0, len(verdict) // 8) + verdict


def _step(code: int, k: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("<HBBI", code, if_true, if_false, k)


def _end(verdict: int) -> bytes:
    return _step(_RET_K, verdict)
