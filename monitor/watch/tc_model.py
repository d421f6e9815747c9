"""The translation cache as plain data: guest block beside translated block.

A `CacheView` is a picture taken between two turns of the machine. It holds no reference to the
machine, so it may be kept, pickled, compared with a later one, or written as JSON.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from monitor.watch.words import COPY, EXIT, FALLS, KINDS, STUB

if TYPE_CHECKING:
    from typing_extensions import Self


@dataclass(frozen=True)
class TranslatedRow:
    """One instruction in the cache."""

    address: int
    code: bytes
    text: str
    note: str = ""  #: what an exit means, or where a chained jump leads
    counts: bool = False  #: completing it completes a guest instruction
    cold: bool = False  #: it stands out of line, at the end of the block


@dataclass(frozen=True)
class GuestRow:
    """One guest instruction, and what it became."""

    eip: int
    code: bytes
    text: str
    became: str
    translated: tuple[TranslatedRow, ...]
    hits: int | None = None  #: times begun; None: not counted, or it cannot be entered

    @property
    def patched(self) -> bool:
        """Is the translation something else than the same bytes?"""
        return self.became not in (COPY, FALLS)


@dataclass(frozen=True)
class ChainLink:
    """A chained jump from one block to another (or to itself)."""

    at: int  #: the jump in the cache
    source: int  #: guest EIP of the block that it is in
    target: int  #: guest EIP that it goes to
    block: int  #: guest EIP of the block whose translation that is in
    conditional: bool


@dataclass(frozen=True)
class BlockView:
    """Guest code and its translation. Addresses are linear; in the cache, of the cache."""

    eip: int
    physical: int
    size: int  #: guest bytes
    start: int
    end: int
    context: str
    rows: tuple[GuestRow, ...]
    hits: int | None  #: times its first instruction was begun; None: not counted
    entries: tuple[int, ...]  #: guest EIPs in its middle that are blocks of their own
    links_out: tuple[ChainLink, ...]
    links_in: tuple[ChainLink, ...]
    landings: tuple[str, ...]  #: "near", "far": indirect branches find it by these

    @property
    def instructions(self) -> tuple[GuestRow, ...]:
        """Its rows without the one that says where it falls through."""
        return tuple(row for row in self.rows if row.became != FALLS)

    @property
    def patched(self) -> bool:
        """Is any of its instructions?"""
        return any(row.patched for row in self.rows)

    @property
    def work(self) -> int:
        """Guest instructions begun in it."""
        return sum(row.hits or 0 for row in self.rows)

    def covers(self, address: int) -> bool:
        """Is an address of the guest, or of the cache, in this block?"""
        return self.eip <= address < self.eip + self.size or self.start <= address < self.end


@dataclass(frozen=True)
class CacheView:
    """What the translation cache holds, biggest hits first."""

    count: int  #: guest instructions completed when the picture was taken
    base: int
    used: int  #: bytes
    size: int
    flushes: int
    counted: bool  #: were entries counted?
    blocks: tuple[BlockView, ...]
    total: int = field(default=0)  #: blocks in the cache; fewer may be shown

    def only(self, wanted: Callable[[BlockView], bool]) -> Self:
        """The blocks that answer to a question; `total` stays."""
        return replace(self, blocks=tuple(filter(wanted, self.blocks)))

    def at(self, address: int) -> Self:
        """Blocks that hold an address of the guest or of the cache."""
        return self.only(lambda block: block.covers(address))

    def only_patched(self) -> Self:
        """Blocks with a patched instruction that is not a mere branch."""
        return self.only(
            lambda block: any(row.became in (STUB, EXIT) for row in block.rows)
        )

    def top(self, number: int) -> Self:
        """The first blocks."""
        return replace(self, blocks=self.blocks[:number])

    def became(self) -> dict[str, int]:
        """Guest instructions shown, by what they became."""
        found = Counter(row.became for block in self.blocks for row in block.instructions)
        return {kind: found[kind] for kind in KINDS}

    def links(self) -> list[ChainLink]:
        """Chain links between the blocks shown."""
        shown = {block.eip for block in self.blocks}
        return [
            link for block in self.blocks for link in block.links_out if link.block in shown
        ]

    def as_dict(self) -> dict[str, Any]:
        """For JSON: bytes as hexadecimal text."""
        return _plain(asdict(self))


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    return value


def by_hits(blocks: Iterable[BlockView]) -> tuple[BlockView, ...]:
    """Most often entered first, then by address."""
    return tuple(sorted(blocks, key=lambda block: (-(block.hits or 0), block.eip, block.context)))
