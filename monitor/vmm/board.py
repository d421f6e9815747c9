"""The virtual PC's board: the chips on their bus, their back ends, and what the guest asked for.

The processor sees this object as its bus. An access may raise the interrupt line, move the next
deadline, or end the machine; then the processor is told to leave its run loop after the
instruction (`recheck`), so that the machine looks at the news at that very instruction.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import chain
from typing import TYPE_CHECKING, Any, Protocol

from devices.apic.board import Apics
from devices.bus import Bus
from devices.pc import Pc, build_pc
from monitor.vmm.back_ends import CharacterBackEnd
from monitor.vmm.clock import Clock, InstructionCounter
from monitor.vmm.inputs import Inputs, InputSource
from monitor.vmm.outcome import Outcome
from monitor.vmm.world_switch import WorldSwitch

if TYPE_CHECKING:
    from bt.engine import Interp


class GuestCallServer(Protocol):
    """Who serves VMware's guest interfaces (monitor/vmware/guest_calls.py)."""

    def access(self, cpu: Interp, port: int, size: int, out: int, value: int) -> int:
        """An access to the backdoor, inside run()."""

    def read_counter(self, index: int) -> int:
        """A pseudo performance counter, inside run()."""

    def serve(self) -> Outcome | None:
        """Serve the call that made the processor leave run()."""


class Interrupts(Protocol):
    """Whatever interrupts the processor: 8259As, or its local APIC, which asks them."""

    def acknowledge(self) -> int:
        """INTA: the vector of the interrupt that it takes now."""

    def would_interrupt(self, line: int) -> bool:
        """Would it be interrupted if this line rose now?"""


AccessListener = Callable[[str, int, int, int], None]
"""What ("in", "out"), at which port, bytes, value; of registers in memory "read" and "write", at
which physical address. Of VMware's guest interfaces: "call" with the
command's number as value, "rdpmc" with the counter's, "hypercall" with EAX."""


