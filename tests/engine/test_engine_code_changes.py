"""Code that changes: by itself, through an alias, from outside; and traced writes."""

from __future__ import annotations

import pytest
from engine_lab import (
    CODE,
    DATA,
    END,
    FREE,
    PAGE,
    PF,
    RAM_SIZE,
    STACK,
    Lab,
    assemble,
)

from bt.contract import EXIT_EXCEPTION, EXIT_SOFTINT, PERM_EXEC, PERM_WRITE

PLACE, ALIAS = 0x500000, 0x700000
PA = FREE << 12


@pytest.fixture
def soft(lab: Lab) -> Lab:
    """A page of code at PLACE that can be written there and at ALIAS."""
    lab.map(PLACE, FREE, PERM_WRITE | PERM_EXEC)
    lab.map(ALIAS, FREE, PERM_WRITE)
    return lab


def load(lab: Lab, code: str | bytes, end: bytes = END) -> None:
    lab.write(PA, (assemble(code, PLACE) if isinstance(code, str) else code) + end)
    lab.set(eip=PLACE)


def done(lab: Lab, budget: int = 1000) -> None:
    exit_ = lab.run(budget)
    assert (exit_.reason, exit_.arg) == (EXIT_SOFTINT, 0x20), exit_


@pytest.mark.parametrize("at", [PLACE, ALIAS])
def test_the_very_next_instruction_is_the_new_one(soft: Lab, at: int) -> None:
    """`mov eax, 1` behind the write becomes `mov eax, 2`."""
    load(soft, f"mov byte ptr [{at + 8:#x}], 2; mov eax, 1")
    done(soft)
    assert soft.reg("eax") == 2


@pytest.mark.parametrize("at", [PLACE, ALIAS])
@pytest.mark.parametrize("size", ["byte", "word", "dword"])
def test_code_that_has_run_before(soft: Lab, at: int, size: str) -> None:
    """Three times round a loop whose body changes; also when it is long known."""
    body = f"mov eax, 1; add edx, eax; add {size} ptr [{at + 6:#x}], 1"
    source = f"mov ecx, 3; top: {body}; dec ecx; jnz top"
    load(soft, source)
    soft.set(edx=0)
    done(soft)
    assert soft.reg("edx") == 1 + 2 + 3
    soft.set(eip=PLACE, edx=0)
    done(soft)
    assert soft.reg("edx") == 4 + 5 + 6


@pytest.mark.parametrize("budget", [1, 2, 3])
def test_the_same_in_small_steps(soft: Lab, budget: int) -> None:
    load(soft, f"mov byte ptr [{PLACE + 8:#x}], 2; mov eax, 1; nop; nop")
    while (exit_ := soft.run(budget)).reason != EXIT_SOFTINT:
        pass
    assert (soft.reg("eax"), exit_.count) == (2, 4)


NEW = 0x3F80C390  # NOP, RET; and a number that a register of the x87 unit gives back as it is
OVERWRITE = {
    "rep stosb": f"mov edi, {PLACE:#x}; mov ecx, 1; mov al, 0x90; .byte 0xf3, 0xaa",
    "movs": f"mov esi, {DATA:#x}; mov edi, {PLACE:#x}; .byte 0xa5",
    "push": f"mov esp, {PLACE + 4:#x}; push {NEW:#x}; mov esp, {STACK + 0x800:#x}",
    "pop": f"push {NEW:#x}; pop dword ptr [{PLACE:#x}]",
    "fstp": f"fld dword ptr [{DATA:#x}]; fstp dword ptr [{PLACE:#x}]",
    "xchg": f"mov ebx, {NEW:#x}; xchg [{PLACE:#x}], ebx",
    "xor": f"xor byte ptr [{PLACE:#x}], 0xd0",
    "cmpxchg8b": f"mov eax, [{PLACE:#x}]; mov edx, [{PLACE + 4:#x}]; mov ebx, {NEW:#x};"
    f"xor ecx, ecx; lock cmpxchg8b [{PLACE:#x}]",
}  # fmt: skip


@pytest.mark.parametrize("write", OVERWRITE)
def test_every_kind_of_write_is_noticed(soft: Lab, write: str) -> None:
    """A subroutine of INC EAX is called, becomes a NOP, and is called again."""
    soft.poke(DATA, NEW.to_bytes(4, "little"))
    load(soft, "inc eax", b"\xc3")
    call = f"mov eax, 5; call {PLACE:#x}"
    soft.program(f"{call}; mov ebp, eax; {OVERWRITE[write]}; {call}")
    done(soft)
    assert (soft.reg("ebp"), soft.reg("eax")) == (6, 5)
    assert soft.read(PA, 2) == b"\x90\xc3"


def test_data_beside_code_can_be_written(soft: Lab) -> None:
    load(soft, f"mov ecx, 50; top: inc dword ptr [{PLACE + 0x800:#x}]; dec ecx; jnz top")
    done(soft)
    assert soft.read(PA + 0x800, 4) == (50).to_bytes(4, "little")


