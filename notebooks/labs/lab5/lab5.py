"""Lab 5: make chaining work. Read handout.md; `vp lab check 5` grades this file."""

from __future__ import annotations

from monitor.extensions.chaining import Block, BranchExit, TranslatedCode


class Chaining:
    """Direct branches from block to block, without leaving the translation cache."""

    def __init__(self, code: TranslatedCode) -> None:
        self.code = code

    def left(self, exit: BranchExit, next_block: Block) -> None:
        """A direct branch has left the cache through `exit`, and `next_block` runs next."""

    def dropped(self, block: Block) -> None:
        """The block's guest code has changed: no jump may lead to it any more."""

    def emptied(self) -> None:
        """The cache starts anew: no address means what it meant."""
