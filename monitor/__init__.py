"""The monitor: machines, the virtual processor, shadow structures, the run loop, and its surfaces.

    from monitor import Machine
    machine = Machine(memory_mb=64, mode="translate")
    machine.load_flat(code, 0x100000, esp=0x90000)
    print(machine.run(timeout=10))

Reading order: machine.py, then vmm/, the core. `host/` is the host application, `embedding/` what a
program does to a machine, `cli/` the command `vp`; `loaders/` puts guests into memory, `guests/`
holds the embedded one. All of it is in docs/architecture.md.
"""

from __future__ import annotations

TYPE_CHECKING = False  # typing takes time to import, and Ctrl-C is not ours yet (monitor/cli)
if TYPE_CHECKING:
    from typing import Any

    from monitor.machine import Machine
    from monitor.vmm.outcome import Outcome

__all__ = ["Machine", "Outcome"]


def __getattr__(name: str) -> Any:
    """Load the machine only when someone asks for it: `vp --help` must not wait for it."""
    if name == "Machine":
        from monitor.machine import Machine

        return Machine
    if name == "Outcome":
        from monitor.vmm.outcome import Outcome

        return Outcome
    raise AttributeError(name)
