"""Guest boots as rows of data: image, typed commands, expected text, how it ends, a time limit.

Adding a guest is adding a row to BOOTS:

    Boot("name", load, ends="reset", dialogue=(("echo hello", r"^hello$"),))

`load` puts the guest into a machine. Each command of the dialogue is typed at a prompt, at that
very byte of output, so a run repeats exactly; the regular expression must be found (multi-line) in
what the guest prints between the command and the next prompt. A callable gives an expression that
takes work to compute. `host` is what happens on the other side as a command is typed, by command.
`live` boots a row and remembers the life, so that several tests look at one.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from patience import PATIENCE

from monitor import Machine, Outcome
from monitor.guests import embedded_image
from monitor.guests.linux import GUESTS, INITRD, KERNEL, PROMPT, QUICK
from monitor.host.typist import TypedLine, Typist
from monitor.settings.machine import CPU

BUSYBOX = GUESTS / "busybox"
PAE_KERNEL = GUESTS / "vmlinuz-pae"
EARLY = f"{QUICK} earlyprintk=serial,ttyS0,115200"

Answer = str | Callable[[], str]
HostSide = tuple[tuple[str, Callable[[Machine], object]], ...]


def linux(
    cmdline: str, initrd: Path = INITRD, firmware_state: str = "bios", kernel: Path = KERNEL
) -> Callable[[Machine], None]:
    """Debian's kernel with one of our initramfs."""
    return lambda machine: machine.load_linux(
        kernel, initrd=initrd, cmdline=cmdline, firmware_state=firmware_state
    )


def embedded(machine: Machine) -> None:
    """The guest that comes with the package."""
    guest = embedded_image()
    machine.load_flat(guest.image, guest.load_address, eip=guest.entry)


@dataclass(frozen=True)
class Boot:
    """One guest and what it must do. `modes` that are alike must give the same life, exactly."""

    name: str
    load: Callable[[Machine], None]
    ends: str
    dialogue: tuple[tuple[str, Answer], ...] = ()
    host: HostSide = ()
    console: str = ""  # an expression to be found in the whole console
    until: str | None = None  # stop at this text
    modes: tuple[str, ...] = ("bare", "translate")
    memory_mb: int = 128
    clock: str = "icount"
    start_time: int = 0
    files: tuple[Path, ...] = (KERNEL, INITRD, BUSYBOX)
    cpu: str = CPU
    chipset: str = "isa"
    parts: tuple[str, ...] = ()

    @property
    def missing(self) -> list[str]:
        """The files that `make guests` has not fetched."""
        return [path.name for path in self.files if not path.exists()]


def _md5_of_busybox() -> str:
    return f"^{hashlib.md5(BUSYBOX.read_bytes()).hexdigest()}  /bin/busybox$"


# The sum 4 - 4/3 + 4/5 - ... of 1000 terms: this busybox has no mathematics library.
AWK_PI = r"""awk 'BEGIN{for(k=0;k<1000;k++) s+=4/(2*k+1)*(k%2?-1:1); printf "%.12f\n", s}'"""

YES_MD5 = hashlib.md5(b"y\n" * 50000).hexdigest()

SHELL = (
    ("ls /", r"^bin +dev +etc +init +proc +root +sbin +sys +tmp +usr +var$"),
    ("cat /proc/cpuinfo", r"^model name\t: Pentium Pro$(?s:.*)^flags\t\t: fpu .*\bcmov\b"),
    ("for i in 1 2 3; do echo line $((i * i)); done", r"^line 1\nline 4\nline 9$"),
    (AWK_PI, r"^3\.140592653840$"),
    ("md5sum /bin/busybox", _md5_of_busybox),
    (r'seq 1 100 | awk "{s+=\$1} END{print s}"', r"^5050$"),
    ("ls /bin | sort | wc -l", r"^2\d\d$"),
    ("(exit 7); echo status $?; sleep 1; echo $(($(date +%s) > 0))", r"^status 7\n1$"),
    ("yes | head -c 100000 > /tmp/y; gzip /tmp/y; zcat /tmp/y.gz | md5sum",
     f"^{YES_MD5}  -$"),
)  # fmt: skip
APIC = "console=ttyS0,115200 reboot=k panic=1 cryptomgr.notests noisapnp mitigations=off quiet"
IO_APIC = r"^ +0: +\d+ +IO-APIC +2-edge(?s:.*) 4: +\d+ +IO-APIC +4-edge(?s:.*)^LOC: +[1-9]\d* "
FAREWELL = (("reboot -f", "Restarting system"),)


def of_model(cpu: str, known_as: str, flags: str, kernel: Path = KERNEL, name: str = "") -> Boot:
    """Linux on another processor, by the name and some of the flags that it gives it."""
    asked = ("cat /proc/cpuinfo", rf"^model name\t: {known_as}$(?s:.*)^flags\t\t: fpu .*{flags}")
    return Boot(name or f"linux-{cpu}", linux(QUICK, kernel=kernel), "reset",
                (asked, ("ls / | wc -l", "^11$"), *FAREWELL), files=(kernel, INITRD, BUSYBOX),
                cpu=cpu)  # fmt: skip

