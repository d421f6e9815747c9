"""gdb's remote serial protocol: a debugger for the guest, outside the guest.

    vp run --gdb 1234 ...            (gdb) target remote :1234

(Debugging with GDB, appendix E; the names of packets below are its.) gdb sees the guest's registers
and memory, and only those: a breakpoint is the machine's own stop, no byte in the guest's memory;
a watchpoint is the machine's, no debug register of the guest; and what the monitor made of the
guest's code shows nowhere but in `monitor tc`, where it is asked for.

The packages's parts, each using those before it:

    protocol.py           packets: bytes in, bytes out
    layout.py             the registers, their numbers, the target description
    target.py             the guest's registers and memory as packets have them
    stops.py              breakpoints and watchpoints; why the guest stopped
    monitor_commands.py   what `monitor NAME` answers
    commands.py           from a packet to its reply
    connection.py         a socket with one debugger at the other end
    server.py             runs the machine, and lets a debugger in between
"""
