"""What a model of processor is and has: CPUID, instructions, bits of CR4 (bt/models.py)."""

from __future__ import annotations

import pytest
from system_lab import CODE, DATA, EAX, EBX, ECX, EDX, GP, UD, Lab, external_lab

from bt.instruction import Instruction
from bt.interp import features
from bt.interp.state import CR4_OSFXSR, EXIT_EXCEPTION
from bt.interp.state import VEC_MF as MF
from bt.models import CR4, DEFAULT, HAVE_ROWS, MODELS, NOT_YET, Model
from bt.models import EDX as BITS
from bt.table import TABLE

NUMBERS = {name.removeprefix("FEAT_").lower(): number for name, number in vars(features).items()
           if name.startswith("FEAT_")}  # fmt: skip
FCMOV = [bytes([escape, modrm]) for escape in (0xDA, 0xDB) for modrm in range(0xC1, 0xE0, 8)]
FCOMI = [bytes([escape, modrm]) for escape in (0xDB, 0xDF) for modrm in (0xE9, 0xF1)]
WITH_FEATURE = [row for row in TABLE if row.feature]

# APIC, PSN, DS, ACPI, SS, HT, TM, PBE. And the Pentium Pro announces SEP, which works from the
# Pentium II on: systems have to look at the signature, too.
NOT_HERE = sum(1 << bit for bit in (9, 18, 21, 22, 27, 28, 29, 31))

all_models = pytest.mark.parametrize("model", MODELS.values(), ids=list(MODELS))


def encoded(row: Instruction) -> bytes:
    """An instruction of this row, on a register if it can be."""
    code = row.lead + bytes([row.byte])
    reg = (row.extension or 0) << 3
    letters = {text[:1] for text in row.operands.split(",")}
    if "M" in letters:
        return code + bytes([reg | 5]) + DATA.to_bytes(4, "little")
    if row.extension is not None or letters & set("ERGCQNVWU"):
        code += bytes([0xC0 | reg])
    return code


def on(model: Model, external: bool = False) -> Lab:
    lab = external_lab() if external else Lab()
    lab.cpu.set_model(model)
    return lab


def test_every_feature_has_its_number() -> None:
    numbers = sorted(NUMBERS.values())
    assert numbers == list(range(len(numbers))), "no gaps: the list of them is short"
    assert {row.feature or "none" for row in TABLE} <= NUMBERS.keys()
    assert {name for model in MODELS.values() for name in model.features} <= NUMBERS.keys() | BITS


@all_models
def test_cpuid_is_the_row(model: Model) -> None:
    lab = on(model)
    for first, leaves in ((0, model.leaves), (0x80000000, model.extended_leaves)):
        for number, leaf in enumerate(leaves):
            lab.run(f"mov eax, {first + number:#x}; cpuid")
            assert [lab.reg(r) for r in (EAX, EBX, ECX, EDX)] == list(leaf)
    assert model.leaves[0][0] == len(model.leaves) - 1
    assert [each[0] for each in model.extended_leaves[:1]] in ([], [0x80000004])


@all_models
@pytest.mark.parametrize("leaf", [3, 9, 0x80000005, 0x80000008, 0xFFFFFFFF])
def test_what_there_is_not_answers_like_the_last_leaf(model: Model, leaf: int) -> None:
    lab = on(model)
    lab.run(f"mov eax, {leaf:#x}; cpuid")
    assert tuple(lab.reg(r) for r in (EAX, EBX, ECX, EDX)) == model.leaves[-1]


def test_the_brand_is_text() -> None:
    words = b"".join(word.to_bytes(4, "little") for leaf in MODELS["pentium4"].extended_leaves[2:]
                     for word in leaf)  # fmt: skip
    assert len(words) == 48 and words[-1] == 0
    assert words[:-1].decode().strip() == "Intel(R) Pentium(R) 4 CPU"


