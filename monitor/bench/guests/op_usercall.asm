; A procedure call and its return in ring 3.
    call nothing
