"""RPCI: what the guest asks of the host, a line of text each.

    info-get guestinfo.name        1 value
    info-get guestinfo.nothing     0 No value found
    make.coffee                    0 Unknown command

A reply starts with "1 " (done) or "0 " (not done, and why). Commands are the ones that the tools
send (open-vm-tools 12: services, libguestlib, toolbox), and the user's own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from monitor.vmm.errors import CallbackFailed, UserError
from monitor.vmware.host import Host
from monitor.vmware.tools import guestlib
from monitor.vmware.tools.channel import MAX_OUT_SIZE
from monitor.vmware.tools.events import LogLine, StateChanged, kept
from monitor.vmware.tools.guestinfo import GuestInfo, TooMuch, bytes_of, text_of
from monitor.vmware.tools.reports import Reports

PROTOCOL = 0x49435052  # RPCI_PROTOCOL_NUM: "RPCI"

Handler = Callable[[bytes], "Reply"]
UserCommand = Callable[[str], object]

# GuestOsState in guestrpc/powerops.h
STATES = {1: "halt", 2: "reboot", 3: "poweron", 4: "resume", 5: "suspend"}

# Which of the restrictions denies a command.
DENIED_BY = {
    "info-set": "set_info_disable",
    "SetGuestInfo": "set_info_disable",
    "SetGuestDiskInfo": "set_info_disable",
    "log": "log_disable",
    "guest.log.text": "log_disable",
    "machine.id.get": "get_machine_id_disable",
    "tools.set.version": "set_version_disable",
    "tools.set.versiontype": "set_version_disable",
    "vmx.set_option": "set_option_disable",
    "guestlib.info.get": "guestlib_disable",
}


@dataclass(frozen=True)
class Reply:
    done: bool
    data: bytes = b""

    def __bytes__(self) -> bytes:
        return (b"1 " if self.done else b"0 ") + self.data


DONE = Reply(True)
UNKNOWN = Reply(False, b"Unknown command")  # RPCI_UNKNOWN_COMMAND
DISABLED = Reply(False, b"disabled")  # GUEST_RPC_DISABLED_OPTION
NO_VALUE = Reply(False, b"No value found")


class Rpci:
    """One machine's commands."""

    def __init__(self, host: Host, guestinfo: GuestInfo, reports: Reports) -> None:
        self.host = host
        self.guestinfo = guestinfo
        self.reports = reports
        self.machine_id: str | None = None
        self.user_commands: dict[str, UserCommand] = {}
        self.set_option: Callable[[str, str], bool] = lambda name, value: False
        self._commands: dict[str, Handler] = {
            "info-get": self._info_get,
            "info-set": self._info_set,
            "SetGuestInfo": self._set_guest_info,
            "SetGuestDiskInfo": self._set_guest_disk_info,
            "log": self._log,
            "guest.log.text": self._log,
            "machine.id.get": self._machine_id_get,
            "tools.set.version": self._set_version,
            "tools.set.versiontype": self._set_version,
            "tools.os.statechange.status": self._state_change,
            "update.tools.health": self._health,
            "vmx.capability.unified_loop": _accept,
            "vmx.capability.dnd_version": _version_1,
            "vmx.capability.copypaste_version": _version_1,
            "vmx.capability.tools_is_upgradable": _no,
            "vmx.set_option": self._set_option,
            "disk.wiper.enable": _no,
            "guestlib.info.get": self._guestlib,
        }

    def register(self, name: str, function: UserCommand) -> None:
        """A command of the user's; it goes before one of the same name here."""
        if not name or any(character.isspace() or character == "\0" for character in name):
            raise UserError(f"{name!r} is not the name of a command: it may hold no space")
        self.user_commands[name] = function

    def names(self) -> frozenset[str]:
        return frozenset(self._commands) | frozenset(self.user_commands)

    def is_users(self, message: bytes) -> bool:
        """Is it for a command of the user's, which can raise or take its time?"""
        return name_of(message) in self.user_commands

    def execute(self, message: bytes) -> bytes:
        """The reply to a message. Only a user's own command can raise: CallbackFailed."""
        name, args = name_of(message), message.partition(b" ")[2]
        if function := self.user_commands.get(name):
            reply = self._call_user(name, function, text_of(args))
        elif handler := self._commands.get(name):
            reply = DISABLED if self._denied(name) else handler(args)
        elif name.startswith("tools.capability."):
            self.reports.capability(name.removeprefix("tools.capability."), text_of(args))
            reply = DONE
        else:
            reply = UNKNOWN
        return bytes(reply)

    def _denied(self, name: str) -> bool:
        restriction = DENIED_BY.get(name)
        return restriction is not None and getattr(self.host.restrictions, restriction)

    def _call_user(self, name: str, function: UserCommand, args: str) -> Reply:
        answer = self.host.call_user(function, args)
        done, data = answer if isinstance(answer, tuple) and len(answer) == 2 else (True, answer)
        if data is None:
            data = b""
        if isinstance(data, str):
            try:
                data = bytes_of(data)
            except UserError as error:
                raise CallbackFailed(f"the command {name} returned {error}") from error
        if not isinstance(data, bytes) or not isinstance(done, bool):
            raise CallbackFailed(
                f"the command {name} returned {answer!r}: it may return text, bytes, None, or a"
                " pair of whether it was done and one of these"
            )
        if len(data) > MAX_OUT_SIZE:
            raise CallbackFailed(f"the command {name} returned more than {MAX_OUT_SIZE} bytes")
        return Reply(done, data)

    def _info_get(self, args: bytes) -> Reply:
        value = self.guestinfo.guest_get(text_of(args).strip(" "))
        return NO_VALUE if value is None else Reply(True, value)

    def _info_set(self, args: bytes) -> Reply:
        name, _, value = args.partition(b" ")
        try:
            if not self.guestinfo.guest_set(text_of(name), value.split(b"\0", 1)[0]):
                return Reply(False, b"Permission denied")
        except TooMuch:
            return Reply(False, b"guestinfo is full")
        return DONE

    def _set_guest_info(self, args: bytes) -> Reply:
        """The delimiter, the kind, the delimiter, the value, which can be binary."""
        kind, _, value = args.lstrip(b" ").partition(b" ")
        return DONE if self.reports.report(kind, value) else Reply(False, b"Invalid arguments")

    def _set_guest_disk_info(self, args: bytes) -> Reply:
        """As JSON; tools before 12 and those that are refused send a structure instead."""
        self.reports.report_text("disk_info", args)
        return DONE

    def _log(self, args: bytes) -> Reply:
        self.reports.events.append(LogLine(self.host.now(), kept(text_of(args).rstrip("\n"))))
        return DONE

    def _machine_id_get(self, args: bytes) -> Reply:
        if self.machine_id is None:
            return Reply(False, b"No machine id")
        return Reply(True, bytes_of(self.machine_id))

    def _set_version(self, args: bytes) -> Reply:
        return DONE if self.reports.set_version(args) else Reply(False, b"Invalid arguments")

    def _state_change(self, args: bytes) -> Reply:
        numbers = text_of(args).split()
        if len(numbers) != 2 or not all(_is_number(number) for number in numbers):
            return Reply(False, b"Invalid arguments")
        state = STATES.get(int(numbers[1]))
        if state is None:
            return Reply(False, b"Invalid arguments")
        self.reports.events.append(StateChanged(self.host.now(), state, numbers[0] == "1"))
        return DONE

    def _health(self, args: bytes) -> Reply:
        self.reports.health = kept(text_of(args).strip())
        return DONE

    def _set_option(self, args: bytes) -> Reply:
        """The name, the old value, the new one."""
        words = text_of(args).split()
        if len(words) != 3 or not self.set_option(words[0], words[2]):
            return Reply(False, b"Unknown or invalid option")
        return DONE

    def _guestlib(self, args: bytes) -> Reply:
        if text_of(args).strip() != str(guestlib.VERSION):
            return Reply(False, f"{guestlib.VERSION}:Unsupported version".encode())
        return Reply(True, guestlib.reply(self.host))


def name_of(message: bytes) -> str:
    """Of the command: everything before the first space or NUL."""
    return text_of(message.partition(b" ")[0])


def _accept(args: bytes) -> Reply:
    return DONE


def _version_1(args: bytes) -> Reply:
    """Only the old way, with the clipboard's own commands of the backdoor."""
    return Reply(True, b"1")


def _no(args: bytes) -> Reply:
    return Reply(True, b"0")


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 10
