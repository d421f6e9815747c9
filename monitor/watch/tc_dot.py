"""The chain graph of a `CacheView` in the language of Graphviz: a node for each block."""

from __future__ import annotations

from monitor.watch.palette import FILL, STROKE
from monitor.watch.tc_model import BlockView, CacheView
from monitor.watch.words import CHAIN, COPY, EXIT, LOOKUP, STUB

HEAD = """digraph translation_cache {
  rankdir=TB;
  node [shape=box, style=filled, fontname="monospace", fontsize=10];
  edge [fontname="monospace", fontsize=9];
"""


def dot_of(view: CacheView) -> str:
    """Blocks with their guest code; solid edges are chained jumps, dashed ones conditional."""
    lines = [_node(block) for block in view.blocks]
    for link in view.links():
        style = "dashed" if link.conditional else "solid"
        lines.append(
            f"  {_name(link.source)} -> {_name(link.block)} "
            f'[style={style}, color="{STROKE[CHAIN]}", tooltip="{link.target:#x}"];'
        )
    return HEAD + "\n".join(lines) + "\n}\n"


def _node(block: BlockView) -> str:
    title = f"{block.eip:08x}  {block.context}"
    if block.hits is not None:
        title += f"  {block.hits:,} hits"
    code = "".join(
        f"{_quoted(row.text)}{'' if row.became == COPY else f'   [{row.became}]'}\\l"
        for row in block.instructions
    )
    kind = _worst(block)
    return (
        f'  {_name(block.eip)} [label="{title}\\n\\n{code}", '
        f'fillcolor="{FILL[kind]}", color="{STROKE[kind]}"];'
    )


def _worst(block: BlockView) -> str:
    """What colours the block: the dearest thing in it."""
    kinds = {row.became for row in block.instructions}
    return next((kind for kind in (EXIT, STUB, LOOKUP) if kind in kinds), COPY)


def _name(eip: int) -> str:
    return f"b{eip:08x}"


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
