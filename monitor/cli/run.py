"""Run a guest in a virtual PC, its serial console here.

On a terminal, Ctrl-A x leaves, Ctrl-A h lists the other keys; all else goes to the guest.
TEXT may hold \\n, \\r, \\t, \\e, \\xNN. Addresses may be written as 0x1000.

Exit status: 0 ended as asked (--until seen, power-off, reset, debug exit 0), 1 not as asked (time
limit, triple fault, halted for ever, --until not seen), 2 bad usage or input; other codes written
to the debug-exit port 0xf4 give (code << 1) | 1.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from monitor.cli import config_file
from monitor.cli.checkpoints import (
    CheckpointConfig,
    CheckpointWriter,
    add_checkpoint,
    checkpoint_of,
)
from monitor.cli.display import Shown, add_display, add_vga, display_of, serial_beside
from monitor.cli.drives import add_drives
from monitor.cli.firmware import (
    add_chipset,
    add_firmware,
    check_no_firmware,
    firmware_image,
    starts_firmware,
)
from monitor.cli.json_output import JsonOutput, add_json
from monitor.cli.ports import Attached, Ports, add_card, add_ports, ports_of
from monitor.cli.quantities import count, memory_size, positive_size, seconds
from monitor.cli.run_log import add_log
from monitor.cli.vmx import (
    enable_backdoor,
    open_vmx,
    ports_for,
    serial_of,
    settings_of,
    statistics_of,
)
from monitor.host.typist import TypedLine
from monitor.settings.capabilities import HYPERCALL_MODES, X86_VMWARE_BACKDOOR, X86_VMWARE_HYPERCALL
from monitor.settings.config import (
    BIOS,
    FIRMWARE_STATES,
    KINDS,
    ImageConfig,
    LimitConfig,
    parse_flat,
    parse_number,
    unescape,
)
from monitor.settings.display_config import DisplayConfig
from monitor.settings.machine import (
    CLOCKS,
    CPU,
    CPUS,
    ENGINES,
    MAX_MEMORY_MB,
    MEMORY_MB,
    MIN_MEMORY_MB,
    MODES,
    Settings,
)
from monitor.settings.serial_config import FORMS, SerialConfig, parse_console
from monitor.vmm.ablations import ABLATIONS
from monitor.vmm.errors import UserError
from monitor.writing import ending

if TYPE_CHECKING:
    from monitor import Machine
    from monitor.console.attended import Attended
    from monitor.gdb.server import GdbServer
    from monitor.vmware.vmx.machine import VmxMachine

NAME = "run"
HELP = "run a guest in a virtual PC, its serial console here"
EXAMPLES = (
    "vp run --kernel guests/vmlinuz --initrd guests/initramfs.cpio.gz --append console=ttyS0",
    "vp run --flat boot.bin@0x100000 --mode bare --timeout 10 --stats run.json",
    "vp run --boot order=dca --memory 64",
    "vp run --elf kernel.elf --without chaining,stubs --until ready --quiet",
    "vp run machine.vmx --kernel guests/vmlinuz --gdb 1234 --gdb-wait",
)
MAX_PORT = 65535
REWIND_MB = 256


class InOrder(argparse.Action):
    """Collects --type, --keys and --type-after into one list: their order matters."""

    def __call__(
        self,
        _parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        namespace.typing = [*(namespace.typing or ()), (option_string, values)]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `vp run`."""
    parser.add_argument("vmx", nargs="?", type=Path, metavar="NAME.vmx",
                        help="a VMware machine, by its configuration file; options beat the file")
    add_options(parser)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Those with a name; `vp guest run` has them, too."""
    config_file.add_config(parser)
    _add_machine(parser.add_argument_group("the machine"))
    add_drives(parser.add_argument_group(
        "its drives", "What the guest writes is forgotten, unless FILE,persistent is said."
    ))  # fmt: skip
    _add_vmware(parser.add_argument_group("VMware's guest interfaces"))
    add_image(parser.add_argument_group("the guest, one of"))
    add_firmware(parser.add_argument_group("or a PC that boots"))
    add_console(parser.add_argument_group("the console"))
    add_ending(parser.add_argument_group("the end"))
    add_debugger(parser.add_argument_group("a debugger"))


def _add_machine(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--engine", choices=ENGINES, default="auto",
                       help="what executes the code (default auto: the best there is)")
    group.add_argument("--mode", choices=MODES, default="translate",
                       help="whole monitor (default), no translation, or no monitor")
    group.add_argument("-m", "--memory", type=memory_size, metavar="SIZE",
                       help=f"{MIN_MEMORY_MB} to {MAX_MEMORY_MB} MiB, also as 64M or 1G "
                       f"(default {MEMORY_MB})")
    group.add_argument("--cpu", choices=CPUS,
                       help=f"the processor's model (default {CPU}; `vp cpus` describes them)")
    group.add_argument("--clock", choices=CLOCKS, default="icount",
                       help="time is instructions, and repeats exactly (default), or real time")
    add_chipset(group)
    add_vga(group)
    group.add_argument("--mouse", action="store_true", help="a PS/2 mouse")
    group.add_argument("--apic", action="store_true",
                       help="a local APIC and an I/O APIC, with MP table and ACPI tables")
    add_card(group)
    group.add_argument("--without", default="", metavar="NAMES",
                       help=f"leave techniques out, to see their worth: {', '.join(ABLATIONS)}")


def _add_vmware(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--vmware-backdoor", action=argparse.BooleanOptionalAction,
                       help="the backdoor's ports, counters and CPUID leaves (default: off; on for "
                       "a .vmx file)")
    group.add_argument("--vmware-hypercall", nargs="?", const="all", choices=HYPERCALL_MODES,
                       help="VMCALL and VMMCALL, all or those with the magic, as backdoor calls")
    group.add_argument("--vmware-clipboard", action="store_true",
                       help="the guest's clipboard is the host's own (needs the backdoor)")


def add_image(group: argparse._ArgumentGroup) -> None:
    """The options that image_of() reads."""
    group.add_argument("--kernel", type=Path, metavar="FILE", help="a Linux bzImage")
    group.add_argument("--multiboot", type=Path, metavar="FILE", help="a Multiboot 1 image")
    group.add_argument("--elf", type=Path, metavar="FILE", help="a 32-bit ELF executable")
    group.add_argument("--flat", metavar="FILE@ADDR",
                       help="raw bytes loaded at ADDR, in flat protected mode")
    group.add_argument("--initrd", type=Path, metavar="FILE", help="with --kernel: its initramfs")
    group.add_argument("--append", default="", metavar="TEXT",
                       help="with --kernel or --multiboot: the command line")
    group.add_argument("--module", type=Path, action="append", default=[], metavar="FILE",
                       help="with --multiboot: a module; may be repeated")
    group.add_argument("--entry", metavar="ADDR", help="with --flat: start here, not at its start")
    group.add_argument("--firmware-state", choices=FIRMWARE_STATES,
                       help="what the guest finds: chips and low memory as a BIOS leaves them "
                       "(default for --kernel, --multiboot), or raw (for --elf, --flat)")


def add_console(group: argparse._ArgumentGroup) -> None:
    """What the console is, and what is typed on it."""
    group.add_argument("--serial", metavar="WHERE",
                       help=f"where the serial console goes (default stdio): {', '.join(FORMS)}")
    group.add_argument("--monitor", metavar="WHERE",
                       help="where the monitor's console is (Ctrl-A c leads there, too): stdio, "
                       "pty, or a connection, as --serial has it")
    add_display(group)
    add_ports(group)
    group.add_argument("--type", action=InOrder, dest="typing", metavar="TEXT",
                       help="type TEXT at the guest's prompt ('# ' or '$ '); may be repeated")
    group.add_argument("--keys", action=InOrder, dest="typing", metavar="TEXT",
                       help=r"the same on the keyboard (US); \<ctrl-alt-delete> names keys")
    group.add_argument("--type-after", action=InOrder, dest="typing", metavar="TEXT",
                       help="the next --type or --keys waits for this output on console or screen, "
                       "not for a prompt")


def add_ending(group: argparse._ArgumentGroup) -> None:
    """When it ends, and what is told then."""
    group.add_argument("--until", metavar="TEXT", help="stop when console or screen shows TEXT")
    group.add_argument("--timeout", type=seconds, metavar="TIME",
                       help="stop after so much real time (90, 90s, 1m30s), status 1")
    group.add_argument("--max-instructions", type=count, metavar="N",
                       help="stop after N guest instructions: 1000, 1e6, 2M")
    add_checkpoint(group)
    group.add_argument("--debug-exit", action="store_true",
                       help="debug exit 0 gives status 1 = (0 << 1) | 1 too, as with QEMU")
    group.add_argument("--stats", type=Path, metavar="F.json", help="write the statistics there")
    add_json(group, "the statistics")
    group.add_argument("--report", action="store_true", help="print every figure at the end")
    group.add_argument("--quiet", action="store_true",
                       help="no progress, and no word about a run that ended as asked")
    add_log(group)


def add_debugger(group: argparse._ArgumentGroup) -> None:
    """gdb."""
    group.add_argument("--gdb", metavar="PORT",
                       help="let gdb attach on this port of the loopback; 0 finds a free one")
    group.add_argument("--gdb-wait", action="store_true",
                       help="with --gdb: wait for it before the first instruction")
    group.add_argument("--rewind", nargs="?", type=positive_size, const=REWIND_MB, metavar="SIZE",
                       help="with --gdb: reverse-stepi and reverse-continue; keep at most so much "
                       f"of what changed ({REWIND_MB} MiB)")
    group.add_argument("--gdb-script", type=Path, metavar="F",
                       help="with --gdb: write a script that attaches, for gdb -x F")


class Page(Protocol):
    """Somewhere else where the machine is attended, within a context."""

    def finish(self, how: str) -> None:
        """The machine has ended."""


OpenPage = Callable[["Machine", "Attended"], AbstractContextManager[Page]]


@dataclass
class Asked:
    """What the options ask for, beside the machine."""

    display: DisplayConfig
    limits: LimitConfig
    typing: list[TypedLine]
    serial: SerialConfig
    json: JsonOutput
    port: int | None
    checkpoint: CheckpointConfig
    ports: Ports
    monitor: SerialConfig | None = None
    vmx: VmxMachine | None = None
    page: OpenPage | None = None

    @property
    def console(self) -> bool:
        """Are the standard streams the monitor's?"""
        return self.monitor is not None and self.monitor.kind == "stdio"


