"""The chips of a 32-bit PC, one file per chip, named as their datasheets name them.

Reading order: ``clock`` and ``timers`` (virtual time), ``fields`` and ``device`` (what every chip
offers), ``irq`` and ``bus`` (how a chip meets the machine), then any chip, and ``named`` and ``pc``
last: they plug them in.

    clock, timers        virtual time, and events in it
    fields, device       what a chip is, and what is saved of it
    irq, claims, dma     lines, ports and memory ranges, and guest memory
    bus, slot            all of it together, and as one device sees it
    named                all devices of a board by name
    i8259 i8254 uart16550 mc146818 i8042 ...   the chips
    pc                   a whole board: ``build_pc(bus, ...)``

Nothing here knows of a CPU, an engine or a monitor. A chip sees its bus, and tells the machine
what leaves the board (reset, A20, serial output) through callbacks given to its constructor.
"""
