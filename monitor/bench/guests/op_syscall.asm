; A system call that does nothing: ring 3 to ring 0 by a gate, and back by IRET.
    int  SYSTEM_CALL
