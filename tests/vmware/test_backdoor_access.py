"""Who reaches the backdoor: on and off, every CPL, every width, RDPMC, CPUID, two machines."""

from __future__ import annotations

import pytest
from machine_lab import CODE, GP, MachineLab

from monitor import Machine
from monitor.settings.capabilities import Defaults, defaults
from monitor.vmm.clock import TSC_HZ
from monitor.vmm.errors import UserError
from monitor.vmware.restrictions import Restrictions

BACKDOOR = "X86_VMWARE_BACKDOOR"
MAGIC = 0x564D5868
GETVERSION = "mov eax, 0x564d5868; mov ebx, 0; mov ecx, 10; mov edx, 0x5658; "
RDPMC = "mov ecx, 0x10001; rdpmc"

everyone = pytest.mark.parametrize("cpl", [0, 3])
widths = pytest.mark.parametrize("bits", [16, 32])


@everyone
@widths
def test_in_calls_at_every_cpl(mode: str, cpl: int, bits: int) -> None:
    lab = MachineLab(mode, cpl, bits)
    lab.machine.enable(BACKDOOR)
    end = lab.run(GETVERSION + "in eax, dx; mov esi, 0x1234")
    assert end.vector is None
    assert (lab.reg("eax"), lab.reg("ebx"), lab.reg("ecx")) == (6, MAGIC, 4)
    assert (lab.reg("edx"), lab.reg("esi")) == (0x5658, 0x1234)
    assert lab.machine.vmware.backdoor.calls == {"GETVERSION": 1}


@everyone
def test_out_calls_too(mode: str, cpl: int) -> None:
    lab = MachineLab(mode, cpl)
    lab.machine.enable(BACKDOOR)
    assert lab.run(GETVERSION + "out dx, eax").vector is None
    assert (lab.reg("eax"), lab.reg("ebx")) == (6, MAGIC)


@everyone
@pytest.mark.parametrize("code", ["in eax, dx", "out dx, eax"])
def test_a_call_served_by_the_host_may_change_the_port_s_register(
    mode: str, cpl: int, code: str
) -> None:
    """The instruction completes after the answer; DX is a result by then, and no port."""
    lab = MachineLab(mode, cpl)
    lab.machine.enable(BACKDOOR, uuid=bytes(range(16)))
    assert lab.run(f"mov eax, 0x564d5868; mov ecx, 19; mov edx, 0x5658; {code}").vector is None
    words = [lab.reg(name) for name in ("eax", "ebx", "ecx", "edx")]
    assert words == [0x03020100, 0x07060504, 0x0B0A0908, 0x0F0E0D0C]
    assert lab.machine.vmware.backdoor.calls == {"GETUUID": 1}


@pytest.mark.parametrize("code", ["in al, dx", "in ax, dx", "out dx, al", "out dx, ax"])
def test_narrow_accesses_are_whole_calls(mode: str, code: str) -> None:
    lab = MachineLab(mode, 3)
    lab.machine.enable(BACKDOOR)
    assert lab.run(GETVERSION + code).vector is None
    assert (lab.reg("eax"), lab.reg("ebx")) == (6, MAGIC)


@everyone
@pytest.mark.parametrize(
    "start", ["mov eax, 0x12345678; mov ecx, 10", "mov eax, 0x564d5868; mov ecx, 0xfff"]
)
def test_refused_calls_change_eax_alone(mode: str, cpl: int, start: str) -> None:
    lab = MachineLab(mode, cpl)
    lab.machine.enable(BACKDOOR)
    assert lab.run(f"mov ebx, 7; {start}; mov edx, 0x5658; in eax, dx").vector is None
    assert (lab.reg("eax"), lab.reg("ebx"), lab.reg("edx")) == (0xFFFFFFFF, 7, 0x5658)


def test_off_the_port_is_an_open_one_for_ring_0(mode: str) -> None:
    lab = MachineLab(mode)
    assert lab.run(GETVERSION + "in eax, dx").vector is None
    assert (lab.reg("eax"), lab.reg("ebx")) == (0xFFFFFFFF, 0)


@widths
@pytest.mark.parametrize("code", ["in eax, dx", "out dx, eax", "rep insb", "rep outsb"])
def test_off_ring_3_faults(mode: str, code: str, bits: int) -> None:
    lab = MachineLab(mode, 3, bits)
    end = lab.run("mov edx, 0x5658; mov ecx, 1; " + code)
    assert (end.vector, end.frame[0]) == (GP, 0)


@everyone
def test_restricted_the_io_permissions_decide(mode: str, cpl: int) -> None:
    lab = MachineLab(mode, cpl)
    lab.machine.enable(BACKDOOR, restrictions=Restrictions(restrict_backdoor=True))
    end = lab.run(GETVERSION + "in eax, dx")
    assert end.vector == (GP if cpl else None)


@pytest.mark.parametrize("port", [0x5657, 0x565A, 0x5650])
def test_other_ports_stay_closed(mode: str, port: int) -> None:
    lab = MachineLab(mode, 3)
    lab.machine.enable(BACKDOOR)
    assert lab.run(f"mov edx, {port}; in eax, dx").vector == GP


# --- RDPMC ----------------------------------------------------------------------------------------


