"""Every restriction of a .vmx file, from its line in the file to the guest that is denied."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from guest_side import rpc
from machine_lab import GP, MachineLab

from monitor import Machine
from monitor.vmware.commands import BY_NAME
from monitor.vmware.host import RemovableDevice
from monitor.vmware.restrictions import SETTINGS
from monitor.vmware.tools.clipboard import NOT_ALLOWED
from monitor.vmware.vmx.config_file import parse_vmx
from monitor.vmware.vmx.machine import VmxMachine

MODES = ("bare", "trap", "translate")
REFUSED = 0xFFFFFFFF
CONNECT = 1 << 31


def restricted(line: str) -> dict[str, object]:
    """The options of a machine whose .vmx file has this line."""
    options = VmxMachine(parse_vmx(line.encode(), "x.vmx")).settings.backdoor_options()
    return {**options, "devices": [RemovableDevice("floppy0", connected=False)]}


@dataclass(frozen=True)
class Denial:
    """A setting, and what the guest does: EAX of a command, or the reply to a request."""

    line: str
    command: str = ""
    ebx: int = 0
    allowed: int | None = 0  # EAX without the line
    denied: int = REFUSED
    request: str = ""

    @property
    def name(self) -> str:
        return self.line.partition(" ")[0]


COMMANDS = [
    Denial('isolation.tools.copy.disable = "TRUE"', "SETSELLENGTH", 4),
    Denial('isolation.tools.paste.disable = "TRUE"', "GETSELLENGTH", 0, 0, NOT_ALLOWED),
    Denial('isolation.tools.setGUIOptions.enable = "FALSE"', "SETGUIOPTIONS", 1),
    Denial('isolation.tools.getPtrLocation.disable = "TRUE"', "GETPTRLOCATION", 0, 0xFF9CFF9C),
    Denial('isolation.tools.setPtrLocation.disable = "TRUE"', "SETPTRLOCATION", 0),
    Denial('isolation.device.connectable.disable = "TRUE"', "TOGGLEDEVICE", CONNECT, 1, 0),
    Denial('isolation.tools.getVersion.disable = "TRUE"', "GETVERSION", 0, 6),
]
REQUESTS = [
    Denial('isolation.tools.setVersion.disable = "TRUE"', request="tools.set.version 12352"),
    Denial('isolation.tools.getMachineID.disable = "TRUE"', request="machine.id.get"),
    Denial('isolation.tools.guestlibGetInfo.disable = "TRUE"', request="guestlib.info.get 3"),
    Denial('isolation.tools.setOption.disable = "TRUE"', request="vmx.set_option synctime 0 1"),
    Denial('isolation.tools.setInfo.disable = "TRUE"', request="info-set guestinfo.a 1"),
    Denial('tools.setInfo.sizeLimit = "100"', request="info-set guestinfo.a " + 100 * "x"),
    Denial('isolation.tools.log.disable = "TRUE"', request="log something"),
]
RESTRICT_BACKDOOR = 'monitor_control.restrict_backdoor = "TRUE"'
names = [denial.name for denial in (*COMMANDS, *REQUESTS)]


def test_every_restriction_is_tried_here() -> None:
    assert sorted(map(str.lower, [*names, RESTRICT_BACKDOOR.partition(" ")[0]])) == sorted(SETTINGS)


def answer(mode: str, cpl: int, denial: Denial, line: str) -> int:
    """EAX of the guest's call."""
    lab = MachineLab(mode, cpl)
    lab.machine.enable("X86_VMWARE_BACKDOOR", **restricted(line))
    code = f"mov eax, 0x564d5868; mov ebx, {denial.ebx}; mov ecx, {BY_NAME[denial.command].number}"
    assert lab.run(f"{code}; mov edx, 0x5658; in eax, dx").vector is None
    return lab.reg("eax")


@pytest.mark.parametrize("cpl", [0, 3])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("denial", COMMANDS, ids=lambda denial: denial.command)
def test_commands(mode: str, cpl: int, denial: Denial) -> None:
    assert answer(mode, cpl, denial, "") == denial.allowed
    assert answer(mode, cpl, denial, denial.line) == denial.denied


def test_a_clipboard_that_is_denied_holds_nothing() -> None:
    lab = MachineLab("translate", 3)
    options = restricted('isolation.tools.paste.disable = "TRUE"')
    lab.machine.enable("X86_VMWARE_BACKDOOR", **options)
    lab.machine.vmware.tools.clipboard = "secret"
    code = "mov eax, 0x564d5868; mov ecx, {}; mov edx, 0x5658; in eax, dx; "
    lab.run(code.format(6) + code.format(7))  # the length is refused; ask for a piece all the same
    assert lab.reg("eax") == 0


def asked(denial: Denial, line: str) -> bytes:
    machine = Machine(memory_mb=1)
    machine.enable("X86_VMWARE_BACKDOOR", **restricted(line))
    machine.vmware.tools.machine_id = "7"
    return rpc(machine.vmware.backdoor, denial.request)


@pytest.mark.parametrize("denial", REQUESTS, ids=lambda denial: denial.request.split()[0])
def test_requests(denial: Denial) -> None:
    assert asked(denial, "").startswith(b"1 ")
    full = denial.name.endswith("sizeLimit")
    assert asked(denial, denial.line) == (b"0 guestinfo is full" if full else b"0 disabled")


@pytest.mark.parametrize("code", ["in eax, dx", "out dx, eax", "rep outsb"])
@pytest.mark.parametrize("mode", MODES)
def test_a_restricted_backdoor_is_a_port_like_others(mode: str, code: str) -> None:
    port = 0x5659 if code == "rep outsb" else 0x5658
    source = f"mov eax, 0x564d5868; mov ecx, 10; mov edx, {port}; mov esi, 0x30000; {code}"
    vectors: list[int | None] = []
    for cpl, line in ((3, ""), (0, RESTRICT_BACKDOOR), (3, RESTRICT_BACKDOOR)):
        lab = MachineLab(mode, cpl)
        lab.machine.enable("X86_VMWARE_BACKDOOR", **restricted(line))
        vectors.append(lab.run(source).vector)
    assert vectors == [None, None, GP]
