"""machine.vmware.tools: the host's side of VMware's tools in the guest.

machine.vmware.tools.guestinfo["name"] = "value"
machine.vmware.tools.clipboard = "text"
request = machine.vmware.tools.send("OS_Halt")      # ... run ... request.state, request.reply
machine.vmware.tools.register("answer", lambda args: "42")
for event in machine.vmware.tools.events: ...
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from devices.shapes import Record, Text, maybe
from monitor.vmm.errors import UserError
from monitor.vmware.host import Host
from monitor.vmware.tools import rpci, tclo
from monitor.vmware.tools.channel import Endpoint
from monitor.vmware.tools.clipboard import Clipboard
from monitor.vmware.tools.events import ChannelClosed, ChannelOpened, Events, new_events
from monitor.vmware.tools.guestinfo import GuestInfo, bytes_of
from monitor.vmware.tools.host_clipboard import find_host_clipboard
from monitor.vmware.tools.reports import Reports
from monitor.vmware.tools.rpci import Rpci, UserCommand
from monitor.vmware.tools.rpci_channel import RpciChannel
from monitor.vmware.tools.tclo import DAEMON, REPLY_SECONDS, Request, Tclo, TcloChannel

# What the tools are told when they start, as VMware tells them; the guest may change these too.
OPTIONS = {
    "synctime": "0",
    "copypaste": "1",
    "autohide": "0",
    "broadcastIP": "1",
    "toolScripts.afterPowerOn": "1",
    "toolScripts.afterResume": "1",
    "toolScripts.beforePowerOff": "1",
    "toolScripts.beforeSuspend": "1",
}
MAX_OPTION = 64  # characters of an option's value


class Tools:
    """The tools in one machine's guest, seen from the host.

    `events` are the newest records of what they did (`monitor.vmware.tools.events`), `guestinfo` is
    a mapping of the variables that both sides read and write. Everything else has words below. Text
    of the guest's is what the guest says: not checked, only cut to a sane length.
    """

    def __init__(self, host: Host) -> None:
        self.host = host
        self.events: Events = new_events()
        self.guestinfo = GuestInfo(host, self.events)
        self.selection = Clipboard(host, self.events)
        self._options = dict(OPTIONS)
        if host.restrictions.copy_disable and host.restrictions.paste_disable:
            self._options["copypaste"] = "0"
        self._reports = Reports(host, self.events)
        self._rpci = Rpci(host, self.guestinfo, self._reports)
        self._rpci.set_option = self._change_option
        self._tclo = Tclo(host, self.events, self._options)

    @property
    def clipboard(self) -> str:
        """The text that was copied last, in the guest or here."""
        return self.selection.text

    @clipboard.setter
    def clipboard(self, text: str) -> None:
        self.selection.text = text

    def share_clipboard(self) -> None:
        """From now on the guest's clipboard is the host's own. UserError if the host has none."""
        self.selection.shared = find_host_clipboard()

    def send(self, command: str, program: str = DAEMON, seconds: float = REPLY_SECONDS) -> Request:
        """Ask the tools for something: "OS_Halt", "OS_Reboot", "ping", "Time_Synchronize 1"...

        It waits until the guest polls; `seconds` of the guest's time until its answer.
        """
        return self._tclo.send(command, program, seconds)

    def register(self, name: str, function: UserCommand) -> None:
        """`vmware-rpctool "name arguments"` in the guest calls function("arguments"). It returns
        the reply: text, bytes or None, or (False, text) for a failure. One that raises, or takes
        too long (`machine.vmware.callback_seconds`), ends the run with a report."""
        self._rpci.register(name, function)

    @property
    def commands(self) -> frozenset[str]:
        """What the guest may ask for, besides tools.capability.*: your own commands too."""
        return self._rpci.names()

    @property
    def machine_id(self) -> str | None:
        """machine.id of the .vmx file, for machine.id.get."""
        return self._rpci.machine_id

    @machine_id.setter
    def machine_id(self, text: str | None) -> None:
        bytes_of(text or "")  # or a UserError, here and not when the guest asks
        self._rpci.machine_id = text

    @property
    def running(self) -> set[str]:
        """Which programs of the tools are there: "toolbox" is vmtoolsd."""
        return self._tclo.programs()

    @property
    def version(self) -> str | None:
        """Of the tools, "12.2.0"; "unmanaged" if they leave that to their distribution."""
        return self._reports.version

    @property
    def health(self) -> str | None:
        """What the tools say of themselves: "normal", or what is wrong."""
        return self._reports.health

    @property
    def capabilities(self) -> Mapping[str, str]:
        """What the tools say they can do."""
        return self._reports.capabilities

    @property
    def reported(self) -> Mapping[str, str | bytes]:
        """What the guest says of itself: "dns_name", "os_name_full", "uptime"..."""
        return self._reports.reported

    @property
    def options(self) -> Mapping[str, str]:
        """What the tools are told: "synctime" is whether they keep the guest's clock right."""
        return self._options

    def set_option(self, name: str, value: str) -> None:
        """Change an option, and tell the tools."""
        if not self._change_option(name, value):
            raise UserError(f"no option {name!r} with a value {value!r} of the tools")

    def connect(self, protocol: int, channel: int) -> Endpoint | None:
        """Where a new message channel leads: nowhere if nobody knows the protocol."""
        if protocol == rpci.PROTOCOL:
            name = "RPCI"
        elif protocol == tclo.PROTOCOL:
            name = "TCLO"
        else:
            return None
        self.events.append(ChannelOpened(self.host.now(), channel, name))

        def closed() -> None:
            self.events.append(ChannelClosed(self.host.now(), channel, name))

        if name == "RPCI":
            return RpciChannel(self._rpci, closed)
        return TcloChannel(self._tclo, closed)

    def snapshot(self) -> dict[str, Any]:
        """By names; `events` are for whoever watched, and not in it."""
        return {
            "options": dict(self._options),
            "machine_id": self._rpci.machine_id,
            "guestinfo": self.guestinfo.snapshot(),
            "reports": self._reports.snapshot(),
            "requests": self._tclo.snapshot(),
        }

    def restore(self, saved: Any) -> None:
        """Be as the tools that said so. WrongField."""
        values = Record(
            {
                "options": Record(dict.fromkeys(OPTIONS, Text(MAX_OPTION))),
                "machine_id": maybe(Text(1 << 16)),
                "guestinfo": self.guestinfo.shape,
                "reports": self._reports.shape,
                "requests": self._tclo.shape,
            }
        ).check(saved)
        self._options.update(values["options"])
        self._rpci.machine_id = values["machine_id"]
        self.guestinfo.restore(values["guestinfo"])
        self._reports.restore(values["reports"])
        self._tclo.restore(values["requests"])

    def _change_option(self, name: str, value: str) -> bool:
        """From either side: the tools hear of it through Set_Option."""
        if name not in self._options or not 0 < len(value) <= MAX_OPTION or " " in value:
            return False
        if self._options[name] != value:
            self._options[name] = value
            self._tclo.send_option(name)
        return True