@everyone
@widths
def test_pseudo_counters(mode: str, cpl: int, bits: int) -> None:
    lab = MachineLab(mode, cpl, bits)
    lab.machine.enable(BACKDOOR)
    assert lab.run(RDPMC).vector is None
    assert (lab.reg("edx"), lab.reg("eax")) == (0, 5), "one instruction before, 5 ns"


@everyone
@pytest.mark.parametrize("index", [0x10000, 0x10001, 0x10002])
def test_pseudo_counters_off(mode: str, cpl: int, index: int) -> None:
    end = MachineLab(mode, cpl).run(f"mov ecx, {index}; rdpmc")
    assert (end.vector, end.frame[0]) == (GP, 0)


def test_other_counters_are_the_processors(mode: str) -> None:
    lab = MachineLab(mode, 3)
    lab.machine.enable(BACKDOOR)
    assert lab.run("mov ecx, 0; rdpmc").vector == GP
    assert lab.run("mov ecx, 0x10004; rdpmc").vector == GP


# --- presence -------------------------------------------------------------------------------------

LEAVES = ("mov eax, 1; cpuid; mov edi, ecx; mov eax, 0x40000010; cpuid; mov esi, eax; mov ebp, ecx;"
          "mov eax, 0x40000000; cpuid")  # fmt: skip


def name_of(lab: MachineLab) -> bytes:
    return b"".join(lab.reg(name).to_bytes(4, "little") for name in ("ebx", "ecx", "edx"))


@everyone
def test_cpuid_tells(mode: str, cpl: int) -> None:
    lab = MachineLab(mode, cpl)
    lab.machine.enable(BACKDOOR)
    assert lab.run(LEAVES).vector is None
    assert (lab.reg("eax"), name_of(lab)) == (0x40000010, b"VMwareVMware")
    assert (lab.reg("edi"), lab.reg("esi"), lab.reg("ebp")) == (1 << 31, TSC_HZ // 1000, 0)


@everyone
def test_cpuid_tells_of_hypercalls_that_are_served(mode: str, cpl: int) -> None:
    lab = MachineLab(mode, cpl)
    lab.machine.enable(BACKDOOR)
    lab.machine.enable("X86_VMWARE_HYPERCALL", "magic", serve=True)
    lab.run(LEAVES)
    assert lab.reg("ebp") == 2, "VMCALL, as on an Intel processor"


@everyone
def test_cpuid_says_nothing_when_off(mode: str, cpl: int) -> None:
    lab = MachineLab(mode, cpl)
    lab.run(LEAVES)
    assert name_of(lab) != b"VMwareVMware" and lab.reg("edi") == 0


# --- switches -------------------------------------------------------------------------------------


def test_two_machines_side_by_side(mode: str) -> None:
    """One on, one off, in turns."""
    on, off = MachineLab(mode, 3), MachineLab(mode, 3)
    on.machine.enable(BACKDOOR)
    for lab in (on, off):
        lab.load(GETVERSION + "in eax, dx; " + RDPMC)
    for _ in range(5):
        assert on.machine.step().kind == off.machine.step().kind == "instructions"
    assert off.run().vector == GP and on.run().vector is None
    assert off.reg("ebx") == 0 and on.reg("ebx") == MAGIC


@pytest.fixture
def process_default() -> Defaults:
    kept = defaults.vmware_backdoor
    defaults.vmware_backdoor = True
    yield defaults
    defaults.vmware_backdoor = kept


def test_the_process_wide_default(mode: str, process_default: Defaults) -> None:
    default = MachineLab(mode, 3)
    other = MachineLab(mode, 3)
    other.machine.enable(BACKDOOR, False)
    process_default.vmware_backdoor = False  # concerns machines made from now on
    assert default.run(GETVERSION + "in eax, dx").vector is None
    assert other.run(GETVERSION + "in eax, dx").vector == GP
    assert MachineLab(mode, 3).run(GETVERSION + "in eax, dx").vector == GP


def test_switches_are_for_before_the_first_run(mode: str) -> None:
    lab = MachineLab(mode)
    lab.run("nop")
    with pytest.raises(UserError, match="before the machine's first run"):
        lab.machine.enable(BACKDOOR)


@pytest.mark.parametrize(
    ("capability", "value", "options", "message"),
    [
        ("X86_XEN", True, {}, "choose one of X86_VMWARE_BACKDOOR"),
        (BACKDOOR, True, {"colour": 1}, "no option 'colour'"),
        ("X86_VMWARE_HYPERCALL", "some", {}, "choose one of all, magic"),
        ("X86_VMWARE_HYPERCALL", "all", {"uuid": b""}, "no option 'uuid'"),
    ],
)
def test_wrong_switches(
    capability: str, value: bool | str, options: dict[str, object], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        Machine(memory_mb=1).enable(capability, value, **options)


def test_without_the_backdoor_there_is_nothing_to_ask() -> None:
    with pytest.raises(UserError, match="the backdoor is off"):
        Machine(memory_mb=1).vmware.backdoor  # noqa: B018


# --- in between -----------------------------------------------------------------------------------


def test_stepping_over_a_call(mode: str) -> None:
    lab = MachineLab(mode, 3).load(GETVERSION + "in eax, dx")
    machine = lab.machine
    machine.debug.add_breakpoint(CODE + 20)  # the IN
    assert machine.run(max_instructions=100).kind == "address"
    assert (lab.reg("eip"), lab.reg("ebx")) == (CODE + 20, 0)
