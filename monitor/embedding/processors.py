"""From settings to the processor that runs the guest: bare, trapping or translating."""

from __future__ import annotations

from bt.engine import Ram
from bt.models import MODELS
from monitor.extensions import Extensions
from monitor.settings.machine import Settings
from monitor.vmm.bare import BareProcessor
from monitor.vmm.board import Board
from monitor.vmm.memory import GuestMemory
from monitor.vmm.processor import Processor


def make_processor(
    settings: Settings, extensions: Extensions | None, ram: Ram, memory: GuestMemory, board: Board
) -> Processor:
    """The one that mode and model ask for, with an embedder's parts in it if there are any."""
    processor = _of_mode(settings, extensions, ram, memory, board)
    processor.set_model(MODELS[settings.cpu])
    return processor


def _of_mode(
    settings: Settings, extensions: Extensions | None, ram: Ram, memory: GuestMemory, board: Board
) -> Processor:
    if settings.mode == "bare":
        return BareProcessor(ram, board)
    parts = ram, memory, board, settings.engine
    without = tuple(settings.without)
    if extensions is not None:
        from monitor.extensions import processors

        return processors.make_processor(extensions, settings.mode, *parts, without)
    if settings.mode == "trap":
        from monitor.vmm.trapping import TrappingProcessor

        return TrappingProcessor(*parts)
    from monitor.vmm.translating import TranslatingProcessor

    return TranslatingProcessor(*parts, without)
