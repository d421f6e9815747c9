"""`machine.vmware`: VMware's guest interfaces as whoever embeds the machine sees them.

    machine.enable(X86_VMWARE_BACKDOOR)
    machine.vmware.tools.guestinfo["name"] = "value"
    machine.vmware.on_hypercall = answer

docs/vmware.md has the guest's side of it.
"""

from __future__ import annotations

from monitor.settings.capabilities import X86_VMWARE_BACKDOOR
from monitor.vmm.errors import UserError
from monitor.vmware.backdoor import Backdoor
from monitor.vmware.exits import VmwareExit
from monitor.vmware.guest_calls import GuestCalls
from monitor.vmware.hypercalls import Handler
from monitor.vmware.tools.tools import Tools


class Vmware:
    """One machine's."""

    def __init__(self, calls: GuestCalls) -> None:
        self._calls = calls

    @property
    def backdoor(self) -> Backdoor:
        """The backdoor; UserError if it is off."""
        if self._calls.backdoor is None:
            raise UserError(f"the backdoor is off: machine.enable({X86_VMWARE_BACKDOOR!r}) first")
        return self._calls.backdoor

    @property
    def tools(self) -> Tools:
        """The tools in the guest: guestinfo, requests, clipboard.

        UserError while the backdoor is off.
        """
        return self.backdoor.tools

    @property
    def on_hypercall(self) -> Handler | None:
        """Called with the VmwareExit of a hypercall; without it run() returns, kind "vmware"."""
        return self._calls.hypercalls.handler

    @on_hypercall.setter
    def on_hypercall(self, handler: Handler | None) -> None:
        self._calls.hypercalls.handler = handler

    @property
    def on_other_hypercall(self) -> Handler | None:
        """With "magic": called for hypercalls without it; if there is none, they are #UD."""
        return self._calls.hypercalls.other_handler

    @on_other_hypercall.setter
    def on_other_hypercall(self, handler: Handler | None) -> None:
        self._calls.hypercalls.other_handler = handler

    @property
    def callback_seconds(self) -> float | None:
        """Seconds that a function of yours may take before the run ends with kind "callback".

        None: as long as it likes, and it is called without a second thread.
        """
        return self._calls.hypercalls.caller.seconds

    @callback_seconds.setter
    def callback_seconds(self, seconds: float | None) -> None:
        self._calls.hypercalls.caller.seconds = seconds

    @property
    def exit(self) -> VmwareExit | None:
        """The hypercall that waits for its answer after run() returned with kind "vmware"."""
        return self._calls.hypercalls.waiting
