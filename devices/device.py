"""What a chip is to the rest of the machine, and the snapshot code that all chips share.

A device answers ports with offsets relative to the range it claimed::

    class Scratch(Chip):
        name = "scratch"
        state = fields(value=BYTE)

        def __init__(self, bus): self.reset(); bus.claim_ports(0x80, 1, self)
        def reset(self): self.value = 0
        def read_port(self, offset, size): return self.value
        def write_port(self, offset, size, value): self.value = value

A guest is hostile: any value written to any port, in any order, is answered somehow and never
raises. So is a file with a snapshot in it.
"""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, Protocol, runtime_checkable

from devices.errors import SnapshotError
from devices.fields import LINE, TIMER, Field

__all__ = [
    "Chip",
    "DataPort",
    "Device",
    "MemoryDevice",
    "PortDevice",
    "PortHandlers",
    "SnapshotError",
]


class PortDevice(Protocol):
    """Something that answers a range of I/O ports."""

    def read_port(self, offset: int, size: int) -> int:
        """IN: a value of `size` bytes, 1 unless port_widths() says more."""
        ...

    def write_port(self, offset: int, size: int, value: int) -> None:
        """OUT."""
        ...


@runtime_checkable
class DataPort(PortDevice, Protocol):
    """One with a port through which data go in and out, from a buffer or to it."""

    def read_elements(self, offset: int, size: int, count: int) -> bytes:
        """At most `count` elements that read_port() would give one by one while nothing else
        happens; none if there are none such."""
        ...

    def write_elements(self, offset: int, size: int, data: bytes) -> int:
        """The same to the buffer: how many elements were taken."""
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
        """Take a snapshot back. SnapshotError for one that is not this device's.

        Then nothing has changed.
        """
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
    """The snapshot of a chip is its named fields, each of a kind of devices/fields.py.

    A snapshot holds the chip's side only. Its lines get their levels back and drive no wire: the
    pins of the interrupt controller are in the controller's own snapshot.
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1
    #: What a snapshot holds, by attribute.
    state: ClassVar[Mapping[str, Field]] = {}
    #: The other attributes, for unsaved(): what it is connected to, what follows from the state.
    wiring: ClassVar[tuple[str, ...]] = ()

    def coming_irqs(self, input_open: bool) -> Iterator[int]:
        """While one of its timers is set, each of its lines may rise; a chip may know better."""
        if any(getattr(self, name).live for name, field in self.state.items() if field is TIMER):
            for name, field in self.state.items():
                if field is LINE:
                    yield getattr(self, name).number

    def snapshot(self) -> dict[str, Any]:
        """The fields that `state` names, and which device and version they are of."""
        fields = {name: field.save(getattr(self, name)) for name, field in self.state.items()}
        return {"device": self.name, "version": self.version, **fields}

    def check(self, state: Mapping[str, Any]) -> None:
        """SnapshotError, with the reason, for a snapshot that restore() would not take."""
        self._check_names(state)
        for name, field in self.state.items():
            problem = field.problem(state[name], getattr(self, name))
            if problem is not None:
                raise SnapshotError(f"{self.name}: {name}: {problem}")
        problem = self.contradiction(state)
        if problem is not None:
            raise SnapshotError(f"{self.name}: {problem}")

    def contradiction(self, state: Mapping[str, Any]) -> str | None:
        """For a chip to say which fields, each good by itself, cannot be together."""
        return None

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take a snapshot back. SnapshotError, and nothing has changed, for one that is not good:

        another device's or version's, one that lacks something or has something more, and one with
        a value that this field cannot have.
        """
        self.check(state)
        self.load(state)

    def load(self, state: Mapping[str, Any]) -> None:
        """Take back a snapshot that was checked."""
        for name, field in self.state.items():
            setattr(self, name, field.load(getattr(self, name), state[name]))
        self.restored()

    def restored(self) -> None:
        """Called with all fields in place, for what follows from them."""

    def unsaved(self) -> list[str]:
        """Attributes that are neither in `state` nor named as `wiring`: what a snapshot forgets."""
        return sorted(set(vars(self)) - set(self.state) - set(self.wiring))

    def _check_names(self, state: Mapping[str, Any]) -> None:
        if not isinstance(state, Mapping):
            raise SnapshotError(f"{self.name}: {reprlib.repr(state)} is no snapshot")
        if state.get("device") != self.name:
            found = reprlib.repr(state.get("device"))
            raise SnapshotError(f"a snapshot of {found} cannot restore {self.name!r}")
        if state.get("version") != self.version or type(state["version"]) is not int:
            found = reprlib.repr(state.get("version"))
            raise SnapshotError(
                f"{self.name}: snapshot version {found}, this build reads {self.version}"
            )
        wanted = {"device", "version", *self.state}
        missing = [name for name in self.state if name not in state]
        if missing:
            raise SnapshotError(f"{self.name}: the snapshot lacks {', '.join(missing)}")
        more = sorted(map(str, set(state) - wanted))
        if more:
            raise SnapshotError(f"{self.name}: the snapshot has more: {reprlib.repr(more)}")
