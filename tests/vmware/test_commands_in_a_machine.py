"""Commands that need a whole machine behind them: its tables, keyboard, privilege, callbacks."""

from __future__ import annotations

import pytest
from machine_lab import DATA, GP, TSS_SELECTOR, MachineLab

from monitor.vmm.errors import UserError
from monitor.vmware.commands import BY_NAME
from monitor.vmware.host import RemovableDevice

BACKDOOR = "X86_VMWARE_BACKDOOR"
MAGIC = 0x564D5868
UNSUPPORTED = 0xFFFFFFFF


def call(name: str, ebx: int = 0, subcommand: int = 0) -> str:
    number = subcommand << 16 | BY_NAME[name].number
    return f"mov eax, {MAGIC}; mov ebx, {ebx}; mov ecx, {number}; mov edx, 0x5658; in eax, dx; "


def lab_with(mode: str, cpl: int = 0, **options: object) -> MachineLab:
    lab = MachineLab(mode, cpl)
    lab.machine.enable(BACKDOOR, **options)
    return lab


def run(lab: MachineLab, source: str) -> None:
    end = lab.run(source)
    assert end.vector is None, end


# --- the virtual CPU ------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["bare", "translate"])  # in trap mode SGDT tells the monitor's
@pytest.mark.parametrize(("name", "instruction"), [("SGDT", "sgdt"), ("SIDT", "sidt")])
def test_tables_are_what_the_guest_stores_itself(mode: str, name: str, instruction: str) -> None:
    lab = lab_with(mode)
    run(lab, f"{instruction} [{DATA}]; " + call(name))
    stored = lab.machine.memory.read(DATA, 6)
    limit, base = int.from_bytes(stored[:2], "little"), int.from_bytes(stored[2:], "little")
    assert base and limit
    assert (lab.reg("ebx"), lab.reg("ecx")) == (base, limit)


def test_the_task_register(mode: str) -> None:
    lab = lab_with(mode)
    run(lab, call("SLDT_STR"))
    assert (lab.reg("ebx"), lab.reg("ecx")) == (0, TSS_SELECTOR)


def test_time_is_the_same_in_every_mode(mode: str) -> None:
    lab = lab_with(mode)
    run(lab, "nop; nop; " + call("PRECISIONCLOCK"))
    assert (lab.reg("eax"), lab.reg("ebx")) == (0, 0)
    assert lab.reg("ecx") == 6 * 5  # six instructions before the IN, 5 ns each


def test_cpl_0_only(mode: str) -> None:
    for cpl, ebx in ((0, MAGIC), (3, 7)):
        lab = lab_with(mode, cpl)
        run(lab, call("LAZYTIMEREMULATION", ebx=7))
        assert lab.reg("ebx") == ebx
        assert lab.reg("eax") == (UNSUPPORTED if cpl else MAGIC)


# --- privilege ------------------------------------------------------------------------------------


def test_a_guest_hypervisor_closes_the_backdoor_to_programs(mode: str) -> None:
    lab = lab_with(mode, 3)
    end = lab.run(call("NESTING_CONTROL", ebx=2) + "mov esi, eax; " + call("NESTING_CONTROL", ebx=0)
                  + "mov edi, eax; " + call("GETVERSION"))  # fmt: skip
    assert (end.vector, end.frame[0]) == (GP, 0)
    assert (lab.reg("esi"), lab.reg("edi")) == (0, 1)
    assert lab.machine.vmware.backdoor.restricted


def test_and_the_kernel_still_has_it(mode: str) -> None:
    lab = lab_with(mode)
    run(lab, call("NESTING_CONTROL", ebx=0) + call("NESTING_CONTROL", ebx=1) + "mov edi, eax; "
        + call("GETVERSION"))  # fmt: skip
    assert (lab.reg("edi"), lab.reg("ebx")) == (0, MAGIC)


def test_a_mouse_restricted_to_the_kernel(mode: str) -> None:
    lab = lab_with(mode, 3)
    lab.machine.vmware.backdoor.pointer.restriction = 1
    run(lab, call("ABSPOINTER_STATUS"))
    assert lab.reg("eax") == UNSUPPORTED


@pytest.mark.parametrize(("iopl", "eax"), [(0, UNSUPPORTED), (3, 0xFFFF0000)])
def test_a_mouse_restricted_to_iopl(mode: str, iopl: int, eax: int) -> None:
    lab = lab_with(mode, 3)
    lab.machine.vmware.backdoor.pointer.restriction = 2
    lab.load(call("ABSPOINTER_STATUS"))
    lab.machine.set_register("eflags", 0x202 | iopl << 12)
    assert lab.run().vector is None
    assert lab.reg("eax") == eax


# --- devices --------------------------------------------------------------------------------------


