"""Interrupts, shadows, single steps: events between instructions, wherever stubs stand."""

from __future__ import annotations

import pytest
from kernel_lab import DATA, Kernel, agree, agree_all_along, raw, run

from monitor.lockstep.cpu_state import explain, state_of

# Every stub, several times, with memory in between. ECX rounds.
STUBS = """
    mov  ecx, ROUNDS
    mov  ebx, sub
    mov  dword ptr [DATA], sub
again:
    pushfd
    cli
    mov  eax, cs
    push ds
    pop  eax
    sti
    call sub
    call ebx
    popfd
    call [DATA]
    smsw eax
    pushfd
    sti
    nop
    cli
    sti
    push 8
    call sub4
    popfd
    mov  eax, cr0
    str  eax
    mov  esi, skip
    jmp  esi
    nop
skip:
    push ss
    pop  ss
    inc  dword ptr [DATA + 4]
    mov  ax, ds
    mov  ds, ax
    sti
    pushfd
    and  dword ptr [esp], 0xFFFFFDFF
    popfd
    push 0x202
    popfd
    dec  ecx
    jnz  again
    cli
    int  0x31
sub:
    pushfd
    popfd
    ret
sub4:
    ret  4
"""
TIMER = """
    mov  al, 0x34
    out  0x43, al
    mov  al, PERIOD
    out  0x40, al
    mov  al, 0
    out  0x40, al
    mov  al, 0xfe
    out  0x21, al
    sti
"""


def stubs(rounds: int, period: int | None = None, **options: object) -> Kernel:
    source = STUBS.replace("ROUNDS", str(rounds))
    if period is not None:
        source = TIMER.replace("PERIOD", str(period)) + source
    return Kernel(source, **options)  # type: ignore[arg-type]


def test_every_instruction_boundary() -> None:
    agree_all_along(stubs(3))


def test_every_instruction_boundary_with_paging() -> None:
    agree_all_along(stubs(2, paging=True))


@pytest.mark.slow
def test_pieces_of_every_length() -> None:
    agree_all_along(stubs(12), chunks=(2, 3, 5, 7, 11, 13, 17, 29, 43))


@pytest.mark.slow
@pytest.mark.parametrize("period", range(2, 60))
def test_a_timer_that_interrupts_everywhere(period: int) -> None:
    """The period in PIT ticks of some 168 instructions: it wanders through the loop."""
    done = agree(stubs(1500, period))
    assert done.bare.vectors.count(0x20) > 4


MOST_PLACES = 28  # instructions of the loop that run with IF = 1, and not in a shadow


@pytest.mark.slow
def test_a_timer_hits_each_instruction_of_the_loop() -> None:
    """The timer tests above are worth something: together they find most instructions."""
    places = set()
    for period in (2, 3, 5, 7, 11, 13):
        places |= {line.eip for line in run(stubs(1500, period), "translate").log}
    assert len(places) >= MOST_PLACES


PENDING = """
    mov  al, 0x34
    out  0x43, al
    mov  al, 2
    out  0x40, al
    mov  al, 0
    out  0x40, al
    mov  al, 0xfe
    out  0x21, al
    mov  ecx, 1000
wait:
    loop wait
    {code}
    mov  al, 0xff
    out  0x21, al
    int  0x31
"""
# What happens with an interrupt already waiting
SHADOWS = {
    "sti": "sti \n inc eax \n inc eax \n cli",
    "sti sti": "sti \n sti \n inc eax \n cli",
    "sti cli": "sti \n cli \n inc eax",
    "sti cli again": "sti \n cli \n sti \n cli \n sti \n cli \n sti \n nop \n nop \n cli",
    "popf": "push 0x202 \n popfd \n inc eax \n cli",
    "popf popf": "push 2 \n push 0x202 \n popfd \n popfd \n inc eax",
    "popf 16": "push 0x02020202 \n " + raw("669d") + "\n inc eax \n inc eax \n pop bx \n cli",
    "sti mov ss": "mov dx, ss \n sti \n mov ss, dx \n inc eax \n inc eax \n cli",
    "popf mov ss": "mov dx, ss \n push 0x202 \n popfd \n mov ss, dx \n inc eax \n cli",
    "mov ss sti": "mov dx, ss \n mov ss, dx \n sti \n inc eax \n inc eax \n cli",
    "pop ss": "push ss \n sti \n pop ss \n inc eax \n inc eax \n cli",
    "iret": "pushfd \n or dword ptr [esp], 0x200 \n push cs \n push here \n iretd \n here:"
    "inc eax \n inc eax \n cli",
    "sti hlt": "sti \n hlt \n inc eax \n cli",
    "sti ret": "push here \n sti \n ret \n here: inc eax \n cli",
    "sti call": "sti \n call here \n here: inc eax \n cli \n pop ebx",
    "sti jmp": "sti \n jmp here \n here: inc eax \n cli",
    "sti popf": "push 0x202 \n sti \n popfd \n inc eax \n cli",
    "sti pushf": "sti \n pushfd \n inc eax \n cli \n pop ebx",
    "sti int": "sti \n int 0x30 \n inc eax \n cli",
    "sti out": "sti \n out 0x80, al \n inc eax \n cli",
    "sti fault": "mov dword ptr [RESUME], here \n sti \n "
    + raw("0f0b")
    + "\n here: inc eax \n cli",
    "sti late in a block": "inc eax \n" * 47 + "sti \n inc eax \n inc eax \n cli",
    "sti last of a block": "inc eax \n" * 45 + "inc ebx \n sti \n inc eax \n inc eax \n cli",
    "sti rep": "mov ecx, 300 \n mov edi, DATA \n cld \n sti \n rep stosb \n inc eax \n cli",
    "sti in a loop": "mov ecx, 40 \n turn: sti \n inc eax \n cli \n loop turn",
    "popf in a loop": "mov ecx, 40 \n turn: push 0x202 \n popfd \n inc eax \n cli \n loop turn",
}


