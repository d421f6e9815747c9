"""Views that show themselves: on a terminal, in a notebook, as a picture.

`machine.watch` gives these. They are the plain data of tc_model.py and mmu_model.py and nothing
more; what draws them is imported when somebody looks.
"""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

from monitor.watch.mmu_model import MmuView
from monitor.watch.tc_model import CacheView

if TYPE_CHECKING:
    from rich.console import RenderableType
    from typing_extensions import Self


class ShownCache(CacheView):
    """The translation cache."""

    @classmethod
    def of(cls, view: CacheView) -> Self:
        """The same data."""
        return cls(**{each.name: getattr(view, each.name) for each in fields(view)})

    def dot(self) -> str:
        """The chain graph in Graphviz's language."""
        from monitor.watch.tc_dot import dot_of

        return dot_of(self)

    def svg(self) -> str:
        """The blocks as a picture."""
        from monitor.watch.tc_svg import svg_of

        return svg_of(self)

    def __rich__(self) -> RenderableType:
        from monitor.watch.tc_text import cache_text

        return cache_text(self)

    def _repr_html_(self) -> str:
        from monitor.watch.html import html_of

        return html_of(self)

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """Where a notebook has no HTML: not the data of all blocks."""
        printer.text(f"CacheView: {len(self.blocks):,} of {self.total:,} blocks after "
                     f"{self.count:,} guest instructions")  # fmt: skip


class ShownMmu(MmuView):
    """The linear address space."""

    @classmethod
    def of(cls, view: MmuView) -> Self:
        """The same data."""
        return cls(**{each.name: getattr(view, each.name) for each in fields(view)})

    def svg(self) -> str:
        """As a picture."""
        from monitor.watch.mmu_svg import svg_of

        return svg_of(self)

    def __rich__(self) -> RenderableType:
        from monitor.watch.mmu_text import mmu_text

        return mmu_text(self)

    def _repr_svg_(self) -> str:
        return self.svg()

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """Where a notebook shows no pictures: not the data of all ranges."""
        printer.text(f"MmuView: mode {self.mode} after {self.count:,} guest instructions, "
                     f"cr3 {self.cr3:#010x}")  # fmt: skip
