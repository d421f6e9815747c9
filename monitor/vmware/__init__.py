"""VMware's guest interfaces: the backdoor, the message channel, hypercalls, .vmx files.

    vmware/call.py          a backdoor call as a command sees it
    vmware/commands.py      the table: every published command, who may call it, who handles it
    vmware/backdoor.py      from the port to the command
    vmware/messages.py      the message channels, and on them vmware/rpci.py (guest to host) and
                            vmware/tclo.py (host to guest)
    vmware/tools.py         what a user of the machine sees of them
    vmware/vmx_machine.py   a machine from VMware's configuration file

What the numbers and names mean is published in open-vm-tools (backdoor_def.h, guest_msg_def.h) and
in the Linux kernel (arch/x86/kernel/cpu/vmware.c).
"""
