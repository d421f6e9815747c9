"""Functions of the embedder's that are called at ports, instructions and memory accesses.

    machine.hooks.on_address(0x100020, lambda: print(machine.registers["eax"]))
    machine.hooks.on_memory(0x200000, 4, "write", saw)
    hook = machine.hooks.on_port(range(0x3F8, 0x400), log)
    machine.hooks.remove(hook)

Where only the guest is at work nothing is slower: addresses are breakpoints and memory is
watchpoints, and run() goes on by itself when the functions have returned. Inside such a function
the machine stands still between two instructions, and everything may be looked at and changed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bt.contract import MAX_STOPS
from monitor.vmm.board import Board
from monitor.vmm.errors import UserError
from monitor.vmm.watchpoint import Watchpoint, Watchpoints

OnPort = Callable[[str, int, int, int], None]


@dataclass(frozen=True, eq=False)
class Hook:
    """One function and what it waits for; from `machine.hooks`, to be removed there."""

    function: Callable[..., None]
    ports: Sequence[int] = ()  # accesses to these ports
    address: int | None = None  # EIP is there, linear
    watchpoint: Watchpoint | None = None  # these bytes are accessed


class Hooks:
    """All of one machine. To be changed between runs, or from a function that is called here."""

    def __init__(self, board: Board, watchpoints: Watchpoints, breakpoints: set[int]) -> None:
        self._board = board
        self._watchpoints = watchpoints
        self._breakpoints = breakpoints
        self._hooks: list[Hook] = []

    @property
    def addresses(self) -> set[int]:
        """Linear addresses at which functions are called."""
        return {hook.address for hook in self._hooks if hook.address is not None}

    def on_port(self, ports: Sequence[int], function: OnPort) -> Hook:
        """Call function("in" or "out", port, size, value) at each access to these ports.

        In the middle of the instruction: "in" after the device has answered, "out" before it is
        told. `ports` is a range or another sequence. Whoever answers the port still does.
        """
        hook = Hook(function, ports=ports)
        if not any(each.ports for each in self._hooks):
            self._board.on_access.append(self._access)
        self._hooks.append(hook)
        return hook

    def on_address(self, linear: int, function: Callable[[], None]) -> Hook:
        """Call function() each time before the instruction at a linear address.

        UserError beyond 255 of them, breakpoints included.
        """
        if len(self.addresses | {linear} | self._breakpoints) >= MAX_STOPS:
            raise UserError(
                f"{MAX_STOPS - 1} addresses have hooks or breakpoints already: remove one first"
            )
        return self._add(Hook(function, address=linear & 0xFFFFFFFF))

    def on_memory(
        self, linear: int, size: int, access: str, function: Callable[[], None]
    ) -> Hook:
        """Call function() right behind each access to `size` bytes from a linear address on.

        `access` is "read", "write", or "access" for both. Once for an instruction. UserError beyond
        16 of them, watchpoints included, or for a range that is none.
        """
        watchpoint = Watchpoint(linear, size, access)
        self._watchpoints.add(watchpoint, hooked=True)
        return self._add(Hook(function, watchpoint=watchpoint))

    def remove(self, hook: Hook) -> None:
        """Call its function no more. UserError: it is none of this machine's, or is removed."""
        if hook not in self._hooks:
            raise UserError("this hook is not in the machine: it was removed, or is another's")
        self._hooks.remove(hook)
        if hook.watchpoint is not None and not self._at(hook.watchpoint):
            self._watchpoints.remove(hook.watchpoint, hooked=True)
        if hook.ports and not any(each.ports for each in self._hooks):
            self._board.on_access.remove(self._access)

    def _add(self, hook: Hook) -> Hook:
        self._hooks.append(hook)
        return hook

    def _at(self, place: Watchpoint | int) -> list[Hook]:
        return [hook for hook in self._hooks if place in (hook.watchpoint, hook.address)]

    def call(self, place: Watchpoint | int) -> bool:
        """Call the functions of an address or a watchpoint; were there any?"""
        here = self._at(place)
        for hook in here:
            hook.function()
        return bool(here)

    def _access(self, kind: str, port: int, size: int, value: int) -> None:
        for hook in tuple(self._hooks):
            if port in hook.ports and kind in ("in", "out"):
                hook.function(kind, port, size, value)