def test_the_mouse_from_python_to_the_guest(mode: str) -> None:
    start = (
        call("ABSPOINTER_COMMAND", ebx=0x45414552)
        + call("ABSPOINTER_DATA", ebx=1)
        + "mov edi, eax; "
        + call("ABSPOINTER_COMMAND", ebx=0x53424152)
    )
    lab = lab_with(mode).load(start + 2 * call("ABSPOINTER_DATA", ebx=4))
    assert lab.machine.run(max_instructions=16).kind == "instructions"  # those of `start`
    assert lab.reg("edi") == 0x3442554A
    assert lab.machine.vmware.backdoor.pointer.move(100, 200)
    assert lab.machine.vmware.backdoor.pointer.press("right")
    assert lab.run().vector is None
    assert [lab.reg(name) for name in ("eax", "ebx", "ecx", "edx")] == [0x10, 100, 200, 0]


def test_an_injected_key_arrives_at_the_keyboard_controller(mode: str) -> None:
    lab = lab_with(mode, allow=("INJECT_KEY",))
    poll = "wait: in al, 0x64; test al, 1; jz wait; in al, 0x60; "
    run(lab, call("INJECT_KEY", ebx=0x1E) + "mov esi, eax; " + poll)
    assert (lab.reg("esi"), lab.reg("eax") & 0xFF) == (1, 0x1E)


def test_characters_come_out_of_the_debug_console(mode: str) -> None:
    lab = lab_with(mode, 3, allow=("PUTCHR",))
    run(lab, call("PUTCHR", ebx=ord("h")) + "mov esi, 0x21; mov edi, 0; "
        + call("PUTCHR12", ebx=ord("i")))  # fmt: skip
    assert lab.machine.debug_console == b"hi!"


def test_what_is_not_allowed_cannot_be_enabled() -> None:
    lab = MachineLab("bare")
    with pytest.raises(UserError, match="cannot allow GETVERSION: name some of "):
        lab.machine.enable(BACKDOOR, allow=("GETVERSION",))
    with pytest.raises(UserError, match="cannot forward GETUUID: name some of "):
        lab.machine.enable(BACKDOOR, forward=("GETUUID",))


def test_a_crash_is_in_the_reports(mode: str) -> None:
    lab = lab_with(mode)
    run(lab, call("REPORTGUESTCRASH"))
    assert lab.machine.statistics()["vmware"]["reports"] == ["the guest reports that it crashed"]


# --- the host application -------------------------------------------------------------------------


@pytest.mark.parametrize(("options", "switches"), [({}, 0), ({"forward": ("GETTIME",)}, 1)])
def test_a_forwarded_command_costs_a_world_switch(
    mode: str, options: dict[str, object], switches: int
) -> None:
    lab = lab_with(mode, 3, **options)
    run(lab, call("GETTIME"))
    assert (lab.reg("eax"), lab.reg("edx")) == (0, 0)
    assert lab.machine.board.host.count == switches
    assert lab.machine.vmware.backdoor.calls == {"GETTIME": 1}


@pytest.mark.parametrize("cpl", [0, 3])
def test_a_served_call_may_change_the_port_in_dx(mode: str, cpl: int) -> None:
    lab = lab_with(mode, cpl, uuid=bytes(range(16)))
    run(lab, call("GETUUID") + "mov esi, 1")
    assert (lab.reg("eax"), lab.reg("edx"), lab.reg("esi")) == (0x03020100, 0x0F0E0D0C, 1)


def test_forwarding_changes_no_answer(mode: str) -> None:
    answers = []
    for options in ({}, {"forward": ("GETTIMEFULL", "SGDT", "GETHZ")}):
        lab = lab_with(mode, 3, **options)
        run(lab, "".join(call(name) + "push eax; push ebx; push ecx; push edx; push esi; "
                         for name in ("GETTIMEFULL", "SGDT", "GETHZ")))  # fmt: skip
        answers.append(lab.machine.memory.read(lab.reg("esp"), 60))
    assert answers[0] == answers[1]


def test_a_callback_that_raises_ends_the_machine(mode: str) -> None:
    def screenshot() -> bool:
        raise OSError("no screen today")

    lab = lab_with(mode, allow=("SCREENSHOT",), screenshot=screenshot)
    outcome = lab.run(call("SCREENSHOT")).outcome
    assert outcome.kind == "callback"
    assert outcome.detail.endswith("screenshot raised OSError: no screen today")


def test_a_device_that_raises_ends_the_machine(mode: str) -> None:
    def connect(connected: bool) -> bool:
        raise ValueError(f"{connected}?")

    lab = lab_with(mode, devices=[RemovableDevice("CD", connect=connect)])
    outcome = lab.run(call("TOGGLEDEVICE")).outcome
    assert outcome.kind == "callback"
    assert outcome.detail.endswith("connect raised ValueError: False?")


def test_registers_of_the_caller_survive(mode: str) -> None:
    lab = lab_with(mode, 3)
    run(lab, "mov esi, 1; mov edi, 2; mov ebp, 3; " + call("GETVERSION") + call("ISMOUSEABSOLUTE"))
    assert [lab.reg(name) for name in ("eax", "esi", "edi", "ebp")] == [0, 1, 2, 3]
