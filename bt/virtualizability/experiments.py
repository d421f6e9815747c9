"""Experiments: each form of an instruction with visible states in which it has something to do.

Most instructions do the same kind of thing whatever their operands are, and get one state. Those
that load selectors, transfer control, pop flags or write system registers get several, by their
body's name in the table, because whether they fault depends on the operand. Nothing here says what
an instruction is going to do.

A memory operand lies at `Place.operand`; the same value is in ECX, for register operands.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from bt.hostcpu import layout as at
from bt.interp.state import (
    ARITH,
    CF,
    CR0_TS,
    CR4_MCE,
    DF,
    EAX,
    EBP,
    EBX,
    ECX,
    EDI,
    EDX,
    ESI,
    ESP,
    IF,
    OF,
)
from bt.virtualizability.forms import Form, Operands, encode
from bt.virtualizability.worlds import GUEST

WINDOW_SIZE = at.MAIN_SIZE
SELECTOR_LDT, SELECTOR_TSS = 0x58, 0x70  # for LLDT and LTR: present, and nobody uses them
VALUE = 0x0001_2301

#: The x87 unit before an experiment, as FNSAVE stores it: nothing unmasked, ST(0) = 0, ST(1) = 1.
UNIT_STATE = b"".join(
    (
        *(word.to_bytes(4, "little") for word in (0xFFFF_037F, 0xFFFF_3000, 0xFFFF_1FFF)),
        bytes(16),
        *(bytes(10), bytes(7) + b"\x80\xff\x3f"),
        bytes(60),
    )
)


@dataclass(frozen=True)
class Place:
    """Where an experiment's operands are: offsets in its segments, and selectors it may use."""

    bits: int
    code: int
    window: int
    target: int  #: of control transfers
    selectors: dict[str, int]

    @property
    def operand(self) -> int:
        """Of memory operands."""
        return self.window + 0x40

    @property
    def source(self) -> int:
        """Of string instructions."""
        return self.window + 0x80

    @property
    def destination(self) -> int:
        """Of string instructions."""
        return self.window + 0xA0

    @property
    def stack(self) -> int:
        """Where ESP points."""
        return self.window + 0x100

    @property
    def frame(self) -> int:
        """Where EBP points."""
        return self.window + 0x140


def _rpl(segment: at.LdtSegment, rpl: int) -> int:
    return segment.selector & ~3 | rpl


PROTECTED_PLACE = Place(
    32,
    at.CODE_ADDR,
    at.MAIN_WINDOW,
    at.CODE_PAGE + 0x900,
    {
        "kernel data, RPL 0": _rpl(at.SEG_WINDOW, 0),
        "kernel data, RPL 3": _rpl(at.SEG_WINDOW, 3),
        "user data": _rpl(at.SEG_STACK16, 3),
        "kernel code, RPL 0": _rpl(at.SEG_CODE, 0),
        "kernel code, RPL 3": _rpl(at.SEG_CODE, 3),
        "user code": _rpl(at.SEG_OTHER_CODE, 3),
        "a segment of the monitor's": 0x18,
        "null": 0,
        "not present": _rpl(at.SEG_NOT_PRESENT, 3),
    },
)
SIXTEEN_BIT_PLACE = Place(16, 0x100, 0x100, 0x200, {"another paragraph": 0x0300})
PLACES = {32: PROTECTED_PLACE, 16: SIXTEEN_BIT_PLACE}
SELECTOR_OUTER_STACK = at.SEG_FLAT.selector


@dataclass(frozen=True)
class Input:
    """What differs from the usual state."""

    label: str = ""
    regs: dict[int, int] = field(default_factory=dict)
    operand: bytes = VALUE.to_bytes(4, "little")
    stack: bytes = b""
    flags: int = CF
    operands: Operands = field(default_factory=Operands)


@dataclass(frozen=True)
class Experiment:
    """An instruction and the visible state before it. `flags` are those that ring 3 can set."""

    form: Form
    label: str
    place: Place
    code: bytes
    regs: tuple[int, ...]
    flags: int
    window: bytes


def experiments(form: Form, bits: int) -> list[Experiment]:
    """The form's experiments in code of 16 or 32 bits."""
    place = PLACES[bits]
    makers = INPUTS.get(form.row.body, _usual)
    return [_experiment(form, place, made) for made in makers(form, place)]


def _experiment(form: Form, place: Place, made: Input) -> Experiment:
    regs = [0] * 8
    regs[EAX], regs[ECX], regs[EDX], regs[EBX] = 0x12, VALUE, 0x80, place.operand
    regs[ESP], regs[EBP], regs[ESI], regs[EDI] = (
        place.stack,
        place.frame,
        place.source,
        place.destination,
    )
    for number, value in made.regs.items():
        regs[number] = value
    operands = replace(made.operands, offset=made.operands.offset or place.operand)
    window = bytearray(WINDOW_SIZE)
    stack = made.stack or _words(_size(form, place), place.target, VALUE)
    for start, data in (
        (place.operand, made.operand),
        (place.source, bytes(range(1, 17))),
        (place.destination, bytes(range(1, 25, 2))),
        (place.stack, stack),
        (place.frame, _words(_size(form, place), VALUE, VALUE)),
    ):
        window[start - place.window : start - place.window + len(data)] = data
    code = encode(form, place.bits, operands)
    return Experiment(form, made.label, place, code, tuple(regs), made.flags, bytes(window))


def _size(form: Form, place: Place) -> int:
    return (form.size or place.bits) // 8


def _words(size: int, *values: int) -> bytes:
    mask = (1 << 8 * size) - 1
    return b"".join((value & mask).to_bytes(size, "little") for value in values)


# --- the inputs of each kind of instruction -----------------------------------------------------

