; A nanobenchmark: a loop of ROUNDS rounds around one operation (Adams and Agesen 2006, section 6.2).
; The harness gives settings.asm (ROUNDS), loop.asm (loop_kernel.asm or loop_user.asm) and
; operation.asm, which is one of the op_*.asm files, or empty for the loop that is subtracted.
;
; Reading order: frame.asm, handlers.asm, loop_kernel.asm, loop_user.asm, then the operations.

PAGING = 1
TABLES = 1
ARRAYS = 0x300000                   ; from here on memory is the benchmark's
ABSENT_PAGE = 0x380000              ; mapped nowhere
SPARE_PAGE = 0x390000               ; its page table entry is the benchmark's to change
ABSENT_PTE = 0x201e00               ; PAGE_TABLES + 4 * page number of ABSENT_PAGE
SPARE_PTE = 0x201e40
POST_PORT = 0x80
FINISH = 0x81                       ; the gate that ends a loop in ring 3

.include "settings.asm"
.include "frame.asm"
.include "handlers.asm"
.include "loop.asm"
image_end:
