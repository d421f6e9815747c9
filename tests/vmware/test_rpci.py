"""RPCI: what guests ask, and what the host's side sees of it."""

from __future__ import annotations

import struct
import threading
from typing import Any

import pytest
from guest_side import GuestChannel, make_backdoor, rpc
from patience import PATIENCE

from monitor.vmm.errors import CallbackFailed, UserError
from monitor.vmware.restrictions import Restrictions
from monitor.vmware.tools import events, guestlib
from monitor.vmware.tools.channel import MAX_OUT_SIZE
from monitor.vmware.tools.events import EVENTS_KEPT, TEXT_KEPT

BOTH = pytest.mark.parametrize("high", [False, True], ids=["low", "high"])


@BOTH
@pytest.mark.parametrize("size", [1, 1024, 60 * 1024])
def test_values_round_trip(high: bool, size: int) -> None:
    backdoor = make_backdoor()
    value = bytes(33 + index * 7 % 90 for index in range(size))
    assert rpc(backdoor, b"info-set guestinfo.x " + value, high) == b"1 "
    assert rpc(backdoor, "info-get guestinfo.x", high) == b"1 " + value
    assert backdoor.tools.guestinfo["x"] == value.decode()
    backdoor.tools.guestinfo["y"] = value.decode()
    assert rpc(backdoor, "info-get guestinfo.y ", high) == b"1 " + value


def test_bytes_that_are_no_text_round_trip() -> None:
    backdoor = make_backdoor()
    value = bytes(range(1, 256))
    rpc(backdoor, b"info-set guestinfo.x " + value)
    assert rpc(backdoor, "info-get guestinfo.x") == b"1 " + value
    backdoor.tools.guestinfo["y"] = backdoor.tools.guestinfo["x"]
    assert rpc(backdoor, "info-get guestinfo.y") == b"1 " + value


@pytest.mark.parametrize(
    ("message", "reply"),
    [
        ("info-get guestinfo.none", b"0 No value found"),
        ("info-get", b"0 No value found"),
        ("info-get machine.id", b"0 No value found"),
        ("info-set machine.id 1", b"0 Permission denied"),
        ("info-set guestinfo. 1", b"0 Permission denied"),
        ("info-set", b"0 Permission denied"),
        ("info-set guestinfo.a", b"1 "),
        ("log hello", b"1 "),
        ("log", b"1 "),
        ("machine.id.get", b"0 No machine id"),
        ("machine.id.get ", b"0 No machine id"),
        ("tools.set.version 12352", b"1 "),
        ("tools.set.versiontype 12352 4", b"1 "),
        ("tools.set.version", b"0 Invalid arguments"),
        ("tools.set.version x", b"0 Invalid arguments"),
        ("tools.capability.statechange ", b"1 "),
        ("tools.capability.hgfs_server toolbox 1", b"1 "),
        ("tools.capability.features 4=1 5=1", b"1 "),
        ("vmx.capability.unified_loop toolbox", b"1 "),
        ("vmx.capability.copypaste_version", b"1 1"),
        ("vmx.capability.nonsense", b"0 Unknown command"),
        ("vmx.set_option synctime 0 1", b"1 "),
        ("vmx.set_option nonsense 0 1", b"0 Unknown or invalid option"),
        ("tools.os.statechange.status 1 2", b"1 "),
        ("tools.os.statechange.status 1 9", b"0 Invalid arguments"),
        ("tools.os.statechange.status", b"0 Invalid arguments"),
        ("SetGuestInfo  1 host", b"1 "),
        ("SetGuestInfo  99 host", b"0 Invalid arguments"),
        ("SetGuestInfo", b"0 Invalid arguments"),
        ("update.tools.health normal", b"1 "),
        ("disk.wiper.enable ", b"1 0"),
        ("guestlib.info.get 4", b"0 3:Unsupported version"),
        ("guestlib.stat.get json a", b"0 Unknown command"),
        ("f ", b"0 Unknown command"),
        ("make.coffee", b"0 Unknown command"),
        ("", b"0 Unknown command"),
        (" ", b"0 Unknown command"),
    ],
)
@pytest.mark.parametrize("end", ["", "\0"], ids=["", "NUL"])
def test_replies(message: str, reply: bytes, end: str) -> None:
    assert rpc(make_backdoor(), message + end) == reply


