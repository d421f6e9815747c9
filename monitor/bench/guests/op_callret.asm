; A procedure call and its return.
    call nothing
