"""The extension point of problem instructions: other stubs for any of them.

    Extensions(stubs={"cli": "mov dword ptr gs:[VSYS], 0 | done",     # a template
                      "smsw": smsw})                                  # what makes one, or None

A name is the manual's mnemonic (names.py). A template (template.py) stands for every form of the
instruction without an operand-size prefix. A function is called with a Problem (problem.py) for
each place that is translated, and answers with a template, or None to leave the instruction to the
monitor; its answer has to depend on nothing else, since the same place may be translated again.

Stubs stand in translated kernel code; those of PUSHF, POPF, CLI and STI only while IOPL is 0. An
instruction with LOCK, and one whose memory operand is in CS, FS or GS, has none.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

from bt.instruction import Instruction
from bt.lengths import OPERAND_SIZE
from bt.output import Surveyed
from bt.own_stubs import OwnStub
from bt.policy import Context, policies
from bt.segment_access import split
from bt.stub_code import Stub, assembled
from monitor.extensions import names
from monitor.extensions.problem import Problem, take_apart
from monitor.extensions.template import BadStub, Template, checked
from monitor.vmm.calling import call, nonsense

__all__ = ["BadStub", "OwnStubs", "StubMaker"]

StubMaker = str | Callable[[Problem], str | None]

BLOCK_BYTES = 2048  # of one's own stubs in a block: it has that much room besides (bt/translate.py)
FLAGS = ("cli", "sti", "pushf", "popf")  # bodies
KEPT = 1024  # templates that functions have made, kept assembled


class OwnStubs:
    """Stubs by survey entry, and those of the block that is being translated."""

    def __init__(
        self, stubs: Mapping[str, StubMaker], ask: Callable[..., Any] = call
    ) -> None:
        """BadStub for a name or a template that cannot be one. `ask` calls a function of theirs."""
        self._ask = ask
        if not isinstance(stubs, Mapping):
            raise BadStub("of your own", repr(stubs), "stubs are a dictionary, by name")
        self.entries: dict[int, StubMaker] = {}
        self._templates: dict[str, Template] = {}
        for name, maker in stubs.items():
            known = str(name).lower()
            if known not in names.entries():
                raise BadStub(str(name), str(name), names.refusal(known))
            if not callable(maker):
                self._templates[known] = checked(str(name), maker)
            self.entries |= dict.fromkeys(names.entries()[known], maker)
        self._here: dict[int, OwnStub] = {}
        self._checked = functools.lru_cache(KEPT)(checked)
        self._assembled = functools.lru_cache(2 * KEPT)(assembled.__wrapped__)

    def prepare(
        self, code: bytes, surveyed: list[Surveyed], context: Context, reserved: str
    ) -> list[Surveyed]:
        """See bt/own_stubs.py. ExtensionFailed for a function that fails or answers nonsense."""
        self._here.clear()
        if context.user:
            return surveyed
        first, size = surveyed[0][0], 0
        for index, item in enumerate(surveyed):
            if item[2] not in self.entries:
                continue
            offset = item[0] - first & 0xFFFFFFFF
            template = self._template(item, code[offset : offset + item[1]], context)
            if template is None:
                continue
            stub: Stub = self._assembled(template.text, reserved)
            size += sum(len(run.code) for run in (*stub.hot, *stub.slow))
            if size > BLOCK_BYTES:
                return surveyed[:index]
            self._here[item[0]] = OwnStub(stub, template.transfers)
        return surveyed

    def at(self, eip: int) -> OwnStub | None:
        """See bt/own_stubs.py."""
        return self._here.get(eip)

    def _template(self, item: Surveyed, raw: bytes, context: Context) -> Template | None:
        row: Instruction = policies(False)[item[2]][1]
        if row.body in FLAGS and not context.stubs:
            return None
        problem = take_apart(item, raw, row)
        if problem is None:
            return None
        maker: Any = self.entries[item[2]]
        if not callable(maker):
            return None if OPERAND_SIZE in split(raw)[0] else self._templates[problem.name]
        text = self._ask(maker, problem)
        if text is None:
            return None
        if not isinstance(text, str):
            asked = f"{problem.name} at {problem.eip:#x}"
            nonsense(maker, f"returned {text!r} for {asked}: a template, or None (not mine)")
        try:
            return self._checked(problem.name, text)
        except BadStub as error:
            nonsense(maker, f"at {problem.eip:#x}: {error}")