Maker = Callable[[Form, Place], list[Input]]


def _usual(form: Form, place: Place) -> list[Input]:
    """The second one has other flags, and another sign."""
    other = {EAX: 0xFFFF_FF81, EDX: 0x40}
    return [Input(), Input("other values", other, b"\x81\xff\xff\xff", flags=ARITH | DF)]


def _value(label: str, value: int) -> Input:
    """As memory operand, in ECX and in EAX."""
    return Input(label, {ECX: value, EAX: value}, value.to_bytes(4, "little"))


def _selector_operands(form: Form, place: Place) -> list[Input]:
    return [_value(label, selector) for label, selector in place.selectors.items()]


def _selector_on_stack(form: Form, place: Place) -> list[Input]:
    size = _size(form, place)
    return [Input(label, stack=_words(size, each)) for label, each in place.selectors.items()]


def _far_pointer(form: Form, place: Place) -> list[Input]:
    """In memory, and in the instruction."""
    return [
        Input(
            label,
            operand=_words(_size(form, place), place.target) + _words(2, selector),
            operands=Operands(offset=place.target, selector=selector),
        )
        for label, selector in place.selectors.items()
    ]


def _far_return(form: Form, place: Place) -> list[Input]:
    size = _size(form, place)
    outer = (place.frame, SELECTOR_OUTER_STACK)
    return [
        Input(
            label,
            stack=_words(size, place.target, selector, *outer),
            operands=Operands(immediate=0),
        )
        for label, selector in place.selectors.items()
    ]


def _interrupt_return(form: Form, place: Place) -> list[Input]:
    """IF clear and set in the popped flags."""
    size = _size(form, place)
    outer = (place.frame, SELECTOR_OUTER_STACK)
    return [
        Input(
            f"{label}, IF {flags >> 9}",
            stack=_words(size, place.target, each, flags | 2, *outer),
        )
        for label, each in place.selectors.items()
        for flags in (0, IF)
    ]


def _flags_on_stack(form: Form, place: Place) -> list[Input]:
    size = _size(form, place)
    images = {"IF 0": 2, "IF 1": IF | 2, "IOPL 3": 0x3002, "arithmetic flags": CF | OF | DF | 2}
    return [Input(label, stack=_words(size, image)) for label, image in images.items()]


def _table_operand(form: Form, place: Place) -> list[Input]:
    return [Input("limit FF, base 1000", operand=_words(2, 0xFF) + _words(4, 0x1000))]


def _control_register(form: Form, place: Place) -> list[Input]:
    """The value that is there, with one bit changed; CR3 gets a directory that maps the same."""
    values = {0: GUEST.cr0 ^ CR0_TS, 2: VALUE, 3: DIRECTORIES[1], 4: GUEST.cr4 ^ CR4_MCE}
    return [_value("one bit changed", values.get(form.reg or 0, VALUE))]


def _debug_register(form: Form, place: Place) -> list[Input]:
    return [_value("", {6: 0xFFFF_0FF1, 7: 0x400}.get(form.reg or 0, VALUE))]


def _machine_status(form: Form, place: Place) -> list[Input]:
    return [_value("TS set", (GUEST.cr0 | CR0_TS) & 0xFFFF)]


def _msr(form: Form, place: Place) -> list[Input]:
    return [Input("SYSENTER_CS", {ECX: 0x174}), Input("time-stamp counter", {ECX: 0x10})]


def _counter(form: Form, place: Place) -> list[Input]:
    return [Input("counter 0", {ECX: 0})]


def _vector(form: Form, place: Place) -> list[Input]:
    """Vectors 3 and 4 have gates with DPL 3, as in every operating system; 32 has not."""
    return [Input(f"INT {n}", operands=Operands(immediate=n)) for n in (3, 4, 0x20)]


def _overflow(form: Form, place: Place) -> list[Input]:
    return [Input("OF 0"), Input("OF 1", flags=OF)]


def _near_target(form: Form, place: Place) -> list[Input]:
    return [_value("", place.target)]


def _bounds(form: Form, place: Place) -> list[Input]:
    size = _size(form, place)
    return [Input("inside", operand=_words(size, 0, 0x100)), Input("outside")]


def _leaf(form: Form, place: Place) -> list[Input]:
    return [Input(f"leaf {n}", {EAX: n}) for n in (0, 1)]


def _ring0_selector(selector: int) -> Maker:
    return lambda form, place: [_value("", selector)]


#: Physical addresses of two page directories that map the same (bench.py builds them).
DIRECTORIES = (0x1000, 0x5000)

INPUTS: dict[str, Maker] = {
    **dict.fromkeys(("mov_se", "lar", "lsl", "ver", "arpl"), _selector_operands),
    "pop_seg": _selector_on_stack,
    **dict.fromkeys(
        ("load_far_pointer", "call_far", "call_far_m", "jmp_far", "jmp_far_m"), _far_pointer
    ),
    "ret_far": _far_return,
    "iret": _interrupt_return,
    "popf": _flags_on_stack,
    **dict.fromkeys(("lgdt", "lidt"), _table_operand),
    "lldt": _ring0_selector(SELECTOR_LDT),
    "ltr": _ring0_selector(SELECTOR_TSS),
    **dict.fromkeys(("mov_cr", "mov_rc"), _control_register),
    **dict.fromkeys(("mov_dr", "mov_rd"), _debug_register),
    "lmsw": _machine_status,
    **dict.fromkeys(("rdmsr", "wrmsr"), _msr),
    "rdpmc": _counter,
    "int_n": _vector,
    "into": _overflow,
    **dict.fromkeys(("jmp_e", "call_e"), _near_target),
    "bound": _bounds,
    "cpuid": _leaf,
}
