"""The processor of a machine with extensions: the usual one, with a few methods of its own."""

from __future__ import annotations

from bt.engine import Ram
from monitor.extensions import Extensions
from monitor.extensions.chaining import ChainingProcessor
from monitor.extensions.fill import FilledShadow
from monitor.extensions.handler import HandledProcessor
from monitor.vmm.board import Board
from monitor.vmm.memory import GuestMemory
from monitor.vmm.processor import Processor
from monitor.vmm.shadow import ShadowMmu
from monitor.vmm.trapping import TrappingProcessor


def make_processor(
    extensions: Extensions,
    mode: str,
    ram: Ram,
    memory: GuestMemory,
    board: Board,
    engine: str,
    without: tuple[str, ...],
) -> Processor:
    """A virtual processor with extensions, which were checked."""
    parts = ram, memory, board, engine
    if mode == "translate":
        return ExtendedProcessor(*parts, without, extensions)
    if extensions.handler is not None:
        return HandledProcessor(*parts, extensions.handler)
    return TrappingProcessor(*parts)


class ExtendedProcessor(ChainingProcessor):
    """A translating processor with any of the extensions."""

    def __init__(
        self,
        ram: Ram,
        memory: GuestMemory,
        board: Board,
        engine: str,
        without: tuple[str, ...],
        extensions: Extensions,
    ) -> None:
        self._extensions = extensions
        super().__init__(ram, memory, board, engine, without)
        if extensions.stubs is not None:
            from monitor.extensions.stubs import OwnStubs

            self.translator.use_own(OwnStubs(extensions.stubs, self.ask))
        if extensions.chaining is not None:
            self.use_chaining(extensions.chaining)

    def make_shadow(self) -> ShadowMmu:
        fill = self._extensions.fill
        if fill is None:
            return super().make_shadow()
        has_device, written = self.board.has_device, self._extensions.table_written
        parts = self.memory, self.ram, self.ideal, self.engine
        return FilledShadow(*parts, has_device, fill, written)

    def traced_write(self, pa: int, size: int) -> None:
        super().traced_write(pa, size)
        if isinstance(self.shadow, FilledShadow):
            self.shadow.written(pa, size)

    def traced_writes_lost(self) -> None:
        super().traced_writes_lost()
        if isinstance(self.shadow, FilledShadow):
            self.shadow.all_written()
