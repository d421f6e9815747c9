"""The table of commands, and who may call what."""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter

import pytest
from calls import Bench, changed

from monitor.vmm.errors import UserError
from monitor.vmware.call import MAGIC, UNSUPPORTED, Call
from monitor.vmware.commands import (
    BY_NAME,
    COMMANDS,
    ROWS,
    Command,
    Where,
    Who,
)

SUPPORTED = """
GETMHZ GETDISKGEO GETPTRLOCATION SETPTRLOCATION GETSELLENGTH GETNEXTPIECE SETSELLENGTH
SETNEXTPIECE MESSAGE GETVERSION GETDEVICELISTELEMENT TOGGLEDEVICE
GETGUIOPTIONS SETGUIOPTIONS GETSCREENSIZE GETHWVERSION GETUUID GETMEMSIZE GETTIME STOPCATCHUP
PUTCHR SIDT SGDT SLDT_STR ISACPIDISABLED ISMOUSEABSOLUTE ABSPOINTER_DATA ABSPOINTER_STATUS
ABSPOINTER_COMMAND ABSPOINTER_RESTRICT GETHZ GETTIMEFULL GETTIMEFULL_WITH_LAG ISGOSDARWIN
DEBUGEVENT LAZYTIMEREMULATION NESTING_CONTROL GET_VCPU_INFO VMK_INFO SECUREBOOT STEALCLOCK
PUTCHR12 PRECISIONCLOCK GETBUILDNUM GETENTROPY REPORTGUESTCRASH SCREENSHOT INJECT_KEY
INJECT_MOUSE
"""
# "Disabled by default" and "Devel only" in the header
DISABLED = """
MONITOR_CONTROL PUTCHR ENABLE_MSG MAPMEM ACPI_HOTPLUG_DEVICE ACPI_HOTPLUG_MEMORY
ACPI_HOTPLUG_CBRET ACPI_HOTPLUG_CPU READ_DEBUG_FILE SCREENSHOT INJECT_KEY INJECT_MOUSE MKSTEST
COPY_PHYSMEM FUZZER_HELPER COREDUMP_UNSYNC
"""
# "CPL 0 only"
KERNEL = """
APMFUNCTION OSNOTFOUND INITPCIOPROM PATCH_SMBIOS_STRUCTS CHECKFORCEBIOSSETUP
LAZYTIMEREMULATION BIOSBBS OSNOTMACOSXSERVER XPMODE FIRMWARE_INIT FIRMWARE_ACPI_SERVICES
EFI_SERIALCON_CONFIG BUG328986 FIRMWARE_ERROR EFI_BOOT_CONFIG GET_HW_MODEL
GET_SVGA_CAPABILITIES GET_FORCE_X2APIC SET_PCI_HOLE GET_PCI_HOLE GET_PCI_BAR
SHOULD_GENERATE_SYSTEMID MKS_GUEST_STATS STEALCLOCK GUEST_PAGE_HINTS FIRMWARE_UPDATE
"""
UNUSED = """
HOSTCOPY SERVICE_VM GOTO_TCL INT13 TOE TIMER_SPONGE PATCH_ACPI_TABLES DEVEL_FAKEHARDWARE
STATELOGGER VASSERT GET_HOST_VIDEO_MODES USB_HOTPLUG_MOUSE SENDPSHAREHINTS
"""


def rows(wanted: Callable[[Command], bool] = lambda row: True) -> pytest.MarkDecorator:
    chosen = [row for row in ROWS if wanted(row)]
    return pytest.mark.parametrize("row", chosen, ids=lambda row: row.name)


def call_of(row: Command, **registers: int) -> Call:
    return Call(**{"ecx": row.number, "ebx": 0x1234, "esi": 7, "edi": 8, "ebp": 9, **registers})


# --- the table ------------------------------------------------------------------------------------


def test_every_number_has_one_row() -> None:
    assert [row.number for row in ROWS] == list(range(1, 103))
    assert len(COMMANDS) == len(BY_NAME) == len(ROWS)


@rows()
def test_a_handler_exists_where_the_row_says_so(row: Command) -> None:
    assert bool(row.handler) == (row.where is not Where.NOWHERE)
    if row.handler:
        assert callable(attrgetter(row.handler)(Bench().backdoor))


def test_no_handler_serves_two_commands() -> None:
    handlers = [row.handler for row in ROWS if row.handler]
    assert len(set(handlers)) == len(handlers)


def test_who_may_call_is_what_is_published() -> None:
    for who, names in ((Who.NOBODY, DISABLED), (Who.KERNEL, KERNEL), (Who.UNUSED, UNUSED)):
        assert {row.name for row in ROWS if row.who is who} == set(names.split())


@pytest.mark.parametrize("name", SUPPORTED.split())
def test_what_must_be_supported_is(name: str) -> None:
    assert BY_NAME[name].where is not Where.NOWHERE


