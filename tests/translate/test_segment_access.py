"""What the guest does through the segment register that is reserved for stubs: FS and GS in turn.

Whatever the segment and whatever the instruction, a guest must see what it sees bare. What is
served in the cache must not leave it; what is not served is right all the same.
"""

from __future__ import annotations

import random
from collections.abc import Iterable

import pytest
from kernel_lab import DATA, PRESENT, USER, WRITE, Kernel
from segment_lab import SEGMENTS, SELECTORS, both, both_all_along, load

from bt.interp.state import FS, GS

RINGS = {"kernel": (0, None), "user, IOPL": (3, 0x3202), "user, IF = 0": (3, 0x0002)}
REGISTERS = "mov eax, 0x1234567 \n mov ecx, 0x10 \n mov edx, 3 \n mov ebx, 8 \n" \
            "mov esi, 0x20 \n mov edi, 4 \n mov ebp, 0x18 \n"
FLAGS = "stc \n"


def in_every_way(source: str, **options: object) -> dict[int | None, object]:
    """In the kernel and in user code that runs translated; the runs of the kernel."""
    found = {}
    for name, (ring, flags) in reversed(RINGS.items()):
        found[name] = both(Kernel(source, ring=ring, flags=flags, **options))  # type: ignore[arg-type]
    return dict(found["kernel"])


# --- what is served -------------------------------------------------------------------------

ONCE = ("chain", "indirect branch", "shadow fill")  # exits at new code and new pages

SERVED = (
    "mov eax, {s}:[4]", "mov {s}:[4], eax", "mov al, {s}:[5]", "mov {s}:[5], al",
    ".byte {p}, 0xa1 \n .long 8", ".byte {p}, 0xa3 \n .long 8", ".byte {p}, 0xa0 \n .long 8",
    ".byte {p}, 0xa2 \n .long 8", ".byte 0x66, {p}, 0xa1 \n .long 8", ".byte {p}, 0x67, 0xa1, 8, 0",
    ".byte {p}, 0x67, 0x8b, 0x0e, 8, 0", ".byte {p}, 0x8b, 0x04, 0x25, 8, 0, 0, 0",
    ".byte 0x3e, 0x3e, {p}, {p}, 0xf3, 0x8b, 0x03",
    "mov ecx, {s}:[ecx]", "mov eax, {s}:[eax * 1 - 0x1234560]", "mov edx, {s}:[ebx + ecx * 2]",
    "mov edx, {s}:[ebx + ecx * 8 + 0x7]", "mov edx, {s}:[ebp]", "mov edx, {s}:[ebp * 4 + 0x10]",
    "mov edx, {s}:[ebx - 8]", "mov ebp, {s}:[esi + 0x80 - 0x20]", "mov esp, {s}:[4]",
    "mov {s}:[4], esp", "mov {s}:[ecx], ch", "mov ch, {s}:[ecx]", "mov word ptr {s}:[esi], si",
    "mov dword ptr {s}:[ebx], 0x12345678", "mov byte ptr {s}:[0xff], 7",
    "add {s}:[ebx], ecx", "adc edx, {s}:[8]", "sbb byte ptr {s}:[8], 3", "and {s}:[8], eax",
    "cmp dword ptr {s}:[8], 0x1000", "cmp {s}:[ecx], ecx", "test byte ptr {s}:[8], 0x81",
    "test {s}:[8], esi", "inc dword ptr {s}:[8]", "lock dec word ptr {s}:[8]",
    "not dword ptr {s}:[esi]", "neg byte ptr {s}:[esi]", "xchg {s}:[esi], esi",
    "lock xadd {s}:[esi], eax", "xadd {s}:[ecx], ecx", "lock cmpxchg {s}:[esi], ecx",
    "cmpxchg {s}:[esi], esi", "cmpxchg byte ptr {s}:[esi], ah", "cmpxchg8b qword ptr {s}:[esi]",
    "lock cmpxchg8b qword ptr {s}:[0xf8]", "mul dword ptr {s}:[8]", "imul byte ptr {s}:[8]",
    "imul ecx, {s}:[8]", "imul ecx, {s}:[ecx], 5", "imul esi, {s}:[8], 0x12345",
    "xor edx, edx \n mov dword ptr {s}:[8], 77 \n div dword ptr {s}:[8]",
    "cwde \n cdq \n mov dword ptr {s}:[8], -7 \n idiv dword ptr {s}:[8]",
    "shl dword ptr {s}:[8], cl", "rcr byte ptr {s}:[8], 1", "sar word ptr {s}:[8], 5",
    "shld {s}:[8], eax, cl", "shrd {s}:[8], ecx, 3", "shrd {s}:[8], ecx, cl",
    "movzx eax, byte ptr {s}:[8]", "movsx ecx, word ptr {s}:[ecx]", "bsf eax, {s}:[8]",
    "bsr ecx, {s}:[8]", "setc byte ptr {s}:[8]", "cmovc eax, {s}:[8]", "cmovnc eax, {s}:[8]",
    "bt dword ptr {s}:[8], 37", "btc dword ptr {s}:[8], 5", "lock bts dword ptr {s}:[8], 6",
    "push dword ptr {s}:[8] \n pop edx", "push dword ptr {s}:[esp - 0x8f10 - 0x1000 * {ring}]",
    "push 5 \n pop dword ptr {s}:[8]", "push 5 \n pop dword ptr {s}:[ecx]",
    "arpl word ptr {s}:[8], cx", "lea eax, {s}:[ecx + 4]", ".byte {p}, 0x0f, 0x1f, 0x00",
    ".byte {p}, 0x90", ".byte {p}, 0x01, 0xd8", ".byte {p}, 0x40", ".byte {p}, 0x9b",
)  # fmt: skip


