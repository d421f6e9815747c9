; A divide error, whose handler skips the instruction. EBX is 0.
    div  ebx
