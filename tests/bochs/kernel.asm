; The kernel around the worlds: it builds one after another in the arena, runs it from a defined
; state, catches whatever ends it, and writes down what can be seen (layout.py says what where).
;
; A world may destroy what it likes below 64 KiB, the stubs that catch it included. So this stands at
; 15_0000h, and the part that must be in the reach of 16-bit gates, from `low_start` on, is put at LOW
; for every world anew. That part finds its data here, and itself by relative jumps.
;
; It runs on any PC class machine: nothing but RAM is used, and port 80h, where it tells that a world
; starts. A triple fault resets the processor: who comes in by `entry` while a world was running
; records a shutdown.

.include "layout.inc"

entry:
    cli
    cld
    mov eax, KDATA                      ; the same in the ROM's GDT
    mov ds, ax
    lgdt [kernel_gdtr]
    mov es, ax
    mov ss, ax
    mov esp, KSTACK
    cmp dword ptr [running], 0
    jne shut_down
    mov al, 0xff                        ; no interrupts from the board
    out 0x21, al
    out 0xa1, al
    mov eax, OUTPUT
    mov [out_at], eax
    mov eax, WORLDS + 8
    mov [world_at], eax
    mov eax, [WORLDS]
    mov [worlds_left], eax
    jmp next_world

; ------------------------------------------------------------------------------ one world

next_world:
    cmp dword ptr [worlds_left], 0
    jne .more
    mov eax, [out_at]
    mov dword ptr [eax], 0
    mov al, PORT_END
    out 0x80, al
.finished:
    .byte 0x66, 0x87, 0xdb              ; XCHG BX, BX: the debugger of Bochs stops here
    jmp .finished

.more:
    mov eax, 0x11                       ; PE, ET
    mov cr0, eax
    xor eax, eax
    mov cr4, eax
    mov cr2, eax
    mov cr3, eax
    mov fs, ax
    mov gs, ax
    frstor [clean_fpu]
    push 2                              ; NT off, then VIF and VIP, which POPF may leave alone
    popfd
    push 2
    push KCODE
    mov eax, .clean
    push eax
    iretd
.clean:
    xor eax, eax
    lgdt [kernel_gdtr]
    lidt [kernel_idtr]
    lldt ax
    mov byte ptr [kernel_tss_rights], 0x89
    mov eax, KTSS
    ltr ax
    mov esi, TEMPLATE                   ; the arena, and a copy to compare it with
    mov edi, 0
    mov ecx, ARENA_DWORDS
    rep movsd
    mov esi, TEMPLATE
    mov edi, PRISTINE
    mov ecx, ARENA_DWORDS
    rep movsd
    mov esi, [world_at]
    mov eax, [esi]
    add eax, esi
    mov [world_at], eax
    mov edi, s_size
    mov ecx, STATE_DWORDS
    rep movsd
    mov ecx, [s_patches]
    jecxz .patched
.patch:
    mov eax, [esi]
    mov edx, [esi + 4]
    mov [eax], edx
    mov [eax + PRISTINE], edx
    add esi, 8
    dec ecx
    jnz .patch
.patched:
    mov edi, ARENA_END                  ; what lies behind the arena: nothing
    mov ecx, REST_DWORDS
    xor eax, eax
    rep stosd
    mov esi, low_start
    mov edi, LOW
    mov ecx, LOW_DWORDS
    rep movsd
    mov dword ptr [running], 1
    mov al, PORT_START
    out 0x80, al
    xor ecx, ecx                        ; a world that ends before its start shows none of ours
    xor edx, edx
    xor ebx, ebx
    xor ebp, ebp
    xor esi, esi
    xor edi, edi
    mov esp, LOAD_STACK                 ; in the arena, for exceptions while the state is loaded
    mov eax, LOW
    jmp eax

.align 4
low_start:
    xor eax, eax
    mov dr2, eax
    mov dr3, eax
    mov eax, [s_dr0]
    mov dr0, eax
    mov eax, [s_dr1]
    mov dr1, eax
    mov eax, [s_dr6]
    mov dr6, eax
    mov eax, [s_dr7]
    mov dr7, eax
    lgdt [s_gdtr]
    lidt [s_idtr]
    mov eax, [s_cr3]
    mov cr3, eax
    mov eax, [s_cr4]
    mov cr4, eax
    mov eax, [s_ldtr]
    lldt ax
    mov eax, [s_tr]
    ltr ax
    mov eax, [s_cr0]
    mov cr0, eax
    jmp low_serialized
