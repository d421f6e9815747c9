"""What only a monitor of this kind has to tell: exits, translation cache, shadow page tables."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from monitor.console.command import Context, no_more


def info_exits(context: Context, rest: str) -> str:
    """Exits by reason, and the last ones."""
    no_more(rest, "info exits")
    machine = context.machine
    counts = machine.statistics().get("exits")
    if not counts:
        return f"mode {machine.mode} has had no exits"
    ordered = dict(sorted(counts.items(), key=lambda item: -item[1]))
    last = [f"  {each}" for each in machine.debug.recent_exits()]
    return "\n".join([*figures(ordered), "last exits, oldest first:", *last])


def info_tc(context: Context, rest: str) -> str:
    """The translation cache, and the block at EIP in it."""
    no_more(rest, "info tc")
    machine = context.machine
    found = machine.statistics().get("tc")
    if found is None:
        return f"mode {machine.mode} has no translation cache"
    block = machine.debug.block_listing() or ["no translated block begins at eip"]
    return "\n".join([*figures(found), *block])


def info_shadow(context: Context, rest: str) -> str:
    """The shadow page tables."""
    no_more(rest, "info shadow")
    machine = context.machine
    found = machine.statistics().get("shadow")
    if found is None:
        return f"mode {machine.mode} has no shadow page tables"
    return "\n".join(figures(found))


def info_where(context: Context, rest: str) -> str:
    """Registers, last exits and the code at EIP."""
    no_more(rest, "info where")
    return context.machine.debug.where()


def info_statistics(context: Context, rest: str) -> str:
    """Every figure."""
    no_more(rest, "info statistics")
    return json.dumps(context.machine.statistics(), indent=2)


def figures(values: Mapping[str, Any]) -> list[str]:
    """Names and figures in two columns."""
    words = {name: v if isinstance(v, str) else f"{v:,}" for name, v in values.items()}
    return [f"  {name:32} {word:>14}" for name, word in words.items()]
