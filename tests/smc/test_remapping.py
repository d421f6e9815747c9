"""Page tables that change under translated code (SDM vol. 3, 4.10): what a TLB flush must undo."""

from __future__ import annotations

import pytest
from kernel_lab import (
    ACCESSED,
    CODE,
    DATA,
    DIRTY,
    GLOBAL,
    LARGE,
    PRESENT,
    TABLES,
    USER,
    WRITE,
    Kernel,
    agree,
    code16,
    descriptor,
    gate,
    raw,
)

from monitor.vmm.virtual import EMULATED_RUN

WINDOW = 0x180000  # a linear page that shows now one frame, now another
ONE, TWO = 0x110000, 0x111000  # the frames
PTE = TABLES + (WINDOW >> 10)
ALL = PRESENT | WRITE | USER
CR4_PSE, CR4_PGE = 0x10, 0x80

# inc eax / inc ebx, in every stub's neighbourhood; the same length
CODE_ONE = b"\x40\x9c\x9d\x0e\x59\xc3"  # inc eax; pushfd; popfd; push cs; pop ecx; ret
CODE_TWO = b"\x43\x9c\x9d\x0e\x5a\xc3"  # inc ebx; pushfd; popfd; push cs; pop edx; ret
CODE_USER_ONE, CODE_USER_TWO = b"\x40\x9c\x59\xc3", b"\x43\x9c\x59\xc3"
FRAMES = {ONE: CODE_ONE, TWO: CODE_TWO}

FLUSHES = {
    "invlpg": "invlpg [WINDOW]",
    "cr3": "mov edx, cr3 \n mov cr3, edx",
    "paging off and on": "mov edx, cr0 \n btr edx, 31 \n mov cr0, edx"
    "\n bts edx, 31 \n mov cr0, edx",
    "pge": "mov edx, cr4 \n xor edx, 0x80 \n mov cr4, edx \n xor edx, 0x80 \n mov cr4, edx",
}


def window(source: str) -> str:
    names = {"WINDOW": WINDOW, "PTE": PTE, "FRAME_ONE": ONE, "FRAME_TWO": TWO}
    return "\n".join(f"{name} = {value:#x}" for name, value in names.items()) + "\n" + source


