"""Which system calls a submission's process may make, by number on x86-64 (syscall_64.tbl).

An allow-list: what Python and the monitor need to compute. What is not here cannot be done, above
all: clone, fork, execve (processes and threads), socket and socketpair (network), open for writing
(ARGUMENTS below), unlink, rename, truncate, chmod, mkdir, link, mknod (files), kill of others,
ptrace, process_vm_writev, mount, bpf, io_uring_setup.

Nor is there shared memory: memfd_create, shmget, maps that are MAP_SHARED. Its pages belong to a
file without a name. They stay when they are not mapped any more, or never were touched where they
are, as long as one page is mapped; so no figure of a process has them, and no limit holds for them.
Memory of the process alone is all in VmRSS and VmSwap (memory_use.py).
"""

from __future__ import annotations

import os
from dataclasses import dataclass

ALLOWED = {
    "read": 0, "write": 1, "close": 3, "stat": 4, "fstat": 5, "lstat": 6, "poll": 7, "lseek": 8,
    "mprotect": 10, "munmap": 11, "brk": 12, "rt_sigaction": 13, "rt_sigprocmask": 14,
    "rt_sigreturn": 15, "pread64": 17, "pwrite64": 18, "readv": 19, "writev": 20, "access": 21,
    "pipe": 22, "select": 23, "sched_yield": 24, "mremap": 25, "msync": 26, "mincore": 27,
    "dup": 32, "dup2": 33, "pause": 34, "nanosleep": 35, "getitimer": 36, "alarm": 37,
    "setitimer": 38, "getpid": 39, "exit": 60, "uname": 63, "fsync": 74, "fdatasync": 75,
    "ftruncate": 77, "getdents": 78, "getcwd": 79, "chdir": 80, "fchdir": 81, "readlink": 89,
    "umask": 95, "gettimeofday": 96, "getrlimit": 97, "getrusage": 98, "sysinfo": 99, "times": 100,
    "getuid": 102, "getgid": 104, "geteuid": 107, "getegid": 108, "getppid": 110, "getpgrp": 111,
    "getgroups": 115, "getresuid": 118, "getresgid": 120, "getpgid": 121, "getsid": 124,
    "rt_sigpending": 127, "rt_sigtimedwait": 128, "rt_sigsuspend": 130, "sigaltstack": 131,
    "arch_prctl": 158, "setrlimit": 160, "gettid": 186, "time": 201, "futex": 202,
    "sched_getaffinity": 204, "getdents64": 217, "set_tid_address": 218, "restart_syscall": 219,
    "fadvise64": 221, "clock_gettime": 228, "clock_getres": 229, "clock_nanosleep": 230,
    "exit_group": 231, "epoll_wait": 232, "epoll_ctl": 233, "newfstatat": 262, "readlinkat": 267,
    "faccessat": 269, "pselect6": 270, "ppoll": 271, "set_robust_list": 273, "get_robust_list": 274,
    "epoll_pwait": 281, "eventfd2": 290, "epoll_create1": 291, "dup3": 292, "pipe2": 293,
    "getcpu": 309, "getrandom": 318, "membarrier": 324, "preadv2": 327,
    "pwritev2": 328, "statx": 332, "rseq": 334, "faccessat2": 439,
}  # fmt: skip

#: The first number of the calls that are newer than what the C library must find. There the answer
#: is ENOSYS, upon which it takes the older call (clone3: clone); below it is EPERM.
NEW_CALLS = 424

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
_FCNTL = (0, 1, 2, 3, 4, 1030, 1033, 1034)  # F_DUPFD to F_SETFL, F_DUPFD_CLOEXEC, seals
_IOCTL = (0x5401, 0x5421, 0x541B, 0x5450, 0x5451)  # TCGETS, FIONBIO, FIONREAD, FIO(N)CLEX

#: MADV_NORMAL to MADV_WILLNEED, MADV_FREE, MADV_HUGEPAGE, MADV_NOHUGEPAGE.
_MADVISE = (0, 1, 2, 3, 8, 14, 15)

#: MAP_SHARED, which MAP_SHARED_VALIDATE has too, and MAP_HUGETLB, whose pages VmRSS does not count.
_MAP_NOT = 0x01 | 0x4_0000


@dataclass(frozen=True)
class Argument:
    """A call that is allowed if its argument `index` is one of `values`, or has none of `bits`."""

    call: int
    index: int
    values: tuple[int, ...] = ()
    bits: int = 0


def by_argument(pid: int) -> tuple[Argument, ...]:
    """Calls that are allowed for some arguments. Signals and limits: the process itself, `pid`."""
    return (
        Argument(2, 1, bits=_WRITING),  # open
        Argument(257, 2, bits=_WRITING),  # openat
        Argument(9, 3, bits=_MAP_NOT),  # mmap
        Argument(16, 1, values=_IOCTL),
        Argument(28, 2, values=_MADVISE),
        Argument(72, 1, values=_FCNTL),  # no F_SETOWN: it has the kernel signal others
        Argument(302, 0, values=(0, pid)),  # prlimit64
        *(Argument(call, 0, values=(pid,)) for call in (62, 234)),  # kill, tgkill
    )
