"""Control transfers out of the translation cache: after the first time round, without an exit."""

from __future__ import annotations

import pytest
from kernel_lab import CODE, DATA, Kernel, agree

FEW, MANY = 50, 3000
SPARE = 100  # exits that ends of time slices may add; one a round would be thousands

LOOPS = {
    "jcc": "again: dec ecx \n jnz again",
    "jmp": "again: jmp one \n one: dec ecx \n jz end \n jmp again",
    "loop": "again: inc eax \n loop again",
    "jecxz": "again: dec ecx \n jecxz end \n jmp again",
    "loopne": "again: cmp eax, 1 \n loopne again",
    "call": "again: call sub \n dec ecx \n jnz again \n jmp end \n sub: inc eax \n ret",
    "call with ret imm": "again: push eax \n call sub \n dec ecx \n jnz again \n jmp end"
    "\n sub: inc eax \n ret 4",
    "call register": "mov ebx, sub \n again: call ebx \n dec ecx \n jnz again \n jmp end"
    "\n sub: inc eax \n ret",
    "call memory": "mov dword ptr [DATA], sub \n again: call [DATA] \n dec ecx \n jnz again"
    "\n jmp end \n sub: inc eax \n ret",
    "call [esp]": "push sub \n again: call [esp] \n dec ecx \n jnz again \n jmp end"
    "\n sub: inc eax \n ret",
    "jmp register": "mov ebx, two \n again: jmp ebx \n nop \n two: dec ecx \n jnz again",
    "jmp table": "mov dword ptr [DATA], one \n mov dword ptr [DATA + 4], two \n again: mov edx, ecx"
    "\n and edx, 1 \n jmp [DATA + edx * 4] \n one: inc eax \n two: dec ecx \n jnz again",
    "jmp eax": "again: mov eax, two \n jmp eax \n nop \n two: dec ecx \n jnz again",
    "jmp through ecx": "mov edx, ecx \n mov ecx, DATA \n mov dword ptr [DATA], two \n again:"
    "jmp [ecx] \n two: dec edx \n jnz again",
    "recursion": "again: mov edx, 20 \n call down \n dec ecx \n jnz again \n jmp end"
    "\n down: dec edx \n jz up \n call down \n up: ret",
    "push and ret": "again: push two \n ret \n nop \n two: dec ecx \n jnz again",
    "flags": "again: pushfd \n cli \n popfd \n sti \n dec ecx \n jnz again",
    "selectors": "again: push ds \n mov eax, cs \n smsw ebx \n str edx \n pop eax \n mov ebx, cr0"
    "\n dec ecx \n jnz again",
}

# User code may not use CLI, and STR leaves each time.
BRANCHES = [name for name in LOOPS if name not in ("flags", "selectors")]


def loop_kernel(name: str, count: int, ring: int = 0, flags: int = 2) -> Kernel:
    source = f"mov ecx, {count} \n {LOOPS[name]} \n end: int 0x31 \n"
    return Kernel(source, ring=ring, flags=flags)


def exits(kernel: Kernel) -> int:
    done = agree(kernel)
    return sum(done.translate.exits.values())


@pytest.mark.parametrize("name", LOOPS)
def test_a_loop_in_the_kernel_takes_no_exits(name: str) -> None:
    assert exits(loop_kernel(name, MANY)) <= exits(loop_kernel(name, FEW)) + SPARE


@pytest.mark.slow
@pytest.mark.parametrize("name", BRANCHES)
def test_a_loop_in_translated_user_code_takes_no_exits(name: str) -> None:
    """IF = 0 or IOPL = 3 in ring 3: what an interrupt-free or an old X server's code is."""
    few, many = (exits(loop_kernel(name, n, 3, 0x3202)) for n in (FEW, MANY))
    assert many <= few + SPARE


@pytest.mark.slow
@pytest.mark.parametrize("name", BRANCHES)
def test_a_loop_in_user_code_takes_no_exits(name: str) -> None:
    """Direct execution: no branch exits at all."""
    few, many = (exits(loop_kernel(name, n, 3, 0x202)) for n in (FEW, MANY))
    assert many <= few + SPARE