def test_a_shutdown_in_the_shadow_of_sti() -> None:
    """The instruction that is not completed has not ended the shadow, and no handler runs."""
    done = agree("lidt [none] \n sti \n int3 \n none: " + raw("00" * 6), ends="shutdown")
    bare, translate = (state_of(one.machine) for one in (done.bare, done.translate))
    assert explain(bare, translate) == []
    assert not done.bare.machine.processor.interruptible()


@pytest.mark.parametrize("name", SHADOWS)
def test_interrupt_that_waits(name: str) -> None:
    kernel = Kernel(PENDING.format(code=SHADOWS[name]))
    done = agree(kernel)
    assert 0x20 in done.bare.vectors or name in ("sti cli", "popf popf")


@pytest.mark.slow
@pytest.mark.parametrize("name", SHADOWS)
def test_interrupt_that_waits_step_by_step(name: str) -> None:
    source = PENDING.format(code=SHADOWS[name]).replace("mov  ecx, 1000", "mov  ecx, 340")
    agree_all_along(Kernel(source), chunks=(1, 2, 3), most=3000)


# --- the trap flag ------------------------------------------------------------------------------

SET_TF = "pushfd \n or dword ptr [esp], 0x100 \n popfd \n"
CLEAR_TF = "pushfd \n and dword ptr [esp], 0xFFFFFEFF \n popfd \n"


def test_single_steps_through_stubs() -> None:
    source = STUBS.replace("ROUNDS", "2").replace("again:", SET_TF + "again:")
    done = agree(Kernel(source))
    assert len(done.translate.vectors) > 40
    assert set(done.translate.vectors) == {1}


@pytest.mark.parametrize("flags", [0x202, 0x002, 0x3202])
def test_single_steps_in_user_code(flags: int) -> None:
    source = f"""
        mov  ecx, 3
        {SET_TF}
    again:
        call sub
        mov  eax, cs
        push ds
        pop  ebx
        mov  esi, over
        jmp  esi
        nop
    over:
        lea  eax, [eax + ecx]
        loop again
        {CLEAR_TF}
        nop
        int  0x31
    sub:
        pushfd
        pop  edx
        ret
    """
    done = agree(Kernel(source, ring=3, flags=flags))
    assert done.translate.vectors.count(1) > 20


def test_one_step_at_a_time_with_interrupts() -> None:
    agree(Kernel(TIMER.replace("PERIOD", "5") + SET_TF + STUBS.replace("ROUNDS", "1")))


# --- IOPL ---------------------------------------------------------------------------------------

IOPL_CHANGES = """
    mov  edi, 4
more:
    call stubs
    pushfd
    xor  dword ptr [esp], 0x3000
    popfd
    call stubs
    mov  ebx, stubs
    call ebx
    pushfd
    pop  eax
    mov  [DATA + edi * 4], eax
    dec  edi
    jnz  more
    int  0x31
stubs:
    pushfd
    cli
    pushfd
    pop  eax
    sti
    pushfd
    pop  edx
    popfd
    push 0x1046
    pushfd
    pop  esi
    pop  ebp
    ret
"""