def test_names_are_the_same_in_any_case() -> None:
    backdoor = make_backdoor()
    rpc(backdoor, "info-set GuestInfo.ovfEnv a b  c")
    assert backdoor.tools.guestinfo["OVFENV"] == "a b  c"
    assert list(backdoor.tools.guestinfo) == ["ovfEnv"]
    rpc(backdoor, "info-set guestinfo.OVFenv d")
    assert dict(backdoor.tools.guestinfo) == {"OVFenv": "d"}


def test_guestinfo_is_a_mapping() -> None:
    values = make_backdoor().tools.guestinfo
    values.update(a="1", b="22")
    assert dict(values) == {"a": "1", "b": "22"}
    assert len(values) == 2 and "A" in values
    used = values.used
    del values["b"]
    assert values.get("b") is None
    assert used - values.used == len("guestinfo.b") + 2
    with pytest.raises(KeyError):
        values["b"]
    with pytest.raises(UserError, match="text that no guest can have"):
        values["a"] = "\ud800"
    assert values["a"] == "1"
    for name in ("", "two words", "nul\0"):
        with pytest.raises(UserError, match="is not a name"):
            values[name] = "x"


def test_the_size_limit_counts_everything() -> None:
    backdoor = make_backdoor(Restrictions(set_info_size_limit=40))
    assert rpc(backdoor, "info-set guestinfo.a " + "x" * 29) == b"1 "
    assert rpc(backdoor, "info-set guestinfo.a " + "x" * 30) == b"0 guestinfo is full"
    assert rpc(backdoor, "info-set guestinfo.b") == b"0 guestinfo is full"
    assert backdoor.tools.guestinfo["a"] == "x" * 29
    assert rpc(backdoor, "info-set guestinfo.a " + "x" * 18) == b"1 "
    assert rpc(backdoor, "info-set guestinfo.b") == b"1 "


def test_the_size_limit_is_not_the_hosts() -> None:
    backdoor = make_backdoor(Restrictions(set_info_size_limit=40))
    backdoor.tools.guestinfo["config"] = "x" * 100
    assert rpc(backdoor, "info-set guestinfo.b") == b"0 guestinfo is full"
    assert rpc(backdoor, "info-set guestinfo.config " + "y" * 99) == b"1 "
    assert rpc(backdoor, "info-set guestinfo.config " + "y" * 100) == b"0 guestinfo is full"


def test_what_the_host_sets_may_be_longer_than_any_message_of_the_guest() -> None:
    backdoor = make_backdoor()
    backdoor.tools.guestinfo["userdata"] = "u" * 300_000
    assert rpc(backdoor, "info-get guestinfo.userdata") == b"1 " + b"u" * 300_000


@pytest.mark.parametrize(
    ("restrictions", "message"),
    [
        (Restrictions(set_info_disable=True), "info-set guestinfo.x guest"),
        (Restrictions(set_info_disable=True), "SetGuestInfo  1 name"),
        (Restrictions(set_info_disable=True), "SetGuestDiskInfo {}"),
        (Restrictions(log_disable=True), "log hello"),
        (Restrictions(log_disable=True), "guest.log.text hello"),
        (Restrictions(set_version_disable=True), "tools.set.version 12352"),
        (Restrictions(set_version_disable=True), "tools.set.versiontype 12352 4"),
        (Restrictions(get_machine_id_disable=True), "machine.id.get"),
        (Restrictions(guestlib_disable=True), "guestlib.info.get 3"),
        (Restrictions(set_option_disable=True), "vmx.set_option synctime 0 1"),
    ],
)
def test_restrictions(restrictions: Restrictions, message: str) -> None:
    backdoor = make_backdoor(restrictions)
    tools = backdoor.tools
    tools.guestinfo["x"] = "host"
    tools.machine_id = "secret"
    assert rpc(backdoor, message) == b"0 disabled"
    assert rpc(backdoor, "info-get guestinfo.x") == b"1 host"
    assert (tools.version, tools.reported, tools.options["synctime"]) == (None, {}, "0")
    channels = (events.ChannelOpened, events.ChannelClosed)
    assert not [event for event in tools.events if not isinstance(event, channels)]


