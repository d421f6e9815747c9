"""The monitor's region at the top of the linear address space: a guest must not notice it.

A guest that reads, writes or jumps there, through whatever segment, sees what a machine without a
monitor shows: open bus, its own pages, or its own faults. And a guest may live there.
"""

from __future__ import annotations

import pytest
from kernel_lab import (
    CODE,
    DATA,
    FREE,
    GDT,
    HIGH,
    IDT,
    PRESENT,
    USER,
    WRITE,
    Kernel,
    Run,
    agree,
    agree_all_along,
    code16,
    descriptor,
    make,
    raw,
)
from test_interrupts import STUBS, TIMER, X87

# {m} is the operand; EBX, ESI and EDI hold its offset, or ESP does
ACCESSES = {
    "read": "mov ecx, dword ptr {m}",
    "read byte": "mov cl, byte ptr {m}",
    "write": "mov dword ptr {m}, ecx",
    "write word": "mov word ptr {m}, cx",
    "modify": "add dword ptr {m}, ecx",
    "exchange": "xchg dword ptr {m}, ecx",
    "compare": "cmpxchg8b qword ptr {m}",
    "push": "push dword ptr {m}",
    "pop": "push ecx \n pop dword ptr {m}",
    "call": "call dword ptr {m}",
    "jmp": "jmp dword ptr {m}",
    "fld": "fld tbyte ptr {m}",
    "fstp": "fninit \n fld1 \n fstp tbyte ptr {m}",
    "bts": "mov ecx, 0x1000 \n bts dword ptr {m}, ecx",
    "from seg": "mov word ptr {m}, ds",
    "smsw": "smsw word ptr {m}",
}
ADDRESSES = (
    *(0xFF7FFFFC, 0xFF7FFFFE, 0xFF800000, 0xFF800FFE, 0xFF801234, 0xFFDFFFFF, 0xFFE00000),
    *(0xFFE01000, 0xFFE02000, 0xFFFFFFFC, 0xFFFFFFFE),
)

# name: prefix of the operand, base, limit, rights; None: the segments as they are
SEGMENTS = {
    "ds": ("", None),
    "cs": ("cs:", None),
    "ss": ("ss:", None),
    "es": ("es:", None),
    "gs": ("gs:", None),
    "fs": ("fs:", None),
    "based": ("es:", (0x1000, 0xFFFFF, 0xC0F3)),
    "wraps": ("gs:", (0xFFFFF000, 0xFFFFF, 0xC0F3)),
    "base in the region": ("fs:", (0xFF800000, 0xFFFFF, 0xC0F3)),
    "ends in the region": ("es:", (0, 0xFF900, 0xC0F3)),
    "expand-down": ("ds:", (0, 0x7FFF, 0x40F7)),
    "expand-down, based": ("es:", (0x80000000, 0x1, 0xC0F7)),
    "expand-down, 16-bit": ("es:", (0xFF7F8000, 0xFFF, 0x00F7)),
    "16-bit": ("es:", (0xFF7F8000, 0xFFFF, 0x00F3)),
    "read-only": ("es:", (0, 0xFFFFF, 0xC0F1)),
    "code": ("gs:", (0, 0xFFFFF, 0xC0FA)),
    "execute-only": ("gs:", (0, 0xFFFFF, 0xC0F8)),
}


def alias_pages() -> dict[int, int]:
    """The top 8 MiB and the page below, mapped to RAM of the guest's; every fifth page is not."""
    pages = {}
    for index in range(-1, 2048):
        frame = 0x100000 + ((index & 0xFF) << 12)
        rights = 0 if index % 5 == 4 else PRESENT | WRITE | USER
        pages[HIGH + (index << 12)] = frame | rights if rights else 0
    return pages


ALIASES = alias_pages()


