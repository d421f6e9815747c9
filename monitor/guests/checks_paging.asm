; Paging: aliases, remapping, accessed and dirty bits, write protection (SDM vol. 3, 4.6 to 4.10).

checks_paging:
    mov  dword ptr [FRAME_A], 0xaaaaaaaa
    mov  dword ptr [FRAME_B], 0xbbbbbbbb
    mov  eax, [FRAME_A + ALIAS]
    mov  edx, 0xaaaaaaaa
    mov  esi, "alias-read"
    call check
    mov  dword ptr [FRAME_A + ALIAS], 0x0a0a0a0a
    mov  eax, [FRAME_A]
    mov  edx, 0x0a0a0a0a
    mov  esi, "alias-write"
    call check

    mov  eax, FRAME_A | PRESENT | WRITABLE
    call map_window
    mov  eax, [WINDOW]
    mov  esi, "window-first-frame"
    call check
    mov  eax, [WINDOW_PTE]
    and  eax, ACCESSED | DIRTY
    mov  edx, ACCESSED
    mov  esi, "pte-accessed"
    call check
    mov  dword ptr [WINDOW], 0x11111111
    mov  eax, [WINDOW_PTE]
    and  eax, ACCESSED | DIRTY
    mov  edx, ACCESSED | DIRTY
    mov  esi, "pte-dirty"
    call check
    mov  eax, FRAME_B | PRESENT | WRITABLE
    call map_window
    mov  eax, [WINDOW]
    mov  edx, 0xbbbbbbbb
    mov  esi, "invlpg-remaps"
    call check
    mov  dword ptr [WINDOW_PTE], FRAME_A | PRESENT | WRITABLE
    mov  eax, cr3
    mov  cr3, eax
    mov  eax, [WINDOW]
    mov  edx, 0x11111111
    mov  esi, "mov-cr3-remaps"
    call check

; Faults: not present, and a write to a read-only page, which CR0.WP forbids ring 0 too
    xor  eax, eax
    call map_window
    mov  dword ptr [resume_at], .after_read
    mov  eax, [WINDOW + 0x24]
.after_read:
    call take_fault
    mov  edx, FAULT_PF
    mov  esi, "page-not-present"
    call check
    mov  eax, [fault_cr2]
    mov  edx, WINDOW + 0x24
    mov  esi, "cr2"
    call check
    mov  eax, FRAME_A | PRESENT
    call map_window
    mov  dword ptr [resume_at], .after_write
    mov  dword ptr [WINDOW], 0
.after_write:
    call take_fault
    mov  edx, FAULT_PF | 3
    mov  esi, "write-protect"
    call check
    mov  eax, [FRAME_A]
    mov  edx, 0x11111111
    mov  esi, "write-protect-keeps"
    call check
    mov  eax, CR0_VALUE & 0xfffeffff
    mov  cr0, eax
    mov  dword ptr [WINDOW], 0x22222222
    mov  eax, CR0_VALUE
    mov  cr0, eax
    mov  eax, [FRAME_A]
    mov  edx, 0x22222222
    mov  esi, "write-protect-off"
    call check
    ret

; map_window: make EAX the window's page table entry.
map_window:
    mov  [WINDOW_PTE], eax
    invlpg [WINDOW]
    ret
