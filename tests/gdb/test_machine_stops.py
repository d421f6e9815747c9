"""What the server asks of Machine: breakpoints and watchpoints that are exact in every mode."""

from __future__ import annotations

import pytest
from debuggee import LETTERS, MAPPED, ORIGIN, TABLE, UPPER, address, load
from patience import PATIENCE

from monitor import Machine
from monitor.vmm.errors import UserError
from monitor.vmm.watchpoint import Watchpoint

modes = pytest.mark.parametrize("mode", ["bare", "trap", "translate"])
CALLS = len(LETTERS)


def machine(mode: str, entry: str = "start") -> Machine:
    made = Machine(memory_mb=8, mode=mode)
    load(made, entry)
    return made


def ended(one: Machine) -> tuple[bytes, int]:
    """Run to the end."""
    assert one.run(timeout=PATIENCE).kind == "exit"
    return one.console, one.instructions


def stops_of(one: Machine, step: bool = False) -> int:
    """How often it stops before it ends."""
    stops = 0
    while (outcome := one.run(timeout=PATIENCE)).kind in ("address", "watchpoint"):
        stops += 1
        if step:
            assert one.step().kind == "instructions"
    assert outcome.kind == "exit", outcome
    return stops


# --- breakpoints ----------------------------------------------------------------------------------


@modes
@pytest.mark.parametrize("step", [False, True])
@pytest.mark.parametrize(("label", "times"), [("sys_write", CALLS), ("user_back", CALLS)])
def test_a_breakpoint_is_met_every_time(mode: str, step: bool, label: str, times: int) -> None:
    one = machine(mode)
    one.debug.add_breakpoint(address(label))
    assert stops_of(one, step) == times
    assert (one.console, one.instructions) == ended(machine(mode))


@modes
def test_a_breakpoint_in_a_loop(mode: str) -> None:
    one = machine(mode)
    one.debug.add_breakpoint(address("count_next"))
    one.debug.add_breakpoint(address("count_next") + 6)
    for _ in range(50):
        assert one.run(timeout=PATIENCE).kind == "address"
        assert one.registers["eip"] == address("count_next")
        assert one.run(timeout=PATIENCE).kind == "address"
        assert one.registers["eip"] == address("count_next") + 6
    one.debug.remove_breakpoint(address("count_next"))
    one.debug.remove_breakpoint(address("count_next") + 6)
    assert ended(one) == ended(machine(mode))


# --- watchpoints ----------------------------------------------------------------------------------


@modes
@pytest.mark.parametrize(
    ("label", "size", "access", "times"),
    [
        ("counter", 4, "write", UPPER + 1),
        ("counter", 1, "access", UPPER + 1),  # INC reads and writes: one instruction, one stop
        ("other", 4, "read", UPPER),
        ("other", 4, "write", 0),
        ("calls", 4, "write", CALLS),
        ("text", 1, "read", 1),
    ],
)
def test_every_access_is_seen(
    mode: str, label: str, size: int, access: str, times: int
) -> None:
    one = machine(mode)
    one.debug.add_watchpoint(address(label), size, access)
    assert stops_of(one) == times
    assert (one.console, one.instructions) == ended(machine(mode))


