"""VMware's guest interfaces: the backdoor, the message channel, hypercalls, .vmx files.

    call.py, commands.py, backdoor.py    a call, the table of commands, from the port to a command
    parts/                               who handles them, by subject
    tools/                               the message channel, and VMware's tools behind it
    guest_calls.py, hypercalls.py        between the processor, the commands and user space
    switches.py                          what `Machine.enable` does
    vmx/                                 VMware's configuration files

What the numbers and names mean is published in open-vm-tools (backdoor_def.h, guest_msg_def.h) and
in the Linux kernel (arch/x86/kernel/cpu/vmware.c).
"""
