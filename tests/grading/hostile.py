"""What submissions may try: code that runs when the file is imported, and what becomes of it.

A payload stands behind a right solution. FULL: it was stopped, said so by an OSError, and the
solution's points count. NONE: it took the check down with it. Every payload really tries: one that
raises Escaped has got through, and its test fails.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

FULL, NONE = True, False

PRELUDE = """
class Escaped(BaseException):
    pass

def refused(function, *arguments):
    try:
        result = function(*arguments)
    except OSError:
        return
    raise Escaped(f"{function} gave {result}")
"""


@dataclass(frozen=True)
class Payload:
    name: str
    code: str  # {out}: the gradebook, {other}: another student's file
    status: str = "graded"
    points: bool = NONE
    flags: frozenset[str] = frozenset()

    def source(self, right: str, out: Path, other: Path) -> str:
        code = self.code.replace("{out}", str(out)).replace("{other}", str(other))
        return f"{right}\n{PRELUDE}\n{code}\n"


def _p(name: str, code: str, status: str = "graded", points: bool = NONE, flags: str = ""
       ) -> Payload:  # fmt: skip
    return Payload(name, code, status, points, frozenset(flags.split()))


DIRECT_CALLS = """
import ctypes, os
call = ctypes.CDLL(None, use_errno=True).syscall
call.restype = ctypes.c_long
for number, *arguments in (
    (57,), (58,), (56, 0x11, 0), (56, 0x3D0F00, 0), (435, 0, 0),  # fork vfork clone clone3
    (59, b"/bin/true", 0, 0), (322, -1, b"/bin/true", 0, 0, 0),  # execve execveat
    (41, 2, 1, 0), (53, 1, 1, 0, 0),  # socket socketpair
    (62, 1, 0), (62, -1, 0), (62, 0, 0), (129, 1, 0, 0), (424, 3, 9, 0, 0),  # kill and its like
    (101, 16, 1, 0, 0), (310, 1, 0, 0, 0, 0, 0),  # ptrace process_vm_readv
    (85, b"/tmp/created", 0o600), (83, b"/tmp/made", 0o700), (133, b"/tmp/node", 0o600, 0),
    (437, -100, b"/tmp/x", 0, 0), (76, b"{out}/grades.csv", 0), (87, b"{out}/grades.csv"),
    (165, 0, b"/", 0, 0, 0), (272, 0x10000000), (29, 0, 1 << 20, 0o1600), (425, 8, 0),
    (240, b"queue", 0o102, 0o600, 0), (321, 0, 0, 0), (157, 38, 0, 0, 0, 0), (112,), (109, 0, 0),
    (248, b"user", b"x", b"x", 1, -2), (323, 0), (298, 0, 0, -1, -1, 0), (72, 1, 8, 1),
    (302, os.getppid(), 7, 0, 0), (302, 1, 7, 0, 0), (203, 0, 8, b"\\1" * 8), (141, 0, 0, 0),
):
    if call(number, *arguments) >= 0:
        raise Escaped(number)
"""

INT80 = """
import ctypes, mmap
code = mmap.mmap(-1, 4096, prot=7, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
code.write(b"\\xb8\\x02\\x00\\x00\\x00\\xcd\\x80\\xc3")  # MOV EAX, 2 (fork); INT 80h; RET
ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(code)))()
"""

# Memory that is nobody's pages: each call would give some, or a way to hide it.
SHARED_CALLS = """
import ctypes, mmap, os
call = ctypes.CDLL(None, use_errno=True).syscall
call.restype = ctypes.c_long
MIB, RW = 1 << 20, mmap.PROT_READ | mmap.PROT_WRITE
zero, (out, into) = os.open("/dev/zero", os.O_RDONLY), os.pipe()
own = os.open(__file__, os.O_RDONLY)
for number, *arguments in (
    *((9, 0, MIB, RW, flags | 0x20, -1, 0) for flags in (1, 3, 0x4001, 0x8001, 0x100001)),
    (9, 0, MIB, mmap.PROT_READ, 1, own, 0), (9, 0, MIB, mmap.PROT_READ, 1, zero, 0),
    (9, 0, 2 * MIB, RW, 0x40022, -1, 0), (9, 0, 2 * MIB, RW, 21 << 26 | 0x40022, -1, 0),
    *((319, b"hoard", flags) for flags in (0, 1, 2, 4, 8, 16)), (447, 0), (29, 0, MIB, 0o1600),
    (30, 0, 0, 0), (2, b"/dev/shm/hoard", 0o102, 0o600), (257, -100, b"/dev/shm/", 0o20200002, 0),
    (216, 0, MIB, 0, 0, 0), (72, into, 1031, MIB), (275, out, 0, into, 0, 4096, 0),
    (276, out, into, 4096, 0), (278, into, b"", 0, 0), (53, 1, 2, 0, b"12345678"), (323, 0),
    (425, 8, b""), (149, 0, 4096), (28, 0, 4096, 9), (310, 1, 0, 0, 0, 0, 0), (440, 0, 0, 0, 4, 0),
    (0x40000000 | 9, 0, MIB, RW, 0x21, -1, 0), (0x40000000 | 319, b"hoard", 0),
):
    if call(number, *map(lambda each: ctypes.c_long(each) if type(each) is int else each,
                         arguments)) >= 0:
        raise Escaped((number, *arguments))