class Board:
    """Bus and chips. `notice` is called when the processor must leave its loop.

    `serial` and `debug` are what COM1 and port 0xE9 lead to, in the host application's world;
    more ports bring cables of their own.
    """

    def __init__(
        self,
        clock: Clock,
        counter: InstructionCounter,
        memory_bytes: int,
        start_time: int,
        serial: CharacterBackEnd,
        debug: CharacterBackEnd,
    ) -> None:
        self.clock = clock
        self.counter = counter
        self.memory_bytes = memory_bytes
        self.bus = Bus(clock)
        #: What the ports' cables lead to, by the name of the port.
        self.cables: dict[str, CharacterBackEnd] = {"com1": serial, "debug": debug}
        self.real_inputs = Inputs()
        self.inputs: InputSource = self.real_inputs
        self.within_instruction: Callable[[], bool] = _no  # does this thread run guest code now?
        self.host = WorldSwitch()
        self.on_access: list[AccessListener] = []  # told of every access; empty costs nothing
        self.ended: Outcome | None = None
        self.hard_reset = False  # if it ended by a reset: of the board, or of the processor alone
        self.notice: Callable[[], None] = _nothing
        self.on_intr: Callable[[bool], None] = _ignore
        self.on_a20: Callable[[bool], None] = _ignore
        self.guest_calls: GuestCallServer | None = None  # VMware's guest interfaces
        self.accesses = dict.fromkeys(
            ("port_reads", "port_writes", "memory_reads", "memory_writes"), 0
        )
        self._deadline: int | None = None
        self.pc: Pc = build_pc(
            self.bus,
            memory_bytes=memory_bytes,
            start_time=start_time,
            on_reset=lambda: self.request_reset(hard=False),
            on_a20=lambda level: self.on_a20(level),
            on_exit=self._debug_exit,
            on_serial=lambda data: self.send_out("com1", data),
            on_debug=lambda data: self.host.request(
                "debug output", self.cables["debug"].write, data
            ),
        )
        self.real_inputs.connect("com1", self.pc.uart.receive, serial)
        self.devices = self.pc.named()  # and those of the embedder's
        self.interrupts: Interrupts = self.pc.pic  # what drives the processor's INTR
        self.apics: Apics | None = None
        self.bus.on_intr = self._interrupt_line

    # --- the processor's side -----------------------------------------------------------

    def read_port(self, port: int, size: int) -> int:
        self.accesses["port_reads"] += 1
        self.counter.in_access = True
        try:
            value = self.bus.read_port(port, size)
            self._take_cycle(self.bus.port_time(port, size))
            if self.bus.next_deadline() != self._deadline:
                self.notice()
            if self.on_access:
                self.tell("in", port, size, value)
        finally:
            self.counter.in_access = False
        return value

    def write_port(self, port: int, size: int, value: int) -> None:
        self.accesses["port_writes"] += 1
        self.counter.in_access = True
        try:
            if self.on_access:
                self.tell("out", port, size, value)
            self.bus.write_port(port, size, value)
            self._take_cycle(self.bus.port_time(port, size))
            if self.bus.next_deadline() != self._deadline:
                self.notice()
        finally:
            self.counter.in_access = False

    def read_ports(self, port: int, size: int, count: int) -> bytes:
        """What read_port() would give `count` times, as far as nothing else happens meanwhile."""
        data = self.bus.read_ports(port, size, self._at_once(port, size, count))
        self._took("port_reads", port, size, len(data) // size)
        return data

    def write_ports(self, port: int, size: int, data: bytes) -> int:
        """The same for write_port(): how many elements were taken."""
        most = self._at_once(port, size, len(data) // size)
        taken = self.bus.write_ports(port, size, data[: most * size])
        self._took("port_writes", port, size, taken)
        return taken

    def _at_once(self, port: int, size: int, count: int) -> int:
        """Accesses that nobody is told of, and among which no deadline comes."""
        if self.on_access:
            return 0
        deadline = self.bus.next_deadline()
        if deadline is None:
            return count
        self.counter.in_access = True
        try:
            return min(count, self.clock.waits_before(deadline, self.bus.port_time(port, size)))
        finally:
            self.counter.in_access = False

    def _took(self, kind: str, port: int, size: int, count: int) -> None:
        """So many accesses at once, and their time."""
        self.accesses[kind] += count
        ticks = self.clock.wait(self.bus.port_time(port, size), count)
        if ticks and self.counter.processor is not None:
            self.counter.processor.wait(ticks)

    def _take_cycle(self, ns: int) -> None:
        """The processor waits until the bus is done: a guest that polls sees its time go by."""
        ticks = self.clock.wait(ns)
        if ticks and self.counter.processor is not None:
            self.counter.processor.wait(ticks)

    def backdoor(self, cpu: Interp, port: int, size: int, out: int, value: int) -> int:
        """An access to VMware's backdoor, which needs the processor's registers."""
        assert self.guest_calls is not None
        self.counter.in_access = True
        try:
            return self.guest_calls.access(cpu, port, size, out, value)
        finally:
            self.counter.in_access = False

    def read_counter(self, index: int) -> int:
        """RDPMC of one of VMware's pseudo performance counters."""
        assert self.guest_calls is not None
        self.counter.in_access = True
        try:
            return self.guest_calls.read_counter(index)
        finally:
            self.counter.in_access = False

    def read_memory(self, address: int, size: int) -> int:
        """A device's registers in memory, or the open bus beside them."""
        taken = self._memory_cycle("memory_reads", address, size)
        self.counter.in_access = True
        try:
            value = self.bus.read_memory(address, size)
            if taken:
                self._take_cycle(taken)
            if self.bus.next_deadline() != self._deadline:
                self.notice()
            if taken and self.on_access:
                self.tell("read", address, size, value)
        finally:
            self.counter.in_access = False
        return value

    def write_memory(self, address: int, size: int, value: int) -> None:
        taken = self._memory_cycle("memory_writes", address, size)
        self.counter.in_access = True
        try:
            if taken and self.on_access:
                self.tell("write", address, size, value)
            self.bus.write_memory(address, size, value)
            if taken:
                self._take_cycle(taken)
            if self.bus.next_deadline() != self._deadline:
                self.notice()
        finally:
            self.counter.in_access = False

    def _memory_cycle(self, count: str, address: int, size: int) -> int:
        """Count an access of the guest's to a device; nanoseconds it takes, 0: it is none.

        How often a processor reads code and page tables is its own affair, and differs by mode.
        """
        processor = self.counter.processor
        if processor is not None and processor.ideal.for_itself:
            return 0
        taken = self.bus.memory_time(address, size)
        self.accesses[count] += taken > 0
        return taken

    def tell(self, kind: str, port: int, size: int, value: int) -> None:
        """Tell whoever listens about an access."""
        for listener in tuple(self.on_access):  # one may take itself out
            listener(kind, port, size, value)

    def set_apic_base(self, value: int) -> None:
        """WRMSR has moved the local APIC's registers, or switched them off."""
        assert self.apics is not None
        self.counter.in_access = True
        try:
            self.apics.local.set_base(value)
            if self.bus.next_deadline() != self._deadline:
                self.notice()
        finally:
            self.counter.in_access = False

    def nmi(self) -> None:
        """An edge of the line that is NMI, or the local APIC's LINT1."""
        if self.apics is not None:
            self.apics.local.pulse_nmi()
        else:
            self.pulse_nmi()

    def pulse_nmi(self) -> None:
        """The processor's own NMI."""
        if self.counter.processor is not None:
            self.counter.processor.pulse_nmi()

    def has_device(self, address: int, size: int) -> bool:
        """Does a device answer anywhere in this range of physical memory?"""
        return self.bus.memory_in(address, size)

    def _interrupt_line(self, level: bool) -> None:
        self.on_intr(level)
        self.notice()

    def _debug_exit(self, status: int) -> None:
        self.end(Outcome("exit", status, f"the guest asked to end with status {status}"))

    def request_reset(self, hard: bool) -> None:
        """The guest pulls a reset line: the board's, or the processor's alone."""
        self.hard_reset = hard
        self.end(Outcome("reset", detail="the guest reset the machine"))

    def end(self, outcome: Outcome) -> None:
        """End the machine after this instruction; the first reason counts."""
        if self.ended is None:
            self.ended = outcome
        self.notice()

    # --- the machine's side -------------------------------------------------------------

    def next_deadline(self) -> int | None:
        """The earliest timer; an access that moves it will be noticed."""
        self._deadline = self.bus.next_deadline()
        return self._deadline

    @property
    def input_waiting(self) -> int:
        """Bytes of input that the guest has not read. Safe from any thread, and then a guess."""
        return self.cables["com1"].waiting + len(self.pc.uart.waiting)

    def can_interrupt(self) -> bool:
        """Can anything still interrupt a halted processor: a timer, or somebody who types?"""
        input_open = self.inputs.open  # first: the last text is sent before it closes
        if self.inputs.waiting:
            return True
        if self.apics is not None and self.apics.timer_comes():
            return True
        coming = self.devices.coming_irqs(input_open)
        if self.real_inputs.attended:
            coming = chain(coming, self.pc.kbc.typed_irqs())
        return any(map(self.interrupts.would_interrupt, coming))

    def reset(self) -> None:
        """The reset line: every device, and the PIC last."""
        self.devices.reset()
        self.ended = None

    def reset_processor(self) -> None:
        """INIT: of the chips, the one within the processor."""
        if self.apics is not None:
            self.apics.local.reset()

    def snapshot(self) -> dict[str, dict[str, Any]]:
        """The state of every device by name, as JSON can hold it. The clock is the machine's.

        What was typed is the serial port's from here on. SnapshotError: a device of the embedder's
        has no snapshot.
        """
        self.take_input()
        return self.devices.snapshot()

    def restore(self, state: Mapping[str, Mapping[str, Any]]) -> None:
        """Take a snapshot back, after the clock. SnapshotError, and nothing has changed."""
        self.devices.restore(state)

    def take_input(self) -> bool:
        """Hand queued input to the devices it is for; was there any?"""
        if not self.inputs.waiting:
            return False
        taken = self.host.request("console input", self.inputs.take)
        for source, data in taken:
            self.inputs.hand_over(source, data)
        return bool(taken)

    def give(self, source: str, data: Any) -> None:
        """Input from this thread: at once.

        From within an instruction, it is a function of the embedder's that gives it; it is called
        again whenever the instruction is repeated, unless it listens to output.
        """
        within = self.within_instruction()
        if within and not self.inputs.told_once:
            self.inputs.hand_over(source, data)
            return
        self.inputs.give(source, data)
        if not within:
            self.take_input()

    def send_out(self, cable: str, data: bytes) -> None:
        """A port has sent this."""
        self.host.request("console output", self.cables[cable].write, data)


def _no() -> bool:
    return False


def _nothing() -> None:
    pass


def _ignore(level: bool) -> None:
    pass
