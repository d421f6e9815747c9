"""TCLO: what the host asks of the tools, as vmtoolsd polls for it."""

from __future__ import annotations

import pytest
from guest_side import SUCCESS, TCLO, Clock, GuestChannel, GuestTools, low, make_backdoor, rpc

from monitor.vmm.errors import UserError
from monitor.vmware.parts.gui import GuiOption
from monitor.vmware.tools import events
from monitor.vmware.tools.channel import MAX_IN_SIZE
from monitor.vmware.tools.tclo import ALIVE, MAX_WAITING, REPLY_SECONDS, Request, State
from monitor.vmware.tools.tools import OPTIONS

BOTH = pytest.mark.parametrize("high", [False, True], ids=["low", "high"])


@BOTH
def test_the_start_of_vmtoolsd(high: bool) -> None:
    backdoor = make_backdoor()
    guest = GuestTools(backdoor, high=high)
    assert backdoor.tools.running == set()
    guest.run()
    options = [f"Set_Option {name} {value}" for name, value in OPTIONS.items()]
    assert guest.seen == ["reset", "Capabilities_Register", *options]
    assert backdoor.tools.running == {"toolbox"}
    assert events.ToolsStarted(0, "toolbox") in backdoor.tools.events


@BOTH
@pytest.mark.parametrize("command", ["OS_Halt", "OS_Reboot", "OS_PowerOn", "ping"])
def test_a_request_and_its_answer(high: bool, command: str) -> None:
    backdoor = make_backdoor()
    guest = GuestTools(backdoor, high=high)
    guest.run()
    request = backdoor.tools.send(command)
    assert request.state is State.WAITING and not request.done
    guest.poll()
    assert request.state is State.DELIVERED and not request.done
    guest.poll()
    assert request.done and request.state is State.DONE
    assert request.reply == ""
    assert guest.seen[-1] == command
    assert backdoor.tools.events[-1] == events.Answered(0, command, True, "")


def test_a_guest_that_refuses() -> None:
    backdoor = make_backdoor()
    guest = GuestTools(backdoor)
    guest.answers["OS_Halt"] = "ERROR State change already in progress"
    request = backdoor.tools.send("OS_Halt")
    guest.run()
    assert request.state is State.FAILED
    assert request.reply == "State change already in progress"


def test_requests_wait_for_tools_that_start_later_and_keep_their_order() -> None:
    backdoor = make_backdoor()
    requests = [backdoor.tools.send(f"ping {number}") for number in range(5)]
    guest = GuestTools(backdoor)
    guest.run()
    assert [request.state for request in requests] == [State.DONE] * 5
    assert guest.seen[-5:] == [f"ping {number}" for number in range(5)]


def test_a_request_is_for_one_program() -> None:
    backdoor = make_backdoor()
    daemon, desktop = GuestTools(backdoor), GuestTools(backdoor, "toolbox-dnd")
    request = backdoor.tools.send("desktop", program="toolbox-dnd")
    daemon.run()
    assert not request.done
    desktop.run()
    assert request.state is State.DONE
    assert "desktop" in desktop.seen and "desktop" not in daemon.seen
    assert backdoor.tools.running == {"toolbox", "toolbox-dnd"}


def test_nobody_fetches_it() -> None:
    clock = Clock()
    request = make_backdoor(clock=clock).tools.send("OS_Halt")
    clock.pass_seconds(REPLY_SECONDS)
    assert not request.done
    clock.pass_seconds(1)
    assert request.state is State.TIMED_OUT and request.reply is None


def test_nobody_answers() -> None:
    clock = Clock()
    backdoor = make_backdoor(clock=clock)
    guest = GuestTools(backdoor)
    guest.run()
    request = backdoor.tools.send("OS_Halt", seconds=3)
    guest.poll()
    clock.pass_seconds(4)
    assert request.state is State.TIMED_OUT
    later = backdoor.tools.send("ping")
    guest.run()  # with its late answer first
    assert request.state is State.TIMED_OUT
    assert later.state is State.DONE


def test_a_late_request_is_not_delivered() -> None:
    clock = Clock()
    backdoor = make_backdoor(clock=clock)
    backdoor.tools.send("late", seconds=1)
    clock.pass_seconds(2)
    guest = GuestTools(backdoor)
    guest.run()
    assert "late" not in guest.seen


def test_a_channel_that_is_closed_instead() -> None:
    backdoor = make_backdoor()
    guest = GuestTools(backdoor)
    guest.run()
    delivered, waiting = backdoor.tools.send("OS_Halt"), backdoor.tools.send("ping")
    guest.poll()
    guest.channel.close()
    assert delivered.state is State.CLOSED
    assert waiting.state is State.WAITING
    assert backdoor.tools.running == set()
    GuestTools(backdoor).run()
    assert waiting.state is State.DONE


def test_a_program_that_stopped_polling_is_not_running() -> None:
    clock = Clock()
    backdoor = make_backdoor(clock=clock)
    GuestTools(backdoor).run()
    clock.time += ALIVE + 1
    assert backdoor.tools.running == set()