# Functions whose EIPs agree in the low 16 bits: their landings collide.
COLLIDING = """
    mov  ecx, {count}
again:
    mov  ebx, 0x20000 + low
    call ebx
    mov  ebx, 0x50000 + low
    call ebx
    mov  ebx, low
    call ebx
    dec  ecx
    jnz  again
    int  0x31
    .align 16
low = CODE + 0x800
"""


def colliding(count: int) -> Kernel:
    source = COLLIDING.replace("low = CODE + 0x800", "").replace("low", f"{CODE + 0x800:#x}")
    memory = {
        CODE + 0x800: b"\x83\xc0\x01\xc3",  # add eax, 1; ret
        0x20000 + CODE + 0x800: b"\x83\xc2\x02\xc3",  # add edx, 2; ret
        0x50000 + CODE + 0x800: b"\x83\xc6\x03\xc3",  # add esi, 3; ret
    }
    return Kernel(source.format(count=count), memory=memory)


def test_landings_that_collide() -> None:
    few, many = agree(colliding(FEW)), agree(colliding(MANY))
    assert many.bare.registers["esi"] == 3 * MANY
    # Two of the three share a place in both tables at worst; most calls still land.
    assert sum(many.translate.exits.values()) < sum(few.translate.exits.values()) + 10


def test_every_call_pushes_the_guests_return_address() -> None:
    source = """
        call one
    one:
        pop  eax
        mov  ebx, two
        call ebx
    two:
        pop  edx
        mov  dword ptr [DATA], three
        call [DATA]
    three:
        pop  esi
        call far 0x08:four
    four:
        pop  edi
        pop  ebp
        mov  [DATA + 4], edi
        call five
    five:
        mov  ecx, [esp]
        int  0x31
    """
    done = agree(source)
    kernel = Kernel(source)
    wanted = {"eax": "one", "edx": "two", "esi": "three", "edi": "four", "ecx": "five"}
    for register, label in wanted.items():
        assert done.translate.registers[register] == kernel.symbol(label), register


def test_nothing_of_the_cache_is_left_on_the_stack() -> None:
    """Not above ESP, and not below it: the stubs use no stack."""
    done = agree("mov ecx, 20 \n again: call sub \n pushfd \n popfd \n sti \n cli \n push cs"
                 "\n pop eax \n loop again \n int 0x31 \n sub: pushfd \n popfd \n ret")  # fmt: skip
    memory = done.translate.memory()
    words = memory[0x8000:0x9000].view("<u4")
    assert not (words >= 0xFF800000).any()


def test_sixteen_bit_branches() -> None:
    """With 66 they cut EIP to 16 bits: emulated, each time."""
    source = """
        mov  ecx, 3
        mov  byte ptr [0x5000], 0xC3
        mov  eax, 0x5000
        .byte 0x66, 0xff, 0xd0
        int  0x31
    """
    # The 16-bit CALL pushed a 16-bit return address, and RET takes 32 bits: that is the guest's
    # own trouble, and must be the same trouble.
    agree(Kernel(source, memory={DATA: b"\0" * 16}), ends=None, most=5000)


@pytest.mark.slow
def test_more_landings_than_the_cache_has_room() -> None:
    """Computed jumps to very many places: the cache starts anew, and nothing else happens."""
    count = 1500
    pad = 64
    body = b"".join(
        b"\x9c\x9d" * 12 + b"\x41" + b"\x90" * (pad - 26) + b"\xc3" for _ in range(count)
    )
    source = f"""
        mov  edi, 3
    round:
        mov  ebx, 0x100000
        mov  esi, {count}
    again:
        call ebx
        add  ebx, {pad}
        dec  esi
        jnz  again
        dec  edi
        jnz  round
        int  0x31
    """
    assert len(body) == count * pad
    agree(Kernel(source, memory={0x100000: body}))
