"""State that ring 3 of the engine cannot hold: alignment checks, breakpoints, the virtual IF.

Each program runs bare and under the monitor and must come out the same; where the monitor has a
choice, a check of how it ran says that it took the intended one.
"""

from __future__ import annotations

import pytest
from kernel_lab import STACK3, TSS, Kernel, agree, code16, descriptor, raw

AC, VIF, VIP = 0x40000, 0x80000, 0x100000
VME, PVI, DE = 1, 2, 8

# --- alignment checking --------------------------------------------------------------------------

TOUCH = {
    "load": "mov eax, [DATA + {by}]",
    "store": "mov [DATA + {by}], eax",
    "modify": "add dword ptr [DATA + {by}], 1",
    "push": "lea esp, [esp - 8 + {by}] \n push eax \n pop eax",
    "pop": "pop dword ptr [DATA + {by}]",
    "call": "lea esp, [esp - 8 + {by}] \n call there \n there: pop eax",
    "call indirect": "mov eax, there \n lea esp, [esp - 8 + {by}] \n call eax \n there: pop eax",
    "return": "lea esp, [table + {by} * 3] \n ret \n there: nop",
    "pushfd": "lea esp, [esp - 8 + {by}] \n pushfd \n popfd",
    "push selector": "lea esp, [esp - 8 + {by}] \n push ds \n pop eax",
    "string": "mov esi, DATA + {by} \n mov edi, DATA + 64 \n mov ecx, 4 \n " + raw("f3a5"),
    "x87": "fninit \n fld1 \n fstp qword ptr [DATA + {by} * 2]",
    "x87 environment": "fninit \n fnsave [DATA + {by}] \n frstor [DATA + {by}]",
    "table": "sgdt [DATA + {by}] \n sidt [DATA + 8 + {by}]",
    "selector": "mov es, [zero + {by} / 2] \n str word ptr [DATA + {by} / 2]",
    "read-modify-write of 8": "cmpxchg8b qword ptr [DATA + {by} * 2]",
    "far pointer": "les eax, [zero + {by}]",
}


@pytest.mark.parametrize("paging", [False, True], ids=["flat", "paged"])
@pytest.mark.parametrize("by", [0, 2])
@pytest.mark.parametrize("ring", [0, 3])
@pytest.mark.parametrize("name", TOUCH)
def test_alignment_checks(name: str, ring: int, by: int, paging: bool) -> None:
    """#AC in ring 3, never in ring 0, whatever runs the code."""
    source = f"""
        mov  dword ptr [RESUME], end
        {TOUCH[name].format(by=by)}
    end:
        mov  esp, {STACK3 - 64}
        pushfd
        pop  edx
        int  0x31
        .align 8
    zero: .long 0, 0, 0, 0
    table: .long {{label}} \n .short 0 \n .long {{label}}
    """
    source = source.replace("{label}", "there" if "there:" in source else "0")
    flags = AC | (0x202 if ring == 3 else 0x002)
    done = agree(Kernel(source, ring=ring, flags=flags, paging=paging, am=True))
    assert done.bare.vectors == ([17] if ring == 3 and by else [])
    assert done.bare.registers["edx"] & AC
    if done.bare.log:
        assert done.bare.log[0].error == 0
    if ring == 0:
        assert "#AC" not in done.translate.exits, "the engine does not check for ring 0"


@pytest.mark.parametrize("flags", [0x202, 0x3202, 0x3002])
def test_alignment_checks_come_and_go(flags: int) -> None:
    """POPF sets and clears AC in user code that runs directly, or translated; the kernel keeps it.

    The emulated instruction in between is there to see what the engine did to AC.
    """
    source = f"""
        mov  dword ptr [RESUME], one
        pushfd
        or   dword ptr [esp], {AC}
        popfd
        mov  eax, [DATA + 1]
    one:
        mov  dword ptr [RESUME], two
        str  word ptr [DATA + 1]
    two:
        pushfd
        and  dword ptr [esp], ~{AC}
        popfd
        mov  ebx, [DATA + 1]
        str  word ptr [DATA + 1]
        mov  ecx, [DATA + 1]
        int  0x31
    """
    done = agree(Kernel(source, ring=3, flags=flags, am=True))
    assert done.bare.vectors == [17, 17]


