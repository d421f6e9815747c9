"""Stubs that somebody else wrote: what the translator asks of whoever brings some."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple, Protocol

from bt.output import Surveyed
from bt.policy import Context
from bt.stub_code import Stub

OWN = "own"  # the policy of what somebody else's stubs stand for


class OwnStub(NamedTuple):
    """A stub that takes the place of the translator's, for one instruction."""

    stub: Stub
    transfers: bool = False  # its last line is an indirect branch; else it falls through


class OwnStubs(Protocol):
    """Where stubs come from that are not the translator's own."""

    @property
    def entries(self) -> Collection[int]:
        """Survey entries of the instructions that they may stand for, in kernel code."""

    def prepare(
        self, code: bytes, surveyed: list[Surveyed], context: Context, reserved: str
    ) -> list[Surveyed]:
        """Find the stubs of a block before anything of it is emitted; what to translate of it.

        Less than was surveyed where a block would grow too long. `reserved`: the register's name.
        """

    def at(self, eip: int) -> OwnStub | None:
        """That of the instruction at `eip` in the block that was prepared; None: it has none."""
