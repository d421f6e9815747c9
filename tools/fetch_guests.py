"""`make guests`: everything that monitor/guestbook/fetching.py brings, into guests/.

Repeating it does nothing while the files are as the manifest says; `--refresh` asks apt again.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from monitor.guestbook import fetching  # noqa: E402  (the path above makes it importable)


def main() -> int:
    """Do what the command line asks; 0 when guests/ is filled, 1 when it could not be."""
    parser = argparse.ArgumentParser(description="Fetch the real guests into guests/.")
    parser.add_argument("--refresh", action="store_true", help="ask apt again")
    refresh = parser.parse_args().refresh
    try:
        fetching.fetch(ROOT / "guests", lambda line: print(line, flush=True), refresh=refresh)
    except fetching.AptError as error:
        print(f"make guests: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
