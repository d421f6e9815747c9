"""A PC's BIOS in its ROM; or what one leaves behind when it starts a boot loader, without one.

    bios.py          a BIOS put into a machine, and what it is told
    rom_files.py     SeaBIOS where it usually is, and what is no BIOS

What is left behind, for guests that a loader starts:

    state.py         which memory is taken, and putting it all into a machine
    chips.py         interrupt controllers, timer, keyboard controller, CMOS: through their ports
    data_area.py     the BIOS data area at 0x400, the extended one at 0x9FC00
    vectors.py       the real-mode interrupt table at 0
    handlers.asm     what the table points at

That is no BIOS: it has the handlers that keep interrupts and the clock going, and the few calls
that only read what lies in memory. There is no screen and no disk to serve.
"""
