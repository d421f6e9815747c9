"""Lab 5, solved: patch, note who leads where, and take it back."""

from __future__ import annotations

from monitor.extensions.chaining import Block, BranchExit, TranslatedCode

INT3, JMP = b"\xcc", b"\xe9"


class Chaining:
    """Direct branches from block to block, without leaving the translation cache."""

    def __init__(self, code: TranslatedCode) -> None:
        self.code = code
        self.incoming: dict[int, list[BranchExit]] = {}  # by the block's start

    def left(self, exit: BranchExit, next_block: Block) -> None:
        """A direct branch has left the cache through `exit`, and `next_block` runs next."""
        if (next_block.eip, next_block.context) != (exit.target, exit.context):
            return
        self.incoming.setdefault(next_block.start, []).append(exit)
        if exit.jump is None:
            self.code.write(exit.address, JMP + distance(exit.address + 5, next_block.start))
        else:
            self.code.write(exit.jump + 2, distance(exit.jump + 6, next_block.start))

    def dropped(self, block: Block) -> None:
        """The block's guest code has changed: no jump may lead to it any more."""
        for exit in self.incoming.pop(block.start, ()):
            if exit.jump is None:
                self.code.write(exit.address, INT3)
            else:
                self.code.write(exit.jump + 2, distance(exit.jump + 6, exit.address))

    def emptied(self) -> None:
        """The cache starts anew: no address means what it meant."""
        self.incoming.clear()


def distance(behind: int, target: int) -> bytes:
    """The displacement of a jump that ends at `behind`."""
    return (target - behind & 0xFFFFFFFF).to_bytes(4, "little")
