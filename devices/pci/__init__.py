"""PCI: configuration space, base addresses that move, interrupt pins, and a chipset.

slots.py        where functions plug in, and whose interrupt pin leads to which PIRQ
function.py     the base class of every PCI function: begin here to write one
bars.py         base address registers: ports, registers in memory, memory of a device's own
mechanism1.py   ports CF8h and CFCh
i440fx.py       82441FX: host bridge, shadow RAM
piix3.py        82371SB: ISA bridge, interrupt routing, reset control
piix4_pm.py     82371AB, function 3: power management
"""