class Ready(NamedTuple):
    """A machine with a guest in it, and what to say of it."""

    machine: Machine
    settings: Settings
    image: ImageConfig
    begun: str = ""  # instead of "running" and the image


def run(
    args: argparse.Namespace,
    made: Callable[[Machine], None] = lambda machine: None,
    page: OpenPage | None = None,
) -> int:
    """`vp run`: everything that can be wrong with the options is found before the guest starts.

    `made` is told of the machine.
    """
    with config_file.named(args):
        vmx = open_vmx(args.vmx)
        settings = settings_of(args, vmx)
        image = image_of(args, vmx)
        asked = asked_of(args, serial_of(args.serial, vmx), vmx)
        asked.page = page

    def make() -> Ready:
        from monitor import Machine
        from monitor.loaders.described import load

        machine = Machine.of(settings)
        enable(machine, args.vmware_backdoor, args.vmware_hypercall, vmx)
        if args.vmware_clipboard:
            share_clipboard(machine)
        load(machine, image)
        made(machine)
        return Ready(machine, settings, image)

    return attend(args, asked, make)


def asked_of(
    args: argparse.Namespace, serial: SerialConfig, vmx: VmxMachine | None = None
) -> Asked:
    """The options that are no settings of the machine's, checked."""
    if args.rewind is not None and args.gdb is None:
        raise UserError("--rewind needs --gdb: a debugger is who goes back")
    display = display_of(args)
    serial = serial_beside(display, serial, args.serial)
    asked = Asked(
        display=display,
        limits=limits_of(args),
        typing=typing_of(args.typing or ()),
        serial=serial,
        json=JsonOutput(args.json),
        port=gdb_port(args.gdb, args.gdb_wait, args.gdb_script),
        checkpoint=checkpoint_of(args),
        ports=ports_for(args, vmx) if vmx is not None else ports_of(args),
        monitor=None if args.monitor is None else parse_console(args.monitor),
        vmx=vmx,
    )
    if asked.console and serial.kind == "stdio":
        raise UserError("--monitor stdio: the serial console is there; give it another place "
                        "(--serial null), or press Ctrl-A c")  # fmt: skip
    asked.ports.keep_apart(serial)
    for console in (serial, *asked.ports.serial.values()):
        asked.json.keep_apart(console)
    return asked


