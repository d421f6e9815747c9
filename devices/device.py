"""What a chip is to the rest of the machine, and the snapshot code that all chips share.

A device answers ports with offsets relative to the range it claimed::

    class Scratch(Chip):
        name = "scratch"
        state = ("value",)

        def __init__(self, bus): self.reset(); bus.claim_ports(0x80, 1, self)
        def reset(self): self.value = 0
        def read_port(self, offset, size): return self.value
        def write_port(self, offset, size, value): self.value = value

A guest is hostile: any value written to any port, in any order, is answered somehow and never
raises.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, Protocol


class SnapshotError(ValueError):
    """A snapshot that this device cannot take back."""


class PortDevice(Protocol):
    """Something that answers a range of I/O ports."""

    def read_port(self, offset: int, size: int) -> int:
        """IN: a value of `size` bytes, 1 unless port_widths() says more."""
        ...

    def write_port(self, offset: int, size: int, value: int) -> None:
        """OUT."""
        ...


class MemoryDevice(Protocol):
    """Something that answers a range of physical memory."""

    def read_memory(self, offset: int, size: int) -> int:
        """1, 2 or 4 bytes, little-endian."""
        ...

    def write_memory(self, offset: int, size: int, value: int) -> None:
        """1, 2 or 4 bytes."""
        ...


class Device(Protocol):
    """What the machine asks of every chip, whatever it is wired to."""

    name: ClassVar[str]

    def reset(self) -> None:
        """The RESET pin."""
        ...

    def coming_irqs(self, input_open: bool) -> Iterator[int]:
        """Interrupt lines that may yet rise while no instruction runs.

        By a timer that is set or, with `input_open`, by what the host may still type.
        """
        ...

    def snapshot(self) -> dict[str, Any]:
        """Its state by name, as JSON can hold it."""
        ...

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take a snapshot back. SnapshotError for one that is not this device's."""
        ...


class PortHandlers:
    """Ports answered by two functions: for a chip with several separate ranges."""

    def __init__(
        self,
        name: str,
        read: Callable[[int, int], int],
        write: Callable[[int, int, int], None],
    ) -> None:
        self.name = name
        self.read_port = read
        self.write_port = write


class Chip:
    """The snapshot of a chip is its named fields: numbers, strings and flat sequences of them.

    A snapshot holds the chip's side only. The pins of the interrupt controller are in the
    controller's own snapshot, so ``restored`` re-arms timers but drives no interrupt line.
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1
    state: ClassVar[tuple[str, ...]] = ()

    def coming_irqs(self, input_open: bool) -> Iterator[int]:
        """Most chips interrupt nobody."""
        return iter(())

    def snapshot(self) -> dict[str, Any]:
        """The fields that `state` names, and which device and version they are of."""
        fields = {field: _plain(getattr(self, field)) for field in self.state}
        return {"device": self.name, "version": self.version, **fields}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take them back. SnapshotError for another device's, or another version's."""
        check_snapshot(self.name, self.version, self.state, state)
        for field in self.state:
            setattr(self, field, _like(getattr(self, field), state[field]))
        self.restored()

    def restored(self) -> None:
        """Called with all fields in place: re-arm timers and derived state."""


def check_snapshot(
    name: str, version: int, fields: tuple[str, ...], state: Mapping[str, Any]
) -> None:
    """Refuse the snapshot of another device, another version or an incomplete one."""
    if state.get("device") != name:
        raise SnapshotError(f"a snapshot of {state.get('device')!r} cannot restore {name!r}")
    if state.get("version") != version:
        raise SnapshotError(
            f"{name}: snapshot version {state.get('version')!r}, this build reads {version}"
        )
    missing = [field for field in fields if field not in state]
    if missing:
        raise SnapshotError(f"{name}: the snapshot lacks {', '.join(missing)}")


def _plain(value: Any) -> Any:
    """A value that JSON can hold."""
    return list(value) if isinstance(value, (list, deque, bytearray)) else value


def _like(current: Any, value: Any) -> Any:
    """A snapshot's value in the container that the chip uses."""
    if isinstance(current, (list, deque, bytearray)):
        return type(current)(value)
    return value
