"""Guests by name: what people ran on a PC, as rows of data, and where their files come from.

    rows.py          the guests: options, what is typed, what is to be seen, licence
    guest.py         what a row has, and the words of `vp run` that it stands for
    bringing.py      where a guest's files are, what is missing, and getting it
    fetching.py      `make guests` and `vp guest fetch`: files out of Debian's packages
    apt.py           those packages, without installing one
    initramfs.py     the root file system of the Linux guest
    vmtools.py       open-vm-tools behind it
    elf_needed.py    which libraries a program needs
    isolinux_cd.py   a CD that boots Linux

`vp guest` and the tests read the same rows.
"""