def test_iopl_that_changes_under_the_same_code() -> None:
    agree(IOPL_CHANGES)
    agree_all_along(Kernel(IOPL_CHANGES))


@pytest.mark.parametrize("flags", [0x3202, 0x3002, 0x1202, 0x0002])
def test_cli_and_sti_in_user_code(flags: int) -> None:
    source = """
        mov  dword ptr [RESUME], first
        cli
    first:
        pushfd
        pop  eax
        mov  dword ptr [RESUME], second
        sti
    second:
        pushfd
        pop  ebx
        push 0x202
        popfd
        pushfd
        pop  ecx
        push 0x3002
        popfd
        pushfd
        pop  edx
        int  0x31
    """
    agree(Kernel(source, ring=3, flags=flags))
    agree_all_along(Kernel(source, ring=3, flags=flags))


def test_user_code_with_iopl_3_shares_nothing_with_the_kernel() -> None:
    """The same EIPs run in the kernel and in ring 3: blocks, chains and landings must not mix."""
    source = """
        mov  ebx, shared
        mov  ecx, 3
    warm:
        call ebx
        loop warm
        mov  ax, 0x23
        mov  ds, ax
        push 0x23
        push STACK3
        push 0x3202
        push 0x1b
        push user
        iretd
    shared:
        mov  eax, cs
        pushfd
        pop  edx
        ret
    user:
        mov  ecx, 3
        mov  ebx, shared
    again:
        call ebx
        call shared
        loop again
        push 0x1234
        mov  dword ptr [RESUME], end
        mov  eax, cr0
    end:
        int  0x31
    """
    done = agree(source)
    assert done.translate.registers["edx"] & 0x3200 == 0x3200


def test_alignment_checks_belong_to_ring_3() -> None:
    """CR0.AM and EFLAGS.AC: the kernel's misaligned stubs must not be caught."""
    source = """
        mov  eax, cr0
        or   eax, 0x40000
        mov  cr0, eax
        pushfd
        or   dword ptr [esp], 0x40000
        popfd
        dec  esp
        pushfd
        popfd
        call sub
        mov  ebx, sub
        call ebx
        push ds
        pop  es
        mov  eax, [DATA + 1]
        pushfd
        pop  edx
        inc  esp
        int  0x31
    sub:
        ret
    """
    agree(source)


# --- x87 ----------------------------------------------------------------------------------------

X87 = """
    fninit
    fld1
    call sub
    fnstenv [DATA]
    fldpi
    nop
    fnstenv [DATA + 0x20]
    fld  dword ptr [DATA]
    jmp  over
over:
    fnsave [DATA + 0x40]
    fld1
    mov  ebx, sub
    call ebx
    fnstenv [DATA + 0xC0]
    fldz
    push cs
    pop  eax
    fnstenv [DATA + 0x100]
    mov  word ptr [DATA + 0x140], 0x37b
    fldcw [DATA + 0x140]
    fldz
    fld1
    mov  dword ptr [RESUME], caught
    fdivrp
    nop
    fwait
caught:
    fnstenv [DATA + 0x160]
    fnclex
    int  0x31
sub:
    fadd st(0), st(0)
    ret
"""


@pytest.mark.parametrize("ne", [0, 0x20])
@pytest.mark.parametrize(("ring", "flags"), [(0, 2), (3, 0x202), (3, 0x3202), (3, 2)])
def test_x87_environment_shows_the_guests_addresses(ring: int, flags: int, ne: int) -> None:
    set_ne = f"mov eax, cr0 \n or eax, {ne} \n mov cr0, eax \n"
    source = set_ne + X87 if ring == 0 else X87
    done = agree(Kernel(source, ring=ring, flags=flags))
    assert done.translate.dword(DATA + 0x0C) == Kernel(source).symbol("sub")


def test_x87_pointers_as_the_guest_loads_them() -> None:
    """FLDENV and FNSTENV carry any pointer, also one that would lie in the hidden region."""
    for pointer in (0xFF800100, 0xFFE00000, 0xFFFFFFFF, 0x1000):
        source = f"""
            fninit
            fnstenv [DATA]
            mov  dword ptr [DATA + 0x0C], {pointer:#x}
            fldenv [DATA]
            call next
        next:
            pop  eax
            cli
            fnstenv [DATA + 0x40]
            int  0x31
        """
        done = agree(source)
        assert done.bare.dword(DATA + 0x4C) == pointer