def test_a_write_through_another_space(soft: Lab) -> None:
    load(soft, "mov eax, 1")
    done(soft)
    other = soft.engine.new_space()
    soft.engine.map_page(other, CODE, 0, PERM_EXEC)
    soft.engine.map_page(other, DATA, PA, PERM_WRITE)
    soft.engine.use_space(other)
    soft.finish(f"mov byte ptr [{DATA + 1:#x}], 9")
    soft.engine.use_space(soft.space)
    soft.set(eip=PLACE)
    done(soft)
    assert soft.reg("eax") == 9


@pytest.mark.parametrize("older", [True, False])
def test_a_space_that_wrote_before_there_was_code(soft: Lab, older: bool) -> None:
    """It has written to the page; then another space runs what is there; then it writes again."""
    writing, running = soft.space, soft.engine.new_space()
    if not older:
        writing, running = running, writing
    soft.engine.map_page(writing, CODE, 0, PERM_EXEC)
    soft.engine.map_page(writing, DATA, PA, PERM_WRITE)
    soft.engine.map_page(running, PLACE, PA, PERM_EXEC)
    load(soft, "mov eax, 1")
    for value in (5, 6, 7):
        soft.engine.use_space(writing)
        soft.finish(f"mov byte ptr [{DATA + 1:#x}], {value}")
        soft.engine.use_space(running)
        soft.set(eip=PLACE)
        done(soft)
        assert soft.reg("eax") == value


def test_a_write_by_the_ideal_processor(soft: Lab) -> None:
    load(soft, "mov eax, 1")
    done(soft)
    soft.ideal.write_physical(PA + 1, 1, 7)
    soft.set(eip=PLACE)
    done(soft)
    assert soft.reg("eax") == 7


@pytest.mark.parametrize("tell", ["written", "forget_blocks"])
def test_a_write_from_outside(soft: Lab, tell: str) -> None:
    load(soft, "mov eax, 1")
    done(soft)
    soft.memory.buffer[PA + 1] = 6
    if tell == "written":
        soft.frames.written(PA + 1, 1)
    else:
        soft.frames.forget_blocks()
    soft.set(eip=PLACE)
    done(soft)
    assert soft.reg("eax") == 6


def test_an_instruction_in_two_pages_that_is_written(soft: Lab) -> None:
    soft.map(PLACE + PAGE, FREE + 1, PERM_WRITE | PERM_EXEC)
    code = assemble("mov eax, 0x11223344")
    for value in (0x11, 0x22):
        soft.write(PA + PAGE - 2, code[:2])
        soft.write(PA + PAGE, code[2:4] + bytes([value]) + END)
        soft.set(eip=PLACE + PAGE - 2)
        done(soft)
        assert soft.reg("eax") == 0x223344 | value << 24
    soft.finish(f"mov byte ptr [{PLACE + PAGE + 2:#x}], 0x33")
    soft.set(eip=PLACE + PAGE - 2)
    done(soft)
    assert soft.reg("eax") == 0x33223344


# --- traced writes ------------------------------------------------------------------------------

TRACED = DATA + 0x100
TRACED_PA = 0x4100

WRITES = {
    "byte": ("mov [ebx], al", 0, 1),
    "word": ("mov [ebx], ax", 1, 2),
    "dword": ("mov [ebx], eax", 3, 4),
    "modify": ("add [ebx], eax", 2, 4),
    "exchange": ("xchg [ebx], eax", 0, 4),
    "set": ("setz [ebx]", 0, 1),
}


@pytest.mark.parametrize("name", WRITES)
def test_a_traced_byte_cannot_be_written(lab: Lab, name: str) -> None:
    """Although the page was written before; any byte of the operand counts."""
    code, before, size = WRITES[name]
    lab.finish(code, ebx=TRACED - 0x20)
    lab.frames.trace_writes(TRACED_PA, 1, True)
    for offset in {before, 0, size - 1}:
        exit_ = lab.fault(code, ebx=TRACED - offset)
        assert (exit_.vector, exit_.error, exit_.traced) == (PF, 7, True)
    assert lab.ram.take_write_log() == []


def test_traced_bytes_can_be_read_and_run(lab: Lab) -> None:
    lab.frames.trace_writes(TRACED_PA, 4, True)
    lab.finish("mov eax, [ebx]; mov ecx, [ebx + 1]", ebx=TRACED)
    lab.frames.trace_writes(0, 0x100, True)
    lab.finish("nop; nop")


def test_a_traced_push_leaves_esp(lab: Lab) -> None:
    lab.frames.trace_writes(0x9000 + 0x7FD, 1, True)
    exit_ = lab.fault("push eax", esp=STACK + 0x800)
    assert exit_.traced


def test_an_untraced_byte_can_be_written_again(lab: Lab) -> None:
    lab.frames.trace_writes(TRACED_PA, 8, True)
    lab.frames.trace_writes(TRACED_PA + 4, 4, False)
    assert lab.fault("mov [ebx], al", ebx=TRACED).traced
    lab.frames.trace_writes(TRACED_PA, 4, False)
    lab.finish("mov [ebx], eax; mov [ebx + 4], eax", ebx=TRACED, eax=0x5A5A5A5A)
    assert lab.peek(TRACED, 8) == b"\x5a" * 8


