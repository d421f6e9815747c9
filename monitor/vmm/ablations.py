"""What the monitor can be made to do without, to see what it is worth.

Each name is a technique of 1999 or soon after. Left out, the guest does the same and takes more
exits: never another behaviour, only another price. (Bugnion et al. 2012, sections 4 and 5; Adams
and Agesen 2006, section 3. There is no adaptive retranslation here to leave out.)

    machine = Machine(mode="translate", without=("chaining",))
    machine.statistics()["exits"]["chain"]      # every direct branch, each time
"""

from __future__ import annotations

#: What can be left out, by name, and what it does.
ABLATIONS = {
    "chaining": "direct branches jump to translated code; without, each one exits",
    "lookup": "RET and indirect branches find translated code; without, each one exits",
    "stubs": "sensitive instructions are simulated in place; without, each one exits",
    "window": "STI and POPF exit only while an interrupt waits; without, each one exits",
    "direct": "user code runs as it is; without, it is translated like the kernel's",
    "bytes": "translated bytes are traced; without, whole pages are, as by a real MMU",
}