@modes
def test_it_stops_right_behind_the_instruction(mode: str) -> None:
    one = machine(mode)
    one.debug.add_watchpoint(TABLE + MAPPED // 1024)
    hit = Watchpoint(TABLE + MAPPED // 1024)
    places = []
    while one.run(timeout=PATIENCE).kind == "watchpoint":
        assert one.debug.watchpoint_hit == hit
        places.append(one.registers["eip"])
    assert places[-1] == address("map_done")
    assert len(places) == 3, "when paging begins it is written twice"
    assert one.debug.watchpoint_hit is None


@modes
def test_every_mode_stops_at_the_same_instructions(mode: str) -> None:
    """A busy stack: calls, interrupts and IRET, stubs of POPF and RET."""
    def life(which: str) -> list[tuple[int, int]]:
        one = machine(which)
        one.debug.add_watchpoint(0x97FF0, 8, "access")
        one.debug.add_watchpoint(0x8FFF8, 4, "write")
        stops = []
        while one.run(timeout=PATIENCE).kind == "watchpoint":
            stops.append((one.instructions, one.registers["eip"]))
        return stops

    found = life(mode)
    assert len(found) > 50
    assert found == life("bare")


@modes
def test_rep_stops_between_two_iterations(mode: str) -> None:
    one = Machine(memory_mb=4, mode=mode)
    one.load_flat(b"\xf3\xab\xf4", ORIGIN)  # rep stosd; hlt
    one.set_register("ecx", 100)
    one.set_register("edi", 0x20000)
    one.debug.add_watchpoint(0x20000 + 40)
    assert one.run(timeout=PATIENCE).kind == "watchpoint"
    state = one.registers
    assert (state["ecx"], state["edi"], state["eip"]) == (89, 0x20000 + 44, ORIGIN)
    assert one.instructions == 0
    assert one.run(timeout=PATIENCE).kind == "stuck"
    assert one.instructions == 2


@modes
def test_the_guests_own_debug_registers_stay_its_own(mode: str) -> None:
    one = machine(mode)
    one.debug.add_watchpoint(address("counter"))
    assert one.run(timeout=PATIENCE).kind == "watchpoint"
    values = one.system_registers
    assert (values["dr0"], values["dr6"], values["dr7"]) == (0, 0xFFFF0FF0, 0x400)


@modes
def test_in_the_monitors_region(mode: str) -> None:
    """Linear addresses where the monitor lives are the guest's all the same."""
    one = Machine(memory_mb=4, mode=mode)
    # The directory maps FF800000 to the first 4 MiB: mov eax, 0x20083; mov [0x1ff8], eax ...
    directory = 0x20000
    one.load_flat(
        bytes.fromhex("b8 00000200 0f22d8 0f20e0 0c10 0f22e0 0f20c0 0d00000080 0f22c0"
                      "a1 340083ff c705 340083ff 07000000 f4"), 0x100000)  # fmt: skip
    for entry in (0, 0xFF800000 >> 22):
        one.write_physical(directory + 4 * entry, (0x83).to_bytes(4, "little"))
    one.write_physical(0x30034, (0x55).to_bytes(4, "little"))
    one.debug.add_watchpoint(0xFF830034, 4, "read")
    one.debug.add_watchpoint(0xFF830034, 4, "write")
    kinds = []
    while one.run(timeout=PATIENCE).kind == "watchpoint":
        assert one.debug.watchpoint_hit is not None
        kinds.append(one.debug.watchpoint_hit.access)
    assert kinds == ["read", "write"]
    assert one.registers["eax"] == 0x55
    assert one.read_physical(0x30034, 4) == b"\x07\0\0\0"


@modes
def test_removed_watchpoints_are_gone(mode: str) -> None:
    one = machine(mode)
    one.debug.add_watchpoint(address("counter"))
    for _ in range(3):
        assert one.run(timeout=PATIENCE).kind == "watchpoint"
    one.debug.remove_watchpoint(address("counter"))
    assert ended(one) == ended(machine(mode))


@pytest.mark.parametrize(
    ("linear", "size", "access"),
    [(0, 0, "write"), (-1, 4, "write"), (0xFFFFFFFE, 4, "read"), (0, 4, "execute")],
)
def test_bad_watchpoints(linear: int, size: int, access: str) -> None:
    with pytest.raises(UserError):
        machine("bare").debug.add_watchpoint(linear, size, access)


def test_a_watchpoint_at_the_very_end() -> None:
    one = machine("bare")
    one.debug.add_watchpoint(0xFFFFFFFC, 4, "access")
    assert one.run(timeout=PATIENCE).kind == "exit"


def test_too_many() -> None:
    one = machine("bare")
    for i in range(16):
        one.debug.add_watchpoint(4 * i)
    one.debug.add_watchpoint(0)  # it is there
    with pytest.raises(UserError, match="16"):
        one.debug.add_watchpoint(64)
    for i in range(255):
        one.debug.add_breakpoint(i)
    with pytest.raises(UserError, match="255"):
        one.debug.add_breakpoint(255)


def test_a_breakpoint_is_no_wrong_answer() -> None:
    """Trap mode runs what is critical on both processors: one that is stopped would do nothing."""
    one = Machine(memory_mb=4, mode="trap")
    one.load_flat(bytes.fromhex("b905000000 890d00002000 e2f8 f4"), 0x100000)  # mov loop: mov loop
    one.debug.add_breakpoint(0x100005)
    one.debug.add_watchpoint(0x200000)
    kinds = [one.run(timeout=PATIENCE).kind for _ in range(10)]
    assert kinds == ["address", "watchpoint"] * 5
    assert one.run(timeout=PATIENCE).kind == "stuck"
    assert one.statistics()["wrong_answers"] == []


# --- registers ------------------------------------------------------------------------------------


def in_protected_mode() -> Machine:
    """With its GDT loaded."""
    one = machine("translate")
    one.run(until_address=address("count_up"), timeout=PATIENCE)
    return one


def test_a_selector_brings_its_descriptor() -> None:
    one = in_protected_mode()
    one.set_register("fs", 0x23)
    assert one.processor.ideal.segment(4) == (0x23, 0, 0xFFFFFFFF, 0xC0F3)
    one.set_register("gs", 0)
    assert one.registers["gs"] == 0
    one.set_register("cs", 0x1B)
    assert one.system_registers["cpl"] == 3


@pytest.mark.parametrize(
    ("name", "selector"),
    [("fs", 0x1000), ("ds", 0x28), ("ss", 0x08), ("cs", 0x10), ("ss", 0), ("fs", 0x10000),
     ("es", 0x0C)],
)  # fmt: skip
def test_selectors_that_do_not_fit(name: str, selector: int) -> None:
    one = in_protected_mode()
    before = one.registers
    with pytest.raises(UserError):
        one.set_register(name, selector)
    assert one.registers == before


def test_a_selector_in_real_mode() -> None:
    one = Machine(memory_mb=4)
    one.load_flat(b"\xf4", 0x7C00, real_mode=True)
    one.set_register("ds", 0x1234)
    assert one.system_registers["ds_base"] == 0x12340


def test_table_registers() -> None:
    one = in_protected_mode()
    one.set_register("gdtr_limit", 0x1F)
    one.set_register("idtr_base", 0x5000)
    assert (one.system_registers["gdtr_limit"], one.system_registers["idtr_base"]) == (0x1F, 0x5000)
    with pytest.raises(UserError, match="16 bits"):
        one.set_register("gdtr_limit", 0x10000)


@modes
def test_the_x87_unit(mode: str) -> None:
    one = machine(mode)
    one.run(until_address=address("flag_work"), timeout=PATIENCE)
    before, registers = one.x87, one.registers
    assert before[28:38] == bytes.fromhex("35c26821a2da0fc90040")  # pi
    assert int.from_bytes(before[8:10], "little") == 0x3FFF  # only R7 is in use
    image = before[:28] + bytes(7) + b"\x80\x00\xc0" + before[38:]
    one.x87 = image
    assert one.x87 == image
    one.x87 = before
    assert one.registers == registers
    assert ended(one) == ended(machine(mode))
    with pytest.raises(UserError, match="108"):
        one.x87 = b""


def test_physical_memory_ends_where_ram_does() -> None:
    one = machine("translate")
    one.write_physical(0x9FFFE, b"ab")
    assert one.read_physical(0x9FFFE, 2) == b"ab"
    for address_, size in ((0xA0000, 1), (0x9FFFF, 2), (8 << 20, 1), ((8 << 20) - 1, 2), (-1, 1)):
        with pytest.raises(UserError):
            one.read_physical(address_, size)
        with pytest.raises(UserError):
            one.write_physical(address_, bytes(size))
