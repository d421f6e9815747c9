"""What the tools in the guest did: small records, the newest thousand of them.

Times are nanoseconds of the machine's clock. Text comes from the guest: it is cut at TEXT_KEPT.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

EVENTS_KEPT = 1000
TEXT_KEPT = 4096  # characters of one text: as much as the tools' own logger sends in a line


@dataclass(frozen=True)
class Event:
    """Something happened, at `time` in nanoseconds of the machine's clock."""

    time: int


@dataclass(frozen=True)
class ChannelOpened(Event):
    """The guest opened a message channel, by number, for RPCI or TCLO."""

    channel: int
    protocol: str


@dataclass(frozen=True)
class ChannelClosed(Event):
    """The guest closed it, or left it alone for too long."""

    channel: int
    protocol: str


@dataclass(frozen=True)
class LogLine(Event):
    """The guest wrote a line into the host's log."""

    text: str


@dataclass(frozen=True)
class GuestInfoSet(Event):
    """The guest set guestinfo.`key`."""

    key: str
    size: int


@dataclass(frozen=True)
class VersionSet(Event):
    """The tools say which version they are."""

    version: str


@dataclass(frozen=True)
class CapabilitySet(Event):
    """The tools say what they can do."""

    name: str
    value: str


@dataclass(frozen=True)
class Reported(Event):
    """The guest told something of itself: `tools.reported[name]`."""

    name: str


@dataclass(frozen=True)
class StateChanged(Event):
    """The guest is done with what has to happen before or after a change of power."""

    state: str
    success: bool


@dataclass(frozen=True)
class ToolsStarted(Event):
    """A program of the tools is there for requests: "toolbox" is vmtoolsd."""

    name: str


@dataclass(frozen=True)
class Answered(Event):
    """The guest answered a request of the host."""

    command: str
    success: bool
    reply: str


@dataclass(frozen=True)
class Copied(Event):
    """The guest set the clipboard."""

    size: int


@dataclass(frozen=True)
class HostClipboardFailed(Event):
    """The host's clipboard did not do what it was asked."""

    reason: str


Events = deque[Event]


def new_events() -> Events:
    """None yet, and room for EVENTS_KEPT."""
    return deque(maxlen=EVENTS_KEPT)


def kept(text: str) -> str:
    """As much of a guest's text as an event keeps."""
    return text if len(text) <= TEXT_KEPT else text[:TEXT_KEPT]
