"""Hypercalls: every field out, every answer back, at CPL 0 and 3, in 16- and 32-bit code.

The layout is the one published for KVM: struct kvm_vmware_exit.
"""

from __future__ import annotations

import struct
import threading

import pytest
from machine_lab import CODE, GP, PF, UD, MachineLab
from patience import PATIENCE

from monitor.vmware.exits import VmwareExit

HYPERCALL = "X86_VMWARE_HYPERCALL"
CALLS = {"vmcall": b"\x0f\x01\xc1", "vmmcall": b"\x0f\x01\xd9"}
REGISTERS = {"rax": 0x11111111, "rbx": 0x22222222, "rcx": 0x33333333, "rdx": 0x44444444,
             "rsi": 0x55555555, "rdi": 0x66666666, "rbp": 0x77777777}  # fmt: skip
LOAD = "; ".join(f"mov e{name[1:]}, {value}" for name, value in REGISTERS.items())

everyone = pytest.mark.parametrize("cpl", [0, 3])
widths = pytest.mark.parametrize("bits", [16, 32])
both = pytest.mark.parametrize("call", CALLS)


def program(lab: MachineLab, call: str, after: str = "") -> bytes:
    """Load the registers, make the call, go on."""
    from machine_lab import assemble

    tail = assemble(after, lab.bits) if after else b""
    return assemble(LOAD, lab.bits) + CALLS[call] + tail


def at_call(lab: MachineLab, call: str) -> int:
    """EIP of the hypercall, in its own segment."""
    return len(program(lab, call)) - 3 + (CODE if lab.bits == 32 else 0)


def lab_with(mode: str, cpl: int = 0, bits: int = 32, forwarded: str = "all") -> MachineLab:
    lab = MachineLab(mode, cpl, bits)
    lab.machine.enable(HYPERCALL, forwarded)
    return lab


# --- the layout -----------------------------------------------------------------------------------

#: The published fields, in order: two words, then the union's member hcall.
LAYOUT = struct.Struct("<II II 7Q Q IIII Q")


