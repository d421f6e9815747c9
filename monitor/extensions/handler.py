"""The extension point of trap mode: who emulates what raised #GP (SDM vol. 3, section 5.9).

The guest runs deprivileged, its kernel too, so an instruction that only ring 0 may execute raises
#GP in the engine. The handler is called with the virtual CPU, its EIP at that instruction:

    def handle(cpu: VirtualCpu) -> bool:
        if cpu.cpl == 0 and cpu.code()[:1] == b"\\xfa":     # CLI
            cpu.interrupt_flag = False
            cpu.eip += 1
            return True                                     # emulated
        return False                                        # none of mine

True: the handler has done all that the instruction does, EIP included; it counts as completed.
False: the monitor takes care. It executes the instruction as the virtual CPU would, at the guest's
privilege, so that a fault that is the guest's own is raised in the guest.
"""

from __future__ import annotations

from collections.abc import Callable

from bt.engine import Ram
from bt.interp.state import CS, EXIT_HALT, EXIT_NONE, IF, IOPL, VEC_GP
from monitor.vmm.board import Board
from monitor.vmm.calling import ExtensionFailed, nonsense
from monitor.vmm.memory import PAGE, GuestMemory
from monitor.vmm.trapping import TrappingProcessor

M32 = 0xFFFFFFFF
LONGEST = 15  # bytes of an instruction
GENERAL = ("eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi")
CONTROL = ("cr0", "", "cr2", "cr3", "cr4")
SIZES = (1, 2, 4)
OVERRIDES = {0x26: 0, 0x2E: 1, 0x36: 2, 0x3E: 3, 0x64: 4, 0x65: 5}


class VirtualCpu:
    """The virtual CPU as a handler sees it. Segment registers are numbered as in ModRM."""

    def __init__(self, processor: HandledProcessor, error_code: int) -> None:
        self._processor = processor
        self._ideal = processor.ideal
        #: That of the #GP.
        self.error_code = error_code
        #: halt() was called.
        self.halted = False
        #: hold_interrupts() was called.
        self.shadow = False

    @property
    def cpl(self) -> int:
        """The privilege level that the guest believes to have."""
        return int(self._ideal.cpl)

    @property
    def iopl(self) -> int:
        """The I/O privilege level in EFLAGS."""
        return int(self._ideal.flags() & IOPL) >> 12

    @property
    def eip(self) -> int:
        """Where the guest is; a handler leaves it behind the instruction."""
        return int(self._ideal.eip)

    @eip.setter
    def eip(self, value: int) -> None:
        self._ideal.eip = value & M32

    def reg(self, number: int) -> int:
        """General register: 0 EAX, 1 ECX, 2 EDX, 3 EBX, 4 ESP, 5 EBP, 6 ESI, 7 EDI."""
        _check(0 <= number < len(GENERAL), f"reg({number}): general registers are 0 to 7")
        return int(self._ideal.reg(number))

    def set_reg(self, number: int, value: int) -> None:
        """Set a general register."""
        _check(0 <= number < len(GENERAL), f"set_reg({number}): general registers are 0 to 7")
        self._ideal.set_reg(number, value & M32)

    def segment_base(self, number: int) -> int:
        """Base of a segment register: 0 ES, 1 CS, 2 SS, 3 DS, 4 FS, 5 GS."""
        _check(0 <= number < 6, f"segment_base({number}): segment registers are 0 to 5")
        return int(self._ideal.segment(number)[1])

    # --- EFLAGS.IF, and HLT -------------------------------------------------------------

    @property
    def interrupt_flag(self) -> bool:
        """EFLAGS.IF as the guest has set it; the real one is always set."""
        return bool(self._ideal.eflags & IF)

    @interrupt_flag.setter
    def interrupt_flag(self, on: bool) -> None:
        flags = int(self._ideal.flags())
        self._ideal.set_flags(flags | IF if on else flags & ~IF)

    def hold_interrupts(self) -> None:
        """Let no interrupt in before the *next* instruction has completed."""
        self.shadow = True

    def halt(self) -> None:
        """Stop behind this instruction until an interrupt comes."""
        self.halted = True

    # --- memory -------------------------------------------------------------------------

    def code(self, size: int = LONGEST) -> bytes:
        """Bytes from CS:EIP on; fewer than asked for where nothing more is mapped."""
        linear = self.segment_base(CS) + self.eip & M32
        return self._read(linear, size)

    def read(self, linear: int, size: int) -> bytes:
        """Bytes at a linear address, through the guest's page tables."""
        data = self._read(linear & M32, size)
        _check(len(data) == size, f"read({linear:#x}, {size}): the guest has nothing mapped there")
        return data

    def _read(self, linear: int, size: int) -> bytes:
        out = bytearray()
        while len(out) < size:
            at = linear + len(out) & M32
            physical = self._ideal.peek_translation(at)
            if physical < 0 or not self._processor.ram.is_ram(physical):
                break
            part = min(size - len(out), PAGE - (at & PAGE - 1))
            out += self._processor.memory.bytes_at(physical, part)
        return bytes(out)

    def operand(self, at: int) -> tuple[int, int]:
        """The memory operand whose ModRM is byte `at` of code(): linear address, and how many bytes
        ModRM, SIB and displacement take.

        With 32-bit addresses. A segment override among the prefixes counts.
        """
        code = self.code()
        modrm = code[at]
        mode, rm, end = modrm >> 6, modrm & 7, at + 1
        _check(mode != 3, f"operand({at}): ModRM {modrm:#04x} names a register, not memory")
        segment, address = 3, 0
        if rm == 4:
            sib, end = code[end], end + 1
            rm, index = sib & 7, sib >> 3 & 7
            address += 0 if index == 4 else self.reg(index) << (sib >> 6)
        wide = mode == 2 or (mode == 0 and rm == 5)
        if not (mode == 0 and rm == 5):
            address += self.reg(rm)
            segment = 2 if rm in (4, 5) else 3
        size = 4 if wide else mode
        address += int.from_bytes(code[end : end + size], "little", signed=True)
        for prefix in code[:at]:
            segment = OVERRIDES.get(prefix, segment)
        return self.segment_base(segment) + address & M32, end + size - at

    # --- privileged registers -----------------------------------------------------------

    def load_gdt(self, base: int, limit: int) -> None:
        """Set GDTR."""
        self._ideal.gdtr_base, self._ideal.gdtr_limit = base & M32, limit & 0xFFFF

    def load_idt(self, base: int, limit: int) -> None:
        """Set IDTR."""
        self._ideal.idtr_base, self._ideal.idtr_limit = base & M32, limit & 0xFFFF

    def control(self, number: int) -> int:
        """CR0, CR2, CR3 or CR4."""
        _check(number in (0, 2, 3, 4), f"control({number}): there are CR0, CR2, CR3 and CR4")
        return int(getattr(self._ideal, CONTROL[number]))

    def set_control(self, number: int, value: int) -> None:
        """Set one, with what follows from it: the TLB is flushed, the shadow with it."""
        _check(number in (0, 2, 3, 4), f"set_control({number}): there are CR0, CR2, CR3 and CR4")
        setattr(self._ideal, CONTROL[number], value & M32)
        if number != 2:
            self._ideal.reload_pointers()
            self._processor.control_changed()

    # --- ports --------------------------------------------------------------------------

    def port_in(self, port: int, size: int) -> int:
        """What a device answers; `size` in bytes."""
        _check(size in SIZES, f"port_in(..., {size}): a port access has 1, 2 or 4 bytes")
        return int(self._processor.board.read_port(port & 0xFFFF, size))

    def port_out(self, port: int, size: int, value: int) -> None:
        """Let a device have a value; `size` in bytes."""
        _check(size in SIZES, f"port_out(..., {size}): a port access has 1, 2 or 4 bytes")
        value &= (1 << 8 * size) - 1
        self._processor.board.write_port(port & 0xFFFF, size, value)