def test_rows_are_those_of_the_processors() -> None:
    """Signature and features, of which some are none of ours, as Application Note 485 has them."""
    real = {
        "486": (0x480, 0x3), "pentium": (0x52C, 0x1BF), "pentiumpro": (0x619, 0xFBFF),
        "pentium2": (0x652, 0x183FBFF), "pentium3": (0x686, 0x387FBFF),
        "pentium4": (0xF29, 0xBFEBFBFF),
    }  # fmt: skip
    assert real.keys() == MODELS.keys()
    for name, (signature, bits) in real.items():
        model = MODELS[name]
        assert model.signature == signature
        ours = sum(1 << BITS[name] for name in model.real.split() if name in BITS)
        assert ours & ~bits == 0, f"{name}: more than the real one has"
        missing = bits & ~ours & ~NOT_HERE
        assert missing == (1 << BITS["sep"] if name == "pentiumpro" else 0), f"{missing:#x}"
        assert model.announced == ours & ~sum(
            1 << BITS[f] for f in BITS if f in NOT_YET or (f in NUMBERS and f not in HAVE_ROWS)
        )


@all_models
def test_the_reset_leaves_the_signature(model: Model) -> None:
    lab = on(model)
    lab.cpu.reset()
    assert lab.reg(EDX) == model.signature


@all_models
def test_what_a_model_lacks_is_undefined(model: Model) -> None:
    for row in WITH_FEATURE:
        lacks = row.feature not in model.features
        assert lacks == bool(model.absent >> NUMBERS[row.feature] & 1)
        for ring in (0, 3) if lacks else ():
            stop = on(model).ring(ring).run(encoded(row))
            assert stop.vector == UD and stop.frame[0] == CODE, f"{row.opcode} {row.mnemonic}"


@all_models
def test_nor_does_an_engine_run_it(model: Model) -> None:
    for row in WITH_FEATURE:
        if row.feature not in model.features:
            lab = on(model, external=True).ring(3)
            assert lab.run(encoded(row)).reason == EXIT_EXCEPTION
            assert (lab.cpu.fault_vector, lab.cpu.eip) == (UD, CODE), row


@all_models
def test_what_it_has_is_defined(model: Model) -> None:
    for row in WITH_FEATURE:
        if row.feature in model.features and row.mnemonic != "x87":
            lab = on(model)
            lab.cpu.cr4 |= model.cr4_valid & CR4_OSFXSR
            assert lab.run(encoded(row)).vector != UD, f"{row.opcode} {row.mnemonic}"


@all_models
@pytest.mark.parametrize("code", FCMOV + FCOMI, ids=bytes.hex)
def test_fcmov_and_fcomi_came_with_cmov(model: Model, code: bytes) -> None:
    """Also where an exception is pending: what is undefined does not wait for it."""
    lab = on(model)
    lab.cpu.cr0 |= 0x20
    undefined = "cmov" not in model.features
    assert lab.run(b"\xdb\xe3" + code).vector == (UD if undefined else None)
    pending = b"\xdb\xe3" + b"\xd9\x2d" + DATA.to_bytes(4, "little") + b"\xd9\xee\xd9\xe8\xde\xf1"
    lab.word(DATA, 0x37B)  # division by zero is unmasked
    assert lab.run(pending + code).vector == (UD if undefined else MF)


@all_models
def test_bits_of_cr4_are_reserved_without_their_feature(model: Model) -> None:
    for bit in range(32):
        names = [name for name, bits in CR4.items() if bits >> bit & 1 and name in model.features]
        lab = on(model)
        stop = lab.run(f"mov eax, {1 << bit:#x}; mov cr4, eax")
        assert stop.vector == (None if names else GP), f"bit {bit}"
        assert lab.cpu.cr4 == (1 << bit if names else 0)


@all_models
def test_flags_that_tell_processors_apart(model: Model) -> None:
    """AC came with the 486, ID with CPUID: every model here has both."""
    lab = on(model)
    lab.run("pushfd; xor dword ptr [esp], 0x240000; popfd; pushfd; pop ebx")
    assert lab.reg(EBX) & 0x240000 == 0x240000


def test_without_a_choice_it_is_a_pentium_pro() -> None:
    lab = Lab()
    lab.run("mov eax, 1; cpuid")
    assert DEFAULT.name == "pentiumpro"
    assert (lab.reg(EAX), lab.reg(EDX)) == (DEFAULT.signature, DEFAULT.announced)