def test_a_request_that_the_guest_cannot_take() -> None:
    backdoor = make_backdoor()
    guest = GuestTools(backdoor)
    guest.run()
    request = backdoor.tools.send("ping")
    guest.channel.call(3)  # RECVSIZE
    assert guest.channel.call(4, 0).ecx >> 16 == SUCCESS  # RECVPAYLOAD: no memory
    assert request.state is State.FAILED


def test_the_reset_is_repeated_until_somebody_answers() -> None:
    clock = Clock()
    backdoor = make_backdoor(clock=clock)
    channel = GuestChannel(backdoor, TCLO)
    clock.pass_seconds(100)
    assert channel.receive() == b"reset"
    assert channel.receive() is None
    clock.pass_seconds(REPLY_SECONDS + 1)
    assert channel.receive() == b"reset"
    channel.send(b"OK ATR toolbox")
    assert backdoor.tools.running == {"toolbox"}


@pytest.mark.parametrize("answer", [b"ERROR Unknown Command", b"OK", b"OK ATR", b"OK ATR ", b"X"])
def test_a_program_without_a_name_gets_no_requests(answer: bytes) -> None:
    backdoor = make_backdoor()
    request = backdoor.tools.send("ping", program="")
    channel = GuestChannel(backdoor, TCLO)
    assert channel.receive() == b"reset"
    channel.send(answer)
    assert channel.receive() is None
    assert request.state is State.WAITING


def test_an_answer_to_nothing_is_nothing() -> None:
    backdoor = make_backdoor()
    guest = GuestTools(backdoor)
    guest.run()
    before = list(backdoor.tools.events)
    guest.channel.send(b"OK what?")
    assert list(backdoor.tools.events) == before


def test_the_queue_has_an_end() -> None:
    clock = Clock()
    backdoor = make_backdoor(clock=clock)
    for _ in range(MAX_WAITING):
        backdoor.tools.send("ping")
    with pytest.raises(UserError, match="64 requests wait for the tools"):
        backdoor.tools.send("ping")
    clock.pass_seconds(REPLY_SECONDS + 1)
    backdoor.tools.send("ping")


@pytest.mark.parametrize("command", ["", "x" * (MAX_IN_SIZE + 1)])
def test_no_request_of_any_size(command: str) -> None:
    with pytest.raises(UserError, match="1 to 65536 bytes"):
        make_backdoor().tools.send(command)


def test_an_option_that_the_guest_changes() -> None:
    """vmware-toolbox-cmd timesync enable: vmtoolsd hears of it from the host."""
    backdoor = make_backdoor()
    guest = GuestTools(backdoor)
    guest.run()
    assert rpc(backdoor, "vmx.set_option synctime 0 1") == b"1 "
    guest.run()
    assert guest.seen[-1] == "Set_Option synctime 1"
    assert backdoor.tools.options["synctime"] == "1"


def test_an_option_that_the_guest_changes_in_the_old_way() -> None:
    """SETGUIOPTIONS: vmware-toolbox-cmd asks with GETGUIOPTIONS whether the clock is kept."""
    backdoor = make_backdoor()
    guest = GuestTools(backdoor)
    guest.run()
    before = low(backdoor, 13).eax
    assert not before & GuiOption.SYNC_TIME
    low(backdoor, 14, before | GuiOption.SYNC_TIME)
    assert low(backdoor, 13).eax == before | GuiOption.SYNC_TIME
    assert backdoor.tools.options["synctime"] == "1"
    low(backdoor, 14, before | GuiOption.SYNC_TIME)
    guest.seen.clear()
    guest.run()
    assert guest.seen == ["Set_Option synctime 1"]


def test_an_option_that_the_host_changes() -> None:
    backdoor = make_backdoor()
    backdoor.tools.set_option("synctime", "1")
    guest = GuestTools(backdoor)
    guest.run()
    assert "Set_Option synctime 1" in guest.seen
    backdoor.tools.set_option("synctime", "0")
    guest.run()
    assert guest.seen[-1] == "Set_Option synctime 0"
    with pytest.raises(UserError, match="no option 'nonsense'"):
        backdoor.tools.set_option("nonsense", "1")


def test_a_new_request_does_not_take_the_place_of_one_being_fetched() -> None:
    backdoor = make_backdoor()
    guest = GuestTools(backdoor, high=False)
    guest.run()
    request = backdoor.tools.send("ping")
    guest.channel.call(3)  # RECVSIZE
    backdoor.tools.set_option("synctime", "1")
    assert guest.channel.call(4, SUCCESS).ebx.to_bytes(4, "little") == b"ping"
    guest.channel.call(5, SUCCESS)  # RECVSTATUS
    guest.channel.send(b"OK ")
    assert request.state is State.DONE
    assert guest.channel.receive() == b"Set_Option synctime 1"


def test_a_request_shows_what_became_of_it() -> None:
    request = make_backdoor().tools.send("ping")
    assert isinstance(request, Request)
    assert repr(request) == "<Request 'ping': waiting, reply None>"