# --- who may call ---------------------------------------------------------------------------------


@rows(lambda row: not row.handler)
def test_what_is_not_supported_answers_minus_one(row: Command) -> None:
    call = call_of(row)
    Bench().backdoor.low(call)
    assert call.eax == UNSUPPORTED
    assert changed(call_of(row), call) == {"eax"}


@rows(lambda row: row.who is Who.KERNEL and bool(row.handler))
def test_only_a_kernel_may_call_what_is_cpl_0_only(row: Command) -> None:
    backdoor = Bench().backdoor
    assert backdoor.command_of(call_of(row)) is row
    for cpl in (1, 2, 3):
        call = call_of(row, cpl=cpl)
        backdoor.low(call)
        assert call.eax == UNSUPPORTED
        assert changed(call_of(row), call) == {"eax"}


@rows(lambda row: row.who is Who.ANYONE and bool(row.handler))
def test_any_program_may_call_the_rest(row: Command) -> None:
    assert Bench().backdoor.command_of(call_of(row, cpl=3)) is row


@rows(lambda row: row.who is Who.NOBODY)
def test_what_is_disabled_by_default_must_be_allowed(row: Command) -> None:
    assert Bench().backdoor.command_of(call_of(row)) is None
    if row.handler:
        assert Bench({"allow": (row.name,)}).backdoor.command_of(call_of(row)) is row


@pytest.mark.parametrize("name", ["GETVERSION", "MAPMEM", "NONSENSE", "'PUTCHR'"])
def test_only_what_is_disabled_and_supported_can_be_allowed(name: str) -> None:
    names = "PUTCHR" if name == "'PUTCHR'" else (name,)
    message = f"cannot allow {name}: name some of INJECT_KEY, INJECT_MOUSE, PUTCHR, SCREENSHOT"
    with pytest.raises(UserError, match=message):
        Bench({"allow": names})


def test_what_is_refused_and_what_is_called_is_counted() -> None:
    bench = Bench()
    for _ in range(3):
        bench.call("GETVERSION")
    bench.call("LAZYTIMEREMULATION", cpl=3)
    bench.backdoor.low(Call(eax=0, ecx=10))
    assert bench.backdoor.calls == {"GETVERSION": 3, "refused": 2}


# --- where it is handled --------------------------------------------------------------------------


def test_a_command_of_the_monitor_can_be_forwarded() -> None:
    backdoor = Bench({"forward": ("GETTIME",)}).backdoor
    assert backdoor.where(BY_NAME["GETTIME"]) is Where.HOST
    assert backdoor.where(BY_NAME["GETTIMEFULL"]) is Where.MONITOR
    assert backdoor.where(BY_NAME["GETUUID"]) is Where.HOST
    for name in ("GETUUID", "TOE", "NONSENSE"):
        with pytest.raises(UserError, match=f"cannot forward {name}: name some of GETHWVERSION, "):
            Bench({"forward": (name,)})


# --- without the magic, and unknown numbers -------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "out", "eax"),
    [
        (4, False, 0xFFFFFFFF),
        (2, False, 0x1234FFFF),
        (1, False, 0x123456FF),
        (4, True, 0x12345678),
        (2, True, 0x12345678),
        (1, True, 0x12345678),
    ],
)
def test_without_the_magic_the_port_is_open(size: int, out: bool, eax: int) -> None:
    call = Call(eax=0x12345678, ebx=1, ecx=10, size=size, out=out)
    Bench().backdoor.low(call)
    assert (call.eax, call.ebx, call.ecx) == (eax, 1, 10)


@pytest.mark.parametrize("size", [1, 2, 4])
@pytest.mark.parametrize("out", [False, True])
@pytest.mark.parametrize("number", [0, 103, 0x7FFF, 0xFFFF])
def test_an_unknown_number_answers_minus_one(number: int, out: bool, size: int) -> None:
    call = Call(ecx=0xABCD0000 | number, ebx=1, esi=2, size=size, out=out)
    Bench().backdoor.low(call)
    assert call.eax == UNSUPPORTED
    assert (call.ebx, call.ecx, call.edx, call.esi) == (1, 0xABCD0000 | number, 0x5658, 2)


@pytest.mark.parametrize("size", [1, 2, 4])
@pytest.mark.parametrize("out", [False, True])
def test_the_width_and_direction_of_a_call_do_not_matter(out: bool, size: int) -> None:
    call = Bench().call("GETVERSION", size=size, out=out)
    assert (call.eax, call.ebx, call.ecx) == (6, MAGIC, 4)


def test_the_number_is_in_cx_alone() -> None:
    call = Bench().call("GETVERSION", subcommand=0xFFFF)
    assert call.ebx == MAGIC