def test_a_guest_without_a_clipboard_is_told() -> None:
    restrictions = Restrictions(copy_disable=True, paste_disable=True)
    assert make_backdoor(restrictions).tools.options["copypaste"] == "0"


def test_what_the_guest_reports() -> None:
    backdoor = make_backdoor()
    tools = backdoor.tools
    for message in (
        b"SetGuestInfo  1 debian\0",
        b"SetGuestInfo  5 Debian GNU/Linux 12\0",
        b"SetGuestInfo  3 \1" + bytes(116),
        b'SetGuestDiskInfo {"version":"1","disks":[]}\0',
        b"tools.set.versiontype 12352 4\0",
        b"tools.capability.softpowerop_retry ",
        b"tools.capability.resolution_server toolbox 0\0",
        b"update.tools.health normal\0",
        b"tools.os.statechange.status 1 1\0",
        b"log toolbox: Version: 12.2.0\0",
    ):
        assert rpc(backdoor, message) == b"1 "
    assert tools.reported == {
        "dns_name": "debian",
        "os_name_full": "Debian GNU/Linux 12",
        "disk_free_space": b"\1" + bytes(116),
        "disk_info": '{"version":"1","disks":[]}',
    }
    assert tools.version == "12.2.0"
    assert tools.health == "normal"
    assert tools.capabilities == {"softpowerop_retry": "", "resolution_server": "toolbox 0"}
    assert events.StateChanged(0, "halt", True) in tools.events
    assert events.LogLine(0, "toolbox: Version: 12.2.0") in tools.events
    assert events.VersionSet(0, "12.2.0") in tools.events


def test_tools_of_a_distribution() -> None:
    backdoor = make_backdoor()
    rpc(backdoor, "tools.set.version 2147483647")
    assert backdoor.tools.version == "unmanaged"


def test_machine_id() -> None:
    backdoor = make_backdoor()
    backdoor.tools.machine_id = "lab 7"
    assert rpc(backdoor, "machine.id.get") == b"1 lab 7"


def test_events_are_bounded() -> None:
    backdoor = make_backdoor()
    channel = GuestChannel(backdoor)
    for number in range(EVENTS_KEPT + 10):
        channel.send(f"log {number}".encode())
        channel.receive()
    lines = list(backdoor.tools.events)
    assert len(lines) == EVENTS_KEPT
    assert lines[-1] == events.LogLine(0, str(EVENTS_KEPT + 9))
    rpc(backdoor, b"log " + b"x" * (TEXT_KEPT + 1))
    assert events.LogLine(0, "x" * TEXT_KEPT) in backdoor.tools.events


class TestGuestlib:
    """The reply, read as vmGuestLib.c reads it."""

    def statistics(self) -> tuple[int, dict[int, Any]]:
        reply = rpc(make_backdoor(), "guestlib.info.get 3")[2:]
        version, session, size = struct.unpack_from("<IQI", reply)
        data = reply[16:]
        assert (version, size) == (3, len(data))
        (count,) = struct.unpack_from(">I", data)
        place, found = 4, {}
        for expected in range(1, count + 1):
            number, valid = struct.unpack_from(">II", data, place)
            assert number == expected
            place += 8
            if number in guestlib.TEXTS:
                (length,) = struct.unpack_from(">I", data, place)
                value: Any = data[place + 4 : place + 4 + length]
                place += 4 + (length + 3 & ~3)
            else:
                form = ">Q" if number in guestlib.WIDE else ">I"
                (value,) = struct.unpack_from(form, data, place)
                place += struct.calcsize(form)
            found[number] = value if valid else None
        assert place == len(data)
        return session, found

    def test_what_toolbox_cmd_stat_prints(self) -> None:
        session, found = self.statistics()
        assert session
        assert found[12] == 0  # balloon
        assert found[13] == 0  # swap
        assert found[7] == 0xFFFFFFFF  # memlimit
        assert found[6] == 0  # memres
        assert found[1] == 0  # cpures
        assert found[2] == 0xFFFFFFFF  # cpulimit

    def test_figures_of_the_machine_and_none_of_the_host(self) -> None:
        _, found = self.statistics()
        assert found[16] == 64  # MEM_USED_MB
        assert found[5] == 2000  # HOST_MHZ
        assert found[18] == b"/"
        assert all(found[number] is None for number in range(21, 37))


