"""Code that changes itself (SDM vol. 3, 11.6): the very next instruction may be the new one.

Every program runs bare and translated, in the kernel and as user code (direct and translated).
Its results are registers and memory, which must agree; what they must be is said where the manual
says it.
"""

from __future__ import annotations

import pytest
from kernel_lab import CODE, Kernel, agree, agree_all_along, descriptor, gate, raw

# name: assembly. `patch` is a place that gets rewritten.
PROGRAMS = {
    "next instruction": "mov byte ptr [patch], 0x43 \n patch: inc eax",
    "next instruction, a dword": "mov dword ptr [patch], 0x43434343 \n patch: " + raw("40404040"),
    "next instruction, misaligned": "mov dword ptr [patch - 2], 0x43434343 \n jmp early \n early:"
    + raw("9090")
    + "\n patch: "
    + raw("40404040"),
    "immediate, in a loop": "mov ecx, 20 \n again: patch: mov eax, 1 \n add ebx, eax"
    "\n inc dword ptr [patch + 1] \n loop again",
    "immediate of a later block": "mov ecx, 20 \n again: inc dword ptr [patch + 1] \n jmp over"
    "\n over: patch: mov eax, 1 \n add ebx, eax \n loop again",
    "own block's beginning": "mov ecx, 20 \n again: patch: mov eax, 7 \n add ebx, eax"
    "\n xor byte ptr [patch + 1], cl \n dec ecx \n jnz again",
    "call target": "mov ecx, 20 \n again: call sub \n xor byte ptr [sub], 3 \n loop again"
    "\n jmp end \n sub: inc eax \n ret",
    "indirect call target": "mov ecx, 20 \n mov esi, sub \n again: call esi \n"
    "xor byte ptr [sub], 3 \n loop again \n jmp end \n sub: inc eax \n ret",
    "the displacement of a jump": "mov ecx, 20 \n again: xor byte ptr [patch + 1], 1"
    "\n patch: jmp one \n one: inc eax \n inc ebx \n loop again",
    "a chained conditional": "mov ecx, 20 \n again: cmp ecx, 10 \n jne over"
    "\n xor byte ptr [patch], 1 \n over: patch: jz near_end \n inc eax \n near_end: loop again",
    "a stub": "mov ecx, 9 \n again: pushfd \n patch: popfd \n add esp, 4 \n sub esp, 4 \n"
    "mov byte ptr [patch], 0x58 \n loop again",
    "a call becomes nops": "mov ecx, 5 \n again: patch: call sub \n inc ebx \n"
    "mov dword ptr [patch], 0x90909090 \n mov byte ptr [patch + 4], 0x90 \n loop again"
    "\n jmp end \n sub: inc eax \n ret",
    "rep movs over itself": "cld \n mov esi, source \n mov edi, target \n mov ecx, 8 \n target:"
    "rep movsb \n" + raw("4040404040404040") + "\n jmp end \n source: " + raw("f3a4434343434343"),
    "rep stos over itself": "cld \n mov edi, target \n mov eax, 0x43 \n mov ecx, 8 \n target:"
    "rep stosb \n " + raw("4040404040404040"),
    "rep stos downwards": "std \n mov edi, last \n mov eax, 0x43 \n mov ecx, 12 \n target:"
    "rep stosb \n " + raw("40404040404040404040") + "\n last: " + raw("40") + "\n cld",
    "push over itself": "mov edx, esp \n lea esp, [patch + 4] \n push 0x43434343 \n patch:"
    + raw("40404040") + "\n mov esp, edx",
    "pop over itself": "push 0x43434343 \n pop dword ptr [patch] \n patch: " + raw("40404040"),
    "xchg": "mov eax, 0x43434343 \n xchg [patch], eax \n patch: " + raw("40404040"),
    "fstp": "fninit \n mov dword ptr [DATA], 0x43434343 \n mov dword ptr [DATA + 4], 0x43434343 \n"
    "fild qword ptr [DATA] \n fistp qword ptr [patch] \n patch: " + raw("4040404040404040"),
    "fstp tbyte": "fninit \n fldpi \n mov ecx, 2 \n again: fstp tbyte ptr [patch] \n"
    "mov dword ptr [patch], 0x43434343 \n mov dword ptr [patch + 4], 0x43434343 \n"
    "mov word ptr [patch + 8], 0x4343 \n fldpi \n patch: " + raw("40" * 10) + "\n loop again",
    "cmpxchg8b": "mov eax, 0x40404040 \n mov edx, eax \n mov ebx, 0x43434343 \n mov ecx, ebx \n"
    "cmpxchg8b qword ptr [patch] \n patch: " + raw("4040404040404040"),
    # EDI comes first: inc ebx; inc ebx; jmp behind the other registers
    "pushad": "mov ebp, esp \n mov edi, 0x1ceb4343 \n lea esp, [patch + 32] \n pushad \n patch: "
    + raw("40" * 32) + "\n mov esp, ebp",
    "enter": "mov ecx, esp \n mov ebp, 0x43434343 \n lea esp, [patch + 4] \n enter 0, 0"
    "\n patch: " + raw("40404040") + "\n mov esp, ecx",
    "two bytes before": "mov word ptr [patch - 1], 0x4343 \n jmp early \n early: nop"
    "\n patch: inc eax",
    "sidt": ".byte 0x0f, 0x01, 0x0d \n .long patch - 6 \n jmp over \n" + raw("909090909090")
    + "\n patch: over: inc eax",
    "a write that changes nothing": "mov ecx, 50 \n again: mov al, [patch] \n mov [patch], al \n"
    "patch: inc ebx \n loop again",
    "decryption": "mov ecx, 8 \n mov esi, secret \n again: xor byte ptr [esi], 0x55 \n inc esi \n"
    "loop again \n secret: " + raw(bytes(b ^ 0x55 for b in b"\x40\x43\x41\x42\x40\x43\x41\x42")),
    "code written, called, written": "mov edi, DATA \n mov ecx, 30 \n again:"
    "mov byte ptr [edi], 0xb8 \n mov [edi + 1], ecx \n mov byte ptr [edi + 5], 0xc3 \n call edi"
    "\n add ebx, eax \n loop again",
}  # fmt: skip
NEW_WINS = (
    *("next instruction", "next instruction, a dword", "push over itself", "xchg"),
    *("pop over itself", "cmpxchg8b"),
)
CONTEXTS = [
    pytest.param(0, 0x002, False, id="kernel"),
    pytest.param(0, 0x002, True, id="kernel, paged"),
    pytest.param(3, 0x202, False, id="user"),
    pytest.param(3, 0x202, True, id="user, paged"),
    pytest.param(3, 0x3202, True, id="user, translated"),
]