ROUNDS = 40
RESULTS = 0x50000


def prefix_of(seg: str) -> str:
    return {"fs": "0x64", "gs": "0x65"}[seg]


def loop_of(instruction: str, seg: str, ring: int, number: int = 0) -> str:
    """It, forty times; what came of it is added up, flags too, in the row of that number."""
    text = instruction.format(s=seg, p=prefix_of(seg), ring=1 if ring else 0)
    row = RESULTS + 64 * number
    sums = "\n".join(
        f"rol dword ptr [{row + 4 * i}], 5 \n add [{row + 4 * i}], {name}"
        for i, name in enumerate(("ecx", "edx", "ebx", "esp", "esi", "edi", "ebp", "eax"))
    )
    return f"""
        mov  dword ptr [{row + 0x30}], {ROUNDS}
        mov  dword ptr [{row + 0x34}], esp
    again{number}:
        {REGISTERS}
        {FLAGS}
        {text}
        mov  dword ptr [{row + 0x38}], eax
        seto al
        lahf
        mov  dword ptr [{row + 0x3C}], eax
        {sums}
        mov  eax, dword ptr [{row + 0x38}]
        add  dword ptr [{row + 0x20}], eax
        mov  esp, dword ptr [{row + 0x34}]
        dec  dword ptr [{row + 0x30}]
        jnz  again{number}
    """


@pytest.mark.slow
@pytest.mark.parametrize("ring", RINGS)
@pytest.mark.parametrize("seg", ["fs", "gs"])
def test_served_in_the_cache(seg: str, ring: str) -> None:
    level, flags = RINGS[ring]
    loops = [loop_of(text, seg, level, number) for number, text in enumerate(SERVED)]
    source = load(seg, "small") + "\n".join([*loops, "int 0x31"])
    kernel = Kernel(source, ring=level, flags=flags, memory={DATA: bytes(range(256))})
    exits = both(kernel)[FS if seg == "fs" else GS].exits
    left = {why: count for why, count in exits.items() if why not in ONCE}
    assert sum(left.values()) < ROUNDS, left


CALLS = """
    mov  dword ptr [DATA + 0x20], function
    mov  dword ptr [RESUME], over
    mov  esi, 40
    mov  ecx, 0x10
    mov  eax, 8
again:
    {instruction}
back:
    dec  esi
    jnz  again
over:
    int  0x31
function:
    inc  edi
    {leave}
"""


BRANCHES = (
    ("call dword ptr {s}:[0x20]", "ret"), ("call dword ptr {s}:[ecx + eax * 2]", "ret"),
    ("jmp dword ptr {s}:[eax * 4]", "jmp back"), ("jmp dword ptr {s}:[0x20]", "jmp back"),
    ("push 0x20 \n call dword ptr {s}:[0x20]", "ret 4"),
    (".byte {p}, 0x67, 0xff, 0x16, 0x20, 0", "ret"),
)  # fmt: skip