def test_the_packed_bytes_have_the_published_layout() -> None:
    exit_ = VmwareExit(type=1)
    call = exit_.hcall
    call.longmode, call.cpl = 2, 3
    for i, name in enumerate(("rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "result")):
        setattr(call, name, 1 << 40 | i)
    exit_.inject(4, 5, 6 << 33)
    assert LAYOUT.size == len(bytes(exit_)) == 104
    registers = tuple(1 << 40 | i for i in range(8))
    assert LAYOUT.unpack(bytes(exit_)) == (1, 0, 2, 3, *registers, 1, 0, 4, 5, 6 << 33)
    back = VmwareExit.from_buffer_copy(bytes(exit_))
    assert (back.hcall.rbp, back.hcall.exception.address) == (1 << 40 | 6, 6 << 33)


# --- out and back ---------------------------------------------------------------------------------


@both
@everyone
@widths
def test_every_field(mode: str, call: str, cpl: int, bits: int) -> None:
    lab = lab_with(mode, cpl, bits)
    seen = []
    lab.machine.vmware.on_hypercall = lambda exit_: seen.append(LAYOUT.unpack(bytes(exit_)))
    assert lab.run(program(lab, call)).vector is None
    assert seen == [(1, 0, 0, cpl, *REGISTERS.values(), 0, 0, 0, 0, 0, 0)]
    assert lab.reg("eax") == 0, "the result, as nobody set one"
    for name, value in list(REGISTERS.items())[1:]:
        assert lab.reg("e" + name[1:]) == value


@both
@everyone
@widths
def test_every_register_comes_back(mode: str, call: str, cpl: int, bits: int) -> None:
    lab = lab_with(mode, cpl, bits)

    def answer(exit_: VmwareExit) -> None:
        exit_.hcall.result = 0x1_8000_0001
        for name in list(REGISTERS)[1:]:
            setattr(exit_.hcall, name, getattr(exit_.hcall, name) + 1)

    lab.machine.vmware.on_hypercall = answer
    assert lab.run(program(lab, call)).vector is None
    assert lab.reg("eax") == 0x80000001, "32 bits of it"
    for name, value in list(REGISTERS.items())[1:]:
        assert lab.reg("e" + name[1:]) == value + 1


VECTORS = {0: False, 1: False, 3: False, 4: False, 5: False, 6: False, 7: False, 8: True, 10: True,
           11: True, 12: True, 13: True, 14: True, 16: False, 17: True, 18: False}  # fmt: skip


@both
@everyone
@widths
@pytest.mark.parametrize("vector", VECTORS)
def test_injected_exceptions(mode: str, call: str, cpl: int, bits: int, vector: int) -> None:
    lab = lab_with(mode, cpl, bits)
    error = 0 if vector == 8 else 0x1234
    lab.machine.vmware.on_hypercall = lambda exit_: exit_.inject(vector, error, 0x89ABCDEF)
    end = lab.run(program(lab, call))
    assert end.vector == vector
    frame = end.frame
    if VECTORS[vector]:
        assert frame[0] == error
        frame = frame[1:]
    assert frame[0] == at_call(lab, call), "at the hypercall, which has not completed"
    assert lab.machine.registers["cr2"] == (0x89ABCDEF if vector == PF else 0)
    for name, value in REGISTERS.items():
        assert lab.reg("e" + name[1:]) == value


def test_a_page_fault_can_be_answered_and_the_call_made_again(mode: str) -> None:
    """The handler returns to the hypercall, which now succeeds."""
    lab = lab_with(mode)
    answers = []

    def answer(exit_: VmwareExit) -> None:
        answers.append(exit_.hcall.rax)
        if len(answers) == 1:
            exit_.inject(PF, 2, 0x5000)
        else:
            exit_.hcall.result = 9

    lab.machine.vmware.on_hypercall = answer
    lab.load(program(lab, "vmcall"))
    lab.machine.memory.write(0x20000 + PF * 16, b"\x83\xc4\x04\xcf")  # add esp, 4; iret
    assert lab.run().vector is None
    assert answers == [REGISTERS["rax"]] * 2 and lab.reg("eax") == 9


@pytest.mark.parametrize("vector", [2, 9, 15, 20, 31, 32, 0x80, 0xFFFFFFFF])
def test_what_is_no_exception_ends_the_machine(mode: str, vector: int) -> None:
    lab = lab_with(mode)
    lab.machine.vmware.on_hypercall = lambda exit_: exit_.inject(vector)
    outcome = lab.run(program(lab, "vmcall")).outcome
    assert outcome.kind == "callback" and str(vector) in outcome.detail


# --- switches -------------------------------------------------------------------------------------


@both
@everyone
@widths
def test_off_they_are_undefined(mode: str, call: str, cpl: int, bits: int) -> None:
    lab = MachineLab(mode, cpl, bits)
    lab.machine.enable("X86_VMWARE_BACKDOOR")
    assert lab.run(program(lab, call)).vector == UD


@everyone
def test_magic_forwards_only_calls_with_it(mode: str, cpl: int) -> None:
    lab = lab_with(mode, cpl, forwarded="magic")
    seen: list[str] = []
    lab.machine.vmware.on_hypercall = lambda exit_: seen.append("magic")
    lab.machine.vmware.on_other_hypercall = lambda exit_: seen.append("other")
    code = b"\xb8\x68\x58\x4d\x56" + CALLS["vmcall"]  # mov eax, magic
    assert lab.run(code + CALLS["vmmcall"]).vector is None
    assert seen == ["magic", "other"]


@everyone
def test_magic_without_another_handler_faults(mode: str, cpl: int) -> None:
    lab = lab_with(mode, cpl, forwarded="magic")
    lab.machine.vmware.on_hypercall = lambda exit_: None
    assert lab.run(program(lab, "vmcall")).vector == UD


@everyone
def test_served_they_are_backdoor_calls(mode: str, cpl: int) -> None:
    lab = MachineLab(mode, cpl)
    lab.machine.enable("X86_VMWARE_BACKDOOR")
    lab.machine.enable(HYPERCALL, "magic", serve=True)
    code = "mov eax, 0x564d5868; mov ecx, 10; mov edx, 0; .byte 0x0f, 1, 0xc1"
    assert lab.run(code).vector is None
    assert (lab.reg("eax"), lab.reg("ebx"), lab.reg("edx")) == (6, 0x564D5868, 0)


@pytest.mark.parametrize("modrm", [0xC0, 0xC2, 0xD8, 0xDA, 0xDF])
def test_neighbours_stay_undefined(mode: str, modrm: int) -> None:
    lab = lab_with(mode)
    assert lab.run(b"\x0f\x01" + bytes([modrm])).vector == UD


# --- the embedder's own loop ----------------------------------------------------------------------


@everyone
def test_the_embedders_loop(mode: str, cpl: int) -> None:
    lab = lab_with(mode, cpl).load(program(MachineLab("bare"), "vmcall", "vmcall; nop"))
    machine = lab.machine
    for turn in range(2):
        assert machine.run(max_instructions=100).kind == "vmware"
        exit_ = machine.vmware.exit
        assert exit_ is not None and exit_.hcall.cpl == cpl
        exit_.hcall.result = turn + 7
        exit_.hcall.rsi = 0xABC
        machine.set_register("edi", 0xDEF)
    assert lab.run().vector is None
    assert (lab.reg("eax"), lab.reg("esi"), lab.reg("edi")) == (8, 0xABC, 0xDEF)
    assert machine.vmware.exit is None
    assert machine.statistics()["vmware"]["hypercalls"] == 2


def test_the_embedders_loop_can_inject(mode: str) -> None:
    lab = lab_with(mode, 3).load(program(MachineLab("bare"), "vmcall"))
    lab.machine.run(max_instructions=100)
    exit_ = lab.machine.vmware.exit
    assert exit_ is not None
    exit_.inject(GP, 0x18)
    end = lab.run()
    assert (end.vector, end.frame[0]) == (GP, 0x18)


# --- between instructions -------------------------------------------------------------------------


@everyone
def test_single_step_traps_behind_it(mode: str, cpl: int) -> None:
    """TF is set by POPF: its trap comes after the next instruction, the hypercall."""
    lab = lab_with(mode, cpl)
    lab.machine.vmware.on_hypercall = lambda exit_: None
    end = lab.run("pushf; or dword ptr [esp], 0x100; popf; .byte 0x0f, 1, 0xc1; nop")
    assert end.vector == 1
    assert end.frame[0] == lab.end_of_code - 1


def test_it_counts_once(mode: str) -> None:
    lab = lab_with(mode)
    lab.machine.vmware.on_hypercall = lambda exit_: None
    lab.run(b"\x90" * 3 + CALLS["vmcall"] * 4 + b"\x90")
    assert lab.machine.statistics()["instructions"] == 9, "with the HLT"


def test_it_ends_where_the_budget_does(mode: str) -> None:
    lab = lab_with(mode)
    calls: list[int] = []
    lab.machine.vmware.on_hypercall = lambda exit_: calls.append(1)
    lab.load(b"\x90" * 3 + CALLS["vmcall"] * 4)
    assert lab.machine.run(max_instructions=3).kind == "instructions" and not calls
    assert lab.machine.run(max_instructions=1).kind == "instructions" and len(calls) == 1
    assert lab.machine.step(2).kind == "instructions" and len(calls) == 3


# --- user code that misbehaves --------------------------------------------------------------------


def test_a_callback_that_raises_ends_the_machine(mode: str) -> None:
    def broken(exit_: VmwareExit) -> None:
        raise ValueError("no such thing")

    lab = lab_with(mode)
    lab.machine.vmware.on_hypercall = broken
    outcome = lab.run(program(lab, "vmcall")).outcome
    assert outcome.kind == "callback" and not outcome.clean
    assert "broken raised ValueError: no such thing" in outcome.detail
    assert lab.reg("eip") == at_call(lab, "vmcall")


def test_a_slow_callback_ends_the_machine(mode: str) -> None:
    lab = lab_with(mode)
    lab.machine.vmware.callback_seconds = 0.05
    told = threading.Event()
    lab.machine.vmware.on_hypercall = lambda exit_: told.wait(PATIENCE) and None
    outcome = lab.run(program(lab, "vmcall")).outcome
    told.set()
    assert outcome.kind == "callback" and "within 0.05 seconds" in outcome.detail
    lab.machine.vmware.on_hypercall = lambda exit_: None
    assert lab.run().vector is None, "another function can go on from there"


def test_ctrl_c_in_a_callback_reaches_the_embedder(mode: str) -> None:
    def interrupted(exit_: VmwareExit) -> None:
        raise KeyboardInterrupt

    lab = lab_with(mode)
    lab.machine.vmware.on_hypercall = interrupted
    with pytest.raises(KeyboardInterrupt):
        lab.run(program(lab, "vmcall"))


def test_without_a_limit_it_is_called_directly(mode: str) -> None:
    import threading

    threads = []
    lab = lab_with(mode)
    lab.machine.vmware.callback_seconds = None
    lab.machine.vmware.on_hypercall = lambda exit_: threads.append(threading.current_thread())
    assert lab.run(program(lab, "vmcall")).vector is None
    assert threads == [threading.current_thread()]
