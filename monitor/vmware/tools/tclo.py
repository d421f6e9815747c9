"""TCLO: what the host asks of the tools in the guest.

Only the guest can call, so it polls: it sends its last answer, or an empty message, and looks
whether there is a request. The first one on a new channel is "reset": the answer says which program
is there. Then it is asked for its capabilities and told the options, and after that it takes what
the user sends (open-vm-tools: lib/rpcIn/rpcin.c, lib/rpcChannel/rpcChannel.c).

    host     reset               Capabilities_Register     Set_Option synctime 0    OS_Halt
    guest    OK ATR toolbox      OK                        OK                       OK
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from enum import Enum
from typing import Any

from devices.shapes import COUNT, Among, Number, Record, Text, WrongField, maybe, some
from monitor.vmm.errors import UserError
from monitor.vmware.host import Host
from monitor.vmware.tools.channel import MAX_IN_SIZE
from monitor.vmware.tools.events import Answered, Events, ToolsStarted, kept
from monitor.vmware.tools.guestinfo import bytes_of, text_of

PROTOCOL = 0x4F4C4354  # "TCLO"
RESET = "reset"
DAEMON = "toolbox"  # TOOLS_DAEMON_NAME: vmtoolsd
MAX_WAITING = 64  # requests that no guest has fetched yet
MAX_NAME = 64  # characters of a program's name
REPLY_SECONDS = 30.0  # of the machine's clock, from sending a request to its answer
ALIVE = 10 * 10**9  # nanoseconds: vmtoolsd polls every second


class State(Enum):
    """What became of a request."""

    WAITING = "waiting"  #: for the guest to fetch it
    DELIVERED = "delivered"  #: the guest has it, and did not answer yet
    DONE = "done"  #: the guest said OK
    FAILED = "failed"  #: the guest said ERROR, or could not take it
    TIMED_OUT = "timed out"  #: no answer within the seconds of the guest's time
    CLOSED = "closed"  #: the guest closed the channel instead of answering


class Request:
    """One request, and what became of it.

    `command` is what was asked, `program` who; `reply` is the answer without "OK" or "ERROR", None
    until there is one.
    """

    def __init__(self, command: str, program: str, host: Host, seconds: float | None) -> None:
        """`seconds` until it times out; None: it does not, as long as nobody fetched it."""
        self.command = command
        self.program = program
        self.message = bytes_of(command)
        self.reply: str | None = None  # without "OK" or "ERROR"
        self._host = host
        self._deadline = None if seconds is None else host.now() + int(seconds * 10**9)
        self._state = State.WAITING

    shape = Record(
        {
            "command": Text(MAX_IN_SIZE),
            "program": Text(MAX_NAME),
            "reply": maybe(Text(MAX_IN_SIZE)),
            "deadline": maybe(COUNT),
            "state": Among(frozenset(state.value for state in State)),
        }
    )

    def snapshot(self) -> dict[str, Any]:
        """By names."""
        return {
            "command": self.command,
            "program": self.program,
            "reply": self.reply,
            "deadline": self._deadline,
            "state": self._state.value,
        }

    @classmethod
    def restored(cls, saved: Any, host: Host) -> Request:
        """The request that said so. WrongField."""
        values = cls.shape.check(saved)
        try:
            request = cls(values["command"], values["program"], host, None)
        except UserError as error:
            raise WrongField(str(error)) from None
        request.reply = values["reply"]
        request._deadline = values["deadline"]
        request._state = State(values["state"])
        return request

    @property
    def state(self) -> State:
        """Where it stands now."""
        open_ = self._state in (State.WAITING, State.DELIVERED)
        if open_ and self._deadline is not None and self._host.now() > self._deadline:
            self._state = State.TIMED_OUT
        return self._state

    @property
    def done(self) -> bool:
        """Nothing will happen to it any more."""
        return self.state not in (State.WAITING, State.DELIVERED)

    def delivered(self) -> None:
        """The guest has it: from now on, an answer is due."""
        if self._deadline is None:
            self._deadline = self._host.now() + int(REPLY_SECONDS * 10**9)
        self.settle(State.DELIVERED)

    def settle(self, state: State, reply: str | None = None) -> None:
        """What becomes of it, unless it is too late for that."""
        if not self.done:
            self._state, self.reply = state, reply

    def __repr__(self) -> str:
        return f"<Request {self.command!r}: {self.state.value}, reply {self.reply!r}>"


class Tclo:
    """One machine's requests, and the programs that are there for them."""

    def __init__(self, host: Host, events: Events, options: dict[str, str]) -> None:
        self.host = host
        self.events = events
        self.options = options
        self.channels: list[TcloChannel] = []
        self._waiting: deque[Request] = deque()

    def send(self, command: str, program: str = DAEMON, seconds: float = REPLY_SECONDS) -> Request:
        """Queue a request; it may be sent before the tools are there."""
        request = Request(command, program, self.host, seconds)
        if not request.message or len(request.message) > MAX_IN_SIZE:
            raise UserError(f"a request to the tools has 1 to {MAX_IN_SIZE} bytes")
        self._waiting = deque(waiting for waiting in self._waiting if not waiting.done)
        if len(self._waiting) >= MAX_WAITING:
            raise UserError(
                f"{MAX_WAITING} requests wait for the tools in the guest: are they running?"
            )
        self._waiting.append(request)
        return request

    def send_option(self, name: str) -> None:
        """Tell the programs that are there of an option that changed."""
        for channel in self.channels:
            if channel.program:
                channel.tell(f"Set_Option {name} {self.options[name]}")

    def next_for(self, program: str) -> Request | None:
        """The oldest request for a program. It stays in the queue until it is delivered."""
        while self._waiting and self._waiting[0].done:
            self._waiting.popleft()
        for request in self._waiting:
            if request.program == program and not request.done:
                return request
        return None

    def take(self, request: Request) -> None:
        """It is not waiting any more."""
        if request in self._waiting:
            self._waiting.remove(request)

    shape = some(Request.shape, MAX_WAITING)

    def snapshot(self) -> list[dict[str, Any]]:
        """The requests that wait. The channels are the messages' (messages.py)."""
        return [request.snapshot() for request in self._waiting]

    def restore(self, saved: Any) -> None:
        """Have these wait. WrongField."""
        self._waiting = deque(Request.restored(each, self.host) for each in self.shape.check(saved))

    def place(self, request: Request) -> int:
        """Where in the queue a request is; -1: it is not."""
        return self._waiting.index(request) if request in self._waiting else -1

    def waiting_at(self, place: int) -> Request:
        """What place() found. WrongField: there is none."""
        if not 0 <= place < len(self._waiting):
            raise WrongField(f"no request {place} waits")
        return self._waiting[place]

    def programs(self) -> set[str]:
        """The names of those that polled not long ago."""
        now = self.host.now()
        return {c.program for c in self.channels if c.program and now - c.last_poll <= ALIVE}


