; Process 2: the CRC-32 (polynomial 0xedb88320, as in zlib) of 1024 bytes, taken four times over;
; byte i is i * i + 3 * i. Yields after each round.

CRC_POLYNOMIAL = 0xedb88320
CRC_BYTES      = 1024

    mov  eax, SYS_GETPID
    int  VECTOR_SYSCALL
    mov  [USER_MARK], eax
    xor  ecx, ecx
    mov  edi, USER_BUFFER
.bytes:
    lea  eax, [ecx + 3]
    imul eax, ecx
    stosb
    inc  ecx
    cmp  ecx, CRC_BYTES
    jb   .bytes
    mov  ebp, 4
    mov  ebx, 0xffffffff
.round:
    mov  esi, USER_BUFFER
    mov  ecx, CRC_BYTES
.byte_loop:
    movzx eax, byte ptr [esi]
    inc  esi
    xor  ebx, eax
    mov  edx, 8
.bit:
    shr  ebx, 1
    jnc  .even
    xor  ebx, CRC_POLYNOMIAL
.even:
    dec  edx
    jnz  .bit
    dec  ecx
    jnz  .byte_loop
    mov  edi, USER_BUFFER + CRC_BYTES
    mov  esi, "checksum: crc32 "
    call copy_string
    mov  eax, ebx
    not  eax
    call copy_hex
    mov  esi, "\n"
    call copy_string
    mov  esi, USER_BUFFER + CRC_BYTES
    call user_write
    mov  eax, SYS_YIELD
    int  VECTOR_SYSCALL
    dec  ebp
    jnz  .round
    mov  eax, [USER_MARK]
    mov  edx, 2
    mov  esi, "checksum-own-page"
    call user_check
    jmp  user_exit
