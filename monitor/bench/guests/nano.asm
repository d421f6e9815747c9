; A nanobenchmark: a loop of ROUNDS rounds around one operation (Adams and Agesen 2006, section 6.2).
; The harness gives settings.asm (ROUNDS), loop.asm (loop_kernel.asm or loop_user.asm) and
; operation.asm, which is one of the op_*.asm files, or empty for the loop that is subtracted.
;
; Reading order: frame.asm, handlers.asm, loop_kernel.asm, loop_user.asm, then the operations.

.include "settings.asm"
.include "frame.asm"
.include "handlers.asm"
.include "loop.asm"
image_end:
