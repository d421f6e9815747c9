"""Which sources a compiled interpreter was made from, and whether they are still the same.

`build.py` writes the digest of the sources into the compiled module, and `bt/engine.py` compares it
when it loads that module (about 2 ms). A module made from other sources would run, and miscompute:
the table, the decoder and the handlers of the two builds have to fit each other.
"""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

HERE = Path(__file__).resolve().parent
TABLE = (HERE.parent / "instruction.py", *sorted(HERE.parent.glob("table*.py")))

# In this folder, but nothing of them is in the compiled module.
UNCOMPILED = {"__init__", "_compiled", "bind", "pure", "transcendental", "sources"}

ADVICE = (
    "the compiled interpreter was built from other sources than these: run `make build`, "
    "or set VP_PURE=1 to do without it"
)


class StaleBuildError(ImportError):
    """The compiled module and the sources beside it do not belong together."""


def digest() -> str:
    """A digest of everything that a compiled module depends on."""
    from hashlib import blake2b

    state = blake2b(digest_size=16)
    for file in [*TABLE, *sorted(HERE.glob("*.py")), *sorted(HERE.glob("*.pxi"))]:
        if file.stem not in UNCOMPILED:
            text = file.read_bytes()
            state.update(f"{file.name} {len(text)}\n".encode())
            state.update(text)
    return state.hexdigest()


def check(compiled: ModuleType) -> None:
    """Refuse a compiled module that was made from other sources."""
    if getattr(compiled, "SOURCES_DIGEST", None) != digest():
        raise StaleBuildError(ADVICE)