"""

# Whatever is refused is tried again another way, for as long as it takes.
HOARD = """
import mmap, os
hoard = []
def memory_file():
    file = os.memfd_create("hoard")
    os.write(file, bytes(1 << 20))
    hoard.append(mmap.mmap(file, 1 << 20))
    os.close(file)
def unmapped():
    shared = mmap.mmap(-1, 1 << 24)
    shared.write(bytes(1 << 24))
    shared.resize(4096)
    hoard.append(shared)
def zeros():
    with open("/dev/zero", "r+b") as file:
        hoard.append(mmap.mmap(file.fileno(), 1 << 20))
def pipe():
    ends = os.pipe()
    os.set_blocking(ends[1], False)
    while True:
        os.write(ends[1], bytes(4096))
for way in (memory_file, unmapped, zeros, pipe):
    for _ in range(1024):
        try:
            way()
        except OSError:
            pass
"""

SPARSE = """
import mmap
hoard = []
while True:
    hoard.append(mmap.mmap(-1, 1 << 26, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x4000))
    for place in range(0, 1 << 26, 4096):
        hoard[-1][place] = 1
"""

OWN_MACHINE = """
from monitor import Machine
machine = Machine(memory_mb=1024)
while True:
    for place in range(0x100000, 1024 << 20, 4096):
        machine.memory.write(place, b"1")
"""

FORGE = """
import json, os
report = json.dumps({{"nonce": "0" * 32, "done": 3, "final": True, "report": {{"lab": 1,
    "score": 20, "out_of": 20, "results": [{{"name": "all", "points": 20, "out_of": 20}}]}}}})
for descriptor in range(3, 64):
    try:
        os.write(descriptor, report.encode() + b"\\n")
    except OSError:
        pass
os._exit(0)
""".replace("{{", "{").replace("}}", "}")

DAEMON = """
import os
def daemon():
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            while True:
                pass
        os._exit(0)
refused(daemon)
"""

SIGNALS_IGNORED = """
import signal, time
for number in range(1, 65):
    try:
        signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError):
        pass
