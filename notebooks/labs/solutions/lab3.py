"""Lab 3, solved: four stubs that need no exit."""

from __future__ import annotations

STUBS = {
    # MOV changes no flag.
    "cli": """
    mov dword ptr gs:[VSYS], 0        | done
""",
    # What VSYS was before decides whether STI casts a shadow. XCHG changes no flag either.
    "sti": """
    mov dword ptr gs:[SAVE_EAX], eax
    mov eax, 0x200                    | eax
    xchg dword ptr gs:[VSYS], eax     | eax
    mov dword ptr gs:[STI_BEFORE], eax | eax
    mov eax, dword ptr gs:[SAVE_EAX]  | eax, done
""",
    # Only the first instruction can fault, and it has changed nothing then. AND spoils the flags;
    # POPFD brings them back, with the image still in memory below ESP.
    "pushf": """
    pushfd
    test dword ptr gs:[VSYS], 0x200
    jnz shown
    and dword ptr [esp], 0xFFFFFDFF
shown: popfd
    lea esp, [esp - 4]                | done
""",
    # TEST spoils flags that POPF replaces. If POP faults, because an interrupt waits for IF, the
    # image is still on the stack.
    "popf": """
    test dword ptr [esp], 0x3100
    jnz slow
    pop dword ptr gs:[VSYS]
    lea esp, [esp - 4]
    popfd                             | done
slow:
    exit
""",
}