@pytest.mark.parametrize("seg", ["fs", "gs"])
@pytest.mark.parametrize(("instruction", "leave"), BRANCHES)
def test_branches_through_the_segment(instruction: str, leave: str, seg: str) -> None:
    text = instruction.format(s=seg, p=prefix_of(seg))
    source = load(seg, "small") + CALLS.format(instruction=text, leave=leave)
    for ring, flags in (RINGS["kernel"], RINGS["user, IF = 0"]):
        runs = both(Kernel(source, ring=ring, flags=flags))
        for run in runs.values():
            assert (run.registers["edi"], run.registers["ecx"], run.registers["eax"]) == (40, 16, 8)
        exits = runs[FS if seg == "fs" else GS].exits
        assert sum(exits.values()) < ROUNDS, exits


# --- limits, rights, faults -----------------------------------------------------------------

WIDTHS = (
    "mov cl, byte ptr {s}:[ebx]", "mov cx, word ptr {s}:[ebx]", "mov ecx, {s}:[ebx]",
    "mov byte ptr {s}:[ebx], cl", "mov word ptr {s}:[ebx], cx", "mov {s}:[ebx], ecx",
    "add {s}:[ebx], ecx", "cmpxchg8b qword ptr {s}:[ebx]", "cmp dword ptr {s}:[ebx], 5",
    "bt dword ptr {s}:[ebx], 3", "push dword ptr {s}:[ebx]", "push ecx \n pop dword ptr {s}:[ebx]",
    "call dword ptr {s}:[ebx]", "jmp dword ptr {s}:[ebx]",
)  # fmt: skip
NEAR = (-2, -1, 0, 1, 2, 3)
EDGES = {  # offsets of interest of each segment
    name: sorted(
        {edge + near & 0xFFFFFFFF for edge in (0, limit, limit - 4, limit - 8) for near in NEAR}
    )
    for name, (_, limit, _) in SEGMENTS.items()
    if limit < 0xFFFFF
}
EDGES |= {
    "flat": [DATA, 0x7FFFFFFF, 0x80000000, 0xFF7FFFFC, 0xFF7FFFFE, 0xFF800000, 0xFFFFFFFE],
    "wraps": [0, 0xF00, 0xFFE, 0x1000, 0x31000, 0x80000000, 0xFFFFFFFE],
    "high": [0, 4, 0x7F7CFFFC, 0x7F7CFFFE, 0x7F7D0000, 0x80000000, 0xFFFFFFFC],
    "below zero": [0, 0x7C, 0x7E, 0x80, 0x80 + DATA, 0xFFFFFFFF],
    "null": [0, 4, 0xFFFFFFFF],
}


FAR = ("flat", "wraps", "high", "below zero", "null")  # not all of their bytes are the data's


def at_edges(name: str, seg: str, accesses: tuple[str, ...]) -> str:
    """Each access at each offset; after a fault, on with the next. Results stand in rows.

    The data's bytes are all 01, so that a branch to what stands there ends beyond the RAM.
    """
    lines = [load(seg, name)]
    for access in accesses:
        if name in FAR and access.startswith(("call", "jmp")):
            continue
        for offset in EDGES[name]:
            for text in (access, access.replace("[ebx]", f"[{offset:#x}]")):
                label, row = f"after{len(lines)}", RESULTS + 32 * len(lines)
                lines.append(f"""
                    mov  dword ptr [RESUME], {label}
                    mov  ebx, {offset:#x}
                    mov  ecx, {0x5A5A0000 + len(lines):#x}
                    mov  eax, 1
                    mov  edx, 2
                    mov  esi, {len(lines)}
                    {text.format(s=seg)}
                {label}:
                    mov  [{row}], ecx
                    mov  [{row + 4}], esp
                    mov  [{row + 8}], ebx
                    mov  [{row + 12}], edx
                    mov  [{row + 20}], esi
                    lahf
                    mov  [{row + 16}], eax
                    lea  esp, [STACK]
                """)
    return "\n".join([*lines, "int 0x31"])


@pytest.mark.slow
@pytest.mark.parametrize("seg", ["fs", "gs"])
@pytest.mark.parametrize("name", EDGES)
def test_the_edges_of_a_segment(name: str, seg: str) -> None:
    source = at_edges(name, seg, WIDTHS).replace("[STACK]", "[STACK0]")
    both(Kernel(source, memory={DATA: b"\x01" * 0x10000}))


