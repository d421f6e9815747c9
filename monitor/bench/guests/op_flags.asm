; A critical section of an operating system.
    pushfd
    cli
    popfd