"""

PAYLOADS = (
    # time
    _p("loops", "while True:\n    pass", "timeout", flags="timeout"),
    _p("sleeps", SIGNALS_IGNORED + "while True:\n    time.sleep(1000)", "timeout"),
    _p("ignores SIGXCPU", SIGNALS_IGNORED + "while True:\n    pass", "timeout"),
    _p("holds the GIL", "10 ** 10 ** 8", "timeout"),
    _p("stops itself", "import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)", "timeout"),
    _p("catches everything", "while True:\n    try:\n        while True:\n            pass\n"
       "    except BaseException:\n        pass", "timeout"),
    # processes
    _p("fork bomb", "import os\nwhile True:\n    refused(os.fork)", "timeout", flags="process"),
    _p("forks", "import os\nrefused(os.fork)", points=FULL, flags="process odd"),
    _p("daemon", DAEMON, points=FULL, flags="process"),
    _p("runs a shell", "import os, subprocess\nrefused(subprocess.run, ['sh', '-c', 'id'])\n"
       "refused(os.execv, '/bin/sh', ['sh'])\nrefused(os.posix_spawn, '/bin/sh', ['sh'], {})",
       points=FULL, flags="process odd"),
    _p("thread bomb", "import threading\nwhile True:\n"
       "    threading.Thread(target=threading.Event().wait, daemon=True).start()", flags="odd"),
    _p("calls the kernel itself", DIRECT_CALLS, points=FULL, flags="odd"),
    _p("calls the kernel as 32-bit code", INT80, "crashed", flags="crashed odd"),
    # memory
    _p("eats memory", "hoard = []\nwhile True:\n    hoard.append(bytearray(1 << 20))",
       "memory", flags="memory"),
    _p("eats memory in files", "import os\nrefused(os.memfd_create, 'hoard')",
       points=FULL, flags="odd"),
    _p("eats memory that is nobody's", "import mmap\nrefused(mmap.mmap, -1, 1 << 20)",
       points=FULL, flags="odd"),
    _p("asks the kernel for shared memory", SHARED_CALLS, points=FULL, flags="odd"),
    _p("hoards what is not counted", HOARD, points=FULL, flags="odd"),
    _p("eats memory page by page", SPARSE, "memory", flags="memory odd"),
    _p("eats memory in a machine", OWN_MACHINE, "memory", flags="memory"),
    _p("hides memory", "import mmap\n"
       "memory = mmap.mmap(-1, 1 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)\n"
       "memory.write(bytes(1 << 20))\nrefused(memory.madvise, mmap.MADV_DONTNEED)",
       points=FULL, flags="odd"),
    _p("eats shared memory", "refused(open, '/dev/shm/hoard', 'wb')", points=FULL, flags="write"),
    _p("eats descriptors", "import os\nwhile True:\n    os.dup(1)", flags="odd"),
    _p("raises its limits", "import resource as r\nfor kind in (r.RLIMIT_AS, r.RLIMIT_CPU):\n"
       "    try:\n        r.setrlimit(kind, (r.RLIM_INFINITY, r.RLIM_INFINITY))\n"
       "    except ValueError:\n        continue\n    raise Escaped(kind)",
       points=FULL, flags="odd"),
    # files
    _p("eats disk", "with open('/tmp/hoard', 'wb') as file:\n    while True:\n"
       "        file.write(bytes(1 << 20))", flags="write"),
    _p("writes where it is", "refused(open, 'notes.txt', 'w')", points=FULL, flags="write"),
    _p("changes the gradebook", "import os\nrefused(open, '{out}/grades.csv', 'a')\n"
       "refused(os.truncate, '{out}/grades.csv', 0)\nrefused(os.remove, '{out}/grades.csv')\n"
       "refused(os.rename, '{out}', '{out}-away')", points=FULL, flags="write odd"),
    _p("deletes another's file", "import os\nrefused(os.remove, '{other}')\n"
       "refused(os.chmod, '{other}', 0)\nrefused(os.link, '{other}', 'mine')", points=FULL,
       flags="write odd"),
    _p("reads another's file", "import os\nrefused(open, '{other}')\n"
       "refused(os.listdir, os.path.dirname('{other}'))\nrefused(open, '/etc/passwd')\n"
       "refused(open, '/proc/self/environ')", points=FULL, flags="read odd"),
    _p("prints without end", "while True:\n    print('spam' * 1000)", "output", flags="output"),
    _p("prints control characters", "print('\\x1b[2J\\x07\\x00 harmless')", points=FULL),
    # others
    _p("network", "import socket\nrefused(socket.socket)\nrefused(socket.socketpair)", points=FULL,
       flags="network odd"),
    _p("kills its parent", "import os\nrefused(os.kill, os.getppid(), 9)\nrefused(os.kill, 1, 9)",
       points=FULL, flags="signal odd"),
    _p("kills everyone", "import os\nrefused(os.kill, -1, 9)\nrefused(os.killpg, 0, 9)",
       points=FULL, flags="signal odd"),
    # how it ends
    _p("os._exit", "import os\nos._exit(0)", "left", flags="left odd"),
    _p("sys.exit", "import sys\nsys.exit(0)"),
    _p("raises a BaseException", "raise Escaped('on purpose')", "left", flags="left"),
    _p("KeyboardInterrupt", "raise KeyboardInterrupt", "left", flags="left"),
    _p("closes every descriptor", "import os\nos.closerange(3, 64)", "left", flags="left odd"),
    _p("segmentation fault", "import ctypes\nctypes.string_at(0)", "crashed", flags="crashed odd"),
    _p("aborts", "import os\nos.abort()", "crashed", flags="crashed odd"),
    _p("recurses", "def down(n):\n    return down(n + 1)\ndown(0)"),
    _p("forges a report", FORGE, "forged", flags="forged odd"),
)  # fmt: skip
