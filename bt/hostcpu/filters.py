"""What keeps the code under test inside: a system-call filter, and bytes that are refused.

The child owns no page but the driver's and no open file but its two pipe ends. A seccomp filter
(seccomp(2), struct seccomp_data) lets through the driver's own three system calls and the
handler's sigreturn, known by number *and* instruction pointer; any other one raises SIGSYS, which
the handler reports and the parent turns into `EscapeError`. The filter also holds for 64-bit code,
should a far jump ever get there.

One thing does not pass the host kernel: on a host that is itself a virtual machine VMCALL and
VMMCALL reach the hypervisor from ring 3. So code that holds the bytes 0F 01 with a register ModRM
byte of that group, at any alignment, is not run. The system-call instructions are refused as well.
"""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray

from bt.hostcpu.driver import Driver
from bt.hostcpu.layout import FILTER_PROGRAM

_ARCH_I386 = 0x4000_0003
_ARCH_X86_64 = 0xC000_003E
_EXIT, _READ, _WRITE, _RT_SIGRETURN = 1, 3, 4, 15

_LD_W_ABS, _JEQ_K, _RET_K = 0x20, 0x15, 0x06
_RET_ALLOW, _RET_TRAP = 0x7FFF_0000, 0x0003_0000
_NR, _ARCH, _IP_LOW, _IP_HIGH = 0, 4, 8, 12


def _instruction(code: int, k: int, jump_true: int = 0, jump_false: int = 0) -> bytes:
    return struct.pack("<HBBI", code, jump_true, jump_false, k)


def _allow(arch: int, number: int, ip: int) -> bytes:
    """Allow one system call from one place, else go on with the next rule."""
    tests = ((_ARCH, arch), (_NR, number), (_IP_LOW, ip), (_IP_HIGH, 0))
    body = b""
    for index, (offset, value) in enumerate(tests):
        left = 2 * (len(tests) - 1 - index) + 1
        body += _instruction(_LD_W_ABS, offset) + _instruction(_JEQ_K, value, 0, left)
    return body + _instruction(_RET_K, _RET_ALLOW)


def program(driver: Driver) -> bytes:
    """struct sock_fprog followed by the filter, as it lies at FILTER_PROGRAM."""
    rules = b"".join(
        _allow(_ARCH_I386, number, ip)
        for number, ip in zip((_READ, _EXIT, _WRITE), driver.syscalls32, strict=True)
    )
    rules += _allow(_ARCH_X86_64, _RT_SIGRETURN, driver.sigreturn)
    rules += _instruction(_RET_K, _RET_TRAP)
    return struct.pack("<HxxxxxxQ", len(rules) // 8, FILTER_PROGRAM + 16) + rules


def refused(code: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Which rows of code (one case each) may not run; see the head of this file."""
    first, second = code[:, :-1], code[:, 1:]
    after = np.zeros_like(second)
    after[:, :-1] = code[:, 2:]
    virtual = (after >= 0xC0) & (after < 0xE0) | (after >= 0xF8)
    group7 = (first == 0x0F) & (second == 0x01) & virtual
    calls = (first == 0xCD) & (second == 0x80)
    calls |= (first == 0x0F) & ((second == 0x05) | (second == 0x34))
    return np.asarray((group7 | calls).any(axis=1))