def _check(right: bool, why: str) -> None:
    if not right:
        raise ExtensionFailed(why)


class HandledProcessor(TrappingProcessor):
    """A trapping processor whose #GP goes to a handler first."""

    def __init__(
        self,
        ram: Ram,
        memory: GuestMemory,
        board: Board,
        engine: str,
        handler: Callable[[VirtualCpu], bool],
    ) -> None:
        super().__init__(ram, memory, board, engine)
        self._handler = handler
        self._handling = False

    def io_count(self) -> int:
        """A handler accesses ports before its instruction is counted."""
        return self.total if self._handling else super().io_count()

    def engine_fault(self, user: bool) -> int:
        if self.engine.fault_vector != VEC_GP or self.total >= self._end:
            return super().engine_fault(user)
        cpu = VirtualCpu(self, int(self.engine.fault_error))
        enabled = cpu.interrupt_flag
        self._handling = True
        try:
            emulated = self.ask(self._handler, cpu)
        finally:
            self._handling = False
        if emulated is True:
            return self._completed(cpu, enabled)
        if emulated is not False:
            nonsense(self._handler, f"returned {emulated!r}: True (emulated) or False (not mine)")
        return self.emulate("#GP declined")

    def _completed(self, cpu: VirtualCpu, enabled: bool) -> int:
        self.note("#GP handled", self.ideal.eip)
        self.account("emulated", self.total + 1)
        if cpu.shadow and not enabled:
            self.ideal.set_icount(self.total)
            self.ideal.shadow_at = self.total
        self._follow_ideal()
        return EXIT_HALT if cpu.halted else EXIT_NONE

    def control_changed(self) -> None:
        self.ideal.flush()
        self.ideal.set_privilege(self.ideal.cpl)  # CR0.AM may have changed