def kernel(source: str, **options: object) -> Kernel:
    options = {"paging": True, "pages": {WINDOW: ONE | ALL}, "memory": FRAMES, **options}
    return Kernel(window(source), **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("branch", ["call WINDOW", "mov esi, WINDOW \n call esi",
                                    "push back \n jmp WINDOW \n back:"])  # fmt: skip
@pytest.mark.parametrize("flush", FLUSHES)
def test_another_frame(flush: str, branch: str) -> None:
    source = f"""
        mov  edi, 5
    again:
        {branch}
        xor  dword ptr [PTE], FRAME_ONE ^ FRAME_TWO
        {FLUSHES[flush]}
        dec  edi
        jnz  again
        int  0x31
    """.replace("FRAME_ONE ^ FRAME_TWO", hex(ONE ^ TWO))
    done = agree(kernel(source))
    state = done.translate.registers
    assert (state["eax"], state["ebx"]) == (3, 2)


def test_global_pages_stay_through_cr3_loads() -> None:
    """With PGE, a new CR3 does not touch them; INVLPG does."""
    source = """
        call WINDOW
        mov  dword ptr [PTE], TWO
        mov  edx, cr3
        mov  cr3, edx
        call WINDOW
        push eax
        invlpg [WINDOW]
        call WINDOW
        pop  esi
        int  0x31
    """.replace("TWO", hex(TWO | ALL | GLOBAL | ACCESSED))
    done = agree(kernel(source, cr4=CR4_PGE, pages={WINDOW: ONE | ALL | GLOBAL}))
    assert done.bare.registers["ebx"] == 1
    assert done.bare.registers["esi"] == 2, "the stale translation was used, as a TLB may"


@pytest.mark.parametrize("last", ["cr3", "invlpg"])
def test_a_page_that_stops_being_global(last: str) -> None:
    source = f"""
        call WINDOW
        mov  dword ptr [PTE], {ONE | ALL:#x}
        invlpg [WINDOW]
        call WINDOW
        mov  dword ptr [PTE], {TWO | ALL:#x}
        {FLUSHES[last]}
        call WINDOW
        int  0x31
    """
    done = agree(kernel(source, cr4=CR4_PGE, pages={WINDOW: ONE | ALL | GLOBAL}))
    assert done.bare.registers["ebx"] == 1


def test_global_pages_lose_their_privilege_with_pge_off() -> None:
    source = f"""
        call WINDOW
        mov  edx, cr4
        btr  edx, 7
        mov  cr4, edx
        call WINDOW
        mov  dword ptr [PTE], {TWO | ALL | GLOBAL:#x}
        mov  edx, cr3
        mov  cr3, edx
        call WINDOW
        int  0x31
    """
    done = agree(kernel(source, cr4=CR4_PGE, pages={WINDOW: ONE | ALL | GLOBAL}))
    assert done.bare.registers["ebx"] == 1


def test_new_code_in_the_page_between_the_change_and_the_flush() -> None:
    """Another routine of the window is translated while its page is in between."""
    source = f"""
        call WINDOW
        mov  dword ptr [PTE], {TWO | ALL:#x}
        call WINDOW + 0x100
        invlpg [WINDOW]
        call WINDOW
        call WINDOW + 0x100
        int  0x31
    """
    memory = {ONE: CODE_ONE, TWO: CODE_TWO, ONE + 0x100: b"\x46\xc3", TWO + 0x100: b"\x46\xc3"}
    done = agree(kernel(source, memory=memory))
    assert done.bare.registers["ebx"] == 1


@pytest.mark.parametrize("branch", ["call WINDOW", "mov esi, WINDOW \n call esi"])
def test_a_page_that_goes_away(branch: str) -> None:
    source = f"""
        mov  ecx, 3
    warm:
        push ecx
        {branch}
        pop  ecx
        loop warm
        mov  dword ptr [PTE], 0
        invlpg [WINDOW]
        mov  dword ptr [RESUME], end
        {branch}
    end:
        int  0x31
    """
    done = agree(kernel(source))
    assert done.bare.vectors == [14] and done.bare.log[0].cr2 == WINDOW


USER_CODE = """
    mov  ax, 0x23
    mov  ds, ax
    push 0x23
    push STACK3
    push FLAGS
    push 0x1b
    push user
    iretd
user:
    call WINDOW
    int  0x30
    mov  dword ptr [RESUME], end
    call WINDOW
end:
    int  0x31
service:
    {change}
    iretd
"""


@pytest.mark.parametrize("flags", [0x202, 0x3202, 0x002])
@pytest.mark.parametrize(
    "change",
    ["mov dword ptr ss:[PTE], 0", "and dword ptr ss:[PTE], 0xfffffffb",
     f"mov dword ptr ss:[PTE], {TWO | ALL:#x}", "and dword ptr ss:[PTE], 0xfffffffd"],
    ids=["not present", "supervisor", "another frame", "read-only"],
)  # fmt: skip
def test_user_code_whose_page_changes(change: str, flags: int) -> None:
    text = USER_CODE.format(change=change + " \n invlpg ss:[WINDOW]").replace("FLAGS", hex(flags))
    memory = {ONE: CODE_USER_ONE, TWO: CODE_USER_TWO}
    from kernel_lab import gate

    service = kernel(text).symbol("service")
    done = agree(kernel(text, memory=memory, idt={0x30: gate(service, 0xEE)}))
    assert (14 in done.bare.vectors) == (change.endswith(" 0") or "fffb" in change)


def test_accessed_bits_of_code_pages() -> None:
    """A guest that clears them and flushes sees which pages run."""
    source = f"""
        call WINDOW
        and  dword ptr [PTE], {~ACCESSED & 0xFFFFFFFF:#x}
        invlpg [WINDOW]
        mov  esi, [PTE]
        call WINDOW
        mov  edi, [PTE]
        and  dword ptr [DIRECTORY], {~ACCESSED & 0xFFFFFFFF:#x}
        mov  edx, cr3
        mov  cr3, edx
        call WINDOW
        int  0x31
    """
    done = agree(kernel(source))
    assert not done.bare.registers["esi"] & ACCESSED
    assert done.bare.registers["edi"] & ACCESSED


def test_dirty_bits_of_data_pages() -> None:
    source = f"""
        mov  dword ptr [WINDOW], 1
        mov  esi, [PTE]
        and  dword ptr [PTE], {~(DIRTY | ACCESSED) & 0xFFFFFFFF:#x}
        invlpg [WINDOW]
        mov  eax, [WINDOW]
        mov  edi, [PTE]
        inc  dword ptr [WINDOW]
        mov  ebx, [PTE]
        int  0x31
    """
    done = agree(kernel(source))
    assert done.bare.registers["esi"] & DIRTY and done.bare.registers["ebx"] & DIRTY
    assert not done.bare.registers["edi"] & DIRTY


SECOND = 0x60000  # a second page directory; its first table at SECOND + 0x1000


def two_spaces() -> dict[int, bytes]:
    """Another directory, the same but for the window."""
    table = bytearray()
    for page in range(1024):
        entry = TWO | ALL if page << 12 == WINDOW else page << 12 | ALL
        table += entry.to_bytes(4, "little")
    directory = (SECOND + 0x1000 | ALL).to_bytes(4, "little") + bytes(4092)
    return FRAMES | {SECOND: directory, SECOND + 0x1000: bytes(table)}


@pytest.mark.parametrize("branch", ["call WINDOW", "mov esi, WINDOW \n call esi"])
def test_two_address_spaces(branch: str) -> None:
    """A scheduler's CR3 loads: the same linear address is other code in each."""
    source = f"""
        mov  edi, 20
    again:
        mov  edx, DIRECTORY
        mov  cr3, edx
        {branch}
        mov  edx, {SECOND:#x}
        mov  cr3, edx
        {branch}
        dec  edi
        jnz  again
        int  0x31
    """
    done = agree(kernel(source, memory=two_spaces()))
    assert (done.bare.registers["eax"], done.bare.registers["ebx"]) == (20, 20)


@pytest.mark.parametrize("flush", ["invlpg", "cr3"])
def test_a_large_page(flush: str) -> None:
    """4 MiB pages: INVLPG anywhere in one drops all of it."""
    at = 0x800000
    source = f"""
        call {at + ONE:#x}
        call {at + TWO:#x}
        mov  esi, [{at + DATA:#x}]
        mov  dword ptr [DIRECTORY + 8], {TABLES | ALL:#x}
        {FLUSHES[flush].replace("WINDOW", hex(at))}
        xor  dword ptr [{TABLES + (ONE >> 10):#x}], {ONE ^ TWO:#x}
        {FLUSHES[flush].replace("WINDOW", hex(at + ONE))}
        call {at + ONE:#x}
        mov  edi, [{at + DATA:#x}]
        int  0x31
    """
    done = agree(kernel(source, cr4=CR4_PSE, large={at: 0 | ALL | LARGE}))
    assert (done.bare.registers["eax"], done.bare.registers["ebx"]) == (1, 2)


EDGE = WINDOW + 0x1000  # the page after the window
EDGE_PTE = PTE + 4


@pytest.mark.parametrize("back", [1, 2, 3, 4])
@pytest.mark.parametrize("flush", ["invlpg", "cr3"])
def test_an_instruction_on_two_pages_whose_second_is_remapped(flush: str, back: int) -> None:
    """mov ebx, imm32 lies `back` bytes before the edge; its end comes from another frame."""

    def tail(value: int) -> bytes:
        return (b"\xbb" + value.to_bytes(4, "little"))[back:] + b"\x01\xd8\xc3"

    frames = {
        ONE + 0x1000 - back: (b"\xbb" + (0x11223344).to_bytes(4, "little"))[:back],
        TWO: tail(0x11223344),
        TWO + 0x1000: tail(0x55667788),
    }  # fmt: skip
    pages = {WINDOW: ONE | ALL, EDGE: TWO | ALL}
    flushed = FLUSHES[flush].replace("WINDOW", hex(EDGE))
    source = f"""
        mov  edi, 4
    again:
        call {EDGE - back:#x}
        xor  dword ptr [{EDGE_PTE:#x}], {TWO ^ (TWO + 0x1000):#x}
        {flushed}
        dec  edi
        jnz  again
        int  0x31
    """
    done = agree(kernel(source, memory=frames, pages=pages))
    assert done.bare.registers["eax"] != 4 * 0x11223344


@pytest.mark.parametrize("back", [1, 2, 3, 4, 6])
def test_a_block_on_two_pages_that_follow_each_other(back: int) -> None:
    """Physically contiguous, then the second page is written, moved, or taken away."""
    code = b"\x40" * back + b"\xbb\x44\x33\x22\x11" + b"\x01\xd8\xc3"
    pages = {WINDOW: ONE | ALL, EDGE: TWO | ALL}
    for change in (
        f"inc byte ptr [{EDGE:#x}]",
        f"mov dword ptr [{EDGE_PTE:#x}], 0 \n invlpg [{EDGE:#x}]",
        f"mov dword ptr [{EDGE_PTE:#x}], {TWO + 0x1000 | ALL:#x} \n invlpg [{EDGE:#x}]",
        f"and dword ptr [{EDGE_PTE:#x}], {~ACCESSED & 0xFFFFFFFF:#x} \n invlpg [{EDGE:#x}]",
    ):
        source = f"""
            mov  dword ptr [RESUME], end
            mov  ecx, {EDGE - back - 2:#x}
            call ecx
            {change}
            call ecx
        end:
            int  0x31
        """
        memory = {TWO - back - 2: code, TWO + 0x1000: b"\x90" * 16 + b"\xc3"}
        agree(kernel(source, memory=memory, pages=pages))


@pytest.mark.parametrize("entry", [0x38, 0x08], ids=["emulated", "translated"])
def test_many_flushes_at_once(entry: int) -> None:
    """Two INVLPGs in code that the ideal processor runs in one go."""
    from kernel_lab import descriptor

    source = f"""
        call WINDOW
        call WINDOW + 0x1000
        jmp  far {entry:#x}:other
    other:
        mov  dword ptr [PTE], {TWO | ALL:#x}
        mov  dword ptr [PTE + 4], {ONE | ALL:#x}
        invlpg [WINDOW]
        invlpg [WINDOW + 0x1000]
        jmp  far 0x08:back
    back:
        call WINDOW
        call WINDOW + 0x1000
        int  0x31
    """
    gdt = {0x38: descriptor(0, 0xFFFFE, 0xC09B)}
    pages = {WINDOW: ONE | ALL, EDGE: TWO | ALL}
    agree(kernel(source, gdt=gdt, pages=pages))


def test_a_loop_that_jumps_between_pages_stays_chained() -> None:
    """Flushes that change nothing cost no translation anew."""
    source = """
        mov  edi, ROUNDS
    again:
        call WINDOW
        mov  edx, cr3
        mov  cr3, edx
        dec  edi
        jnz  again
        int  0x31
    """
    blocks = []
    for rounds in (10, 200):
        done = agree(kernel(source.replace("ROUNDS", str(rounds))))
        tc = done.translate.machine.statistics()["tc"]
        blocks.append(tc["guest_instructions_translated"])
    assert blocks[1] <= blocks[0] + 20


def test_the_write_that_remaps_itself() -> None:
    """The code's own page is remapped to a copy with another ending."""
    copy = 0x120000
    source = f"""
        cld
        mov  esi, CODE
        mov  edi, {copy:#x}
        mov  ecx, 1024
        {raw("f3a5")}
        mov  byte ptr [tail - CODE + {copy:#x}], 0x43
        mov  dword ptr [TABLE + {CODE >> 10:#x}], {copy | ALL:#x}
        invlpg [CODE]
    tail:
        inc  eax
        int  0x31
    """
    done = agree(kernel(source))
    assert done.bare.registers["ebx"] == 1


CODE16 = 0x38  # a selector


@pytest.mark.parametrize("count", [2, 3, 16, 17, 40])
def test_pages_flushed_in_one_emulated_stretch(count: int) -> None:
    """16-bit code, which the ideal processor runs in one go, moves pages and flushes each.

    The frames at first all hold 1, then 2, 3 and so on.
    """
    places = [WINDOW + (i << 12) for i in range(count)]
    reads = " \n ".join(f"add esi, [{place:#x}]" for place in places)
    moves = " \n ".join(
        f"mov eax, {TWO + (i << 12) | ALL:#x} \n mov ebx, {PTE + 4 * i:#x} \n mov [ebx], eax \n "
        f"mov ebx, {place:#x} \n invlpg [ebx]"
        for i, place in enumerate(places)
    )
    source = f"""
        xor  esi, esi
        {reads}
        mov  dword ptr [DATA], esi
        push cs
        push after
        jmp  far {CODE16:#x}:sixteen - CODE
    sixteen:
        {code16(moves)}
        .byte 0x66
        retf
    after:
        mov  ecx, {EMULATED_RUN}
    until_the_monitor_looks_again:
        loop until_the_monitor_looks_again
        xor  esi, esi
        {reads}
        mov  dword ptr [DATA + 4], esi
        int  0x31
    """
    done = agree(
        kernel(
            source,
            gdt={CODE16: descriptor(CODE, 0xFFFF, 0x009B)},
            pages=dict.fromkeys(places, ONE | ALL),
            memory={TWO + (i << 12): bytes([i + 2]) for i in range(count)} | {ONE: b"\x01"},
        )
    )
    assert done.bare.dword(DATA) == count
    assert done.bare.dword(DATA + 4) == sum(range(2, count + 2))
    assert done.translate.kinds["emulated"] > 5 * count


EXCHANGE = """
        mov  edx, dword ptr [PTE]
        xor  edx, FRAME_ONE ^ FRAME_TWO
        mov  dword ptr [PTE], edx
        invlpg [WINDOW]
"""


@pytest.mark.parametrize("before", [0, 1, 2, 4], ids=lambda n: f"{n} bytes of it before")
@pytest.mark.parametrize("ring", [0, 3])
def test_running_on_into_a_page_that_moved(before: int, ring: int) -> None:
    """Code runs over the end of a page, and the next page is another one by then.

    The instruction at the edge is the same in both: only what follows it differs.
    """
    edge = WINDOW - 0x1000  # the page before the window
    move = b"\xb9\x03\0\0\0"  # mov ecx, 3: bytes of it lie in both pages
    rest = move[before:]
    head = b"\x90" * 8 + move[:before]
    source = f"""
        mov  ebp, 6
    again:
        call {WINDOW - len(head):#x}
        {EXCHANGE if ring == 0 else "int 0x32"}
        dec  ebp
        jnz  again
        int  0x31
    """
    frames = {ONE: rest + b"\x40\xc3", TWO: rest + b"\x43\xc3"}  # inc eax; ret / inc ebx; ret
    frames[edge + 0x1000 - len(head)] = head
    run = kernel(source, memory=frames, ring=ring)
    if ring == 3:
        run.source += f"\n .align 4 \n exchange: {EXCHANGE} \n iretd"
        run.idt[0x32] = gate(run.symbol("exchange"), 0xEE)
    done = agree(run)
    assert done.bare.registers["eax"] & 0xFF == done.bare.registers["ebx"] == 3
