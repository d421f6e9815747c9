; Faults in ring 0: the vector, the error code and the place (SDM vol. 3, 6.15).

checks_faults:
    mov  dword ptr [resume_at], .after_ud2
.ud2:
    ud2
.after_ud2:
    call take_fault
    mov  edx, FAULT_UD
    mov  esi, "fault-ud2"
    call check
    mov  eax, [fault_eip]
    mov  edx, .ud2
    mov  esi, "fault-eip"
    call check
    mov  dword ptr [resume_at], .after_div
    xor  edx, edx
    mov  eax, 1
    xor  ecx, ecx
    div  ecx
.after_div:
    call take_fault
    xor  edx, edx
    mov  esi, "fault-divide"
    call check
    mov  dword ptr [resume_at], .after_bound
    mov  eax, 3
    bound eax, [bounds]
.after_bound:
    call take_fault
    mov  edx, FAULT_BR
    mov  esi, "fault-bound"
    call check
    mov  dword ptr [resume_at], .after_int3
    int3
.after_int3:
    call take_fault
    mov  edx, 3 << 16
    mov  esi, "int3"
    call check
    mov  eax, [fault_eip]
    mov  edx, .after_int3
    mov  esi, "int3-eip"
    call check

; Segment faults carry the selector
    mov  dword ptr [resume_at], .after_null
    xor  eax, eax
    mov  gs, eax
    mov  eax, gs:[0]
.after_null:
    call take_fault
    mov  edx, FAULT_GP
    mov  esi, "null-segment"
    call check
    mov  dword ptr [resume_at], .after_beyond
    mov  eax, GDT_LIMIT + 1
    mov  gs, eax
.after_beyond:
    call take_fault
    mov  edx, FAULT_GP | GDT_LIMIT + 1
    mov  esi, "selector-beyond-gdt"
    call check
    mov  dword ptr [resume_at], .after_not_present
    mov  eax, NOT_PRESENT
    mov  gs, eax
.after_not_present:
    call take_fault
    mov  edx, FAULT_NP | NOT_PRESENT
    mov  esi, "segment-not-present"
    call check
    mov  eax, BYTE_LIMIT
    mov  gs, eax
    mov  dword ptr [resume_at], .after_limit
    mov  al, gs:[0x100]
.after_limit:
    call take_fault
    mov  edx, FAULT_GP
    mov  esi, "segment-limit"
    call check
    mov  eax, READ_ONLY
    mov  gs, eax
    mov  dword ptr [resume_at], .after_read_only
    mov  byte ptr gs:[FRAME_A], 1
.after_read_only:
    call take_fault
    mov  esi, "segment-read-only"
    call check
    mov  dword ptr [resume_at], .after_int
    int  0x50                       ; no gate there
.after_int:
    call take_fault
    mov  edx, FAULT_GP | 0x50 << 3 | 2
    mov  esi, "gate-missing"
    call check
    xor  eax, eax
    mov  gs, eax
    ret

    .align 4
bounds: .long 4, 8