def attend(args: argparse.Namespace, asked: Asked, make: Callable[[], Ready]) -> int:
    """Make a machine, and be with it from its first instruction to its end; the exit status."""
    from monitor.cli.console_link import open_console
    from monitor.cli.run_log import RunLog
    from monitor.cli.run_words import opening_line, say, tell
    from monitor.cli.session import Session
    from monitor.cli.stats_file import StatsFile
    from monitor.cli.vmx_report import print_vmx
    from monitor.host.serial_link import open_serial
    from monitor.writing.progress import visible

    limits, vmx = asked.limits, asked.vmx
    with ExitStack() as stack:
        log = stack.enter_context(RunLog(args.log, args.verbose))
        machine, settings, image, begun = make()
        debugger = None
        if asked.port is not None:
            debugger = stack.enter_context(
                listen(machine, image, asked.port, args.gdb_wait, args.gdb_script, args.rewind)
            )
        stats = stack.enter_context(StatsFile(args.stats)) if args.stats else None
        stack.enter_context(asked.json)
        output = stack.enter_context(open_serial(asked.serial, machine, log.event))
        more = Attached(asked.ports, machine, stack, log.event)
        stdio = asked.serial.kind == "stdio" or more.console is not None
        shown = Shown(asked.display, machine, stack)
        progress = not (args.quiet or args.verbose or shown.terminal) and visible()
        checkpoint = CheckpointWriter(machine, asked.checkpoint, args.quiet)
        session = Session(
            machine, output, stdio=stdio, progress=progress, typing=asked.typing,
            console=asked.console,
            debugger=debugger, doing=doing(machine, image, debugger) if progress else str,
            checkpoint=checkpoint, display=shown.terminal, guest=more.console,
        )  # fmt: skip
        more.stop_by(machine.stop)
        page = asked.page and stack.enter_context(asked.page(machine, session.attended))
        if asked.monitor is not None and not asked.console:
            stack.enter_context(open_console(asked.monitor, session.attended, log.event))
        if vmx is not None and not args.quiet:
            print_vmx(vmx)
        log.begin(machine, settings, image, limits, {
            "serial": args.serial or asked.serial.kind, "gdb": asked.port,
            "config": getattr(args, "config", None),
        })  # fmt: skip
        if not args.quiet:
            say(opening_line(image, settings, session.takes_keys, begun))
        finished = session.run(limits)
        shown.finish()
        if page is not None:
            page.finish(ending.sentence(finished.outcome, limits.until))
        log.end(ending.sentence(finished.outcome, limits.until), machine.statistics())
        if stats is not None:
            stats.write(machine.statistics() | statistics_of(vmx))
        asked.json.write(lambda: machine.statistics() | statistics_of(vmx))
        tell(machine, finished, limits, quiet=args.quiet, full=args.report)
        checkpoint.say = lambda text: say(f"vp: {text}")
        written = checkpoint.finish(finished.outcome)
        output.check()
        more.check()
        log.check()
    if finished.signal is not None:
        return 128 + finished.signal
    status = ending.exit_status(finished.outcome, limits.until, args.debug_exit)
    return status if written else status or 1


