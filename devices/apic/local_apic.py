"""The local APIC: what a processor is interrupted by, and with which priority.

Manual: SDM vol. 3, chapter 10 "Advanced programmable interrupt controller"; registers are those of
table 10-1, LVT is the local vector table.

    LINT0, LINT1   pins: the 8259A's INT, and NMI         timer, errors: from within
    messages       from the I/O APIC, and to oneself (ICR)

    accepted       bit in IRR            fixed interrupts; a level's also has its bit in TMR
    INTA           IRR -> ISR            highest vector first, if its class (7:4) is above PPR's
    EOI            highest bit in ISR    of a level, the I/O APIC is told

PPR is the higher of TPR and the class that is in service. NMI and ExtINT pass all that by: for
ExtINT the vector is what the 8259A says (virtual wire mode: LINT0 is ExtINT and not masked).

After RESET it is there, but *software disabled* (SVR bit 8): LINT0 and LINT1 are masked, and no
interrupt reaches the processor before somebody programs it. IA32_APIC_BASE (1Bh) moves the page of
registers, and with bit 11 cleared there is none: the pins are INTR and NMI, as ever before.

There is one processor: what it sends to others reaches nobody (send accept error), INIT and
start-up to itself are ignored as those to no other one, and so is SMI.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from devices.apic import messages
from devices.apic.local_timer import LocalTimer
from devices.apic.messages import EXTINT, FIRST_VECTOR, FIXED, LEVEL, LOGICAL, LOWEST_PRIORITY, NMI
from devices.bus import Bus
from devices.device import Chip
from devices.fields import BYTE, DWORD, FLAG, PART, choice, fields, number, sequence

PAGE = 0x1000
BASE_RESET = 0xFEE00900  # IA32_APIC_BASE: page, enabled, the processor that boots
ENABLED, ADDRESS = 0x800, 0xFFFFFF000
BASE_BITS = ADDRESS | 0x900

(ID, VERSION, TPR, APR, PPR, EOI, LDR, DFR, SVR) = (
    0x02, 0x03, 0x08, 0x09, 0x0A, 0x0B, 0x0D, 0x0E, 0x0F)  # fmt: skip
ISR, TMR, IRR, ESR, ICR, ICR_HIGH = 0x10, 0x18, 0x20, 0x28, 0x30, 0x31
LVT, INITIAL, CURRENT, DIVIDE = 0x32, 0x38, 0x39, 0x3E
REMOTE_READ = 0x0C  # reserved, and no error
TIMER, THERMAL, PERFORMANCE, LINT0, LINT1, ERROR = range(6)  # of the LVT, from 320h on

MASKED, PERIODIC, REMOTE_IRR = 1 << 16, 1 << 17, 1 << 14
LVT_BITS = (0x300FF, 0x107FF, 0x107FF, 0x1A7FF, 0x1A7FF, 0x100FF)
SOFTWARE_ENABLED = 0x100
SVR_BITS = 0x3FF
SEND_ACCEPT, SEND_ILLEGAL, RECEIVE_ILLEGAL, ILLEGAL_REGISTER = 0x04, 0x20, 0x40, 0x80
ICR_BITS = 0xCCFFF
TO_SELF, TO_ALL, TO_OTHERS = 1, 2, 3
DWORD_BITS = 0xFFFFFFFF
VECTORS = number(0, (1 << 256) - 1)
#: Version register: version, and the number of the last LVT entry, by the processor's family.
VERSIONS = {5: 0x00030010, 6: 0x00040011, 15: 0x00050014}
ENTRIES = {5: (TIMER, LINT0, LINT1, ERROR),
           6: (TIMER, PERFORMANCE, LINT0, LINT1, ERROR),
           15: (TIMER, THERMAL, PERFORMANCE, LINT0, LINT1, ERROR)}  # fmt: skip


def _highest(vectors: int) -> int:
    """The highest vector of a set; 0: there is none."""
    return max(vectors.bit_length() - 1, 0)


class LocalApic(Chip):
    """One processor's. `extint` is an INTA cycle of the 8259A, `on_nmi` the processor's NMI."""

    name = "local-apic"
    state = fields(
        base=number(0, BASE_BITS),
        apic_id=BYTE,
        tpr=BYTE,
        ldr=BYTE,
        dfr=number(0, 15),
        svr=number(0, SVR_BITS),
        isr=VECTORS,
        tmr=VECTORS,
        irr=VECTORS,
        esr=BYTE,
        errors=BYTE,
        icr=DWORD,
        icr_high=BYTE,
        lvt=sequence(DWORD, least=6, most=6),
        pins=sequence(FLAG, least=2, most=2),
        io_extint=FLAG,
        family=choice(tuple(VERSIONS)),
        timer=PART,
    )
    wiring = ("_bus", "_extint", "_on_nmi", "on_eoi", "on_change")

    def __init__(
        self,
        bus: Bus,
        extint: Callable[[], int],
        on_nmi: Callable[[], None],
        family: int = 6,
    ) -> None:
        self._bus = bus
        self._extint = extint
        self._on_nmi = on_nmi
        self.family = family
        #: For the I/O APIC: a level with this vector is served; more messages may be taken now.
        self.on_eoi: Callable[[int], None] = _ignore
        self.on_change: Callable[[], None] = _nothing
        self.timer = LocalTimer(bus, self._timer_ended, self._timer_wanted)
        self.pins = [False, False]
        self.io_extint = False
        self.apic_id = 0
        self.base = BASE_RESET
        self._clear()
        self._place()

    def reset(self) -> None:
        """RESET# and INIT#. Pins are driven by others and stay."""
        self.apic_id = 0
        self._clear()
        self.set_base(BASE_RESET)

    def _clear(self) -> None:
        self.tpr = self.ldr = self.isr = self.tmr = self.irr = 0
        self.esr = self.errors = self.icr = self.icr_high = 0
        self.dfr = messages.FLAT
        self.svr = 0xFF
        self.lvt = [MASKED] * len(LVT_BITS)
        self.timer.reset()

    # Where it is

    @property
    def there(self) -> bool:
        """IA32_APIC_BASE has it on."""
        return bool(self.base & ENABLED)

    def set_base(self, value: int) -> None:
        """IA32_APIC_BASE is written: the page of registers is elsewhere, or nowhere."""
        self.timer.settle()
        was, self.base = self.base, value & BASE_BITS
        if not self.there:
            self._clear()
        if was != self.base:
            self._place()
        self._changed()
        self.on_change()

    def _place(self) -> None:
        at = self.base & ADDRESS
        here = self.there and at + PAGE <= 1 << 32  # beyond, no address of this board's leads to it
        self._bus.place_inner(at if here else None, PAGE, self)

    # What comes in

    def set_pin(self, pin: int, level: bool) -> None:
        """LINT0 or LINT1."""
        if self.pins[pin] == level:
            return
        self.pins[pin] = level
        if not self.there:
            if pin and level:
                self._on_nmi()
        else:
            self._pin_changed(pin, rising=level)
        self._update()

    def _pin_changed(self, pin: int, rising: bool) -> None:
        """NMI and fixed interrupts of a pin; ExtINT is asked for when it is needed."""
        entry = self.lvt[LINT0 + pin]
        if entry & MASKED or not self.pins[pin]:
            return
        mode = messages.mode_of(entry)
        if mode == NMI and rising:
            self._on_nmi()
        elif mode == FIXED and entry & LEVEL and not entry & REMOTE_IRR:
            self.lvt[LINT0 + pin] |= REMOTE_IRR
            self._accept(entry & messages.VECTOR, True)
        elif mode == FIXED and not entry & LEVEL and rising:
            self._accept(entry & messages.VECTOR, False)

    def pulse_nmi(self) -> None:
        """An edge of what the board has for NMI: LINT1."""
        self.set_pin(1, False)
        self.set_pin(1, True)

    def set_io_extint(self, level: bool) -> None:
        """The I/O APIC says that the 8259A wants an interrupt."""
        self.io_extint = level
        self._update()

    def takes(self, destination: int, logical: bool) -> bool:
        """Is a message to this destination for this processor, and does it listen?"""
        return self.there and messages.reaches(
            destination, logical, self.apic_id, self.ldr, self.dfr
        )

    def receive(self, mode: int, vector: int, level: bool) -> bool:
        """A message for this processor; was it accepted?"""
        if mode == NMI:
            self._on_nmi()
        elif mode in (FIXED, LOWEST_PRIORITY):
            if not self.svr & SOFTWARE_ENABLED:
                return False
            self.timer.settle()
            self._accept(vector, level)
            self._changed()
        return True

    def _accept(self, vector: int, level: bool) -> None:
        if vector < FIRST_VECTOR:
            self._error(RECEIVE_ILLEGAL)
            return
        bit = 1 << vector
        self.irr |= bit
        self.tmr = self.tmr | bit if level else self.tmr & ~bit

    def _error(self, bits: int) -> None:
        """An error is noted, and interrupts if that is wanted; a vector of its own that is illegal
        does not make one more."""
        new = bits & ~self.errors
        self.errors |= bits
        entry = self.lvt[ERROR]
        if new and not entry & MASKED and self.svr & SOFTWARE_ENABLED:
            if entry & messages.VECTOR < FIRST_VECTOR:
                self.errors |= RECEIVE_ILLEGAL
            else:
                self._accept(entry & messages.VECTOR, False)

    def _timer_ended(self) -> None:
        entry = self.lvt[TIMER]
        if not entry & MASKED and self.there:
            self._accept(entry & messages.VECTOR, False)
            self._update()

    def _timer_wanted(self) -> bool:
        entry = self.lvt[TIMER]
        vector = entry & messages.VECTOR
        if entry & MASKED or not self.there:
            return False
        if vector < FIRST_VECTOR:
            return not self.errors & RECEIVE_ILLEGAL
        return not self.irr >> vector & 1

    # What the processor sees

    @property
    def ppr(self) -> int:
        """Processor priority."""
        serving = _highest(self.isr) & 0xF0
        return self.tpr if self.tpr & 0xF0 >= serving else serving

    @property
    def apr(self) -> int:
        """Arbitration priority."""
        asked, serving = _highest(self.irr) & 0xF0, _highest(self.isr) & 0xF0
        if self.tpr & 0xF0 >= asked and self.tpr & 0xF0 > serving:
            return self.tpr
        return max(self.tpr & 0xF0, asked, serving)

    def above(self, vector: int) -> bool:
        """Would the processor be interrupted by this vector now?"""
        return self.there and vector & 0xF0 > self.ppr & 0xF0

    def passes_extint(self) -> bool:
        """Does LINT0 lead the 8259A's INT to the processor?"""
        if not self.there:
            return True
        return self.lvt[LINT0] & (MASKED | 0x700) == EXTINT << 8

    def _wants_extint(self) -> bool:
        return (self.pins[0] and self.passes_extint()) or (self.io_extint and self.there)

    def _update(self) -> None:
        vector = _highest(self.irr)
        self._bus.set_intr(self._wants_extint() or (vector > 0 and self.above(vector)))

    def _changed(self) -> None:
        """A register is another one: of the timer, of the priorities."""
        self.timer.arm()
        self._update()

    def acknowledge(self) -> int:
        """INTA: the vector of the interrupt that the processor takes now."""
        if self._wants_extint():
            return self._extint()
        self.timer.settle()
        vector = _highest(self.irr)
        if not vector or not self.above(vector):
            return self.svr & messages.VECTOR  # it was withdrawn: spurious
        self.irr &= ~(1 << vector)
        self.isr |= 1 << vector
        self._changed()
        return vector

    def int_pin_interrupts(self) -> bool:
        """Would the processor be interrupted if the 8259A's INT rose now?"""
        if self.passes_extint():
            return True
        entry = self.lvt[LINT0]
        if entry & MASKED or entry & REMOTE_IRR:
            return False
        if self.pins[0] and not entry & LEVEL:
            return False  # it is up: there will be no edge
        mode = messages.mode_of(entry)
        return mode == NMI or (mode == FIXED and self.above(entry & messages.VECTOR))

    def timer_comes(self) -> bool:
        """Will the timer interrupt a processor that is halted?"""
        entry = self.lvt[TIMER]
        return self.timer.alarm.live and self.above(entry & messages.VECTOR)

    # Registers

    def read_memory(self, offset: int, size: int) -> int:
        """The first four bytes of each sixteen are a register, the others are zeros."""
        if offset & 15 == 0 and size == 4:
            return self._read(offset >> 4)
        value = sum(self._read(at >> 4) << 8 * (at - offset)
                    for at in range(offset & ~15, offset + size, 16)
                    if at >= offset)  # fmt: skip
        if offset & 15 < 4:
            value |= self._read(offset >> 4) >> 8 * (offset & 15)
        return value & (1 << 8 * size) - 1

    def write_memory(self, offset: int, size: int, value: int) -> None:
        """Doublewords at their place; others are not defined, and vanish."""
        if offset & 15 == 0 and size == 4:
            self.timer.settle()
            self._write(offset >> 4, value)
            self._changed()
            if offset >> 4 in (ID, LDR, DFR, SVR):
                self.on_change()  # it may be reached now, and may listen

    def _read(self, register: int) -> int:
        self.timer.settle()
        self.timer.arm()
        if ISR <= register < IRR + 8:
            vectors = (self.isr, self.tmr, self.irr)[register - ISR >> 3]
            return vectors >> 32 * (register & 7) & DWORD_BITS
        if LVT <= register < LVT + len(self.lvt):
            return self._read_lvt(register - LVT)
        return self._read_plain(register)

    def _read_lvt(self, entry: int) -> int:
        if entry in ENTRIES[self.family]:
            return self.lvt[entry]
        return self._no_register()

    def _no_register(self) -> int:
        self._error(ILLEGAL_REGISTER)
        self._update()
        return 0

    def _read_plain(self, register: int) -> int:
        read = READERS.get(register)
        return self._no_register() if read is None else read(self)

    def _write(self, register: int, value: int) -> None:
        if register == EOI:
            self._end_of_interrupt()
        elif register == TPR:
            self.tpr = value & 0xFF
        elif register == ICR:
            self.icr = value & ICR_BITS
            self._send()
        elif LVT <= register < LVT + len(self.lvt):
            self._write_lvt(register - LVT, value)
        elif register in (INITIAL, DIVIDE):
            (self.timer.start if register == INITIAL else self.timer.set_divide)(value)
        elif register == SVR:
            self._write_svr(value)
        elif register == ESR:
            self.esr, self.errors = self.errors, 0
        else:
            self._write_names(register, value)

    def _write_names(self, register: int, value: int) -> None:
        """Who it is, and to whom it sends. The others can only be read, or are none."""
        if register == ID:
            self.apic_id = value >> 24 & (0xFF if self.family == 15 else 0x0F)
        elif register == LDR:
            self.ldr = value >> 24
        elif register == DFR:
            self.dfr = value >> 28
        elif register == ICR_HIGH:
            self.icr_high = value >> 24
        elif not (register in (VERSION, APR, PPR, CURRENT, REMOTE_READ)
                  or ISR <= register < IRR + 8):  # fmt: skip
            self._error(ILLEGAL_REGISTER)

    def _write_svr(self, value: int) -> None:
        self.svr = value & SVR_BITS if self.family == 15 else value & SVR_BITS | 0x0F
        if not self.svr & SOFTWARE_ENABLED:
            self.lvt = [entry | MASKED for entry in self.lvt]

    def _write_lvt(self, entry: int, value: int) -> None:
        if entry not in ENTRIES[self.family]:
            self._error(ILLEGAL_REGISTER)
            return
        old = self.lvt[entry]
        new = value & LVT_BITS[entry] | old & REMOTE_IRR
        if not self.svr & SOFTWARE_ENABLED:
            new |= MASKED
        if entry in (LINT0, LINT1) and not (new & LEVEL and messages.mode_of(new) == FIXED):
            new &= ~REMOTE_IRR
        self.lvt[entry] = new
        if entry == TIMER:
            self.timer.periodic = bool(new & PERIODIC)
        elif entry in (LINT0, LINT1):
            self._pin_changed(entry - LINT0, rising=False)

    def _end_of_interrupt(self) -> None:
        vector = _highest(self.isr)
        if not vector:
            return
        self.isr &= ~(1 << vector)
        if not self.tmr >> vector & 1:
            return
        for pin in (0, 1):
            if self.lvt[LINT0 + pin] & (REMOTE_IRR | messages.VECTOR) == REMOTE_IRR | vector:
                self.lvt[LINT0 + pin] &= ~REMOTE_IRR
                self._pin_changed(pin, rising=False)
        self.on_eoi(vector)

    def _send(self) -> None:
        """An interprocessor interrupt, where there is one processor."""
        mode, vector = messages.mode_of(self.icr), self.icr & messages.VECTOR
        to = self.icr >> 18 & 3
        ordinary = mode in (FIXED, LOWEST_PRIORITY)
        if ordinary and vector < FIRST_VECTOR:
            self._error(SEND_ILLEGAL)
        elif to == TO_OTHERS or (to == 0 and not self.takes(self.icr_high, self._to_a_set())):
            if ordinary or mode == NMI:
                self._error(SEND_ACCEPT)
        elif to != TO_SELF or mode == FIXED:
            self.receive(mode, vector, False)

    def _to_a_set(self) -> bool:
        return bool(self.icr & LOGICAL)

    # Snapshots

    def contradiction(self, state: Mapping[str, Any]) -> str | None:
        if state["family"] != self.family:
            return f"family: {state['family']}, and this processor's is {self.family}"
        if state["base"] & ~BASE_BITS:
            return f"base: {state['base']:#x} has bits that are reserved"
        if (state["isr"] | state["tmr"] | state["irr"]) & (1 << FIRST_VECTOR) - 1:
            return "isr, tmr, irr: vectors below 16"
        if any(entry & ~bits & ~REMOTE_IRR for entry, bits in zip(state["lvt"], LVT_BITS,
                                                                  strict=True)):  # fmt: skip
            return "lvt: bits that do not stick"
        return None

    def restored(self) -> None:
        self._place()
        self._update()


#: Registers that are read as they are, or made of something on the spot.
READERS: dict[int, Callable[[LocalApic], int]] = {
    ID: lambda apic: apic.apic_id << 24,
    VERSION: lambda apic: VERSIONS[apic.family],
    TPR: lambda apic: apic.tpr,
    APR: lambda apic: apic.apr,
    PPR: lambda apic: apic.ppr,
    EOI: lambda apic: 0,
    REMOTE_READ: lambda apic: 0,
    LDR: lambda apic: apic.ldr << 24,
    DFR: lambda apic: apic.dfr << 28 | 0x0FFFFFFF,
    SVR: lambda apic: apic.svr,
    ESR: lambda apic: apic.esr,
    ICR: lambda apic: apic.icr,
    ICR_HIGH: lambda apic: apic.icr_high << 24,
    INITIAL: lambda apic: apic.timer.initial,
    CURRENT: lambda apic: apic.timer.current,
    DIVIDE: lambda apic: apic.timer.divide,
}


def _ignore(_vector: int) -> None:
    pass


def _nothing() -> None:
    pass