@pytest.mark.parametrize("name", ["small", "code", "high", "null"])
def test_the_edges_in_user_code(name: str) -> None:
    source = at_edges(name, "fs", WIDTHS[2:8:3]).replace("[STACK]", "[STACK3]")
    for ring, flags in (RINGS["user, IOPL"], RINGS["user, IF = 0"]):
        both(Kernel(source, ring=ring, flags=flags, paging=True))


def test_the_last_bytes_of_a_small_segment_are_served() -> None:
    """xv6 keeps two pointers in a segment of nine bytes."""
    accesses = ("inc dword ptr {s}:[0]", "inc dword ptr {s}:[0xfc]", "inc word ptr {s}:[0xfe]",
                "inc byte ptr {s}:[0xff]", "cmpxchg8b qword ptr {s}:[0xf8]")  # fmt: skip
    loops = [loop_of(text, "gs", 0, number) for number, text in enumerate(accesses)]
    runs = both(Kernel(load("gs", "small") + "\n".join([*loops, "int 0x31"])))
    assert runs[GS].exits["emulate"] < ROUNDS
    assert "#BR" not in runs[GS].exits


@pytest.mark.parametrize("seg", ["fs", "gs"])
def test_whatever_ds_is(seg: str) -> None:
    """The stub goes through DS: it may be too small, based elsewhere, read-only or null."""
    accesses = ("mov ecx, {s}:[4]", "mov {s}:[8], ecx", "add byte ptr {s}:[ebx], 3",
                "push dword ptr {s}:[0]", "mov ecx, {s}:[0xfe]", "cmpxchg8b qword ptr {s}:[ebx]",
                "call dword ptr {s}:[0x40]")  # fmt: skip
    lines = []
    for ds in SELECTORS:
        for text in accesses:
            index = len(lines)
            lines += [
                f"mov dword ptr [RESUME], after{index} \n mov ebx, 0x21 \n",
                load("ds", ds),
                text.format(s=seg),
                f"after{index}: \n mov edx, ss \n mov ds, edx",
                f"mov [{0x50000 + 8 * index:#x}], ecx \n mov [{0x50004 + 8 * index:#x}], esi",
            ]
    source = load(seg, "small") + "\n".join(lines) + "\n int 0x31 \n function: ret"
    kernel = Kernel(f"mov dword ptr [DATA + 0x40], function \n {source}")
    kernel.memory = {DATA: bytes(range(256))}
    both(kernel)


def test_ds_with_a_base_is_as_good() -> None:
    """What counts is the distance between the bases."""
    source = load("gs", "small") + load("ds", "16-bit") + """
        mov  ecx, 100
    again:
        add  dword ptr gs:[8], 3
        loop again
        mov  eax, ss
        mov  ds, eax
        int  0x31
    """
    runs = both(Kernel(source))
    assert runs[GS].dword(DATA + 8) == 300
    assert sum(runs[GS].exits.values()) < 40


def test_pop_takes_its_address_from_the_new_esp() -> None:
    for seg in ("fs", "gs"):
        source = load(seg, "flat") + f"""
            push 1
            push 2
            push 3
            pop  dword ptr {seg}:[esp + 4]
            pop  dword ptr {seg}:[esp]
            pop  eax
            push dword ptr {seg}:[esp - 4]
            pop  word ptr {seg}:[esp - 8]
            int  0x31
        """
        in_every_way(source)


@pytest.mark.slow
def test_pages_fault_as_they_do() -> None:
    """Missing, read-only, not the user's: at the guest's instruction, with its registers."""
    pages = {DATA + 0x1000: 0, DATA + 0x2000: DATA + 0x2000 | PRESENT,
             DATA + 0x3000: DATA + 0x3000 | PRESENT | WRITE, DATA + 0x4000: USER}  # fmt: skip
    lines = [load("gs", "flat"), load("fs", "flat")]
    index = 0
    for page in range(6):
        for text in WIDTHS:
            for seg in ("fs", "gs"):
                lines += [
                    f"mov dword ptr [RESUME], after{index}",
                    f"mov ebx, {DATA + 0x1000 * page - (2 if index & 1 else 0):#x}",
                    f"mov ecx, {index} \n {text.format(s=seg)} \n after{index}: add edi, ecx",
                    "add edi, eax",
                ]
                index += 1
    source = "\n".join([*lines, "int 0x31"])
    for wp, ring in ((False, "kernel"), (True, "kernel"), (True, "user, IF = 0")):
        level, flags = RINGS[ring]
        data = {DATA: b"\x01" * 0x10000}  # so that a branch ends where no page is
        kernel = Kernel(source, ring=level, flags=flags, paging=True, wp=wp, memory=data)
        kernel.pages = pages
        both(kernel)