def gdb_port(text: str | None, wait: bool, script: Path | None = None) -> int | None:
    """The port of --gdb."""
    if text is None:
        if wait:
            raise UserError("--gdb-wait needs --gdb: say on which port to wait")
        if script is not None:
            raise UserError("--gdb-script needs --gdb: say to which port it shall attach")
        return None
    try:
        port = int(text)
    except ValueError:
        port = -1
    if not 0 <= port <= MAX_PORT:
        raise UserError(f"--gdb {text}: choose a port from 0 (any that is free) to {MAX_PORT}")
    return port


def listen(
    machine: Machine, image: ImageConfig, port: int, wait: bool, script: Path | None,
    rewind_mb: int | None = None,
) -> GdbServer:
    """A server for gdb; where it listens is said even with --quiet, since it has to be known."""
    from monitor.checkpoint.rewind import Rewind
    from monitor.cli.gdb_hint import GdbHint
    from monitor.cli.text_file import TextFile
    from monitor.gdb.server import GdbServer

    rewind = None if rewind_mb is None else Rewind(machine, rewind_mb)
    hint = GdbHint(image, script)
    with TextFile(script, "--gdb-script") if script else nullcontext() as file, ExitStack() as undo:
        server = undo.enter_context(GdbServer(machine, port, wait, rewind))
        if file is not None:
            file.write_text(hint.script(server.port))
        undo.pop_all()
    print(hint.line(server.port, wait), file=sys.stderr, flush=True)
    return server