def program(name: str) -> str:
    return f"{PROGRAMS[name]}\n end: int 0x31"


@pytest.mark.parametrize(("ring", "flags", "paging"), CONTEXTS)
@pytest.mark.parametrize("name", PROGRAMS)
def test_rewriting(name: str, ring: int, flags: int, paging: bool) -> None:
    done = agree(program(name), ring=ring, flags=flags, paging=paging)
    if name in NEW_WINS:
        state = done.translate.registers
        assert (state["eax"] & 0xFF, state["ebx"]) != (1, 0), "the old instruction ran"


@pytest.mark.slow
@pytest.mark.parametrize("name", PROGRAMS)
def test_rewriting_step_by_step(name: str) -> None:
    agree_all_along(Kernel(program(name)), chunks=(1, 3), most=2000)


@pytest.mark.parametrize("name", PROGRAMS)
def test_rewriting_across_pages(name: str) -> None:
    """The same with a page boundary in the middle of it."""
    for at in (0xFF0, 0xFFD):
        source = f".align 4096, 0x90 \n .fill {at}, 1, 0x90 \n {program(name)}"
        agree(Kernel(source, paging=True))


ALIAS = 0x180000  # another linear address of the page of the code


@pytest.mark.parametrize(("ring", "flags"), [(0, 2), (3, 0x202), (3, 0x3202)])
@pytest.mark.parametrize("write", ["dword", "byte", "rep", "push"])
def test_rewriting_through_an_alias(write: str, ring: int, flags: int) -> None:
    how = {
        "dword": "mov eax, 0x43434343 \n mov [edi], eax",
        "byte": "mov byte ptr [edi], 0x43",
        "rep": "mov al, 0x43 \n push ecx \n mov ecx, 4 \n rep stosb \n pop ecx",
        "push": "mov edx, esp \n lea esp, [edi + 4] \n push 0x43434343 \n mov esp, edx",
    }[write]
    source = f"""
        cld
        mov  ecx, 4
    again:
        call patch
        mov  edi, patch - CODE + {ALIAS:#x}
        {how}
        call patch
        mov  dword ptr [patch], 0x40404040
        loop again
        int  0x31
    patch:
        {raw("40404040")}
        ret
    """
    pages = {ALIAS: CODE | 7}
    done = agree(source, ring=ring, flags=flags, paging=True, pages=pages)
    assert done.bare.registers["ebx"] >= 4


@pytest.mark.parametrize(("ring", "flags"), [(0, 2), (3, 0x202), (3, 0x3202)])
def test_code_that_runs_at_two_addresses(ring: int, flags: int) -> None:
    """Both translations must go when the bytes change."""
    source = f"""
        mov  ecx, 6
        mov  esi, patch - CODE + {ALIAS:#x}
    again:
        call patch
        call esi
        xor  dword ptr [patch], 0x03030303
        call esi
        call patch
        xor  dword ptr [esi], 0x03030303
        loop again
        int  0x31
    patch:
        {raw("40404040")}
        ret
    """
    agree(source, ring=ring, flags=flags, paging=True, pages={ALIAS: CODE | 7})


# Ring 0 code with a limit of its own: run by the ideal processor, not from the cache
STRANGE_CODE = descriptor(0, 0xFFFFE, 0xC09B)


