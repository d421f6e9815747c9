"""Extensions that are wrong end their machine with a report, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from bt.stub_code import assembled
from monitor import Machine
from monitor.extensions import Extensions
from monitor.extensions.stubs import BadStub, OwnStubs
from monitor.extensions.template import checked
from monitor.guests.small_kernel import Kernel, make
from monitor.vmm.errors import UserError
from monitor.vmm.outcome import Outcome

PROGRAM = """
    mov  ecx, 50
again:
    cli
    sti
    pushfd
    popfd
    dec  ecx
    jnz  again
    int  0x31
"""


def run(mode: str = "translate", paging: bool = False, **extensions: Any) -> Outcome:
    kernel = Kernel(PROGRAM, paging=paging)
    machine = make(kernel, mode, extensions=Extensions(**extensions))
    return machine.run(max_instructions=100_000)


def here(function: Callable[..., Any]) -> str:
    """File and first line of a function, as reports name them."""
    return f"test_extensions.py:{function.__code__.co_firstlineno}"


@pytest.mark.parametrize(("extensions", "mode", "message"), [
    (Extensions(handler=lambda cpu: False), "translate", "handler: goes with mode trap, not tr"),
    (Extensions(stubs={}), "trap", "stubs: goes with mode translate, not trap"),
    (Extensions(chaining=object), "bare", "chaining: goes with mode translate, not bare"),
    (Extensions(table_written=lambda *_: None), "translate", "table_written: goes with fill"),
])  # fmt: skip
def test_an_extension_goes_with_a_mode(
    extensions: Extensions, mode: str, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        Machine(memory_mb=1, mode=mode, extensions=extensions)


@pytest.mark.parametrize("mode", ["bare", "trap", "translate"])
def test_no_extension_at_all_changes_nothing(mode: str) -> None:
    plain, other = make(Kernel(PROGRAM), mode), make(Kernel(PROGRAM), mode, extensions=Extensions())
    ends = [machine.run(max_instructions=100_000) for machine in (plain, other)]
    assert ends[0] == ends[1] and ends[0].kind == "exit"
    assert plain.instructions == other.instructions
    if mode != "bare":
        assert plain.statistics()["exits"] == other.statistics()["exits"]


# --- raising, and nonsense ---------------------------------------------------------------


def test_a_handler_that_raises() -> None:
    def handle(cpu: Any) -> bool:
        raise KeyError("what")

    outcome = run("trap", handler=handle)
    line = handle.__code__.co_firstlineno + 1
    assert outcome.kind == "callback"
    assert outcome.detail == f"test_extensions.py:{line}, in handle: KeyError: 'what'"


def test_a_handler_that_is_not_written_yet() -> None:
    def handle(cpu: Any) -> bool:
        raise NotImplementedError

    assert run("trap", handler=handle).detail.endswith("in handle: not written yet")


def test_a_handler_that_answers_with_nothing() -> None:
    def handle(cpu: Any) -> Any:
        return None

    outcome = run("trap", handler=handle)
    assert outcome.kind == "callback"
    assert outcome.detail.startswith(here(handle))
    assert outcome.detail.endswith("returned None: True (emulated) or False (not mine)")


@pytest.mark.parametrize(("use", "message"), [
    (lambda cpu: cpu.reg(8), "reg(8): general registers are 0 to 7"),
    (lambda cpu: cpu.set_reg(-1, 0), "set_reg(-1): general registers are 0 to 7"),
    (lambda cpu: cpu.segment_base(6), "segment_base(6): segment registers are 0 to 5"),
    (lambda cpu: cpu.control(1), "control(1): there are CR0, CR2, CR3 and CR4"),
    (lambda cpu: cpu.set_control(8, 0), "set_control(8): there are CR0, CR2, CR3 and CR4"),
    (lambda cpu: cpu.port_in(0x21, 3), "port_in(..., 3): a port access has 1, 2 or 4 bytes"),
    (lambda cpu: cpu.port_out(0x21, 0, 0), "port_out(..., 0): a port access has 1, 2 or 4 bytes"),
    (lambda cpu: cpu.read(0xFFFF0000, 4), "read(0xffff0000, 4): the guest has nothing mapped"),
])  # fmt: skip
def test_the_virtual_cpu_says_what_it_does_not_have(
    use: Callable[[Any], Any], message: str
) -> None:
    def handle(cpu: Any) -> bool:
        use(cpu)
        return False

    outcome = run("trap", handler=handle)
    assert outcome.kind == "callback" and message in outcome.detail
    assert "test_extensions.py:" in outcome.detail


def nothing(*_args: Any) -> None:
    """A table_written."""


@pytest.mark.parametrize(("fill", "message"), [
    (lambda fault, guest, shadow: 1, "returned 1: True (hidden fault) or False (true fault)"),
    (lambda fault, guest, shadow: True, "is a hidden fault, and mapped nothing"),
    (lambda fault, guest, shadow: shadow.map(0x123, writable=True), "map(0x123): a frame's addr"),
    (lambda fault, guest, shadow: shadow.trace(3), "trace(0x3): the physical address of a 4-byte"),
    (lambda fault, guest, shadow: guest.read("x"), "read('x'): the physical address of a 4-byte"),
    (lambda fault, guest, shadow: guest.write(1 << 30, 0), "there is no guest RAM there"),
    (lambda fault, guest, shadow: shadow.map(0, writable=False) is None, "read-only page"),
])  # fmt: skip
def test_a_fill_that_answers_with_nonsense(fill: Callable[..., Any], message: str) -> None:
    outcome = run(paging=True, fill=fill, table_written=nothing)
    assert outcome.kind == "callback" and message in outcome.detail
    assert "test_extensions.py:" in outcome.detail


def test_tracing_needs_somebody_to_be_told() -> None:
    outcome = run(paging=True, fill=lambda fault, guest, shadow: shadow.trace(0x40000))
    assert "there is no table_written to be called" in outcome.detail


class Chaining:
    """Does nothing, or one thing that is wrong."""

    def __init__(self, code: Any) -> None:
        self.code = code

    def left(self, exit: Any, next_block: Any) -> None: ...

    def dropped(self, block: Any) -> None: ...

    def emptied(self) -> None: ...


def chaining(wrong: Callable[[Any, Any], Any]) -> type:
    return type("Wrong", (Chaining,), {"left": lambda self, exit, _next: wrong(self.code, exit)})


@pytest.mark.parametrize(("wrong", "message"), [
    (lambda code, exit: code.write(0x1000, b"\xcc"), "code.write(0x1000, ...): the cache is used"),
    (lambda code, exit: code.write(exit.address, bytes(7)), "give 1 to 6 bytes"),
    (lambda code, exit: code.write(exit.address, "x"), "give 1 to 6 bytes"),
    (lambda code, exit: code.read(0xFFFFFFFF, 4), "code.read(0xffffffff, ...): the cache is used"),
    (lambda code, exit: exit.nothing, "AttributeError"),
])  # fmt: skip
def test_a_chaining_that_goes_wrong(wrong: Callable[[Any, Any], Any], message: str) -> None:
    outcome = run(chaining=chaining(wrong))
    assert outcome.kind == "callback" and message in outcome.detail
    assert "test_extensions.py:" in outcome.detail


def test_a_jump_out_of_the_cache_ends_the_machine() -> None:
    outcome = run(chaining=chaining(lambda code, exit: code.write(
        exit.jump or exit.address, b"\x0f\x85\0\0\0\x7f" if exit.jump else b"\xe9\0\0\0\x70")))
    assert outcome.kind == "callback" and "outside of the cache" in outcome.detail


def test_an_exit_that_is_none_ends_the_machine() -> None:
    """An INT3 one byte behind the exit: there it is none."""
    outcome = run(chaining=chaining(lambda code, exit: code.write(exit.address, b"\x90\xcc")))
    assert outcome.kind == "callback" and "an INT3" in outcome.detail


# --- templates ---------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "template", "message"), [
    ("clii", "exit", "did you mean cli?"),
    ("nop", "exit", "there can be none: it is innocuous"),
    ("cli", 7, "a template is a string"),
    ("cli", "", "the template is empty"),
    ("cli", "mov eax, 0", "no line is marked `done`"),
    ("cli", "mov eax ebx | done", "cannot be assembled"),
    ("cli", "nop | doen", "unknown tag 'doen'; there are done, eax, ecx, esi"),
    ("cli", "nop |\nnop | done", "a tag is missing"),
    ("cli", "again: nop\njnz again\nnop | done", "jumps backwards"),
    ("cli", "jnz there\nnop | done", "there is no label there behind it"),
    ("cli", "jecxz slow\nnop | done\nslow:\nexit", "jecxz reaches no further than the stub"),
    ("cli", "there:\nnop | done", "an instruction is missing"),
    ("cli", "nop; nop | done", "one instruction a line"),
    ("cli", "ret\nnop | done", "ret is no way out of a stub"),
    ("cli", "jmp eax\nnop | done", "there is no label eax behind it"),
    ("cli", "jo on\non: nop | done", "jo is no way out of a stub"),
    ("cli", "exit\nnop", "the last line is `done`, exit, lookup or jmp slow"),
    ("cli", "nop | done\nnop | done", "only the last line before `slow:` may be `done`"),
    ("cli", "nop | done\nslow:\nnop | done\nexit", "only the last line before `slow:`"),
    ("cli", "lookup\nnop | done", "only the last line before `slow:` may be lookup"),
    ("cli", "nop | done\nslow:\nnop", "behind `slow:`, exit is last"),
    ("cli", "nop | done\nslow:", "behind `slow:`, exit is last"),
    ("cli", "slow:\nexit", "there is nothing before it"),
    ("cli", "jc slow\nnop | done\nslow:\njc slow\nexit", "no jumps and labels behind `slow:`"),
    ("cli", "jc there\nnop | done\nslow:\nthere: exit", "no jumps and labels behind `slow:`"),
    ("cli", "jc slow\nslow: nop | done", "no label may be called slow"),
    ("cli", "jmp MISS\nnop | done", "MISS is for the monitor's own stubs"),
    ("cli", "on: jc on\nnop | done", "jumps backwards"),
    ("cli", "jc on\non: nop\non: nop | done", "there are two labels on"),
    ("cli", "jc on | done", "a jump cannot be `done`"),
    ("cli", "exit | done", "exit is an end by itself"),
    ("cli", "GUEST | done", "GUEST is for the monitor's own stubs"),
    ("cli", "mov eax, IMMEDIATE | done", "IMMEDIATE is for the monitor's own stubs"),
    ("cli", ".byte 0x90 | done", "no comments and no directives"),
    ("cli", "nop # nothing | done", "no comments and no directives"),
    ("cli", "cli | done", "in ring 3, CLI traps or shows the engine's own state"),
    ("cli", "sgdt [esp] | done", "in ring 3, SGDT traps"),
    ("cli", "mov ds, eax | done", "in ring 3, MOV traps"),
    ("cli", "insb | done", "in ring 3, INSB traps"),
    ("cli", "in al, dx\nnop | done", "a port access ends a stub: mark it `done`"),
    ("cli", "fld1 | done", "the x87 unit remembers"),
    ("cli", "rep stosb | done", "REP may leave in the middle"),
    ("cli", "movaps xmm0, xmm1 | done", "this processor has no such instruction"),
    ("cli", "hlt | done", "hlt is no way out of a stub"),
    ("cli", "int 0x80 | done", "int is no way out of a stub"),
    ("cli", "vmcall | done", "vmcall is no way out of a stub"),
    ("cli", "mov eax, cs:[eax] | done", "no cs: and fs: in a stub"),
    ("cli", "mov eax, fs:[eax] | done", "no cs: and fs: in a stub"),
    ("cli", "mov eax, gs:[eax] | done", "there is no slot eax"),
    ("cli", "mov eax, gs:[eax*4] | done", "gs: is for the slots of the vCPU page"),
    ("cli", "mov eax, gs:[VSYS + eax] | done", "eax: a number goes there"),
    ("cli", "mov eax, gs:[0x2000] | done", "there is no slot 0x2000"),
    ("cli", "mov eax, gs:[NEAR_LANDINGS] | done", "there is no slot NEAR_LANDINGS"),
    ("cli", "mov dword ptr gs:[OWN + 256], eax | done", "the slot OWN has 256 bytes"),
    ("cli", "mov dword ptr gs:[OWN + 253], eax | done", "the slot OWN has 256 bytes"),
    ("cli", "cmpxchg8b qword ptr gs:[VSYS] | done", "the slot VSYS has 4 bytes"),
    ("cli", "mov dword ptr gs:[CR0], eax | done", "the slot CR0 is for reading"),
    ("cli", "pop dword ptr gs:[IDTR_BASE] | done", "the slot IDTR_BASE is for reading"),
    ("cli", "bts dword ptr gs:[OWN], eax | done", "by name, in moves and arithmetic"),
    ("cli", "movsd es:[edi], gs:[esi] | done", "slot"),
    ("cli", "fld dword ptr gs:[OWN] | done", "x87"),
    ("cli", "jc on\n" + "mov eax, 1\n" * 30 + "on: nop | done", "more than 127 bytes"),
    ("cli", "mov eax, 1\n" * 110 + "nop | done", "a stub has at most 512"),
])  # fmt: skip
def test_a_template_that_cannot_be_one_is_refused(
    name: str, template: Any, message: str
) -> None:
    with pytest.raises(BadStub, match="stub ") as caught:
        OwnStubs({name: template})
    assert message in str(caught.value)


def test_a_template_is_made_for_the_register_that_is_reserved() -> None:
    template = checked("cli", "mov dword ptr gs:[VSYS], 0 | done")
    codes = [assembled(template.text, reserved).hot[0].code for reserved in ("gs", "fs")]
    assert [code[0] for code in codes] == [0x65, 0x64]


@pytest.mark.parametrize("template", [
    "exit",
    "mov dword ptr gs:[VSYS], 0 | done",
    "jmp on\nexit\non: mov dword ptr gs:[VSYS], 0 | done",
    "jmp slow\nslow:\nexit",
    "pushfd\ncmp dword ptr gs:[CR0], 5\npopfd\nmov dword ptr gs:[VSYS + 0], 0 | done",
    "jc slow\nmov dword ptr gs:[VSYS], 0 | done\n  slow:\nexit",
])  # fmt: skip
def test_ways_to_write_a_stub(template: str) -> None:
    outcome = run(stubs={"cli": template})
    assert outcome.kind == "exit"
