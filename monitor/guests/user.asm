; What ring 3 runs: one page that every process sees, and one page of its own for each.

    .align 4096
user_library:
.include "user_library.asm"
.pool
user_library_end:
    .align 4096
user_probe:
.include "user_probe.asm"
.pool
user_probe_end:
    .align 4096
user_primes:
.include "user_primes.asm"
.pool
user_primes_end:
    .align 4096
user_checksum:
.include "user_checksum.asm"
.pool
user_checksum_end:
    .align 4
image_end:
