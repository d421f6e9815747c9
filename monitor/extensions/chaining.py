"""The extension point of chaining: which jumps are patched, and what becomes of them.

A direct branch leaves the cache the first time, because its target is not known there. What happens
then, and when the target goes away, is an extension's own affair (Adams and Agesen 2006, section
3.2):

    class Chaining:
        def __init__(self, code: TranslatedCode) -> None: ...
        def left(self, exit: BranchExit, next_block: Block) -> None: ...
        def dropped(self, block: Block) -> None: ...
        def emptied(self) -> None: ...

`left`: guest code left the cache through `exit`, and `next_block` is what runs next. Most often it
is the translation of the exit's target. But an interrupt may have come between.
`dropped`: the guest code of a block has changed, or is no longer mapped where it was. The block is
not entered by the monitor any more; its bytes stay where they are.
`emptied`: the cache starts anew. All addresses will mean something else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bt.cache import CHAIN, Exit, TranslatedBlock
from bt.contract import EXIT_SOFTINT
from bt.policy import Context
from monitor.vmm.calling import ExtensionFailed, call
from monitor.vmm.shadow import HIDDEN_BASE
from monitor.vmm.translating import TranslatingProcessor

MOST = 6  # bytes: of the longest jump


@dataclass(frozen=True)
class BranchExit:
    """Where a direct branch leaves the cache.

    At `address` is room for five bytes, an INT3 among them, which leaves. A conditional branch gets
    there by a Jcc with a 32-bit displacement, six bytes at `jump`; other branches have None there.
    """

    #: Of the slot.
    address: int
    #: Of the Jcc, for a conditional branch.
    jump: int | None
    #: The guest's EIP that the branch leads to.
    target: int
    #: That of the block which the branch belongs to.
    context: int


@dataclass(frozen=True)
class Block:
    """Translated code at `start`, made from guest code at `eip` in a context.

    What is translated depends on the context: kernel or user code, with IOPL 0 or not.
    """

    #: Of the guest code.
    eip: int
    #: What the translation depends on besides the code.
    context: int
    #: Address of the translation.
    start: int


class TranslatedCode:
    """The bytes of the translation cache."""

    def __init__(self, processor: ChainingProcessor) -> None:
        self._processor = processor

    def read(self, address: int, size: int) -> bytes:
        """Bytes of the cache."""
        self._check("read", address, size)
        return self._processor.cache.code(address, address + size)

    def write(self, address: int, data: bytes) -> None:
        """Patch up to six bytes. The engine looks at them anew."""
        if not isinstance(data, bytes | bytearray) or not 0 < len(data) <= MOST:
            raise ExtensionFailed(f"code.write(..., {data!r}): give 1 to {MOST} bytes")
        self._check("write", address, len(data))
        self._processor.cache.write(address, bytes(data))
        self._processor.patched([address])

    def _check(self, name: str, address: int, size: int) -> None:
        end = HIDDEN_BASE + self._processor.cache.used
        if not isinstance(address, int) or not HIDDEN_BASE <= address <= end - size:
            said = f"{address:#x}" if isinstance(address, int) else repr(address)
            where = f"the cache is used from {HIDDEN_BASE:#x} to {end:#x}"
            raise ExtensionFailed(f"code.{name}({said}, ...): {where}")


class ChainingProcessor(TranslatingProcessor):
    """A translating processor whose direct branches an extension links."""

    chaining: Any = None

    def use_chaining(self, chaining: Any) -> None:
        """`chaining`: a class, as this file says."""
        self.cache.chaining = False  # the monitor's own
        self.chaining = call(chaining, TranslatedCode(self))

    def leave_translated(self, reason: int, context: Context) -> int:
        """A patch that is wrong shows when the engine leaves where it cannot be."""
        if self.chaining is not None:
            self._check_place(reason, int(self.engine.eip))
        return super().leave_translated(reason, context)

    def _check_place(self, reason: int, at: int) -> None:
        if not HIDDEN_BASE <= at < HIDDEN_BASE + self.cache.used:
            where = f"translated code has jumped to {at:#x}, outside of the cache"
            raise ExtensionFailed(f"{where}: the displacement of a patched jump is wrong")
        if reason == EXIT_SOFTINT and at not in self.cache.exits:
            where = f"translated code has met an INT3 at {at:#x} that is no exit"
            raise ExtensionFailed(f"{where}: a patch was put where something else stands by now")

    def leave_by(self, exit_: Exit, at: int, context: int) -> int:
        reason = super().leave_by(exit_, at, context)
        if self.chaining is not None and exit_.kind == CHAIN:
            self.pending_chain = (at, exit_, context)
        return reason

    def connect(self, block: TranslatedBlock) -> None:
        if self.chaining is None or self.pending_chain is None:
            super().connect(block)
            return
        at, exit_, context = self.pending_chain
        self.pending_chain = None
        call(self.chaining.left, BranchExit(at, exit_.jump, exit_.target, context), _view(block))

    def unlink(self, block: TranslatedBlock) -> None:
        if self.chaining is None:
            super().unlink(block)
        else:
            call(self.chaining.dropped, _view(block))

    def forget_translations(self) -> None:
        super().forget_translations()
        if self.chaining is not None:
            call(self.chaining.emptied)


def _view(block: TranslatedBlock) -> Block:
    return Block(block.eip, block.context, block.start)