def doing(machine: Machine, image: ImageConfig, debugger: GdbServer | None) -> Callable[[], str]:
    """What the guest is doing, for the progress."""
    from monitor.symbols.whereabouts import Whereabouts

    whereabouts = Whereabouts(machine, image)
    if debugger is None:
        return whereabouts
    return lambda: "stopped for the debugger" if debugger.stopped else whereabouts()


def enable(
    machine: Machine, backdoor: bool | None, hypercall: str | None, vmx: VmxMachine | None
) -> None:
    """VMware's guest interfaces as asked for. None: as this process has them by default."""
    if vmx is not None:
        enable_backdoor(machine, vmx, backdoor is not False)
    elif backdoor is not None:
        machine.enable(X86_VMWARE_BACKDOOR, backdoor)
    if hypercall is not None:
        machine.enable(X86_VMWARE_HYPERCALL, hypercall, serve=True)


def share_clipboard(machine: Machine) -> None:
    """Cut and paste between the guest and whoever runs it."""
    try:
        tools = machine.vmware.tools
    except UserError:
        raise UserError("--vmware-clipboard: give --vmware-backdoor too") from None
    tools.share_clipboard()


def image_of(args: argparse.Namespace, vmx: VmxMachine | None = None) -> ImageConfig:
    """The one image that was asked for."""
    if starts_firmware(args, vmx):
        return firmware_image(args, vmx)
    kinds = (*KINDS, BIOS)
    given = [kind for kind in kinds if getattr(args, kind, None) is not None]
    if len(given) != 1:
        options = ", ".join(f"--{kind}" for kind in kinds)
        what = "more than one guest" if given else "nothing to run"
        raise UserError(f"{what}: give one of {options}")
    kind = given[0]
    check_no_firmware(args, kind)
    if vmx is not None:
        vmx.override(f"--{kind}", "bios440.filename", "bios.bootOrder")
    path, address = getattr(args, kind), 0
    if kind == "flat":
        path, address = parse_flat(path)
    entry = None if args.entry is None else parse_number(args.entry, "--entry")
    modules = tuple(args.module)
    return ImageConfig(
        kind, path, args.append, args.initrd, modules, address, entry, args.firmware_state
    )


def limits_of(args: argparse.Namespace) -> LimitConfig:
    """When to stop."""
    if args.until is not None:
        unescape(args.until, "--until")
    return LimitConfig(args.until, args.timeout, args.max_instructions)


def typing_of(options: Sequence[tuple[str, str]]) -> list[TypedLine]:
    """Pair each --type with the --type-after before it."""
    lines: list[TypedLine] = []
    cue: bytes | None = None
    for option, text in options:
        if option != "--type-after":
            lines.append(_typed_line(option, text, cue))
            cue = None
        elif cue is None:
            cue = unescape(text, option)
            if not cue:
                raise UserError("--type-after needs a text to wait for")
        else:
            raise UserError("--type-after twice in a row: put the --type it is for between them")
    if cue is not None:
        raise UserError("--type-after without a --type after it: say what to type")
    return lines


def _typed_line(option: str, text: str, cue: bytes | None) -> TypedLine:
    if option == "--type":
        return TypedLine(unescape(text, option), cue)
    from monitor.embedding.key_names import strokes_of

    return TypedLine(b"", cue, tuple(strokes_of(text, option)))
