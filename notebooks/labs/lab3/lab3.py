"""Lab 3: write the stubs of CLI, STI, PUSHF and POPF.

Read handout.md; `vp lab check 3` grades this file.
"""

from __future__ import annotations

# `exit` leaves for the monitor, which emulates the instruction: right, and slow. One instruction a
# line; the one that completes the guest's instruction is tagged with `| done`.
STUBS = {
    "cli": """
    exit
""",
    "sti": """
    exit
""",
    "pushf": """
    exit
""",
    "popf": """
    exit
""",
}
