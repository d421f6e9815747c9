"""The machine code of the child, assembled by keystone when first needed.

Three routines share the driver page:

* `start` (64-bit) gives up every page of the child but the driver's own, installs the system-call
  filter and goes to 32-bit code;
* `driver` (32-bit, compatibility mode) waits for a byte on the pipe, then runs the cases one after
  the other: copy the case in, load x87, segments, registers and flags, far-jump to the code under
  test; that code ends with a jump to `save`, which stores the same state and goes on;
* `handler` (64-bit) is the signal handler. Linux's frame holds the exception's vector, error code
  and CR2; it stores them with the registers, restores the x87 state and goes back to the driver.

Nothing may be assumed where the code under test ends: SS:ESP, DS and the flags are its own. `save`
parks EAX and DS in XMM registers, and reads the flat selector through CS. Cases on XMM registers
have a flat GS, and end with `save_vectors`, which stores those through it before.

The trap flag: POPFD arms it, the trap comes after the next instruction. That is MOV SS, whose
shadow puts it off by one more: it arrives at `enter`, with everything loaded. The handler then
starts the code under test by sigreturn, which arms TF for the code's first instruction.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from bt.assembler import open_assembler
from bt.hostcpu import layout as at
from bt.hostcpu.layout import case_offset, result_offset

_REGISTERS = ("eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi")
_SEGMENTS = ("es", "ss", "ds", "fs", "gs")


def _current(field: str) -> int:
    return at.CURRENT + case_offset(field)


def _out(field: str) -> int:
    return at.OUT + result_offset(field)


def _copy_out(address: int, size: int) -> str:
    return f"mov esi, {address}\n mov ecx, {size // 4}\n .byte 0xf3, 0xa5\n"


def _copy_in(address: int, size: int) -> str:
    return f"mov edi, {address}\n mov ecx, {size // 4}\n .byte 0xf3, 0xa5\n"


# Sections of the 32-bit driver, each assembled at the address where the one before it ended, so
# that the addresses the filter and the handler need are known without a linker.


def _wait() -> str:
    return f"""
        mov eax, 3
        xor ebx, ebx
        mov ecx, {at.PIPE_BYTE}
        mov edx, 1
        int 0x80
    """


def _run() -> str:
    """From the byte on the pipe to the first case; end of file ends the process."""
    return f"""
        cmp eax, 1
        je go
        mov eax, 1
        xor ebx, ebx
        int 0x80
    go:
        mov dword ptr [{at.INDEX}], 0
    """


def _next(done: int, serialised: int) -> str:
    """Copy one case in. IRET serialises: the code page was written through another address."""
    return f"""
        mov eax, dword ptr [{at.INDEX}]
        cmp eax, dword ptr [{at.COUNT}]
        jae {done}
        cld
        imul esi, eax, {at.CASE.itemsize}
        add esi, {at.RECORDS}
        {_copy_in(at.CURRENT, at.HEAD_SIZE)}
        {_copy_in(at.CODE_ALIAS + at.CODE_OFFSET, at.SLOT)}
        {_copy_in(at.MAIN_WINDOW, at.MAIN_SIZE)}
        {_copy_in(at.EDGE_WINDOW, at.EDGE_SIZE)}
        pushfd
        push {at.SEL_CODE32}
        push {serialised}
        .byte 0xcf
    """


def _load() -> str:
    registers = "\n".join(
        f"mov {name}, dword ptr [{at.CURRENT + 4 * number}]"
        for number, name in enumerate(_REGISTERS)
        if name != "esp"
    )
    return f"""
        {_vectors("movups xmm{n}, [{at}]", _current("xmm"))}
        ldmxcsr [{_current("mxcsr")}]
        frstor [{_current("fpu")}]
        mov es, word ptr [{_current("es")}]
        mov fs, word ptr [{_current("fs")}]
        mov gs, word ptr [{_current("gs")}]
        {registers}
        mov ds, word ptr [{_current("ds")}]
        mov esp, {_current("eflags")}
        popfd
        mov ss, word ptr cs:[{_current("ss")}]
        mov esp, dword ptr cs:[{at.CURRENT + 16}]
    """


def _enter() -> bytes:
    """JMP m16:32 through CS, EIP and CS of the case."""
    return b"\x2e\xff\x2d" + _current("eip").to_bytes(4, "little")


def _vectors(each: str, first: int) -> str:
    """A line for each XMM register."""
    return "\n".join(each.format(n=n, at=first + 16 * n) for n in range(8))


def _save_vectors() -> str:
    return f"""
        {_vectors("movups gs:[{at}], xmm{n}", _out("xmm"))}
        stmxcsr gs:[{_out("mxcsr")}]
    """


def _save() -> str:
    registers = "\n".join(
        f"mov dword ptr [{at.OUT + 4 * number}], {name}"
        for number, name in enumerate(_REGISTERS)
        if name != "eax"
    )
    segments = "\n".join(
        f"mov eax, {name}\n mov dword ptr [{_out(name)}], eax" for name in _SEGMENTS if name != "ds"
    )
    return f"""
        movd xmm0, eax
        mov eax, ds
        movd xmm1, eax
        mov ds, word ptr cs:[{at.FLAT_SELECTOR}]
        {registers}
        movd dword ptr [{at.OUT}], xmm0
        movd dword ptr [{_out("ds")}], xmm1
        {segments}
        mov ss, word ptr [{at.FLAT_SELECTOR}]
        mov esp, {at.SCRATCH_STACK}
        pushfd
        pop dword ptr [{_out("eflags")}]
        push 2
        popfd
        mov es, word ptr [{at.FLAT_SELECTOR}]
        mov eax, cs
        mov dword ptr [{_out("cs")}], eax
        mov dword ptr [{_out("signal")}], 0
    """


def _tail(next_case: int) -> str:
    return f"""
        fnsave [{_out("fpu")}]
        imul edi, dword ptr [{at.INDEX}], {at.RESULT.itemsize}
        add edi, {at.RESULTS}
        {_copy_out(at.OUT, at.OUT_SIZE)}
        {_copy_out(at.MAIN_WINDOW, at.MAIN_SIZE)}
        {_copy_out(at.EDGE_WINDOW, at.EDGE_SIZE)}
        inc dword ptr [{at.INDEX}]
        jmp {next_case}
    """


def _after_fault(tail: int) -> str:
    return f"""
        mov eax, {at.SEL_FLAT}
        mov ds, eax
        mov es, eax
        mov ss, eax
        mov esp, {at.SCRATCH_STACK}
        push 2
        popfd
        {_vectors("movups [{at}], xmm{n}", _out("xmm"))}
        stmxcsr [{_out("mxcsr")}]
        jmp {tail}
    """


def _done(wait: int) -> str:
    return f"""
        mov eax, 4
        mov ebx, 1
        mov ecx, {at.PIPE_BYTE}
        mov edx, 1
        int 0x80
        jmp {wait}
    """


# struct ucontext and struct sigcontext of x86-64 (arch/x86/include/uapi/asm), offsets from RDX.
_UC = {
    "edi": 104, "esi": 112, "ebp": 120, "ebx": 128, "edx": 136, "eax": 144, "ecx": 152,
    "esp": 160, "eip": 168, "eflags": 176, "cs": 184, "ss": 190, "error": 192, "vector": 200,
    "cr2": 216, "fpstate": 224,
}  # fmt: skip


def _handler(enter: int) -> str:
    registers = "\n".join(
        f"mov eax, dword ptr [rdx + {_UC[name]}]\n mov dword ptr [r9 + {4 * number}], eax"
        for number, name in enumerate(_REGISTERS)
    )
    words = "\n".join(
        f"mov eax, dword ptr [rdx + {_UC[name]}]\nmov dword ptr [r9 + {result_offset(name)}], eax"
        for name in ("eip", "eflags", "error", "vector", "cr2")
    )
    selectors = "\n".join(
        f"mov eax, {name}\n mov dword ptr [r9 + {result_offset(name)}], eax"
        for name in ("es", "ds", "fs", "gs")
    )
    return f"""
        pushfq
        and dword ptr [rsp], 0xfffbffff
        popfq
        mov r8d, {at.CURRENT}
        mov r9d, {at.OUT}
        cmp dword ptr [rdx + {_UC["vector"]}], 1
        jne fault
        cmp dword ptr [rdx + {_UC["eip"]}], {enter}
        jne fault
        mov eax, dword ptr [r8 + {case_offset("eip")}]
        mov qword ptr [rdx + {_UC["eip"]}], rax
        mov eax, dword ptr [r8 + {case_offset("cs")}]
        mov word ptr [rdx + {_UC["cs"]}], ax
        mov rsp, rdx
        mov eax, 15
        syscall
    fault:
        {registers}
        {words}
        {selectors}
        movzx eax, word ptr [rdx + {_UC["cs"]}]
        mov dword ptr [r9 + {result_offset("cs")}], eax
        movzx eax, word ptr [rdx + {_UC["ss"]}]
        mov dword ptr [r9 + {result_offset("ss")}], eax
        mov dword ptr [r9 + {result_offset("signal")}], edi
        mov eax, dword ptr [rsi + 8]
        mov dword ptr [r9 + {result_offset("si_code")}], eax
        mov rax, qword ptr [rdx + {_UC["fpstate"]}]
        fxrstor64 [rax]
    """


def _start() -> str:
    """munmap every gap, PR_SET_NO_NEW_PRIVS, seccomp(SET_MODE_FILTER, SPEC_ALLOW)."""
    return f"""
        mov esp, {at.SCRATCH_STACK}
        mov ebx, {at.UNMAP_LIST}
    again:
        mov rdi, qword ptr [rbx]
        mov rsi, qword ptr [rbx + 8]
        test rsi, rsi
        jz unmapped
        mov eax, 11
        syscall
        add ebx, 16
        jmp again
    unmapped:
        mov eax, 157
        mov edi, 38
        mov esi, 1
        xor edx, edx
        xor r10d, r10d
        xor r8d, r8d
        syscall
        mov eax, 317
        mov edi, 1
        mov esi, 4
        mov edx, {at.FILTER_PROGRAM}
        syscall
        test eax, eax
        jz filtered
        mov eax, 231
        mov edi, 3
        syscall
    filtered:
        mov eax, {at.SEL_FLAT}
        mov ds, eax
        mov es, eax
        mov ss, eax
        mov esp, {at.SCRATCH_STACK}
        mov r9d, {at.OUT}
    """


def _far_jump64(pointer: int) -> bytes:
    """JMP m16:32 at [R9 + displacement]."""
    return b"\x41\xff\xa9" + (pointer - at.OUT).to_bytes(4, "little", signed=True)


@dataclass(frozen=True)
class Driver:
    """The assembled page and the addresses others need."""

    code: bytes
    start: int
    driver: int
    save: int
    save_vectors: int
    after_fault: int
    handler: int
    syscalls32: tuple[int, ...]  # EIP after each INT 80h
    sigreturn: int  # RIP after the handler's SYSCALL
    enter: int


class _Assembler:
    """Appends sections to the page; 32 and 64-bit sections in one image."""

    def __init__(self) -> None:
        self.image = b""
        self._engines = {bits: open_assembler(bits) for bits in (32, 64)}

    @property
    def here(self) -> int:
        return at.DRIVER + len(self.image)

    def add(self, source: str, bits: int = 32) -> int:
        """Assemble a section at the current address; its start."""
        start = self.here
        code, _ = self._engines[bits].asm(source, start, as_bytes=True)
        self.image += code
        return start

    def raw(self, code: bytes) -> int:
        start = self.here
        self.image += code
        return start


def _assemble(old: dict[str, int]) -> tuple[bytes, dict[str, int]]:
    """One pass; `old` holds the labels of the pass before (far guesses in the first)."""
    asm = _Assembler()
    new: dict[str, int] = {}
    new["wait"] = asm.add(_wait())
    new["after read"] = asm.here
    asm.add(_run())
    new["next"] = asm.add(_next(old["done"], old["load"]))
    new["load"] = asm.add(_load())
    new["enter"] = asm.raw(_enter())
    new["save_vectors"] = asm.add(_save_vectors())
    new["save"] = asm.add(_save())
    new["tail"] = asm.add(_tail(old["next"]))
    new["after fault"] = asm.add(_after_fault(old["tail"]))
    new["done"] = asm.add(_done(old["wait"]))
    new["handler"] = asm.add(_handler(old["enter"]), 64)
    asm.raw(_far_jump64(at.AFTER_FAULT_POINTER))
    new["start"] = asm.add(_start(), 64)
    asm.raw(_far_jump64(at.DRIVER_POINTER))
    return asm.image, new


@lru_cache(maxsize=1)
def build() -> Driver:
    """Assemble until no address moves any more."""
    labels = dict.fromkeys(("wait", "next", "load", "enter", "tail", "done"), at.DRIVER + 0x800)
    image = b""
    for _ in range(6):
        again, new = _assemble(labels)
        if again == image:
            break
        image, labels = again, new
    else:
        raise AssertionError("the driver's addresses do not settle")
    if len(image) > at.PAGE:
        raise AssertionError("the driver does not fit its page")
    int80 = [i + 2 for i in range(len(image)) if image[i : i + 2] == b"\xcd\x80"]
    handler = labels["handler"] - at.DRIVER
    sigreturn = image.index(b"\x0f\x05", handler) + 2
    return Driver(
        code=image,
        start=labels["start"],
        driver=labels["wait"],
        save=labels["save"],
        save_vectors=labels["save_vectors"],
        after_fault=labels["after fault"],
        handler=labels["handler"],
        syscalls32=tuple(at.DRIVER + offset for offset in int80),
        sigreturn=at.DRIVER + sigreturn,
        enter=labels["enter"],
    )