def accesses(access: str) -> Kernel:
    """One access after another, each of which may fault."""
    lines = ["fninit"]
    gdt = {}
    for index, (prefix, shape) in enumerate(SEGMENTS.values()):
        base = 0
        if shape is not None:
            base = shape[0]
            selector = FREE + 8 * index
            gdt[selector] = descriptor(*shape)
            lines += [f"mov ax, {selector | 3}", f"mov {prefix[:2]}, ax"]
        for address in ADDRESSES:
            label = f"next{index}_{address:x}"
            lines += [
                f"mov dword ptr ss:[RESUME], {label}",
                f"mov ebx, {address - base & 0xFFFFFFFF:#x}",
                "mov ecx, 0xc3c3c3c3",
                ACCESSES[access].replace("{m}", prefix + "[ebx]"),
                f"{label}:",
                f"mov ss:[DATA + {4 * len(lines)}], ecx",
            ]
    return Kernel("\n".join([*lines, "int 0x31"]), gdt=gdt)


@pytest.mark.slow
@pytest.mark.parametrize("paging", [False, True], ids=["flat", "paged"])
@pytest.mark.parametrize(("ring", "flags"), [(0, 2), (3, 0x202), (3, 0x3202)])
@pytest.mark.parametrize("access", ACCESSES)
def test_access(access: str, ring: int, flags: int, paging: bool) -> None:
    kernel = accesses(access)
    kernel.ring, kernel.flags, kernel.paging = ring, flags, paging
    if paging:
        kernel.pages = ALIASES
        kernel.memory = {0x100000: bytes(range(256)) * 4096}
    agree(kernel, ends=None, most=20_000)


STRINGS = {
    "stos": "mov edi, {at} \n mov ecx, {n} \n rep stosb",
    "movs up": "mov esi, DATA \n mov edi, {at} \n mov ecx, {n} \n rep movsb",
    "movs down": "std \n mov esi, DATA + 64 \n mov edi, {above} \n mov ecx, {n} \n rep movsb",
    "movs from": "mov esi, {at} \n mov edi, DATA \n mov ecx, {n} \n rep movsb",
    "cs movs": "mov esi, {at} \n mov edi, DATA \n mov ecx, {n} \n .byte 0x2e, 0xf3, 0xa4",
    "lods": "mov esi, {at} \n lodsd \n lodsd",
    "scas": "mov edi, {at} \n mov ecx, {n} \n mov al, 0xee \n repne scasb",
    "cmps": "mov esi, {at} \n mov edi, {at} \n mov ecx, {n} \n repe cmpsb",
    "xlat": "mov ebx, {at} \n mov eax, 40 \n xlatb",
    "cs xlat": "mov ebx, {at} \n mov eax, 40 \n .byte 0x2e, 0xd7",
    "cs moffs": ".byte 0x2e, 0xa1 \n .long {at}",
    "many prefixes": ".byte 0x3e, 0x3e, 0x3e, 0x3e, 0x3e, 0x2e, 0xa1 \n .long {at}",
    "many prefixes, gs": ".byte 0x3e, 0x3e, 0x3e, 0x3e, 0x3e, 0x65, 0xa1 \n .long 0",
    "many prefixes, fs": ".byte 0x3e, 0x3e, 0x3e, 0x3e, 0x3e, 0x64, 0xa1 \n .long 0",
    "push there": "mov edx, esp \n mov esp, {at} \n push esp \n push esp \n mov esp, edx",
    "fnsave": "mov ebx, {at} \n fnsave [ebx]",
    "sgdt": ".byte 0x0f, 0x01, 0x05 \n .long {at}",
    "invlpg": "mov ebx, {at} \n invlpg [ebx]",
    "jump": "mov eax, {at} \n jmp eax",
    "near jump": "jmp {at}",
    "call": "call {at}",
    "return": "push {at} \n ret",
    "far jump": "jmp far 0x1b:{at}",
}


@pytest.mark.slow
@pytest.mark.parametrize("paging", [False, True], ids=["flat", "paged"])
@pytest.mark.parametrize(("ring", "flags"), [(0, 2), (3, 0x202), (3, 0x3202)])
@pytest.mark.parametrize("name", STRINGS)
def test_strings_and_others(name: str, ring: int, flags: int, paging: bool) -> None:
    code = b"\x40\x9c\x5a\xcd\x31"  # inc eax; pushfd; pop edx; int 0x31
    memory = {0x100000 + 512 * i: code for i in range(2048)} if paging else {}
    memory[DATA] = bytes(range(128))
    for at in (0xFF7FFFF0, 0xFF7FFFFE, HIGH, HIGH + 0x200, 0xFFE00000, 0xFFFFFFF0, 0xFFFFFFFE):
        text = STRINGS[name].format(at=hex(at), above=hex(at + 16 & 0xFFFFFFFF), n=40)
        text = text.replace("0x1b:", "0x08:") if ring == 0 else text
        source = f"mov dword ptr [RESUME], end \n fninit \n cld \n {text} \n end: int 0x31"
        pages = ALIASES if paging else {}
        kernel = Kernel(source, ring=ring, flags=flags, paging=paging, pages=pages, memory=memory)
        agree(kernel, ends=None, most=20_000)


