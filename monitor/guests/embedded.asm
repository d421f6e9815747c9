; The embedded guest: a small 32-bit operating system that checks the processor it runs on.
;
; It is loaded at 0x100000 and entered there in flat protected mode, interrupts off. Each check
; prints `check NAME ok`, or what it got and what it wanted; the last line counts them, and a
; byte to the debug-exit port says whether all were right. Reading order: the order below.

.include "constants.asm"
.include "boot.asm"
.include "console.asm"
.include "descriptors.asm"
.include "paging.asm"
.include "interrupts.asm"
.include "timer.asm"
.include "processes.asm"
.include "syscalls.asm"
.include "checks_flags.asm"
.include "checks_selectors.asm"
.include "checks_system.asm"
.include "checks_faults.asm"
.include "checks_paging.asm"
.include "checks_code.asm"
.pool
.include "user.asm"