def test_a_traced_byte_through_any_mapping(lab: Lab) -> None:
    lab.map(PLACE, 4, PERM_WRITE)
    lab.frames.trace_writes(TRACED_PA, 1, True)
    assert lab.fault("mov [ebx], al", ebx=PLACE + 0x100).traced
    lab.map(ALIAS, 4, PERM_WRITE)
    assert lab.fault("mov [ebx], al", ebx=ALIAS + 0x100).traced


def test_which_bytes_are_traced(lab: Lab) -> None:
    lab.frames.trace_writes(TRACED_PA, 8, True)
    lab.frames.trace_writes(TRACED_PA + 2, 3, False)
    around = range(TRACED_PA - 1, TRACED_PA + 9)
    assert [lab.ram.is_traced(pa) for pa in around] == [0, 1, 1, 0, 0, 0, 1, 1, 1, 0]


def test_a_traced_byte_in_any_space(lab: Lab) -> None:
    """All of them have written to the page before it is traced."""
    other = lab.engine.new_space()
    lab.engine.map_page(other, CODE, 0, PERM_EXEC)
    lab.engine.map_page(other, DATA, 0x4000, PERM_WRITE)
    for space in (lab.space, other):
        lab.engine.use_space(space)
        lab.finish("mov [ebx], al", ebx=TRACED)
    lab.frames.trace_writes(TRACED_PA, 1, True)
    for space in (lab.space, other):
        lab.engine.use_space(space)
        assert lab.fault("mov [ebx], al", ebx=TRACED).traced


def test_a_straddling_write_to_a_traced_byte(lab: Lab) -> None:
    edge = DATA + PAGE
    for traced in (0x4FFF, 0x5000):
        lab.frames.trace_writes(traced, 1, True)
        assert lab.fault("mov [ebx], eax", ebx=edge - 2, eax=0x77777777).traced
        lab.frames.trace_writes(traced, 1, False)


@pytest.mark.engine("traces_bytes")
def test_a_straddling_write_beside_a_traced_byte(lab: Lab) -> None:
    """Both of its pages have traced bytes; it touches none of them."""
    edge = DATA + PAGE
    for traced in (0x4FFD, 0x5002):
        lab.frames.trace_writes(traced, 1, True)
    lab.finish("mov [ebx], eax", ebx=edge - 2, eax=0x77777777)
    assert lab.peek(edge - 3, 3) == b"\0\x77\x77"
    assert lab.peek(edge, 3) == b"\x77\x77\0"


def test_rep_stops_before_a_traced_byte(lab: Lab) -> None:
    lab.frames.trace_writes(TRACED_PA, 1, True)
    lab.program(bytes.fromhex("f3aa"))
    lab.set(edi=TRACED - 0x10, ecx=0x20, eax=0x33)
    exit_ = lab.run()
    assert (exit_.reason, exit_.traced, exit_.count) == (EXIT_EXCEPTION, True, 0)
    written = lab.reg("edi") - (TRACED - 0x10)
    assert 0 <= written <= 0x10 and lab.reg("ecx") == 0x20 - written
    assert lab.peek(TRACED - 0x10, 0x20) == b"\x33" * written + bytes(0x20 - written)
    lab.frames.trace_writes(TRACED_PA, 1, False)
    assert lab.run().reason == EXIT_SOFTINT
    assert lab.peek(TRACED - 0x10, 0x20) == b"\x33" * 0x20


def test_the_ideal_processors_writes_are_logged(lab: Lab) -> None:
    lab.frames.trace_writes(TRACED_PA, 4, True)
    lab.ideal.write_physical(TRACED_PA + 8, 4, 1)
    assert lab.ram.take_write_log() == []
    lab.ideal.write_physical(TRACED_PA + 2, 4, 1)
    log = lab.ram.take_write_log()
    assert log is not None and covers(log, TRACED_PA + 2) and covers(log, TRACED_PA + 3)
    assert lab.ram.take_write_log() == []


def test_a_long_log_forgets_nothing(lab: Lab) -> None:
    """It tells all places, or that they are too many."""
    places = range(0, RAM_SIZE - PAGE, 0x200)
    for count in (1, 40, len(places)):
        for pa in places[:count]:
            lab.frames.trace_writes(pa, 1, True)
            lab.ideal.write_physical(pa, 1, 2)
        log = lab.ram.take_write_log()
        assert log is not None or count > 1
        assert log is None or all(covers(log, pa) for pa in places[:count])
        assert lab.ram.take_write_log() == []


def covers(log: list[tuple[int, int]], pa: int) -> bool:
    return any(first <= pa < first + size for first, size in log)


def test_a_page_fault_after_a_traced_write_is_none(lab: Lab) -> None:
    lab.frames.trace_writes(TRACED_PA, 1, True)
    assert lab.fault("mov [ebx], al", ebx=TRACED).traced
    exit_ = lab.fault("mov [ebx], al", ebx=PLACE)
    assert (exit_.traced, exit_.address) == (False, PLACE)