# --- guests that live there ---------------------------------------------------------------------

LOW_ALIASES = {HIGH + (n << 12): n << 12 | PRESENT | WRITE | USER for n in range(0xA0)}
LIVES = f"""
    lgdt [high_gdt]
    lidt [high_idt]
    mov  esp, STACK0 + HIGH
    jmp  start
    .align 8
high_gdt:
    .short 0x1ff
    .long GDT + HIGH
    .align 8
high_idt:
    .short 0x7ff
    .long IDT + HIGH
start:
    mov  dword ptr [RESUME], undefined
    {raw("0f0b")}
undefined:
    sgdt [DATA + 0x240]
    sidt [DATA + 0x248]
"""


@pytest.mark.parametrize("what", [STUBS.replace("ROUNDS", "4"), X87], ids=["stubs", "x87"])
def test_a_kernel_that_lives_there(what: str) -> None:
    """Code, stack, GDT and IDT at HIGH: where Debian's kernel keeps its fixed mappings."""
    kernel = Kernel(LIVES + what, paging=True, pages=LOW_ALIASES, origin=HIGH + CODE)
    done = agree(kernel)
    assert done.bare.dword(DATA + 0x242) == GDT + HIGH
    assert done.bare.dword(DATA + 0x24A) == IDT + HIGH
    assert done.translate.exits["#SS"] > 10, "the stack lies there"


@pytest.mark.slow
def test_a_kernel_that_lives_there_step_by_step() -> None:
    source = LIVES + STUBS.replace("ROUNDS", "2")
    kernel = Kernel(source, paging=True, pages=LOW_ALIASES, origin=HIGH + CODE)
    agree_all_along(kernel, chunks=(1, 7))


@pytest.mark.slow
def test_interrupts_of_a_kernel_that_lives_there() -> None:
    source = LIVES + TIMER.replace("PERIOD", "3") + STUBS.replace("ROUNDS", "200")
    done = agree(Kernel(source, paging=True, pages=LOW_ALIASES, origin=HIGH + CODE))
    assert 0x20 in done.bare.vectors


@pytest.mark.parametrize("flags", [0x202, 0x3202, 0x002])
def test_user_code_that_lives_there(flags: int) -> None:
    source = """
        mov  ecx, 30
        mov  esp, STACK3 + HIGH
    again:
        call sub
        mov  ebx, sub
        call ebx
        inc  dword ptr [DATA + HIGH]
        push cs
        pop  eax
        loop again
        fninit
        fld1
        fnstenv [DATA + 0x40]
        int  0x31
    sub:
        pushfd
        pop  edx
        ret
    """
    agree(Kernel(source, ring=3, flags=flags, paging=True, pages=LOW_ALIASES, origin=HIGH + CODE))


def test_x87_code_above_the_cache() -> None:
    """FIP of code at 0xFFFxxxxx lies beyond the translation cache itself."""
    for top in (0xFFE00000, 0xFFF00000):
        pages = {top + (n << 12): n << 12 | PRESENT | WRITE | USER for n in range(0xA0)}
        agree(Kernel(X87, paging=True, pages=pages, origin=top + CODE))


def test_code_that_runs_into_the_region_from_below() -> None:
    """No branch: EIP just walks over the border."""
    pages = {HIGH - 0x1000: 0x100000 | PRESENT | WRITE, HIGH: 0x101000 | PRESENT | WRITE}
    for back in (0, 1, 2, 3, 5):
        code = b"\x40" * (64 - back) + b"\xb8\x78\x56\x34\x12" + b"\x9c\x5a\xcd\x31"
        memory = {0x101000 - 64: code}
        source = f"mov ebx, {HIGH - 64:#x} \n jmp ebx"
        agree(Kernel(source, paging=True, pages=pages, memory=memory))


