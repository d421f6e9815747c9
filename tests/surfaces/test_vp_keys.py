"""`vp run --keys`, `--mouse`: typing on the keyboard at a prompt of the serial console."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from patience import PATIENCE

from bt.assembler import assemble
from monitor.cli.run import typing_of
from monitor.host.typist import TypedLine, Typist
from monitor.vmm.errors import UserError

# Prompts, says each scan code as two hexadecimal digits, and ends at ESC's.
GUEST = """
    mov  dx, 0x3f8
    mov  al, 0x23
    out  dx, al
    mov  al, 0x20
    out  dx, al
again:
    in   al, 0x64
    test al, 1
    jz   again
    in   al, 0x60
    mov  ah, al
    mov  ecx, 2
digits:
    rol  ah, 4
    mov  al, ah
    and  al, 15
    cmp  al, 10
    sbb  al, 0x69
    das
    out  dx, al
    loop digits
    cmp  ah, 1
    jne  again
    xor  eax, eax
    mov  dx, 0xf4
    out  dx, al
"""


@pytest.mark.parametrize("mode", ["bare", "translate"])
def test_keys_are_typed_at_a_prompt(mode: str, tmp_path: Path) -> None:
    image = tmp_path / "guest"
    image.write_bytes(assemble(GUEST, 0x100000))
    done = subprocess.run(
        [sys.executable, "-m", "monitor", "run", "--flat", f"{image}@0x100000", "--mode", mode,
         "--keys", r"A\<ctrl-c>", "--type-after", "2E", "--keys", r"\<esc>", "--mouse", "--quiet"],
        capture_output=True, timeout=PATIENCE, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == b"# 2A1E9EAA1D2EAE9D01"


def test_order_of_texts_and_keys() -> None:
    typed: list[object] = []
    lines = typing_of([("--type-after", ":"), ("--keys", r"a\n"), ("--type", "b")])
    assert lines[1] == TypedLine(b"b")
    typist = Typist(lines, typed.append, typed.append)
    for piece in (b"x:", b"\n# "):
        typist(piece)
    assert typed == [["+a", "-a", "+enter", "-enter"], b"b"]


@pytest.mark.parametrize(
    ("keys", "message"),
    [("ä", "no key of a US keyboard types 'ä'"), (r"\<ctrl-foo>", "no key named 'foo'"),
     (r"\q", "--keys .*after a backslash")],
)  # fmt: skip
def test_what_cannot_be_typed(keys: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        typing_of([("--keys", keys)])
