"""Ties instructions to handlers where the interpreter runs uncompiled.

The compiled build has this from build.py, as C functions and arrays. Here the stamped handlers are
Python functions, made from the same table.
"""

from __future__ import annotations

import importlib
from typing import Any

from bt.interp import dialect
from bt.interp.handlers import bind, build_tables
from bt.interp.join import Sources


def bind_handlers() -> None:
    """Fill the tables that decoding and dispatch read when uncompiled. Repeating it is harmless."""
    if dialect.HANDLERS:
        return
    sources = Sources()
    bodies: dict[str, Any] = {}
    for name in sources.order():
        bodies.update(vars(importlib.import_module(f"bt.interp.{name}")))
    tables = build_tables(sources.parameters())
    dialect.TABLES.extend((tables.shape, tables.imm, tables.select, tables.feature))
    dialect.HANDLERS.extend(bind(tables, bodies))