# --- debug exceptions ----------------------------------------------------------------------------

ARM = """
    mov  eax, {address}
    mov  dr0, eax
    mov  eax, {control}
    mov  dr7, eax
"""


def armed(address: str, kind: int, length: int) -> str:
    return ARM.format(address=address, control=2 | (kind | length << 2) << 16)


@pytest.mark.parametrize(
    ("name", "source", "vectors"),
    [
        ("code", armed("point", 0, 0) + "mov ax, 0x10 \n mov ss, ax \n point: nop \n nop", []),
        ("data", armed("place", 3, 1) + "mov ss, [place] \n mov ebx, esp \n inc ecx", [1]),
        ("INT n", armed("place", 3, 1) + "mov ss, [place] \n int 0x30 \n inc ecx", [1, 0x30]),
        ("port", armed("0x61", 2, 0) + "in al, 0x61 \n in al, 0x62 \n inc ecx", [1]),
        ("no DE", "mov eax, 0 \n mov cr4, eax" + armed("0x61", 2, 0) + "in al, 0x61 \n nop", []),
        ("GD", "mov eax, 0x2000 \n mov dr7, eax \n mov ebx, dr6 \n nop", [1]),
    ],
)
def test_breakpoints(name: str, source: str, vectors: list[int]) -> None:
    done = agree(
        f"{source} \n xor eax, eax \n mov dr7, eax \n mov ebp, dr6 \n int 0x31 \n"
        " .align 4 \n place: .long 0x10",
        cr4=DE,
    )
    assert done.bare.vectors == vectors


@pytest.mark.parametrize("flags", [0x002, 0x202])
def test_repeated_output_under_an_io_breakpoint(flags: int) -> None:
    source = (
        armed("0xe9", 2, 0)
        + f"""
        mov  esi, text
        mov  edx, 0xe9
        mov  ecx, 4
        {raw("f36e")}
        xor  eax, eax
        mov  dr7, eax
        {raw("f36e")}
        int  0x31
    text: .ascii "port"
    """
    )
    done = agree(source, cr4=DE, flags=flags)
    assert [line.eflags >> 16 & 1 for line in done.bare.log] == [1, 1, 1, 0]


# --- the virtual interrupt flag ------------------------------------------------------------------


@pytest.mark.parametrize("paging", [False, True], ids=["flat", "paged"])
@pytest.mark.parametrize("flags", [0x202, 0x1202, 0x2202, 0x002, 0x3202, 0x202 | VIP, 0x202 | VIF])
@pytest.mark.parametrize("cr4", [0, PVI, VME])
def test_pvi(cr4: int, flags: int, paging: bool) -> None:
    """CLI, STI and every look at EFLAGS in ring 3; the kernel's own look in between."""
    source = """
        mov  dword ptr [RESUME], one
        sti
    one:
        pushfd
        pop  ebx
        int  0x30
        mov  dword ptr [RESUME], two
        cli
    two:
        pushfd
        pop  ecx
        push 0x202
        popfd
        pushfd
        pop  esi
        mov  dword ptr [RESUME], three
        sti
    three:
        int  0x31
    """
    done = agree(Kernel(source, ring=3, flags=flags, cr4=cr4, paging=paging))
    registers = done.bare.registers
    if cr4 == PVI and flags & 0x3000 != 0x3000:
        assert registers["ebx"] & VIF == (0 if flags & VIP else VIF) | flags & VIF
        assert registers["ecx"] & VIF == 0
        assert done.bare.vectors.count(13) == (2 if flags & VIP else 0)
    else:
        assert registers["ebx"] & (VIF | VIP) == flags & (VIF | VIP)


