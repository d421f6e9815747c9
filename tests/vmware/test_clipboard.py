"""The clipboard's commands, and the host's own clipboard."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from guest_side import low, make_backdoor
from patience import PATIENCE

from monitor import Machine
from monitor.cli.run import share_clipboard
from monitor.vmm.errors import UserError
from monitor.vmware.backdoor import Backdoor
from monitor.vmware.restrictions import Restrictions
from monitor.vmware.tools import events
from monitor.vmware.tools.clipboard import MAX_SELECTION, NOT_ALLOWED
from monitor.vmware.tools.host_clipboard import HostClipboard, Tool, find_host_clipboard

GETSELLENGTH, GETNEXTPIECE, SETSELLENGTH, SETNEXTPIECE = 6, 7, 8, 9
REFUSED = 0xFFFFFFFF


def paste(backdoor: Backdoor) -> bytes:
    """In the guest, as copyPasteCompat.c does it."""
    length = low(backdoor, GETSELLENGTH).eax
    data = b""
    while len(data) < length:
        data += low(backdoor, GETNEXTPIECE).eax.to_bytes(4, "little")
    return data[:length]


def copy(backdoor: Backdoor, data: bytes) -> None:
    """In the guest."""
    low(backdoor, SETSELLENGTH, len(data))
    for start in range(0, len(data), 4):
        low(backdoor, SETNEXTPIECE, int.from_bytes(data[start : start + 4], "little"))


@pytest.mark.parametrize("size", [0, 1, 3, 4, 5, 1000, MAX_SELECTION])
def test_host_to_guest(size: int) -> None:
    backdoor = make_backdoor()
    backdoor.tools.clipboard = "x" * size
    assert paste(backdoor) == b"x" * size
    assert paste(backdoor) == b"x" * size  # as often as it likes


@pytest.mark.parametrize("size", [1, 3, 4, 5, 1000, MAX_SELECTION])
def test_guest_to_host(size: int) -> None:
    backdoor = make_backdoor()
    copy(backdoor, b"y" * size)
    assert backdoor.tools.clipboard == "y" * size
    assert backdoor.tools.events[-1] == events.Copied(0, size)


def test_text_is_utf_8() -> None:
    backdoor = make_backdoor()
    backdoor.tools.clipboard = "grün"
    assert paste(backdoor) == "grün".encode()
    copy(backdoor, "日本".encode())
    assert backdoor.tools.clipboard == "日本"
    copy(backdoor, b"\xff")
    assert backdoor.tools.clipboard == "\ufffd"


def test_nothing_to_copy_leaves_the_clipboard() -> None:
    backdoor = make_backdoor()
    backdoor.tools.clipboard = "kept"
    assert low(backdoor, SETSELLENGTH, 0).eax == 0
    assert low(backdoor, SETNEXTPIECE, 1).eax == REFUSED
    assert backdoor.tools.clipboard == "kept"


def test_half_a_text_is_none() -> None:
    backdoor = make_backdoor()
    backdoor.tools.clipboard = "kept"
    low(backdoor, SETSELLENGTH, 8)
    low(backdoor, SETNEXTPIECE, 0x41414141)
    assert backdoor.tools.clipboard == "kept"
    copy(backdoor, b"whole")
    assert backdoor.tools.clipboard == "whole"


@pytest.mark.parametrize("size", [MAX_SELECTION + 1, 1 << 16, (1 << 32) - 1])
def test_too_much_is_refused(size: int) -> None:
    backdoor = make_backdoor()
    backdoor.tools.clipboard = "kept"
    assert low(backdoor, SETSELLENGTH, size).eax == REFUSED
    assert low(backdoor, SETNEXTPIECE, 0x41414141).eax == REFUSED
    assert backdoor.tools.clipboard == "kept"


def test_the_host_may_not_copy_too_much_either() -> None:
    backdoor = make_backdoor()
    with pytest.raises(UserError, match=f"takes {MAX_SELECTION} bytes"):
        backdoor.tools.clipboard = "x" * (MAX_SELECTION + 1)


def test_beyond_the_end_there_are_zeros() -> None:
    backdoor = make_backdoor()
    backdoor.tools.clipboard = "ab"
    paste(backdoor)
    assert [low(backdoor, GETNEXTPIECE).eax for _ in range(3)] == [0, 0, 0]


def test_a_text_that_changes_while_the_guest_fetches_it() -> None:
    backdoor = make_backdoor()
    backdoor.tools.clipboard = "oldoldol"
    low(backdoor, GETSELLENGTH)
    low(backdoor, GETNEXTPIECE)
    backdoor.tools.clipboard = "new"
    assert low(backdoor, GETNEXTPIECE).eax.to_bytes(4, "little") == b"ldol"
    assert paste(backdoor) == b"new"


def test_restrictions() -> None:
    backdoor = make_backdoor(Restrictions(copy_disable=True))
    backdoor.tools.clipboard = "host"
    copy(backdoor, b"guest")
    assert backdoor.tools.clipboard == "host"
    assert paste(backdoor) == b"host"
    backdoor = make_backdoor(Restrictions(paste_disable=True))
    backdoor.tools.clipboard = "secret"
    assert low(backdoor, GETSELLENGTH).eax == NOT_ALLOWED
    assert low(backdoor, GETNEXTPIECE).eax == 0
    copy(backdoor, b"guest")
    assert backdoor.tools.clipboard == "guest"


def script(path: Path, text: str) -> None:
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


@pytest.fixture
def desktop(tmp_path: Path) -> dict[str, str]:
    """An environment in which wl-copy and wl-paste work on a file."""
    script(tmp_path / "wl-copy", f"exec cat > {tmp_path}/text\n")
    script(tmp_path / "wl-paste", f"exec cat {tmp_path}/text\n")
    return {"PATH": f"{tmp_path}:/usr/bin:/bin", "WAYLAND_DISPLAY": "wayland-0"}


def shared(
    desktop: dict[str, str], tmp_path: Path, restrictions: Restrictions | None = None
) -> Backdoor:
    """With the commands of `desktop`, by their whole paths."""
    found = find_host_clipboard(desktop).tool
    tool = Tool(
        (str(tmp_path / found.copy[0]), *found.copy[1:]),
        (str(tmp_path / found.paste[0]), *found.paste[1:]),
    )
    backdoor = make_backdoor(restrictions)
    backdoor.clipboard.shared = HostClipboard(tool, seconds=PATIENCE)
    return backdoor


def test_the_hosts_own_clipboard(desktop: dict[str, str], tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_text("from the desktop")
    backdoor = shared(desktop, tmp_path)
    assert paste(backdoor) == b"from the desktop"
    copy(backdoor, b"from the guest")
    assert text.read_text() == "from the guest"
    backdoor.tools.clipboard = "from Python"
    assert text.read_text() == "from Python"
    assert paste(backdoor) == b"from Python"


def test_restrictions_hold_for_the_hosts_own(desktop: dict[str, str], tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_text("secret")
    backdoor = shared(desktop, tmp_path, Restrictions(copy_disable=True, paste_disable=True))
    assert low(backdoor, GETSELLENGTH).eax == NOT_ALLOWED
    copy(backdoor, b"guest")
    assert text.read_text() == "secret"


def test_a_text_on_the_host_that_is_too_long(desktop: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "text").write_text("x" * (MAX_SELECTION + 1))
    assert paste(shared(desktop, tmp_path)) == b""


def test_a_host_clipboard_that_fails_is_told(tmp_path: Path) -> None:
    backdoor = make_backdoor()
    missing = (str(tmp_path / "gone"),)
    backdoor.clipboard.shared = HostClipboard(Tool(missing, missing))
    copy(backdoor, b"guest")
    assert backdoor.tools.clipboard == "guest"
    failed = [e for e in backdoor.tools.events if isinstance(e, events.HostClipboardFailed)]
    assert "gone" in failed[0].reason


def test_a_host_clipboard_that_hangs_is_told(tmp_path: Path) -> None:
    script(tmp_path / "hang", "exec sleep 60\n")
    command = (str(tmp_path / "hang"),)
    backdoor = make_backdoor()
    backdoor.clipboard.shared = HostClipboard(Tool(command, command), seconds=0.05)
    copy(backdoor, b"guest")
    assert [e for e in backdoor.tools.events if isinstance(e, events.HostClipboardFailed)]


def test_a_guest_that_asks_in_a_loop_starts_few_processes(tmp_path: Path) -> None:
    script(tmp_path / "paste", f"echo >> {tmp_path}/asked; echo text\n")
    command = (str(tmp_path / "paste"),)
    clipboard = HostClipboard(Tool(command, command))
    clipboard._pasted_at = float("inf")  # just now, however slow this machine is
    for _ in range(1000):
        clipboard.paste()
    assert not (tmp_path / "asked").exists()


@pytest.mark.parametrize("missing", ["PATH", "WAYLAND_DISPLAY"])
def test_a_host_without_a_clipboard(desktop: dict[str, str], missing: str) -> None:
    desktop[missing] = ""
    with pytest.raises(UserError, match="no clipboard to share: install wl-clipboard"):
        find_host_clipboard(desktop)


def test_the_command_line_asks_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(memory_mb=1)
    with pytest.raises(UserError, match="--vmware-clipboard: give --vmware-backdoor too"):
        share_clipboard(machine)
    machine.enable("X86_VMWARE_BACKDOOR")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(UserError, match="no clipboard to share"):
        share_clipboard(machine)