def test_page_tables_seen_through_the_region() -> None:
    """A page directory that maps itself at its last entry (0xFFC00000), as many kernels do."""
    source = """
        mov  dword ptr [DIRECTORY + 0xFFC], DIRECTORY + 3
        mov  eax, cr3
        mov  cr3, eax
        mov  ebx, [0xFFFFF000]
        mov  ecx, [0xFFC00000 + DATA / 1024]
        mov  dword ptr [0xFFC00000 + 0x800], 0x30003
        invlpg [0x200000]
        mov  dword ptr [0x200000], 0x12345678
        mov  edx, [DATA]
        int  0x31
    """.replace("DATA / 1024", hex(DATA >> 10))
    done = agree(Kernel(source, paging=True))
    assert done.bare.registers["edx"] == 0x12345678


def test_sixteen_bit_code_reaches_for_the_region() -> None:
    body = "; ".join(
        [
            "mov ebx, 0xff800000",
            "mov eax, dword ptr [ebx]",
            "mov dword ptr [ebx + 4], eax",
            "mov edx, dword ptr [ebx + 0x600000]",
        ]
    )
    source = f"""
        jmp  far {FREE}:small - CODE
    small:
        {code16(body)}
        {raw("66ea")}
        .long back
        .short 8
    back:
        int  0x31
    """
    gdt = {FREE: descriptor(CODE, 0xFFFF, 0x009B)}
    agree(Kernel(source, gdt=gdt))
    memory = {0x100000: b"\x5a" * 0x1000}
    agree(Kernel(source, gdt=gdt, paging=True, pages=ALIASES, memory=memory))


def test_big_real_mode() -> None:
    """Real mode with a 4 GiB data segment: emulated, and the region is open bus there too."""
    enter = f"""
        cli
        mov  dword ptr [RESUME], 0
        jmp  far {FREE}:small - CODE
    small:
        {code16("mov eax, cr0; and al, 0xfe; mov cr0, eax")}
        .byte 0xea
        .short real, 0x1000
    """
    body = "; ".join(
        [
            "mov ebx, 0xff800000",
            "mov eax, dword ptr [ebx]",
            "mov dword ptr [ebx], ecx",
            "mov edx, dword ptr [ebx + 0x600000]",
            "mov ebx, 0x30000",
            "mov esi, dword ptr [ebx]",
            "mov al, 1",
            "out 0xf4, al",
        ]
    )
    source = enter + f" real: {code16(body)}"
    source = source.replace("real, 0x1000", "real - 0x10000, 0x1000")
    gdt = {FREE: descriptor(CODE, 0xFFFF, 0x009B)}
    done = agree(source, gdt=gdt, memory={DATA: b"abcd"})
    assert done.bare.registers["eax"] & 0xFFFFFF00 == 0xFFFFFF00


def test_writes_change_nothing_of_the_monitors() -> None:
    """The whole region filled by the guest: it still runs, and the cache still holds code."""
    source = """
        mov  ebx, HIGH
        mov  ecx, 0x800
        mov  edx, 0xdeadbeee
        inc  edx
    again:
        mov  [ebx], edx
        cmp  dword ptr [ebx], -1
        jne  bad
        lea  ebx, [ebx + 0x1000]
        dec  ecx
        jnz  again
        mov  al, 7
        int  0x31
    bad:
        mov  al, 9
        int  0x31
    """
    done = agree(source)
    assert done.translate.outcome.status == 15
    hidden = done.translate.machine.memory
    start, size = hidden.size, hidden.extra
    assert b"\xef\xbe\xad\xde" not in hidden.buffer[start : start + size]


def test_accesses_to_the_region_are_counted() -> None:
    """So that the region can move if a guest lives there."""
    kernel = Kernel("mov eax, [HIGH] \n int 0x31")
    machine = make(kernel, "translate")
    machine.run(max_instructions=10_000)
    assert Run(machine, None, {}, 0).exits["#GP"] == 1