def test_the_kernel_rewrites_user_code_that_ran() -> None:
    """A search of user code for critical instructions must not be passed by.

    The critical instruction comes into being by the INC: no search of the program finds it.
    """
    source = """
        push 0x23
        push STACK3
        push 0x202
        push 0x1b
        push user
        iretd
    user:
        mov  ebx, 0
        mov  edi, 3
    again:
        call patch
        int  0x30
        mov  ecx, 5000
    delay:
        loop delay
        dec  edi
        jnz  again
        int  0x31
    patch:
        inc  ebx
        nop
        nop
        ret
    service:
        WRITE
        inc  byte ptr ss:[patch]
        iretd
    """
    for write in (
        "mov dword ptr ss:[patch], 0xc3e2010e",  # smsw edx; ret
        "mov dword ptr ss:[patch], 0xc3c2000e",  # sldt edx; ret
        "mov dword ptr ss:[patch], 0xc3ca000e",  # str edx; ret
    ):
        text = source.replace("WRITE", write)
        gate_at = Kernel(text).symbol("service")
        for cs in (0x08, 0x38):  # the ideal processor hands on after some thousand instructions
            idt = {0x30: gate(gate_at, 0xEE, selector=cs)}
            agree(text, idt=idt, gdt={0x38: STRANGE_CODE}, paging=True)


def test_user_code_writes_its_own_critical_instructions() -> None:
    source = """
        mov  edi, DATA
        mov  ecx, 30
    again:
        mov  dword ptr [edi], 0xc3e2010f
        call edi
        add  ebx, edx
        mov  dword ptr [edi], 0xc3ca000f
        call edi
        add  ebx, edx
        mov  dword ptr [edi], 0xc3424242
        call edi
        loop again
        int  0x31
    """
    agree(source, ring=3)
    agree(source, ring=3, paging=True)


@pytest.mark.parametrize(("ring", "flags"), [(0, 2), (3, 0x202), (3, 0x3202)])
def test_a_generator_of_code(ring: int, flags: int) -> None:
    """A small just-in-time compiler: fresh code at ever new places, then the same places again."""
    source = """
        cld
        mov  ebp, 3
    rounds:
        mov  edi, DATA
        mov  ecx, 200
    again:
        mov  esi, edi
        mov  al, 0x05
        stosb
        mov  eax, ecx
        stosd
        mov  al, 0xc3
        stosb
        mov  eax, ebp
        call esi
        add  ebx, eax
        loop again
        dec  ebp
        jnz  rounds
        int  0x31
    """
    agree(source, ring=ring, flags=flags)


# --- code beside data ---------------------------------------------------------------------------

COUNTER = """
    mov  ecx, ROUNDS
    jmp  again
    .align 16
counter:
    .long 0, 0, 0, 0
again:
    inc  dword ptr [COUNTER]
    add  eax, [COUNTER]
    mov  [COUNTER + 4], ecx
    push eax
    pop  dword ptr [COUNTER + 8]
    dec  ecx
    jnz  again
    int  0x31
"""


@pytest.mark.parametrize(("ring", "flags"), [(0, 2), (3, 0x202), (3, 0x3202)])
@pytest.mark.parametrize("paging", [False, True], ids=["flat", "paged"])
def test_a_hot_counter_beside_code_costs_no_exits(ring: int, flags: int, paging: bool) -> None:
    """Bytes are traced one by one: data in a page of code is only data."""
    exits = []
    for place, rounds in (("DATA", 2000), ("counter", 100), ("counter", 2000)):
        source = COUNTER.replace("ROUNDS", str(rounds)).replace("COUNTER", place)
        done = agree(source, ring=ring, flags=flags, paging=paging)
        exits.append(sum(done.translate.exits.values()))
    elsewhere, few, many = exits
    assert many <= few + 60, "exits must not grow with the number of writes"
    assert many <= elsewhere + 100


def test_code_rewritten_for_ever_is_bounded_work() -> None:
    """One exit for the write, one for the new translation and its chains: not more each round."""
    source = """
        mov  ecx, ROUNDS
    again:
    patch:
        mov  eax, 1
        add  ebx, eax
        inc  dword ptr [patch + 1]
        dec  ecx
        jnz  again
        int  0x31
    """
    few = agree(source.replace("ROUNDS", "100"))
    many = agree(source.replace("ROUNDS", "1100"))
    growth = sum(many.translate.exits.values()) - sum(few.translate.exits.values())
    assert growth <= 1000 * 8


def test_dropped_blocks_do_not_fill_the_cache_for_ever() -> None:
    """Enough rewriting to use up the cache: it starts anew and goes on."""
    body = "\n".join("pushfd \n popfd" for _ in range(20))
    source = f"""
        mov  ecx, 9000
    again:
        inc  dword ptr [patch + 1]
        {body}
    patch:
        mov  eax, 1
        dec  ecx
        jnz  again
        int  0x31
    """
    done = agree(source)
    tc = done.translate.machine.statistics()["tc"]
    assert tc["flushes"] >= 1