class TcloChannel:
    """Where a channel of this protocol leads."""

    def __init__(self, tclo: Tclo, closed: Callable[[], None]) -> None:
        self.tclo = tclo
        self.program = ""  # until it answered the reset
        self.last_poll = tclo.host.now()
        self._closed = closed
        self._own: deque[Request] = deque()
        self._offered: Request | None = None  # the guest knows its size
        self._current: Request | None = None  # delivered: its answer is due
        self.tell(RESET)
        tclo.channels.append(self)

    protocol = "TCLO"
    shape = Record(
        {
            "program": Text(MAX_NAME),
            "last_poll": COUNT,
            "own": some(Request.shape, MAX_WAITING),
            # Which is offered: one of its own (the first), one that waits, or one by itself.
            "offered_own": maybe(Number(0, MAX_WAITING)),
            "offered_waiting": maybe(Number(0, MAX_WAITING)),
            "offered": maybe(Request.shape),
            "current": maybe(Request.shape),
        }
    )

    def snapshot(self) -> dict[str, Any]:
        """By names."""
        offered, current = self._offered, self._current
        own = waiting = -1
        if offered is not None:
            own = self._own.index(offered) if offered in self._own else -1
            waiting = self.tclo.place(offered)
        alone = offered is not None and own < 0 and waiting < 0
        return {
            "program": self.program,
            "last_poll": self.last_poll,
            "own": [request.snapshot() for request in self._own],
            "offered_own": own if own >= 0 else None,
            "offered_waiting": waiting if waiting >= 0 else None,
            "offered": offered.snapshot() if alone and offered is not None else None,
            "current": None if current is None else current.snapshot(),
        }

    def restore(self, saved: Any) -> None:
        """Be as the one that said so; the requests that wait are there. WrongField."""
        values = self.shape.check(saved)
        host = self.tclo.host
        self.program = values["program"]
        self.last_poll = values["last_poll"]
        self._own = deque(Request.restored(each, host) for each in values["own"])
        own, waiting, alone = (
            values[name] for name in ("offered_own", "offered_waiting", "offered")
        )
        self._offered = None
        if own is not None:
            if own >= len(self._own):
                raise WrongField(f"no request {own} of the channel's own")
            self._offered = self._own[own]
        elif waiting is not None:
            self._offered = self.tclo.waiting_at(waiting)
        elif alone is not None:
            self._offered = Request.restored(alone, host)
        current = values["current"]
        self._current = None if current is None else Request.restored(current, host)

    @property
    def said(self) -> bytes | None:
        """What pending() said last, if it still stands."""
        return None if self._offered is None else self._offered.message

    def tell(self, command: str) -> None:
        """A request of the host's own, before any of the user's."""
        if len(self._own) < MAX_WAITING:
            self._own.append(Request(command, self.program, self.tclo.host, None))

    def receive(self, message: bytes) -> None:
        """An answer; an empty message only says that the program is there."""
        self.last_poll = self.tclo.host.now()
        request = self._current
        if not message or request is None:
            return
        self._current = None
        word, _, reply = text_of(message).partition(" ")
        success = word == "OK"
        request.settle(State.DONE if success else State.FAILED, reply)
        if request.command == RESET:
            self._started(reply if success else "")
        else:
            event = Answered(self.last_poll, kept(request.command), success, kept(reply))
            self.tclo.events.append(event)

    def work(self) -> None:
        """Nothing here can fail."""

    def pending(self) -> bytes | None:
        """The request that the guest may fetch now, if there is one."""
        if self._offered is None or self._offered.state is not State.WAITING:
            self._offered = self._next()
        return None if self._offered is None else self._offered.message

    def delivered(self) -> None:
        """The guest has fetched it."""
        self._current = self._take_offered()
        if self._current is not None:
            self._current.delivered()

    def rejected(self) -> None:
        """The guest could not take it."""
        request = self._take_offered()
        if request is not None:
            request.settle(State.FAILED)

    def close(self) -> None:
        """The guest is gone, and whoever waits for its answer is told."""
        self.tclo.channels.remove(self)
        if self._current is not None:
            self._current.settle(State.CLOSED)
        self._closed()

    def _next(self) -> Request | None:
        """What the guest should fetch. One request at a time: an answer does not say to which."""
        if self._current is not None:
            if not self._current.done:
                return None
            if self._current.command == RESET:
                self.tell(RESET)  # again: nobody answered
            self._current = None
        if self._own:
            return self._own[0]
        return self.tclo.next_for(self.program) if self.program else None

    def _take_offered(self) -> Request | None:
        """The offered request, which no longer waits."""
        request, self._offered = self._offered, None
        if self._own and self._own[0] is request:
            self._own.popleft()
        elif request is not None:
            self.tclo.take(request)
        return request

    def _started(self, reply: str) -> None:
        """The answer to a reset: "ATR" and the program's name."""
        word, _, name = reply.partition(" ")
        if word != "ATR" or not name:
            return
        self.program = name[:MAX_NAME]
        self.tclo.events.append(ToolsStarted(self.tclo.host.now(), self.program))
        self.tell("Capabilities_Register")
        for option, value in self.tclo.options.items():
            self.tell(f"Set_Option {option} {value}")
