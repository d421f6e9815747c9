"""FILE.asm: which operations are in it, and where an error in it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from monitor.bench import own_file
from monitor.bench.nano import KERNEL, USER
from monitor.bench.own_loop import OwnOperation
from monitor.vmm.errors import UserError

TEXT = """\
; Two operations, and a number.
LENGTH = 4
OTHER = LENGTH * 2

popf:   pushfd
    .rept LENGTH
    add eax, ebx                ; label: no label
    .endr
    popfd
add:
.again:
    .fill OTHER, 1, 0x90
    dec  ebx
    jz   .again
"""


def load(text: str, settings: Mapping[str, Sequence[int]] | None = None,
         loop: str = KERNEL) -> list[OwnOperation]:  # fmt: skip
    return own_file.operations(text, "mine.asm", settings or {}, loop)


def size(operation: OwnOperation) -> int:
    places = operation.places()
    return places.behind - places.operation


def test_labels_begin_operations() -> None:
    found = load(TEXT)
    assert [one.name for one in found] == ["popf", "add"]
    assert [size(one) for one in found] == [1 + 4 * 2 + 1, 8 + 1 + 2]


def test_numbers_can_be_set() -> None:
    found = load(TEXT, {"LENGTH": [0, 3]})
    assert [one.name for one in found] == ["popf LENGTH=0", "popf LENGTH=3", "add LENGTH=0",
                                           "add LENGTH=3"]  # fmt: skip
    assert [size(one) for one in found] == [2, 8, 3, 9]
    both = load(TEXT, {"LENGTH": [1], "OTHER": [5, 6]})
    assert [one.name for one in both][:2] == ["popf LENGTH=1 OTHER=5", "popf LENGTH=1 OTHER=6"]
    assert size(both[-1]) == 6 + 3


def test_a_number_need_not_have_a_value_in_the_file() -> None:
    assert size(load(".fill N, 1, 0x90", {"N": [7]})[0]) == 7


def test_a_file_without_a_label_is_one_operation() -> None:
    [one] = load("; nothing more\n    nop\n.here:\n    jmp .here\n", loop=USER)
    assert (one.name, one.loop, size(one)) == ("mine", USER, 3)


def test_operations_can_be_chosen() -> None:
    found = load(TEXT, {"LENGTH": [0, 3]})

    def names(*wanted: str) -> list[str]:
        return [one.name for one in own_file.choose(found, wanted)]

    assert names() == [one.name for one in found]
    assert names("add") == ["add LENGTH=0", "add LENGTH=3"]
    assert names("popf LENGTH=3", "add LENGTH=0") == ["popf LENGTH=3", "add LENGTH=0"]
    with pytest.raises(UserError, match="no operation 'sub': choose from popf, add"):
        names("sub")


@pytest.mark.parametrize(
    ("text", "settings", "told"),
    [
        ("nop\nbogus eax\n", {}, "operation 'mine': mine.asm:2: Invalid mnemonic"),
        ("one:\nnop\ntwo:\n nop\n mov eax, fifty\n", {}, "'two': mine.asm:5: "),
        ("one: bogus\ntwo:\nnop\n", {}, "'one': mine.asm:1: .* bogus"),
        (".fill N, 1, 0x90\nbogus", {"N": [1]}, "'mine N=1': mine.asm:2: .* bogus"),
        ("N = M\n nop", {}, "mine.asm:1: a constant is made of numbers and earlier constants"),
        ("nop\none:\nnop", {}, r"mine.asm:1: before the first label .* NAME = 1: nop"),
        ("nop ; N", {"N": [1]}, "mine.asm has no N, which is to be set"),
        ("NN = 1\nnop", {"N": [1]}, "mine.asm has no N, which is to be set"),
        ("nop", {"2": [1]}, "'2' is no name for a number"),
        ("mov eax, ROUNDS", {"ROUNDS": [1]}, "'mine ROUNDS=1': ROUNDS is defined twice"),
        ('.include "operation.asm"', {}, "operation.asm includes itself"),
        ('.include "none.asm"', {}, "no source file none.asm"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(
    text: str, settings: Mapping[str, Sequence[int]], told: str
) -> None:
    with pytest.raises(UserError, match=told) as error:
        load(text, settings)
    assert "\n" not in str(error.value)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "binary.asm").write_bytes(b"\xff\xfe\x00")
    for name in ("none.asm", "binary.asm", "."):
        with pytest.raises(UserError, match="cannot read the assembly file"):
            own_file.load(tmp_path / name, {})
