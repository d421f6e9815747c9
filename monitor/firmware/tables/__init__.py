"""The tables by which a PC's firmware tells of APICs, interrupts and power.

aml.py        ACPI's byte code, as far as it is needed
dsdt.py       what the board has: PCI and its interrupts, how to switch off
acpi.py       RSDP, RSDT, FADT, FACS, MADT, DSDT
mp.py         MP floating pointer and configuration table
loader.py     the ACPI tables as fw_cfg hands them to a BIOS
install.py    tables and chips as a BIOS leaves them, for guests that a loader starts
"""
