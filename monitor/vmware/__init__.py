"""VMware's guest interfaces: the backdoor, the message channel, hypercalls, .vmx files.

    vmware/call.py          a backdoor call as a command sees it
    vmware/commands.py      the table: every published command, who may call it, who handles it
    vmware/backdoor.py      from the port to the command
    vmware/messages.py      the message channel, and on it RPCI (guest to host) and TCLO (host to
                            guest)

What the numbers and names mean is published in open-vm-tools (backdoor_def.h, guest_msg_def.h) and
in the Linux kernel (arch/x86/kernel/cpu/vmware.c).
"""
