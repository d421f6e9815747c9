# Page faults: a process touches 128 fresh pages; another, forked, only gets its own copies of the
# pages that it writes.
faults() {
    repeat $ROUNDS fresh_pages_and_copies
}
fresh_pages_and_copies() {
    dd if=/dev/zero of=/dev/null bs=512k count=1 2>/dev/null
    (:)
}
