"""The guest's registers and memory as packets have them: bytes, lowest first.

Memory is linear, through the guest's page tables as they are now, or physical while `physical` is
set. Nothing of the monitor's can be reached: guest RAM ends before it begins.
"""

from __future__ import annotations

from collections.abc import Callable

from monitor.gdb.layout import CORE, GENERAL, REGISTERS, STACK, X87_CONTROL, Register
from monitor.machine import Machine
from monitor.vmm.errors import UserError
from monitor.vmm.memory import by_page
from monitor.vmm.registers import VECTORS, read_vector
from monitor.vmm.x87_image import HEADER, REGISTER

SETTABLE_SYSTEM = ("cr0", "cr2", "cr3", "cr4", "gdtr_base", "gdtr_limit", "idtr_base", "idtr_limit")

# Where an FNSAVE image has what gdb calls fctrl and so on: (offset, bytes); SDM vol. 1, figure 8-9
X87_PLACES = {"fctrl": (0, 2), "fstat": (4, 2), "ftag": (8, 2), "fioff": (12, 4), "fiseg": (16, 2),
              "fop": (18, 2), "fooff": (20, 4), "foseg": (24, 2)}  # fmt: skip
OPCODE_MASK = 0x7FF


class Target:
    """A stopped machine, as gdb asks about it."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self.physical = False

    # --- registers ----------------------------------------------------------------------

    def read_core(self) -> bytes:
        """What `g` answers: all registers of the core feature."""
        general, image = self._machine.registers, self._machine.x87
        values = [general[register.name].to_bytes(4, "little") for register in GENERAL]
        values += [_x87_value(image, register) for register in (*STACK, *X87_CONTROL)]
        return b"".join(values)

    def write_core(self, data: bytes) -> None:
        """What `G` brings. Only what differs is written: a selector loads a descriptor."""
        at = 0
        for number, register in enumerate(CORE):
            value = data[at : at + register.size]
            at += register.size
            if len(value) == register.size and value != self.read_register(number):
                self.write_register(number, value)

    def read_register(self, number: int) -> bytes:
        """One register; UserError if there is none of this number."""
        register = _register(number)
        if register in STACK or register in X87_CONTROL:
            return _x87_value(self._machine.x87, register)
        values = self._machine.registers | self._machine.system_registers
        if register.name in VECTORS:
            return read_vector(values, register.name).to_bytes(register.size, "little")
        return values[register.name].to_bytes(register.size, "little")

    def write_register(self, number: int, data: bytes) -> None:
        """Set one register; UserError if it cannot be set, or not to this."""
        register = _register(number)
        if len(data) != register.size:
            raise UserError(f"{register.name} has {register.size} bytes, not {len(data)}")
        if register in STACK or register in X87_CONTROL:
            self._machine.x87 = _with_x87_value(self._machine.x87, register, data)
        elif register in GENERAL or register.name in (*SETTABLE_SYSTEM, *VECTORS, "mxcsr"):
            self._machine.set_register(register.name, int.from_bytes(data, "little"))
        else:
            raise UserError(f"{register.name} cannot be set")

    # --- memory -------------------------------------------------------------------------

    def read_memory(self, address: int, size: int) -> bytes:
        """As many of the bytes as there are from `address` on; UserError if there is none."""
        read = self._machine.read_physical if self.physical else self._read_linear
        out = bytearray()
        for at, n in by_page(address, size):
            try:
                out += read(at, n)
            except UserError:
                if out:
                    break
                raise
        return bytes(out)

    def _read_linear(self, address: int, size: int) -> bytes:
        return self._machine.read_physical(self._machine.translate(address), size)

    def write_memory(self, address: int, data: bytes) -> None:
        """All of the bytes, or, with UserError, none."""
        place: Callable[[int], int] = (
            (lambda at: at) if self.physical else self._machine.translate
        )
        pieces = []
        done = 0
        for at, n in by_page(address, len(data)):
            where = place(at)
            self._machine.read_physical(where, n)  # is there RAM?
            pieces.append((where, data[done : done + n]))
            done += n
        for where, piece in pieces:
            self._machine.write_physical(where, piece)


def _register(number: int) -> Register:
    if not 0 <= number < len(REGISTERS):
        raise UserError(f"there is no register {number}")
    return REGISTERS[number]


def _place(register: Register) -> tuple[int, int]:
    if register in STACK:
        return HEADER + REGISTER * STACK.index(register), REGISTER
    return X87_PLACES[register.name]


def _x87_value(image: bytes, register: Register) -> bytes:
    at, size = _place(register)
    value = int.from_bytes(image[at : at + size], "little")
    if register.name == "fop":
        value &= OPCODE_MASK
    return value.to_bytes(register.size, "little")


def _with_x87_value(image: bytes, register: Register, data: bytes) -> bytes:
    at, size = _place(register)
    return image[:at] + data[:size] + image[at + size :]