class TestUserCommands:
    @pytest.mark.parametrize(
        ("answer", "reply"),
        [
            ("text", b"1 text"),
            (b"\xff\0\1", b"1 \xff\0\1"),
            (None, b"1 "),
            ((False, "no"), b"0 no"),
            ((True, b"yes"), b"1 yes"),
        ],
    )
    def test_replies(self, answer: object, reply: bytes) -> None:
        backdoor = make_backdoor()
        asked: list[str] = []

        def command(args: str) -> object:
            asked.append(args)
            return answer

        backdoor.tools.register("my.command", command)
        assert rpc(backdoor, "my.command one  two\0") == reply
        assert asked == ["one  two"]

    def test_one_goes_before_a_command_of_the_same_name(self) -> None:
        backdoor = make_backdoor()
        backdoor.tools.register("machine.id.get", lambda args: "mine")
        assert rpc(backdoor, "machine.id.get") == b"1 mine"

    def test_they_are_listed_with_the_others(self) -> None:
        tools = make_backdoor().tools
        tools.register("my.command", str)
        assert {"my.command", "info-get"} <= tools.commands

    @pytest.mark.parametrize(
        ("answer", "report"),
        [
            (7, "the command bad returned 7"),
            (("yes", "text"), r"the command bad returned \('yes', 'text'\)"),
            ("x" * (MAX_OUT_SIZE + 1), "returned more than"),
            ("\ud800", "returned text that no guest can have"),
        ],
    )
    def test_a_wrong_answer_ends_the_run(self, answer: object, report: str) -> None:
        backdoor = make_backdoor()
        backdoor.tools.register("bad", lambda args: answer)
        with pytest.raises(CallbackFailed, match=report):
            rpc(backdoor, "bad")

    def test_one_that_raises_ends_the_run(self) -> None:
        backdoor = make_backdoor()

        def broken(args: str) -> str:
            raise ValueError("a mistake")

        backdoor.tools.register("broken", broken)
        channel = GuestChannel(backdoor)
        channel.send(b"broken")  # not here: the processor is amid REP OUTSB
        with pytest.raises(CallbackFailed, match="raised ValueError: a mistake"):
            channel.receive()
        assert channel.receive() is None  # the channel is as before a message

    def test_one_that_is_slow_ends_the_run(self) -> None:
        backdoor, told = make_backdoor(seconds=0.01), threading.Event()
        backdoor.tools.register("slow", lambda args: told.wait(PATIENCE) and None)
        with pytest.raises(CallbackFailed, match=r"did not return within 0\.01 seconds"):
            rpc(backdoor, "slow")
        told.set()

    @pytest.mark.parametrize("high", [False, True])
    def test_one_runs_although_nobody_wants_its_reply(self, high: bool) -> None:
        """Linux's graphics driver logs so."""
        backdoor = make_backdoor()
        asked: list[str] = []
        backdoor.tools.register("note", asked.append)
        channel = GuestChannel(backdoor, high=high)
        channel.send(b"note 1")
        assert asked == []
        channel.send(b"note 2")
        assert asked == ["1"]
        channel.close()
        assert asked == ["1", "2"]

    @pytest.mark.parametrize("name", ["", "two words", "nul\0"])
    def test_a_name_that_no_guest_could_send(self, name: str) -> None:
        with pytest.raises(UserError, match="is not the name of a command"):
            make_backdoor().tools.register(name, str)