def test_a_call_whose_push_faults_has_changed_nothing() -> None:
    """The operand was read and the target is in ECX already: EAX and ECX come back."""
    for seg in ("fs", "gs"):
        source = "mov dword ptr [DATA + 0x20], 0x1234 \n" + load(seg, "small") + f"""
            mov  dword ptr [RESUME], after
            mov  ecx, 0x10
            mov  eax, 8
            mov  ebx, esp
            mov  esp, DATA + 0x2000
            call dword ptr {seg}:[ecx + eax * 2]
        after:
            mov  edi, esp
            mov  esp, ebx
            int  0x31
        """
        kernel = Kernel(source, ring=3, flags=2, paging=True, pages={DATA + 0x1000: 0})
        for run in both(kernel).values():
            assert (run.vectors, run.log[0].eax) == ([14], 8)
            assert (run.registers["ecx"], run.registers["edi"]) == (0x10, DATA + 0x2000)


def test_alignment_is_checked_in_user_code() -> None:
    lines = [load("gs", "small"), load("fs", "odd")]
    for index, (seg, offset) in enumerate(
        (seg, offset) for seg in ("fs", "gs") for offset in range(5)
    ):
        lines += [
            f"mov dword ptr [RESUME], after{index}",
            f"mov ecx, {seg}:[{offset}] \n mov {seg}:[{offset}], cx \n after{index}: inc edi",
        ]
    source = "pushfd \n or dword ptr [esp], 0x40000 \n popfd \n" + "\n".join(lines) + "\n int 0x31"
    for ring, flags in RINGS.values():
        runs = both(Kernel(source, ring=ring, flags=flags, am=True))
        assert (17 in runs[GS].vectors) == (ring == 3)


def test_code_written_through_the_segment_is_noticed() -> None:
    """A stub that writes over translated code, its own block's included."""
    for seg in ("fs", "gs"):
        source = load(seg, "flat") + f"""
            mov  esi, 8
        again:
            mov  ecx, 5
            mov  byte ptr {seg}:[number + 1], 7
            add  byte ptr {seg}:[other + 1], 1
        number: mov al, 1
            add  edi, eax
        other: mov al, 1
            add  edi, eax
            mov  byte ptr {seg}:[number + 1], 9
            dec  esi
            jnz  again
            int  0x31
        """
        both(Kernel(source))


PLAIN = (
    "bt {s}:[8], ecx", "bts {s}:[8], eax", "lock btr {s}:[0x80], edx", "mov eax, {s}:[bx + 4]",
    "mov {s}:[si], al", "fld dword ptr {s}:[8]", "fstp qword ptr {s}:[8]",
    "fnstcw word ptr {s}:[8]",
    "pop dword ptr {s}:[esp + 8]", "pop dword ptr {s}:[esp - 8 + 0x10]", "bound edi, {s}:[0x10]",
    "les edx, {s}:[0x40]", "mov es, word ptr {s}:[0x40]", "mov word ptr {s}:[8], ds",
    "smsw word ptr {s}:[8]", "sgdt {s}:[8]", "fnstenv {s}:[8]", "frstor {s}:[8]",
    ".byte {p}, 0xff, 0x1d \n .long 0x40", "verr word ptr {s}:[0x40]",
    "push 3 \n pop word ptr {s}:[esp]",
)  # fmt: skip


STRINGS = (0xA4, 0xA5, 0xA6, 0xA7, 0xAC, 0xAD, 0xD7, 0x6E, 0x6F, 0xAA, 0xAE)


def one_after_another(texts: Iterable[str], seg: str) -> str:
    """Each with registers made anew; after a fault, on with the next."""
    lines = [f"fninit \n fld1 \n cld \n {load(seg, 'small')}"]
    for index, text in enumerate(texts):
        lines.append(f"""
            mov  dword ptr [RESUME], after{index}
            {REGISTERS}
            mov  edi, DATA + 0x400
            {FLAGS}
            {text.format(s=seg, p=prefix_of(seg))}
        after{index}:
            mov  [{RESULTS + 32 * index}], ecx
            mov  [{RESULTS + 32 * index + 4}], esi
            mov  [{RESULTS + 32 * index + 8}], edi
            mov  [{RESULTS + 32 * index + 12}], esp
            lahf
            mov  [{RESULTS + 32 * index + 16}], eax
            fnstenv [{RESULTS + 0x8000 + 32 * index}]
        """)
    return "\n".join([*lines, "int 0x31"])


