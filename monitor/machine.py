"""One virtual PC: RAM, board, processor, and the Python API over them.

    machine = Machine(memory_mb=128, mode="translate")
    machine.load_linux("vmlinuz", initrd="initramfs.cpio.gz", cmdline="console=ttyS0")
    outcome = machine.run(until="/ # ", timeout=120)
    machine.send("uname -a\\n")

Physical memory of the guest ends at `memory_mb`; what lies behind it in the same array is the
monitor's (memory.py).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bt.engine import BUILD
from devices.chipset import Chipset
from monitor.checkpoint import snapshot as snapshots
from monitor.checkpoint.checkpoints import Checkpoints
from monitor.checkpoint.snapshot import Snapshot
from monitor.embedding.background import Background
from monitor.embedding.debug import Debug
from monitor.embedding.engine_needs import check_engine
from monitor.embedding.guest_memory import MemoryAccess
from monitor.embedding.hardware import Hardware
from monitor.embedding.keyboard import Keyboard
from monitor.embedding.keys import Keys
from monitor.embedding.lines import Lines
from monitor.embedding.mouse import Mouse
from monitor.embedding.parts import plug_in
from monitor.embedding.plugging import Devices, MakeDevice
from monitor.embedding.resetting import Resetting
from monitor.embedding.roms import Roms
from monitor.embedding.running import Running
from monitor.embedding.segments import Segments
from monitor.embedding.starting import start_at
from monitor.embedding.stopping import Stopping
from monitor.embedding.storage import Storage
from monitor.embedding.waiting import Waiting
from monitor.extensions import Extensions
from monitor.firmware.display import start_display
from monitor.firmware.state import areas
from monitor.firmware.state import install as install_firmware
from monitor.firmware.tables.install import install as install_tables
from monitor.host.console import Console
from monitor.host.serial_line import SerialLine
from monitor.loaders.source import Source, open_image
from monitor.loaders.start import StartState
from monitor.screen.display import Display
from monitor.settings.capabilities import X86_VMWARE_BACKDOOR, defaults
from monitor.settings.drives import Drive, drives_of
from monitor.settings.drives import Source as DriveSource
from monitor.settings.machine import CPU, MEMORY_MB, Settings
from monitor.vmm.chipset import add_chipset
from monitor.vmm.errors import UserError
from monitor.vmm.events import Listener
from monitor.vmm.outcome import Outcome
from monitor.vmm.registers import read_registers, set_register, system_registers
from monitor.vmm.x87_image import SIZE as X87_SIZE
from monitor.vmm.x87_image import x87_unit
from monitor.vmware.guest_calls import GuestCalls
from monitor.vmware.interfaces import Vmware
from monitor.vmware.switches import Switches
from monitor.watch import Watch

if TYPE_CHECKING:
    from monitor.recording.recorder import Recorder
    from monitor.screen.screen import Screen
    from monitor.web.widget import ScreenWidget


class Machine:
    """A virtual PC: made, loaded with a guest, run, looked at, run on.

    Its settings are those of `monitor.settings.machine.Settings`, which says what each is;
    `extensions` are parts to use instead of the monitor's own (`monitor.extensions`). `devices` are
    devices of your own, beside the chips of the PC: classes, or functions that are given the bus
    and make one, in a list or by name (`monitor.embedding.plugging`).

    UserError for settings that make no machine. All addresses are in bytes, 32 bits; *linear* ones
    go through the guest's page tables, *physical* ones are places in its RAM. A machine belongs to
    one thread; only stop() and send() may be called from another one.
    """

    def __init__(
        self,
        memory_mb: int = MEMORY_MB,
        mode: str = "translate",
        engine: str = "auto",
        clock: str = "icount",
        start_time: int = 0,
        without: Collection[str] = (),
        extensions: Extensions | None = None,
        devices: Iterable[MakeDevice] | Mapping[str, MakeDevice] = (),
        cpu: str = CPU,
        chipset: str = "isa",
        vga: str = "none",
        parts: Collection[str] = (),
        drives: Mapping[str, DriveSource] | Iterable[Drive] = (),
    ) -> None:
        settings = Settings(
            memory_mb, mode, engine, clock, start_time, without, cpu, chipset, vga, parts, drives
        )
        check_engine(settings)
        if extensions is not None:
            extensions.check(mode)
        #: What it was made of (`monitor.settings.machine`).
        self.settings = settings
        #: "translate", "trap" or "bare".
        self.mode = settings.mode
        #: Parts that are used instead of the monitor's own; None where there are none.
        self.extensions = extensions
        hardware = Hardware(settings, extensions)
        #: The guest's RAM; `memory.map()` is all of it as a numpy array.
        self.memory = hardware.memory
        self.ram = hardware.ram
        #: What answers at which physical address (`monitor.vmm.physical_map`).
        self.physical_map = hardware.physical_map
        #: What its guest is, in words of whoever loaded it; a checkpoint keeps it.
        self.guest: dict[str, str] = {}
        self.clock = hardware.clock
        #: The other end of COM1, and of port 0xE9 (`monitor.host.serial_line`).
        self.serial, self.debug_port = hardware.serial, hardware.debug_port
        self.board = hardware.board
        self.processor = hardware.processor
        self.loop = hardware.loop
        #: The other ends of all ports' cables by name: "com1", "debug", and those of more parts.
        self.cables = {"com1": self.serial, "debug": self.debug_port}
        self.cables |= plug_in(settings.parts, self.board, self.loop.look_soon, settings.cpu)
        self._access = MemoryAccess(self.physical_map, self.processor)
        self._guest_calls = GuestCalls(self.processor, self.board)
        self._switches = Switches(self._guest_calls, start_time)
        self._stopping = Stopping(self.board, self.processor)
        self._resetting = Resetting(self.loop, self.physical_map, self._guest_calls)
        self._running = Running(self.loop, self._stopping, self._guest_calls, self._resetting)
        self.board.within_instruction = self._running.within_instruction
        self._loaded = False
        #: VMware's guest interfaces (`monitor.vmware.interfaces`, docs/vmware.md).
        self.vmware = Vmware(self._guest_calls)
        #: Breakpoints, watchpoints, and where the guest is (`monitor.embedding.debug`).
        self.debug = Debug(self._stopping, self.processor, lambda: self.registers, self.read_memory)
        #: ROMs (`monitor.embedding.roms`).
        self.roms = Roms(self.physical_map, self.board.bus)
        #: What firmware tells of itself, at port 402h (`monitor.host.serial_line`).
        self.firmware_log = SerialLine(on_news=self.loop.look_soon)
        #: 440FX, PIIX3 and power management (`devices.chipset`); None where the board has none.
        self.chipset = self._chipset()
        #: All devices by name, and those of your own (`monitor.embedding.plugging`).
        self.devices = Devices(self.board, self.physical_map)
        #: Functions called at ports, instructions and accesses (`monitor.embedding.hooks`).
        self.hooks = self._stopping.hooks
        self._display = Display.of(settings.vga, self.devices, self.loop)
        self._background = Background(self.stop)
        self._widget: ScreenWidget | None = None
        self._display.show_live(self._live_screen)
        self._waiting = Waiting(self.serial.output, self.processor, self._display)
        #: Interrupt lines and NMI (`monitor.embedding.lines`).
        self.lines = Lines(self.board, self.processor)
        #: Keys of the PS/2 keyboard (`monitor.embedding.keyboard`).
        self.keyboard = Keyboard(self.board, self.processor)
        #: Somebody who types on it, in virtual time (`monitor.embedding.keys`).
        self.keys = Keys(self.board, self.loop.look_soon)
        #: The mouse (`monitor.embedding.mouse`).
        self.mouse = Mouse(self.board, self._guest_calls, self.loop.look_soon)
        #: Segment registers with base, limit and rights (`monitor.embedding.segments`).
        self.segments = Segments(self.processor)
        #: Files of the whole machine, written while it runs (`monitor.checkpoint`).
        self.checkpoints = Checkpoints(self)
        #: Floppy, disk and CD-ROM drives, and what is in them (`monitor.embedding.storage`).
        self.storage = Storage(self.board, drives_of(settings.drives), self.chipset is not None)
        if defaults.vmware_backdoor:
            self.enable(X86_VMWARE_BACKDOOR)
        self.devices.add_all(devices)

    @classmethod
    def of(
        cls,
        settings: Settings,
        extensions: Extensions | None = None,
        devices: Iterable[MakeDevice] | Mapping[str, MakeDevice] = (),
    ) -> Machine:
        """The machine that the settings describe."""
        return cls(
            settings.memory_mb, settings.mode, settings.engine, settings.clock,
            settings.start_time, settings.without, extensions, devices, settings.cpu,
            settings.chipset, settings.vga, settings.parts, settings.drives,
        )  # fmt: skip

    def _chipset(self) -> Chipset | None:
        self._resetting.has_chipset = self.settings.chipset == "i440fx"
        if not self._resetting.has_chipset:
            return None
        return add_chipset(self.board, self.physical_map, self.firmware_log)

    @property
    def watch(self) -> Watch:
        """Translation cache and memory maps as pictures, and traces (`monitor.watch`)."""
        return Watch(self)

    def enable(self, capability: str, value: bool | str = True, **options: Any) -> None:
        """Switch on (with False: off) a name of `monitor.settings.capabilities`, before run().

        * X86_VMWARE_BACKDOOR: options are fields of `monitor.vmware.host.Host` (`restrictions`,
          `uuid`, ...).
        * X86_VMWARE_HYPERCALL: "all" or "magic"; with `serve=True`, calls with the magic are
          backdoor calls.

        UserError for a name, a value or an option that there is not, and after the first run().
        """
        self._switches.enable(capability, value, options)

    # --- loading ------------------------------------------------------------------------

    def load_linux(
        self,
        kernel: Source,
        initrd: Source | None = None,
        cmdline: str = "",
        firmware_state: str = "bios",
    ) -> None:
        """Load a bzImage by the Linux/x86 boot protocol and stand at its entry.

        `initrd` is the file of its initial RAM disk, `cmdline` its command line. UserError for a
        file that cannot be read, is no bzImage, or does not fit into RAM. Loading resets the
        processor, not the clock or the rest of RAM; so do the other loaders.

        `firmware_state` is what the guest finds, for all loaders: "bios" as a BIOS leaves it, with
        interrupt controllers, timer, interrupt table and data area set up (monitor.firmware), or
        "raw": no chip is touched, and no memory but the image's.
        """
        from monitor.loaders import linux

        reserved = areas(firmware_state)
        self._start(linux.load(self.memory, kernel, initrd, cmdline, reserved), firmware_state)

    def load_multiboot(
        self,
        image: str | Path | bytes,
        cmdline: str = "",
        modules: Sequence[tuple[str, bytes]] = (),
        firmware_state: str = "bios",
    ) -> None:
        """Load a Multiboot 1 image, a file or its bytes, with modules (name, bytes).

        UserError for what is no such image, or does not fit into RAM.
        """
        from monitor.loaders import multiboot

        reserved = areas(firmware_state)
        self._start(multiboot.load(self.memory, image, cmdline, modules, reserved), firmware_state)

    def load_elf(
        self,
        image: str | Path | bytes,
        *,
        firmware_state: str = "raw",
        selectors: tuple[int, int] | None = None,
        gdt: tuple[int, int] | None = None,
        **registers: int,
    ) -> None:
        """Load a 32-bit ELF executable, a file or its bytes, at its physical addresses.

        It starts in flat protected mode, with these registers (`esp=0x90000`); `selectors` and
        `gdt` are as for load_flat(). UserError for what is no such file, or does not fit into RAM.
        """
        from monitor.loaders import elf

        start = elf.load(self.memory, image, registers, areas(firmware_state), selectors, gdt)
        self._start(start, firmware_state)

    def load_flat(
        self,
        data: bytes,
        address: int,
        *,
        eip: int | None = None,
        esp: int | None = None,
        registers: Mapping[str, int] | None = None,
        real_mode: bool = False,
        firmware_state: str = "raw",
        selectors: tuple[int, int] | None = None,
        gdt: tuple[int, int] | None = None,
    ) -> None:
        """Load bytes at a physical address and stand at the first one, or at `eip`.

        In protected mode with flat segments, paging and interrupts off; with `real_mode` in real
        mode, where `registers` may give selectors too. `esp` is short for a register. `selectors`
        are CS and the data segments': the loader puts a GDT with flat descriptors there (0x10 and
        0x18 if none are given). With `gdt`, base and limit of a table that is in memory by then,
        perhaps in `data`, no table is written, and the descriptors are its own. Whatever is loaded,
        the x87 unit is as FNINIT leaves it. UserError for bytes that do not fit into RAM, and
        selectors that name no fitting segment.
        """
        from monitor.loaders import flat

        self._start(
            flat.load(
                self.memory,
                data,
                address,
                eip=eip,
                esp=esp,
                registers=dict(registers or {}),
                real_mode=real_mode,
                reserved=areas(firmware_state),
                selectors=selectors,
                table=gdt,
            ),
            firmware_state,
        )

    def _start(self, start: StartState, firmware_state: str) -> None:
        """Put the processor where the loader says, and the hardware as its firmware left it."""
        self.board.reset_processor()
        if firmware_state == "bios":
            install_firmware(self.memory, self.board.bus)
            start_display(self.board, self.processor, self.memory, self.roms)
            if self.board.apics is not None:
                install_tables(self.board, self.roms, self.settings.cpu)
        if self._loaded or self.processor.count():
            self.processor.forget_code()  # of the guest before
        self._loaded = True
        self.board.ended = None
        self.loop.halted = False
        self._guest_calls.forget()
        try:
            start_at(self.processor.ideal, start, self.read_memory)
        finally:
            self.processor.restarted()

    def load_rom(self, image: str | Path | bytes) -> None:
        """Put firmware, a file or its bytes, at the top of 1 MiB and of 4 GiB, and reset().

        The first instruction is the one 16 bytes before its end. UserError for a file that cannot
        be read, and for more than 384 KiB.
        """
        self.roms.add_firmware(open_image(image, "firmware").data)
        self.reset()

    def load_bios(
        self,
        bios: Source | None = None,
        *,
        vgabios: Source | None = None,
        option_roms: Sequence[Source | tuple[Source, int]] = (),
        boot: str = "",
    ) -> None:
        """Put a PC's BIOS in and reset(): it starts what it finds, as a PC does.

        Each image is a file or its bytes; without `bios` and `vgabios` those of Debian's package
        seabios, or of `make guests`. An option ROM is run by SeaBIOS, or lies at the physical
        address that is given with it. `boot` is as for --boot: "dca" for CD, disk, floppy. The
        machine needs the chipset "i440fx". UserError for an image that is none.
        """
        from monitor.firmware.bios import load

        load(self, bios, vgabios, option_roms, boot)
        self.reset()

    def reset(self) -> None:
        """The reset button: processor and devices are as after power-on, and run() goes on.

        The processor stands at F000:FFF0, physical FFFFFFF0 (SDM vol. 3, 9.1.4): without
        load_rom() there is nothing to execute. RAM, the clock and the consoles stay as they are.
        """
        self._resetting.reset()

    # --- running ------------------------------------------------------------------------

    def run(
        self,
        until: str | bytes | None = None,
        timeout: float | None = None,
        max_instructions: int | None = None,
        until_address: int | None = None,
        until_event: str | None = None,
        since: int | str = "new",
    ) -> Outcome:
        """Run until the guest ends or a limit is reached; run on with another call.

        * `until`: the serial console or a text screen shows this text. `since` says which text
          counts: "new", what is complete only after this call; "all", also what it shows already;
          or a position of `machine.output`, for what lies from there on.
        * `timeout`: so many seconds of real time are over, also while a function of yours does not
          return.
        * `max_instructions`: so many guest instructions have completed in this call.
        * `until_address`: EIP is at this linear address; the instruction there has not run.
        * `until_event`: an exit with this reason, as `on_exit` tells them ("interrupt 0x20").

        What the guest does is never an exception: it is the outcome's `kind`. UserError for a
        `since` that there is not. A MonitorBug is one of this program.
        """
        self._background.check()
        check = self._waiting.check(until, since, until_event)
        self._switches.locked = True
        return self._running.run(timeout, max_instructions, until_address, check)

    def start(self, **limits: Any) -> None:
        """run(), with these limits, in the background: on a thread of its own.

        Until wait() the machine belongs to that thread, and only type(), send(), stop(), `keys` and
        `mouse` may be used from others; in a notebook the screen is live. UserError: it runs.
        """
        self._background.start(lambda: self.run(**limits))

    def wait(self, timeout: float | None = None) -> Outcome | None:
        """How the run in the background ended; None: it has not, after so many seconds.

        What run() raised is raised here. UserError: there was no start().
        """
        return self._background.wait(timeout)

    @property
    def on_exit(self) -> list[Listener]:
        """Functions that are called with the ExitEvent of every exit and interrupt; append yours.

        Exits are there in modes trap and translate, interrupts in all.
        """
        return self.processor.listeners

    def step(self, count: int = 1) -> Outcome:
        """Run `count` guest instructions; kind "instructions" unless the guest ended before."""
        return self.run(max_instructions=count)

    def stop(self) -> None:
        """Make run() return soon, with kind "stopped"; the next one, if none is under way.

        From any thread, and from a signal's handler. A run that ends by itself meanwhile has
        answered it, too.
        """
        self.loop.stop()

    def send(self, data: bytes | str) -> None:
        """Type on the serial console: text, sent as UTF-8, or bytes. From any thread."""
        self.serial.send(data.encode() if isinstance(data, str) else data)

    def type(self, text: str) -> None:
        """Type on the PS/2 keyboard, as fast as people can: "dir\\n". From any thread.

        UserError: no key of a US keyboard types a character of it.
        """
        self.keys.type(text)

    @property
    def input_waiting(self) -> int:
        """Bytes sent to the console that the guest has not read yet; safe from any thread."""
        return self.board.input_waiting

    @property
    def output(self) -> Console:
        """The serial console's output: a bounded tail, the stream's length and digest."""
        return self.serial.output

    @property
    def console(self) -> bytes:
        """What the guest sent to its serial console: all of it up to 1 MiB, then the last MiB.

        `machine.output.keep_all = True` keeps everything.
        """
        return self.serial.output.tail

    @property
    def debug_console(self) -> bytes:
        """What the guest wrote to port 0xE9, as `console`."""
        return self.debug_port.output.tail

    # --- the screen ---------------------------------------------------------------------

    @property
    def screen(self) -> Screen:
        """What the display adapter shows (`monitor.screen.screen`). UserError: there is none."""
        return self._display.screen

    def _live_screen(self) -> Any:
        """For a notebook: the widget's view, if there is a library for widgets."""
        if self._widget is None:
            try:
                from monitor.web.widget import ScreenWidget
            except ImportError:
                return None
            self._widget = ScreenWidget(self, lambda: self._background.running)
            self._background.on_end.append(self._widget.ended)
        return self._widget._repr_mimebundle_()

    def screenshot(self, path: str | Path) -> None:
        """The screen as a PNG, or what the name's ending says. UserError: it cannot be written."""
        self._display.screen.save(path)

    def record(self, path: str | Path) -> Recorder:
        """A context manager that records the screen in the guest's time: "x.gif", "x.mp4", "x/".

        With the clock "icount" it repeats, byte for byte (`monitor.recording`). UserError: no file
        of such a name can be written, or a package for it is missing.
        """
        from monitor.recording.kinds import recording_of

        return recording_of(path, self.screen, self.board.bus)

    def wait_for_text(self, text: str, timeout: float | None = None) -> Outcome:
        """Run until a text screen shows this, also if it does already: then nothing runs.

        A text does not go over the end of a line. UserError: there is no screen.
        """
        self._display.screen  # noqa: B018
        return self.run(until=text, since="all", timeout=timeout)

    # --- looking and changing -----------------------------------------------------------

    @property
    def registers(self) -> dict[str, int]:
        """General and control registers, EIP, EFLAGS and selectors, as the guest has them.

        A new dictionary from lower-case names ("eax", "eip", "eflags", "cs", "cr3") to unsigned
        numbers. In translate mode, too, EIP is the guest's and never one of the cache.
        """
        self.processor.sync()
        return read_registers(self.processor.ideal)

    def set_register(self, name: str, value: int) -> None:
        """Set eax to edi, eip, eflags, a selector, a control register, gdtr_base and its like, xmm0
        to xmm7 (of 128 bits) or mxcsr.

        A selector loads its descriptor, as the guest's mode has it. UserError for a name that
        there is not, and for a selector whose descriptor cannot be loaded.
        """
        self.processor.sync()
        set_register(self.processor.ideal, name, value, self.read_memory)
        self.processor.restarted()

    @property
    def system_registers(self) -> dict[str, int]:
        """All of the processor's state beside `registers` and `x87`, by name.

        Descriptor tables, LDTR and TR, bases, limits and rights of segments, debug registers, CPL,
        model-specific registers, SSE's registers in halves (`xmm0_low`), pins, and what holds
        between two instructions only.
        """
        self.processor.sync()
        return system_registers(self.processor.ideal)

    @property
    def x87(self) -> bytes:
        """The x87 unit as the 108 bytes that FNSAVE would store; assigning is FRSTOR.

        UserError for another number of bytes. The layout is in SDM vol. 1, section 8.1.10.
        """
        self.processor.sync()
        return x87_unit().image(self.processor.ideal)

    @x87.setter
    def x87(self, image: bytes) -> None:
        if len(image) != X87_SIZE:
            raise UserError(f"an x87 image has {X87_SIZE} bytes, not {len(image)}")
        self.processor.sync()
        x87_unit().load(self.processor.ideal, image)

    @property
    def instructions(self) -> int:
        """Guest instructions completed since the machine was made, the same in every mode."""
        return self.processor.count()

    def read_physical(self, address: int, size: int) -> bytes:
        """Bytes of guest RAM, ROM or a device's memory; UserError where there is none."""
        return self._access.read_physical(address, size)

    def write_physical(self, address: int, data: bytes) -> None:
        """Store bytes in any of that; UserError where there is none, and then nothing is stored."""
        self._access.write_physical(address, data)

    def translate(self, linear: int) -> int:
        """The physical address behind a linear one; UserError where nothing is mapped."""
        return self._access.physical(linear)

    def read_memory(self, linear: int, size: int) -> bytes:
        """Bytes at a linear address, through the guest's page tables, whatever they protect.

        Nothing is changed, accessed bits included. UserError where nothing is mapped, or no RAM.
        """
        return self._access.read(linear, size)

    def write_memory(self, linear: int, data: bytes) -> None:
        """Store bytes at a linear address, through the guest's page tables, read-only or not.

        UserError where nothing is mapped, and then nothing is stored. Translated or decoded code
        among them is made anew.
        """
        self._access.write(linear, data)

    def monitor(self, line: str) -> str:
        """What the monitor's console answers: "info registers", "x /4i $pc" (`monitor.console`).

        For the machine's own thread. UserError for a line that it does not understand.
        """
        from monitor.console.attended import answer

        return answer(self, line)

    # --- checkpoints --------------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        """The whole machine as it is between two runs, in memory; `save()` makes a file of it.

        `machine.checkpoints` writes files directly, also while the machine runs.
        """
        return snapshots.take(self)

    @staticmethod
    def restore(
        source: Snapshot | str | Path,
        *,
        mode: str | None = None,
        engine: str = "auto",
        clock: str | None = None,
        without: Collection[str] = (),
        extensions: Extensions | None = None,
        devices: Iterable[MakeDevice] | Mapping[str, MakeDevice] = (),
        drives: Mapping[str, DriveSource] | Iterable[Drive] = (),
    ) -> Machine:
        """A new machine from a snapshot or a checkpoint's file, which goes on as if nothing had
        been.

        Its memory and start time are those of the file, and so are mode and clock unless others
        are given. What was the embedder's (breakpoints, hooks, listeners, functions) it gives
        again; `devices` of its own, under the names they had, get their state back. So do
        `drives`: give the images that lay in them, and what the guest wrote is there. UserError for
        a file that is broken, or of a version that this program does not read.
        """
        return snapshots.machine_of(
            source, mode, engine, clock, without, extensions, devices, drives
        )

    def statistics(self) -> dict[str, Any]:
        """What happened so far: a new dictionary that JSON can hold.

        The section Statistics of docs/architecture.md explains each field.
        """
        count, seconds = self.processor.count(), self._running.seconds
        result: dict[str, Any] = {
            "mode": self.mode,
            "engine": self.settings.engine,
            "build": BUILD,
            "without": list(self.settings.without),
            "clock": self.settings.clock,
            "cpu": self.settings.cpu,
            "memory_mb": self.memory.size >> 20,
            "instructions": count,
            "seconds": round(seconds, 6),
            "guest_seconds": round(self.clock.now() / 1e9, 6),
            "mips": round((count - self.processor.restored) / seconds / 1e6, 3) if seconds else 0.0,
            "interrupts": self.loop.interrupts,
            "devices": dict(self.board.accesses),
            "world_switches": self.board.host.count,
            "host_requests": self.board.host.statistics(),
            "decoder": self.ram.statistics(),
        }
        if self._guest_calls.on:
            result["vmware"] = self._guest_calls.statistics()
        return result | self.processor.statistics()
