"""The APICs of a PC with one processor: the local one in it, the I/O APIC on the board.

local_apic.py    registers, priorities, what the processor is interrupted by
local_timer.py   its timer
messages.py      what goes over the bus between the two
io_apic.py       24 pins, and what each sends when it rises
board.py         both, wired to a board's 8259As and interrupt lines
"""
