; Interrupts off and on again.
    cli
    sti
