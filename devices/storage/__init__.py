"""Drives and their controllers: floppy, ATA disks, ATAPI CD-ROM."""