@pytest.mark.slow
@pytest.mark.parametrize("seg", ["fs", "gs"])
def test_not_served_and_right(seg: str) -> None:
    strings = (f"{repeat} .byte {{p}}, {code:#x}" for code in STRINGS
               for repeat in ("", ".byte 0xf3 \n"))  # fmt: skip
    in_every_way(one_after_another([*PLAIN, *strings], seg), memory={DATA: bytes(range(256))})


def test_a_selector_is_the_guests_whichever_is_reserved() -> None:
    """PUSH and MOV show it, loads replace it: a null one, one with another base, back and forth."""
    source = load("fs", "small") + load("gs", "odd") + f"""
        mov  esi, 20
    again:
        push fs
        push gs
        pop  fs
        pop  gs
        mov  eax, fs
        mov  edx, gs
        shl  eax, 16
        add  edi, eax
        add  edi, edx
        mov  eax, fs:[8]
        add  gs:[12], eax
        dec  esi
        jnz  again
        mov  ax, {SELECTORS["null"]}
        mov  gs, ax
        mov  dword ptr [RESUME], after
        mov  eax, gs:[0]
    after:
        mov  eax, fs:[0]
        int  0x31
    """
    in_every_way(source)


def test_the_same_after_every_instruction() -> None:
    source = load("fs", "small") + load("gs", "odd") + """
        mov  ecx, 6
        mov  ebx, 8
        mov  dword ptr [RESUME], after
    again:
        mov  eax, fs:[ebx]
        add  gs:[ebx + ecx * 4], eax
        lock cmpxchg fs:[0x20], ecx
        push dword ptr gs:[4]
        pop  dword ptr fs:[8]
        call dword ptr fs:[0x40]
        mov  gs:[3], esi
        movzx esi, byte ptr gs:[eax * 8]
    after:
        dec  ecx
        jnz  again
        int  0x31
    function:
        inc  dword ptr gs:[0x30]
        ret
    """
    source = "mov dword ptr [DATA + 0x40], function \n" + source
    for ring, flags in RINGS.values():
        both_all_along(Kernel(source, ring=ring, flags=flags))


# --- at random ------------------------------------------------------------------------------

FORMS = (
    "mov R4, M4", "mov M4, R4", "mov R1, M1", "mov M1, R1", "mov R2, M2", "mov M2, R2",
    "mov M4, I4", "mov M1, I1", "mov M2, I2", "add M4, R4", "adc R4, M4", "sub M1, R1",
    "sbb R2, M2", "xor M4, I4", "and M2, I1", "or M1, I1", "cmp M4, R4", "cmp M4, I1",
    "cmp R1, M1", "test M4, R4", "test M1, I1", "test M4, I4", "xchg M4, R4", "xchg R1, M1",
    "inc M4", "dec M2", "not M1", "neg M4", "lock add M4, R4", "lock dec M1",
    "lock cmpxchg M4, R4", "cmpxchg M1, R1", "cmpxchg M2, R2", "xadd M4, R4", "lock xadd M1, R1",
    "cmpxchg8b M8", "lock cmpxchg8b M8", "mul M4", "imul M1", "mul M2", "div M4", "idiv M1",
    "imul R4, M4", "imul R4, M4, I1", "imul R2, M2, I2", "shl M4, 1", "shr M1, cl", "sar M2, cl",
    "rol M4, 5", "rcr M1, 1", "rcl M4, cl", "shld M4, R4, cl", "shrd M4, R4, 7", "shld M2, R2, 3",
    "movzx R4, M1", "movsx R4, M2", "movzx R2, M1", "bsf R4, M4", "bsr R2, M2", "sete M1",
    "setb M1", "cmovz R4, M4", "cmovnz R4, M4", "bt M4, 5", "bts M4, 9", "btr M2, 3",
    "btc M4, R4", "bt M4, R4", "bts M2, R2", "push M4", "pop M4", "push M2", "pop M2",
    "arpl M2, R2", "bound R4, M8", "fld M4", "fstp M8", "fild M2", "fnstcw M2", "mov es, M2",
    "mov M2, es", "sldt M2", "smsw M2", "verr M2", "lar R4, M2",
)  # fmt: skip
GENERAL = {
    "R4": ("eax", "ecx", "edx", "ebx", "esi", "edi", "ebp"),
    "R2": ("ax", "cx", "dx", "bx", "si", "di", "bp"),
    "R1": ("al", "cl", "dl", "bl", "ah", "ch", "dh", "bh"),
}
SIZES = {"M1": "byte", "M2": "word", "M4": "dword", "M8": "qword"}
EXTREMES = (0xFFFFFFFF, 0xFFFFFFFC, 0x80000000, 0x7FFFFFFF, 0x7FFFFFFE, 0xFF7FFFFF, 0xFF800000)
OFFSETS = (0, 1, 4, 8, 0xF8, 0xFC, 0xFD, 0xFE, 0xFF, 0x100, 0x101, 0xFFFFFFFC, 0xFF7FFFFE)


