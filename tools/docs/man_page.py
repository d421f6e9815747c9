"""vp(1), from the parsers of `vp` by the library argparse-manpage.

    python -m tools.docs.man_page out/man/vp.1      # `make man`; then: man out/man/vp.1

It has every verb and every option, as `vp VERB --help` does. groff(7), man(7).
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

from monitor.cli import build_parser
from monitor.cli.parser import version_text

COLUMNS = "79"  # of the usage lines, which argparse breaks for a terminal
FORMAT = "single-commands-section"
STATUSES = """\
0 as asked; 1 not as asked, each verb says what that is; 2 bad usage or input, or output that cannot
be written; 130 interrupted (Ctrl-C); 141 nobody reads standard output any more. `vp run` has more:
the odd ones from 3 on are the guest's own."""
ENVIRONMENT = """\
VP_PURE=1: the uncompiled interpreter, even where there is a compiled one.
VP_ENABLE_VMWARE_BACKDOOR=1: machines have VMware's backdoor unless they say otherwise."""


def page() -> str:
    """The page in man(7)'s macros; its date is today's, or that of SOURCE_DATE_EPOCH."""
    from argparse_manpage.manpage import Manpage

    parser: Any = build_parser()
    parser._manpage = [
        {"heading": "EXIT STATUS", "content": STATUSES},
        {"heading": "ENVIRONMENT", "content": ENVIRONMENT},
    ]
    with patch.dict(os.environ, COLUMNS=COLUMNS):
        made = Manpage(parser, format=FORMAT)
        made.description = "virtual machine monitor for 32-bit x86 PCs in the manner of 1999"
        made.source = version_text()
        made.manual = "Virtual Platform"
        return str(made)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the page to a file, or to standard output."""
    parser = argparse.ArgumentParser(prog="python -m tools.docs.man_page")
    parser.add_argument("file", nargs="?", type=Path, metavar="FILE", help="where to")
    path: Path | None = parser.parse_args(arguments).file
    if path is None:
        sys.stdout.write(page())
        return 0
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page(), encoding="utf-8")
    print(f"man {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