low_serialized:
    mov eax, cs:[s_es]
    mov es, ax
    mov eax, cs:[s_fs]
    mov fs, ax
    mov eax, cs:[s_gs]
    mov gs, ax
    mov eax, cs:[s_ds]
    mov ds, ax
    mov ecx, cs:[s_ecx]
    mov edx, cs:[s_edx]
    mov ebx, cs:[s_ebx]
    mov ebp, cs:[s_ebp]
    mov esi, cs:[s_esi]
    mov edi, cs:[s_edi]
    mov eax, cs:[s_ss]
    mov ss, ax
    mov esp, cs:[s_esp]
    mov eax, cs:[s_eax]
    iretd

; --------------------------------------------------------------------- what a world comes to

; From stub_NN: EAX was saved in DR3, and has the vector in its upper half.
common:
    mov ax, ds
    mov dr2, ebx
    mov bx, KDATA
    mov ds, bx
    mov [r_vector], eax
    mov eax, dr3
    mov [r_eax], eax
    mov ebx, dr2
    mov [r_ebx], ebx
    mov [r_ecx], ecx
    mov [r_edx], edx
    mov [r_esp], esp
    mov [r_ebp], ebp
    mov [r_esi], esi
    mov [r_edi], edi
    xor ebx, ebx                        ; the handler's own flags are those of its gate
    mov eax, dr7
    mov [r_dr7], eax
    mov dr7, ebx
    xor eax, eax
    mov ax, ss
    mov [r_ss], eax
    mov ax, es
    mov [r_es], eax
    mov ax, fs
    mov [r_fs], eax
    mov ax, gs
    mov [r_gs], eax
    mov ax, cs
    mov [r_cs], eax
    mov eax, KDATA
    mov ss, ax
    mov esp, KSTACK
    pushfd
    pop eax
    and eax, ~0xcd5                     ; XOR has changed the arithmetic ones; DF too is none of ours
    mov [r_eflags], eax
    cld
    mov eax, cr0
    mov [r_cr0], eax
    mov eax, cr2
    mov [r_cr2], eax
    mov eax, cr3
    mov [r_cr3], eax
    mov eax, cr4
    mov [r_cr4], eax
    mov eax, dr0
    mov [r_dr0], eax
    mov eax, dr1
    mov [r_dr1], eax
    mov eax, dr6
    mov [r_dr6], eax
    sgdt [r_gdtr]
    sidt [r_idtr]
    xor eax, eax
    sldt ax
    mov [r_ldtr], eax
    str ax
    mov [r_tr], eax
    mov eax, 0x11
    mov cr0, eax
    fnsave [r_fpu]
    mov eax, record
    jmp eax

.include "stubs.inc"
.align 4
low_end:
    .space LOW_SPARE                    ; so that only zeros are copied behind it

shut_down:
    mov edi, r_vector            ; nothing is left of the registers
    mov ecx, RECORD_DWORDS
    xor eax, eax
    rep stosd
    mov dword ptr [r_vector], SHUTDOWN << 16

record:
    mov eax, KDATA
    mov ds, ax
    mov es, ax
    mov dword ptr [running], 0
    mov al, PORT_CAUGHT
    out 0x80, al
    mov edi, [out_at]
    mov ebx, edi
    add edi, 4
    mov esi, r_vector
    mov ecx, RECORD_DWORDS
    rep movsd
    mov edx, edi                        ; then every doubleword of the arena that has changed
    mov esi, 0
    mov edi, PRISTINE
    mov ecx, ARENA_DWORDS
.scan:
    repe cmpsd
    je .end
    mov eax, esi
    sub eax, 4
    mov [edx], eax
    mov eax, [esi - 4]
    mov [edx + 4], eax
    add edx, 8
    test ecx, ecx
    jnz .scan
.end:
    mov [out_at], edx
    sub edx, ebx
    mov [ebx], edx
    mov dword ptr [edx + ebx], 0
    mov al, PORT_DONE
    out 0x80, al
    dec dword ptr [worlds_left]
    jmp next_world

; ------------------------------------------------------------------------------------ data

.align 8
kernel_gdt:
    .long 0, 0
    .long 0x0000ffff, 0x00cf9b00        ; KCODE
    .long 0x0000ffff, 0x00cf9300        ; KDATA
    .long 0x10000067                    ; KTSS, on the page of the stack: it is never used
    .byte 0x15
kernel_tss_rights:
    .byte 0x89, 0, 0
kernel_gdtr:
    .short 0x1f
    .long kernel_gdt
kernel_idtr:
    .short 0
    .long 0
.align 4
clean_fpu:                              ; as after FNINIT, with zeros in the registers
    .long 0xffff037f, 0xffff0000, 0xffffffff, 0, 0, 0, 0xffff0000
    .space 80
running:
    .long 0
out_at:
    .long 0
world_at:
    .long 0
worlds_left:
    .long 0
.include "fields.inc"