class Chance:
    """A program of random instructions, the same for the same seed."""

    def __init__(self, seed: int) -> None:
        self.any = random.Random(seed)

    def value(self) -> int:
        """Of a register: most of them make addresses in a small segment."""
        kind = self.any.randrange(10)
        if kind < 7:
            return self.any.randrange(0x108) + (DATA if kind > 4 else 0)
        return self.any.choice((*EXTREMES, self.any.randrange(1 << 32)))

    def memory(self, seg: str) -> str:
        base, index = (self.any.choice(GENERAL["R4"]) for _ in range(2))
        scale = self.any.choice((1, 2, 4, 8))
        offset = self.any.choice((*OFFSETS, *(self.any.randrange(0x110) for _ in range(6))))
        return self.any.choice((
            f"{seg}:[{offset:#x}]", f"{seg}:[{offset:#x}]", f"{seg}:[{base}]",
            f"{seg}:[{base} + {offset & 0x7F}]", f"{seg}:[{base} + {offset:#x}]",
            f"{seg}:[{base} + {index} * {scale} + {offset:#x}]",
            f"{seg}:[{index} * {scale} + {offset:#x}]", f"{seg}:[esp + {offset & 0x3F}]",
        ))  # fmt: skip

    def operand(self, text: str, seg: str) -> str:
        if text in SIZES:
            return f"{SIZES[text]} ptr {self.memory(seg)}"
        if text in GENERAL:
            return self.any.choice(GENERAL[text])
        if text in ("I1", "I2", "I4"):
            return hex(self.any.randrange(1 << 8 * int(text[1]) - 1))
        return text

    def instruction(self, seg: str) -> str:
        form = self.any.choice(FORMS)
        head, _, rest = form.partition(", ")
        *verb, first = head.split(" ")
        operands = [first, *(rest.split(", ") if rest else [])]
        return f"{' '.join(verb)} {', '.join(self.operand(each, seg) for each in operands)}"

    def program(self, count: int, ring: int) -> str:
        lines = ["fninit"]
        for index in range(count):
            seg = self.any.choice(("fs", "gs"))
            segment = self.any.choice([*SELECTORS, *["flat"] * 3, *["small"] * 8])
            ds = self.any.choice(("flat",) * 8 + ("small", "expand-down", "16-bit", "read-only"))
            lines += [f"mov dword ptr [RESUME], after{index}", load(seg, segment)]
            lines += [load("ds", ds)] if ds != "flat" else []
            lines += [f"mov esp, {0x50080 + 0x100 * index:#x}"]
            lines += [f"push {self.any.choice((0, 1, 0x40, 0x80, 0x801, 0x8D5)) | 2:#x}"]
            lines += [f"mov {name}, {self.value():#x}" for name in GENERAL["R4"]]
            lines += [".byte 0x36, 0xd1, 0x2c, 0x24" if ring else "popfd", self.instruction(seg)]
            lines += [f"after{index}: \n pushfd \n pushad"]
            lines += [f"push {0x23 if ring else 0x10} \n pop ds"]
        return "\n".join([*lines, "int 0x31"])


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("ring", RINGS)
def test_at_random(seed: int, ring: str) -> None:
    level, flags = RINGS[ring]
    chance = Chance(10 * seed + len(ring))
    data = bytes(chance.any.randrange(256) for _ in range(0x1000))
    source = chance.program(60, level)
    paging = bool(seed & 1)
    kernel = Kernel(source, ring=level, flags=flags, paging=paging, memory={DATA: data})
    both(kernel)