@pytest.mark.parametrize("flags", [0, VIF, VIP, VIF | VIP])
def test_the_kernel_sees_vif_and_vip(flags: int) -> None:
    """They are in its own EFLAGS after an interrupt; PUSHF shows them, POPF leaves them."""
    source = f"""
        push {flags | 2}
        push 8
        push there
        iretd
    there:
        pushfd
        pop  ebx
        cli
        pushfd
        pop  ecx
        push {flags | 2}
        popfd
        pushfd
        pop  esi
        int  0x31
    """
    done = agree(source)
    assert done.bare.registers["ebx"] & (VIF | VIP) == flags
    assert done.bare.registers["esi"] & (VIF | VIP) == flags


# A virtual-8086 monitor: ring 0 code that enters an 8086 program, and an 8086 handler for INT 21h.
V86_CODE, V86_STACK, V86_HANDLER = 0x6000, 0x7000, 0x6800
ENTER = f"""
    xor  eax, eax
    push eax
    push eax
    push eax
    push eax
    push {V86_STACK >> 4}
    push 0x800
    push {{flags}}
    push {V86_CODE >> 4}
    push 0
    iretd
"""
PROGRAM = {
    "flags": "sti; pushf; pop ax; cli; pushf; pop bx; push ax; popf; pushf; pop cx; int 0x31",
    "interrupt": "sti; int 0x21; mov bx, ax; cli; int 0x21; mov cx, ax; int 0x31",
    "popf": "push 0x202; popf; pushf; pop dx; push 0x302; popf; int 0x31",
    "wide": "pushfd; int 0x31",
    "int3": "mov ax, 7; int3; int 0x31",
    "iret": "push 0x202; push 0x600; push 0x40; iret",
}


@pytest.mark.parametrize("cr4", [0, VME])
@pytest.mark.parametrize("iopl", [0, 3])
@pytest.mark.parametrize("pending", [0, VIP])
@pytest.mark.parametrize("name", PROGRAM)
def test_vme(name: str, pending: int, iopl: int, cr4: int) -> None:
    """8086 programs, under a monitor that ends them at their first #GP or INT 31h."""
    program = bytes.fromhex(code_hex(PROGRAM[name]))
    handler = bytes.fromhex(code_hex("pushf; pop ax; iret"))
    end = bytes.fromhex(code_hex("pushf; pop ax; int 0x31"))
    source = ENTER.format(flags=0x20202 | iopl << 12 | pending)
    kernel = Kernel(source, cr4=cr4)
    bitmap = bytearray(0x20)
    bitmap[0x31 // 8] |= 1 << 0x31 % 8  # INT 31h is the monitor's
    kernel.gdt[0x28] = descriptor(TSS, 0xA8, 0x0089)
    kernel.memory |= {
        TSS + 0x66: b"\x88\x00" + bitmap + b"\xff" * 0x21,  # the I/O bitmap behind it
        V86_CODE: program + bytes(0x40 - len(program)) + end,
        V86_HANDLER: handler,
        0x21 * 4: (V86_HANDLER >> 4 << 16).to_bytes(4, "little"),
    }
    done = agree(kernel, ends=None)
    assert done.bare.outcome.kind == "exit"


def code_hex(source: str) -> str:
    """16-bit code as hex digits."""
    return "".join(f"{int(byte, 16):02x}" for byte in code16(source)[6:].split(", "))


@pytest.mark.parametrize("level", [2, 9, 31])
@pytest.mark.parametrize("ring", [0, 3])
def test_a_frame_whose_display_lies_in_it_is_built_once(ring: int, level: int) -> None:
    """ENTER's last page is not in the shadow yet: the guest sees no second attempt."""
    source = f"lea ebp, [esp - 2] \n enter 0x1800, {level} \n int 0x31"
    agree(source, ring=ring, flags=0x202 if ring else 2, paging=True)
