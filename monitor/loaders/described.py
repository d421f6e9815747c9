"""From the description of a guest's image (config.py) to a machine with the guest in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from monitor.loaders.source import open_image
from monitor.settings.config import BIOS, FIRMWARE_STATE, ImageConfig

if TYPE_CHECKING:
    from monitor import Machine

NOTHING: Mapping[Path, bytes] = {}


def load(machine: Machine, image: ImageConfig, contents: Mapping[Path, bytes] = NOTHING) -> None:
    """Put the guest into the machine. What `contents` has of its files is not read again."""

    def source(path: Path) -> Path | bytes:
        return contents.get(path, path)

    if image.kind == BIOS:
        _load_bios(machine, image, source)
        return
    machine.guest = {"kind": image.kind, "name": image.path.name, "cmdline": image.cmdline}
    state = image.firmware_state or FIRMWARE_STATE[image.kind]
    if image.kind == "kernel":
        initrd = None if image.initrd is None else source(image.initrd)
        machine.load_linux(
            source(image.path), initrd=initrd, cmdline=image.cmdline, firmware_state=state
        )
    elif image.kind == "multiboot":
        modules = [(str(path), open_image(source(path), "module").data) for path in image.modules]
        machine.load_multiboot(
            source(image.path), cmdline=image.cmdline, modules=modules, firmware_state=state
        )
    elif image.kind == "elf":
        machine.load_elf(source(image.path), firmware_state=state)
    else:
        data = open_image(source(image.path), "flat image").data
        machine.load_flat(data, image.address, eip=image.entry, firmware_state=state)


def _load_bios(
    machine: Machine, image: ImageConfig, source: Callable[[Path], Path | bytes]
) -> None:
    machine.guest = {"kind": image.kind, "name": image.path.name}
    machine.load_bios(
        source(image.path),
        vgabios=None if image.vgabios is None else source(image.vgabios),
        option_roms=[
            source(path) if address is None else (source(path), address)
            for path, address in image.option_roms
        ],
        boot=image.boot,
    )
