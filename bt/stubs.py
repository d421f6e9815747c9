"""Stubs: what a problem instruction is replaced with in the translation cache.

A stub works on the *vCPU page*, hidden memory that holds the virtual CPU's flags and selectors,
reached through a segment register that is reserved for it: GS or FS, whichever the guest uses less
(reserved.py). In the templates it is called GS. A stub needs registers, so it spills them there;
and it must leave the arithmetic flags alone, which rules out ADD, AND and CMP: LEA adds, JECXZ
compares with zero, BOUND with anything, and where flags are needed POPFD brings back those that
PUSHFD saved.

Each line of a template may say after a bar

    done          completing this instruction completes the guest's
    eax, ecx, esi these registers are in their spill slots here: a fault or an exit restores them
    target        the guest's EIP is in the TARGET slot; target_ecx: it is in ECX

and `slow:` begins the part that stands out of line, at the end of the block. `exit` leaves for
the monitor, which emulates the instruction from the start. IMMEDIATE is a value that the translator
fills in; GUEST and ADDRESS are instructions of its own.

Worked example: `CLI` becomes `mov dword ptr gs:[VSYS], 0`: IF lives in VSYS, the guest's real IF
stays 1.
"""

from __future__ import annotations

from bt.stub_code import Stub, assembled
from bt.vcpu_page import READ_BOUNDS

GOES_INDIRECT = """
    movzx eax, cx                     | eax, ecx
    jmp dword ptr gs:[eax * 4 + NEAR_LANDINGS] | eax, ecx, done
"""

TARGET_THROUGH = f"""
    ADDRESS
    bound ecx, qword ptr gs:[{READ_BOUNDS + 16}] | ecx
    mov eax, dword ptr gs:[SEGMENT_SHIFT] | ecx
    mov ecx, dword ptr [ecx + eax]    | eax, ecx
"""

TEMPLATES = {
    "cli": """
    mov dword ptr gs:[VSYS], 0        | done
""",
    "sti": """
    mov dword ptr gs:[SAVE_EAX], eax
    mov eax, 0x200                    | eax
    xchg dword ptr gs:[VSYS], eax     | eax
    mov dword ptr gs:[STI_BEFORE], eax | eax
    mov eax, dword ptr gs:[SAVE_EAX]  | eax, done
""",
    # The real IF is always 1, so only a virtual 0 has to be put in. POPFD brings the flags back
    # and leaves the image where it is, one LEA away.
    "pushf": """
    pushfd
    test dword ptr gs:[VSYS], 0x200
    jnz on
    and dword ptr [esp], 0xFFFFFDFF
on: popfd
    lea esp, [esp - 4]                | done
""",
    # TF and IOPL want the monitor; so does IF while an interrupt waits (the page of VSYS faults).
    # Flags may be lost on the way there: POPF replaces them all. VSYS gets the whole image, of
    # which only bit 9 counts.
    "popf": """
    test dword ptr [esp], 0x3100
    jnz slow
    pop dword ptr gs:[VSYS]
    lea esp, [esp - 4]
    popfd                             | done
slow:
    exit
""",
    "ret": """
    mov dword ptr gs:[SAVE_EAX], eax
    mov dword ptr gs:[SAVE_ECX], ecx
    pop ecx
"""
    + GOES_INDIRECT,
    "ret_immediate": """
    mov dword ptr gs:[SAVE_EAX], eax
    mov dword ptr gs:[SAVE_ECX], ecx
    pop ecx
    lea esp, [esp + IMMEDIATE]        | ecx
"""
    + GOES_INDIRECT,
    # GUEST stands for `mov ecx, <the guest's operand>`
    "call_indirect": """
    mov dword ptr gs:[SAVE_EAX], eax
    mov dword ptr gs:[SAVE_ECX], ecx
    GUEST
    push IMMEDIATE                    | ecx
"""
    + GOES_INDIRECT,
    "jmp_indirect": """
    mov dword ptr gs:[SAVE_EAX], eax
    mov dword ptr gs:[SAVE_ECX], ecx
    GUEST
"""
    + GOES_INDIRECT,
    # The same for an operand in the guest's own segment of the reserved register, as in
    # segment_access.py. ADDRESS puts its offset into ECX, with the top bit turned over.
    "call_through": """
    mov dword ptr gs:[SAVE_EAX], eax
    mov dword ptr gs:[SAVE_ECX], ecx
"""
    + TARGET_THROUGH
    + """
    push IMMEDIATE                    | eax, ecx
"""
    + GOES_INDIRECT,
    "jmp_through": """
    mov dword ptr gs:[SAVE_EAX], eax
    mov dword ptr gs:[SAVE_ECX], ecx
"""
    + TARGET_THROUGH
    + GOES_INDIRECT,
    # Where an indirect branch arrives, at `enter`: is it for this guest EIP? LOOP counts ECX,
    # which is 1 then, down to 0 and falls through, to the block's body or a jump to it.
    "landing": """
not_here: lea ecx, [ecx + IMMEDIATE]
    jmp MISS
enter: lea ecx, [ecx - IMMEDIATE + 1] | eax, ecx, target_ecx
    loop not_here
    mov ecx, dword ptr gs:[SAVE_ECX]
    mov eax, dword ptr gs:[SAVE_EAX]
""",
    # No near landing, or another block's.
    "near_miss": """
    mov eax, ecx                      | eax, ecx, target_ecx
    bswap eax
    lea eax, [eax + ecx]
    movzx eax, ax
    jmp dword ptr gs:[eax * 4 + FAR_LANDINGS]
""",
    "far_miss": """
    mov dword ptr gs:[TARGET], ecx    | eax, ecx, target_ecx
    exit                              | eax, ecx, target
""",
}


def stub(name: str, reserved: str) -> Stub:
    """One of ours; `reserved` is the segment register that reaches the vCPU page."""
    return assembled(TEMPLATES[name], reserved)
