"""Names and addresses, either way.

>>> table = SymbolTable([Symbol(0xC1000000, "T", "_text"), Symbol(0xC1000040, "t", "startup")])
>>> table.describe(0xC1000044)
'startup+0x4'
>>> hex(table.address("startup"))
'0xc1000040'
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from monitor.vmm.errors import UserError


class Symbol(NamedTuple):
    """address: linear; kind: as nm(1) has it, T and t are code; name."""

    address: int
    kind: str
    name: str


class SymbolTable:
    """Symbols in the order of their addresses; of those at one address the first stands for it."""

    def __init__(self, symbols: Iterable[Symbol]) -> None:
        self._symbols = sorted(symbols, key=lambda symbol: symbol.address)
        self._addresses = [symbol.address for symbol in self._symbols]
        self._named: dict[str, Symbol] = {}
        for symbol in self._symbols:
            self._named.setdefault(symbol.name, symbol)

    def __len__(self) -> int:
        return len(self._symbols)

    def __iter__(self) -> Iterator[Symbol]:
        return iter(self._symbols)

    def __contains__(self, name: str) -> bool:
        return name in self._named

    def address(self, name: str) -> int:
        """Where a name is; UserError if nowhere."""
        symbol = self._named.get(name)
        if symbol is None:
            raise UserError(f"the guest has no symbol {name!r}")
        return symbol.address

    def at(self, address: int) -> Symbol | None:
        """The symbol that begins at an address or last before it."""
        number = bisect_right(self._addresses, address) - 1
        if number < 0:
            return None
        return self._symbols[bisect_right(self._addresses, self._addresses[number] - 1)]

    def describe(self, address: int) -> str:
        """name+offset, or the bare address below the first symbol."""
        symbol = self.at(address)
        if symbol is None:
            return f"{address:#010x}"
        distance = address - symbol.address
        return f"{symbol.name}+{distance:#x}" if distance else symbol.name