BOOTS = (
    Boot("embedded", embedded, "exit", console=r"150 checks, 0 wrong\n\Z", memory_mb=8, files=()),
    Boot("linux", linux(QUICK), "reset", SHELL + FAREWELL, console=r"(?m)^VP-GUEST-READY$"),
    Boot(
        "linux-real-time",
        linux(QUICK),
        "reset",
        (("cat /proc/uptime", r"^\d+\.\d\d \d+\.\d\d$"), *FAREWELL),
        clock="host",
    ),
    # Linux takes PAT off these two, whose erratum it knows.
    of_model("pentium2", r"Pentium II \(Deschutes\)", r"\bsep\b.*\bcmov pse36\b"),
    of_model("pentium3", r"Pentium III \(Coppermine\)", r"\bsep\b.*\bcmov pse36\b"),
    of_model("pentium4", r"Intel\(R\) Pentium\(R\) 4 CPU", r"\bsep\b.*\bpat pse36\b"),
    of_model("pentium3", r"Pentium III \(Coppermine\)", r"\bpae\b", PAE_KERNEL, "linux-pae"),
    # With APICs, by ACPI's tables and by the MP table; ACPI switches it off.
    Boot(
        "linux-apic-acpi",
        linux(APIC),
        "poweroff",
        (("cat /proc/interrupts", IO_APIC.replace("4-edge", "4-edge(?s:.*)9-fasteoi +acpi")),
         ("dmesg | grep -c 'ACPI: Using IOAPIC for interrupt routing'", "^1$"),
         ("dmesg | grep -c 'ACPI.* \\(Error\\|Warning\\|BIOS Bug\\)'", "^0$"),
         ("poweroff -f", "Power down")),
        cpu="pentium3",
        chipset="i440fx",
        parts=("apic",),
    ),
    Boot(
        "linux-apic-mp",
        linux(APIC),
        "reset",
        (("cat /proc/interrupts", IO_APIC), ("dmesg | grep -c 'IOAPIC.0.: apic_id 1'", "^1$"),
         *FAREWELL),
        parts=("apic",),
    ),
    Boot(
        "embedded-trapped",
        embedded,
        "exit",
        console=r"check popf-clears-if WRONG got 00000200 want 00000000\n(?s:.*)"
        r"\nembedded guest: 150 checks, [1-9]\d wrong\n\Z",
        modes=("trap",),
        memory_mb=8,
        files=(),
    ),
    # In ring 3 the kernel's PUSHF, POPF and PUSH CS answer wrongly and nobody is told. Its first
    # timer interrupts find interrupts enabled that the kernel has disabled, and it gives up.
    # (With the timer of a BIOS it gives up on the first tick, before it can say a word.)
    Boot(
        "linux-trapped",
        linux(EARLY, firmware_state="raw"),
        "reset",
        console=r"kernel BUG at kernel/irq_work\.c:\d+!(?s:.*)Kernel panic - not syncing: ",
        modes=("trap",),
    ),
)


@dataclass(frozen=True)
class Life:
    """What is left of a machine that ended."""

    outcome: Outcome
    text: str
    registers: dict[str, int]
    statistics: dict[str, Any]
    memory: str  # a digest of RAM
    where: str
    processor_seconds: float
    host: dict[str, object]  # what the callables of `host` returned, by command

    def answers(self) -> list[str]:
        """What the guest printed after each prompt: the echoed command first."""
        return self.text.split(PROMPT)[1:]

    def outputs(self) -> list[str]:
        """The same without what was typed: one line, if it is short enough not to be wrapped."""
        return [answer.partition("\n")[2] for answer in self.answers()]


def boot(row: Boot, mode: str) -> Life:
    """Boot a row in a machine of its own."""
    machine = Machine(
        memory_mb=row.memory_mb, mode=mode, clock=row.clock, start_time=row.start_time,
        cpu=row.cpu, chipset=row.chipset, parts=row.parts,
    )  # fmt: skip
    row.load(machine)
    host: dict[str, object] = {}

    def send(typed: bytes) -> None:
        machine.send(typed)
        command = typed.decode().removesuffix("\n")
        for name, act in row.host:
            if name == command:
                host[command] = act(machine)

    if row.dialogue:
        lines = [TypedLine(command.encode() + b"\n") for command, _ in row.dialogue]
        machine.serial.listeners.append(Typist(lines, send))
    begun = time.process_time()
    outcome = machine.run(until=row.until, timeout=PATIENCE)
    spent = time.process_time() - begun
    text = machine.console.decode("latin-1").replace("\r\n", "\n")
    memory = hashlib.sha256(machine.memory.read(0, machine.memory.size)).hexdigest()
    figures = machine.statistics()
    where = machine.debug.where()
    return Life(outcome, text, machine.registers, figures, memory, where, spent, host)


@cache
def live(row: Boot, mode: str) -> Life:
    """The same, once."""
    return boot(row, mode)
