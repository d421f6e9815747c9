"""SYSENTER and SYSEXIT (SDM vol. 2)."""

from __future__ import annotations

import pytest
from system_lab import CODE, CODE0, CS, ECX, EDX, ESP, GP, SS, UD, Lab, external_lab

from bt.assembler import assemble
from bt.interp.state import EXIT_EXCEPTION, EXIT_HALT
from bt.models import MODELS
from monitor import Machine

KERNEL, KERNEL_STACK, USER, USER_STACK = 0x30000, 0x38000, 0x31000, 0x39000
SYSENTER, SYSEXIT = b"\x0f\x34", b"\x0f\x35"
CODE_RIGHTS, DATA_RIGHTS = 0xC09B, 0xC093


def ready(lab: Lab | None = None, cs: int = CODE0, name: str = "pentium2") -> Lab:
    lab = lab or Lab()
    lab.cpu.set_model(MODELS[name])
    lab.cpu.msr_sysenter_cs = cs
    lab.cpu.msr_sysenter_esp, lab.cpu.msr_sysenter_eip = KERNEL_STACK, KERNEL
    lab.memory[KERNEL] = lab.memory[USER] = 0xF4
    return lab


@pytest.mark.parametrize("ring", [0, 1, 3])
def test_sysenter(ring: int) -> None:
    lab = ready().ring(ring)
    lab.cpu.set_flags(0x10202 | 0x8D5)
    stop = lab.run(SYSENTER)
    assert (stop.reason, stop.vector, lab.cpu.eip) == (EXIT_HALT, None, KERNEL + 1)
    assert lab.cpu.cpl == 0
    assert lab.reg(ESP) == KERNEL_STACK
    assert lab.cpu.segment(CS) == (CODE0, 0, 0xFFFFFFFF, CODE_RIGHTS)
    assert lab.cpu.segment(SS) == (CODE0 + 8, 0, 0xFFFFFFFF, DATA_RIGHTS)
    assert lab.cpu.flags() == 0x2 | 0x8D5, "IF and RF are clear, the others as they were"


def test_sysenter_from_virtual_8086_mode() -> None:
    lab = ready().v86()
    assert lab.run(SYSENTER, bits=16).reason == EXIT_HALT
    assert (lab.cpu.eip, lab.cpu.cpl, lab.cpu.flags() & 0x20200) == (KERNEL + 1, 0, 0)


def test_the_selectors_rpl_does_not_count() -> None:
    lab = ready(cs=CODE0 | 3).ring(3)
    lab.run(SYSENTER)
    assert (lab.sel(CS), lab.sel(SS)) == (CODE0, CODE0 + 8)


@pytest.mark.parametrize("cs", [0, 3])
@pytest.mark.parametrize("code", [SYSENTER, SYSEXIT], ids=["sysenter", "sysexit"])
def test_without_a_segment(cs: int, code: bytes) -> None:
    stop = ready(cs=cs).run(code)
    assert (stop.vector, stop.error) == (GP, 0)


@pytest.mark.parametrize("code", [SYSENTER, SYSEXIT], ids=["sysenter", "sysexit"])
def test_in_real_mode(code: bytes) -> None:
    lab = ready().real_mode()
    assert lab.run(code, bits=16).vector == GP


def test_sysexit() -> None:
    lab = ready()
    lab.cpu.set_reg(EDX, USER)
    lab.cpu.set_reg(ECX, USER_STACK)
    lab.cpu.set_flags(0x8D7)
    lab.memory[USER : USER + 2] = b"\x90\xf4"
    stop = lab.run(SYSEXIT, budget=2)
    assert (lab.cpu.eip, lab.cpu.cpl, lab.reg(ESP)) == (USER + 1, 3, USER_STACK), stop
    assert lab.cpu.segment(CS) == (CODE0 + 16 | 3, 0, 0xFFFFFFFF, CODE_RIGHTS | 0x60)
    assert lab.cpu.segment(SS) == (CODE0 + 24 | 3, 0, 0xFFFFFFFF, DATA_RIGHTS | 0x60)
    assert lab.cpu.flags() == 0x8D7, "IF stays as it is"
    assert lab.go_on().vector == GP, "HLT in ring 3"


@pytest.mark.parametrize("where", ["ring 1", "ring 3", "v86"])
def test_sysexit_is_for_ring_0(where: str) -> None:
    lab = ready()
    lab = lab.v86() if where == "v86" else lab.ring(int(where[-1]))
    stop = lab.run(SYSEXIT, bits=16 if where == "v86" else 32)
    assert (stop.vector, stop.error) == (GP, 0)


@pytest.mark.parametrize("code", [SYSENTER, SYSEXIT], ids=["sysenter", "sysexit"])
def test_an_engine_leaves_it_to_the_monitor(code: bytes) -> None:
    lab = ready(external_lab()).ring(3)
    assert lab.run(code).reason == EXIT_EXCEPTION
    assert (lab.cpu.fault_vector, lab.cpu.fault_error, lab.cpu.eip) == (GP, 0, CODE)


@pytest.mark.parametrize("name", ["486", "pentium", "pentiumpro"])
def test_who_has_none(name: str) -> None:
    assert ready(name=name).run(SYSENTER).vector == UD


LOOP = """
    mov ecx, 0x174; mov eax, 0x10; xor edx, edx; wrmsr
    mov ecx, 0x175; mov eax, 0x109000; wrmsr
    mov ecx, 0x176; mov eax, {kernel}; wrmsr
    mov edx, {user}; mov ecx, 0x10a000; xor edi, edi; xor ebx, ebx
    sysexit
"""
KERNEL_CODE = """
    inc edi; cmp edi, 50; jae done
    mov edx, {user}; mov ecx, esi
    sysexit
done: mov edx, 0xf4; mov al, 0; out dx, al; hlt
"""
USER_CODE = "lea ebx, [ebx + edi * 4 + 1]; mov esi, esp; push ebx; sysenter; hlt"


@pytest.mark.parametrize("mode", ["bare", "trap", "translate"])
def test_fifty_calls(mode: str) -> None:
    """From direct execution into translated code and back: the same life."""
    kernel, user = 0x107000, 0x108000
    machine = Machine(memory_mb=2, mode=mode, cpu="pentium2")
    machine.write_physical(kernel, assemble(KERNEL_CODE.format(user=user), kernel))
    machine.write_physical(user, assemble(USER_CODE, user))
    machine.load_flat(assemble(LOOP.format(kernel=kernel, user=user), 0x100000), 0x100000,
                      esp=0x109000)  # fmt: skip
    outcome = machine.run(max_instructions=2000)
    assert outcome.status == 1, outcome
    registers = machine.registers
    assert (registers["edi"], registers["ebx"]) == (50, sum(4 * i + 1 for i in range(50)))
    assert (registers["cs"], registers["ss"], registers["esp"]) == (0x10, 0x18, 0x109000)
    assert machine.statistics()["instructions"] == 15 + 4 * 50 + 6 * 49 + 6
