"""The devices of a board by name: what is done to all of them.

    devices["pit"], "pit" in devices, list(devices)     which there are
    devices.add("scratch", scratch)                     one more
    devices.reset()                                     the RESET line
    devices.snapshot(), devices.restore(state)          the state of all, or nothing

The order is that in which they were added; the interrupt controllers are the first.
"""

from __future__ import annotations

import reprlib
from collections.abc import Iterator, Mapping
from typing import Any

from devices.errors import NameTaken, SnapshotError, UnknownDevice


class NamedDevices(Mapping[str, Any]):
    """Devices by name. One that lacks a method of `Device` is left out where that is asked."""

    def __init__(self) -> None:
        self._devices: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        try:
            return self._devices[name]
        except KeyError:
            known = ", ".join(self._devices)
            raise UnknownDevice(f"there is no device {name!r}; there are {known}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(tuple(self._devices))  # a device may go while others are asked

    def __len__(self) -> int:
        return len(self._devices)

    def add(self, name: str, device: Any) -> None:
        """Put a device in. NameTaken."""
        if name in self._devices:
            raise NameTaken(f"there is a device {name!r} already; choose another name")
        self._devices[name] = device

    def remove(self, name: str) -> Any:
        """Take a device out, and return it. UnknownDevice."""
        device = self[name]
        del self._devices[name]
        return device

    def reset(self) -> None:
        """The reset line, last device first: the PIC comes last, to forget the others' edges."""
        for device in reversed(tuple(self._devices.values())):
            if hasattr(device, "reset"):
                device.reset()

    def coming_irqs(self, input_open: bool) -> Iterator[int]:
        """Interrupt lines that may yet rise while no instruction runs (Device.coming_irqs)."""
        for device in tuple(self._devices.values()):
            if hasattr(device, "coming_irqs"):
                yield from device.coming_irqs(input_open)

    def snapshot(self) -> dict[str, dict[str, Any]]:
        """Every device's state by name, as JSON can hold it.

        SnapshotError: a device has no snapshot().
        """
        for name, device in self._devices.items():
            if not (hasattr(device, "snapshot") and hasattr(device, "restore")):
                raise SnapshotError(
                    f"the device {name!r} cannot be saved: it needs snapshot() and restore(), "
                    "which devices.device.Chip has"
                )
        return {name: device.snapshot() for name, device in self._devices.items()}

    def restore(self, state: Mapping[str, Mapping[str, Any]]) -> None:
        """Take a snapshot back. SnapshotError, and nothing has changed, for one that is not good.

        Put the clock back first: timers are set by it.
        """
        self.check(state)
        before = self.snapshot()
        done: list[str] = []
        try:
            for name, device in self._devices.items():
                done.append(name)
                device.restore(state[name])
        except Exception as error:
            for name in done:  # devices of somebody else's, which have no check()
                self._devices[name].restore(before[name])
            if isinstance(error, SnapshotError):
                raise
            problem = f"the device {done[-1]!r} does not take its snapshot: {error}"
            raise SnapshotError(problem) from error

    def check(self, state: Mapping[str, Mapping[str, Any]]) -> None:
        """SnapshotError for what restore() would not take, as far as devices can tell before."""
        if not isinstance(state, Mapping):
            raise SnapshotError(f"{reprlib.repr(state)} is no snapshot of devices")
        missing = [name for name in self._devices if name not in state]
        if missing:
            raise SnapshotError(f"the snapshot lacks {', '.join(missing)}")
        more = sorted(str(name) for name in state if name not in self._devices)
        if more:
            raise SnapshotError(
                f"the snapshot has devices that this machine has not: {reprlib.repr(more)}"
            )
        for name, device in self._devices.items():
            if hasattr(device, "check"):
                _name_it(name, device, state[name])


def _name_it(name: str, device: Any, state: Mapping[str, Any]) -> None:
    """A device's check; the name that it goes by is in what it says."""
    try:
        device.check(state)
    except SnapshotError as error:
        said = str(error)
        raise SnapshotError(said if said.startswith(f"{name}: ") else f"{name}: {said}") from None
