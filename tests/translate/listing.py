"""A translated block as text: what stands in tests/translate/expect.

    kernel                                          the context
    +00  cli                                        the guest's code
    ->
    +00  +00  mov  dword ptr gs:[VSYS], 0   done    the translation: offset in the block, offset of
    +0b  +01  int3 chain to guest+1                 the guest instruction it belongs to; then what
                                                    a rollback restores, and whether it completes

Addresses are relative to the guest's first byte (guest+10) and to the block (tc+10), so that only
the translation itself changes the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import capstone
from kernel_lab import assembled

from bt import vcpu_page
from bt.cache import CHAIN, CONTEXT_COUNT, ENTRIES, TranslatedBlock, TranslationCache
from bt.engine import Interp, Ram
from bt.interp.state import CS, MARK_COUNTS, MARK_STUB
from bt.policy import Context
from bt.reserved import RESERVED
from bt.translate import MAX_INSTRUCTIONS, Translator

ORIGIN = 0x10000
BASE, SIZE = 0xFF800000, 1 << 16
UNDO_NAMES = {
    vcpu_page.UNDO_EAX: "eax",
    vcpu_page.UNDO_ECX: "ecx",
    vcpu_page.UNDO_ESI: "esi",
    vcpu_page.UNDO_TARGET: "target",
    vcpu_page.UNDO_TARGET_ECX: "target_ecx",
}


@dataclass
class Listing:
    """A translator with an empty cache, and what it made of some guest code."""

    context: Context
    code: bytes
    marks: dict[int, int] = field(default_factory=dict)
    translated: bool = True  # at once, from the beginning
    reserved: int | None = None  # a segment register; else the one that it begins with

    def __post_init__(self) -> None:
        memory = bytearray(1 << 20)
        memory[ORIGIN : ORIGIN + len(self.code)] = self.code
        self.ram = Ram(memory, len(memory), 4096)
        cpu = Interp(self.ram)
        cpu.set_segment(CS, 8, 0, 0xFFFFFFFF, 0xC09B)
        hidden = bytearray(SIZE + 2 * CONTEXT_COUNT * 4 * ENTRIES)
        self.cache = TranslationCache(memoryview(hidden), BASE, SIZE, SIZE)
        self.hidden = hidden
        self.translator = Translator(self.cache, self._mark)
        if self.reserved is not None:
            self.translator.choices[self.context.user].now = RESERVED[self.reserved]
            self.translator.reset()
        self.cpu = cpu
        if self.translated:
            self.block = self.translate_from(0)

    def translate_from(self, offset: int) -> TranslatedBlock:
        """Translate the guest code from an offset on."""
        at, size = ORIGIN + offset, len(self.code) - offset
        items = self.cpu.survey(at, at, size, MAX_INSTRUCTIONS)
        whole = bool(items[-1][8])
        code = self.code[offset : items[-1][0] + items[-1][1] - ORIGIN]
        return self.translator.translate(code, at, items, self.context, whole)

    def _mark(self, address: int, marks: bytes) -> None:
        self.marks.update((address + i, mark) for i, mark in enumerate(marks) if mark)

    def guest(self) -> Iterator[str]:
        for at, mnemonic, operands in disassemble(self.code[: self.block.length], ORIGIN):
            yield f"+{at - ORIGIN:02x}  {mnemonic:<6}{self._operands(operands)}".rstrip()

    def translation(self, block: TranslatedBlock | None = None) -> Iterator[str]:
        block = block or self.block
        yield from self.lines(block.start, block.end)

    def lines(self, start: int, end: int) -> Iterator[str]:
        """TC code: the slot behind an unchained branch is one line."""
        at = start
        code = bytes(self.hidden[start - BASE : end - BASE])
        for here, mnemonic, operands in disassemble(code, start):
            if here < at:
                continue
            at = here
            exit_ = self.cache.exits.get(here)
            eip, undo = self.cache.guest_place(here)
            notes = [name for bit, name in UNDO_NAMES.items() if undo & bit]
            mark = self.marks.get(here, 0)
            notes += ["done"] * bool(mark & MARK_COUNTS) + ["stub"] * bool(mark & MARK_STUB)
            text = f"{mnemonic:<6}{self._operands(self._slots(operands, here))}"
            if exit_ is not None and mnemonic == "int3":
                at += 5 if exit_.kind == CHAIN else 1
                goes = "" if exit_.kind != CHAIN else f" to {self._place(exit_.target)}"
                text = f"int3  {exit_.kind}{goes}{', completes' if exit_.completes else ''}"
            belongs = f"+{eip - ORIGIN:02x}" if eip else "   "
            yield f"+{here - start:02x}  {belongs}  {text:<44}{', '.join(notes)}".rstrip()

    def _place(self, address: int) -> str:
        return f"guest+{address - ORIGIN & 0xFFFFFFFF:x}"

    def _slots(self, text: str, address: int) -> str:
        """Names for what is in the vCPU pages. Before the block stand the lookups of all contexts,
        which have other registers reserved."""
        slots = {getattr(vcpu_page, name): name for name in vcpu_page.SLOTS}
        slots |= {vcpu_page.SELECTORS + 4 * i: f"SELECTORS+{4 * i:x}" for i in range(6)}
        slots |= {vcpu_page.LDTR_SELECTOR: "LDTR_SELECTOR", vcpu_page.TR_SELECTOR: "TR_SELECTOR"}
        slots |= {vcpu_page.CONTROLS + 4 * i: f"CONTROLS+{4 * i:x}" for i in range(5)}
        for i in range(4):
            slots[vcpu_page.READ_BOUNDS + 8 * i] = f"READ_BOUNDS_{1 << i}"
            slots[vcpu_page.WRITE_BOUNDS + 8 * i] = f"WRITE_BOUNDS_{1 << i}"

        def slot(match: re.Match[str]) -> str:
            value = int(match[3], 16) if match[3] else 0
            return f"{match[1]}:[{match[2] or ''}{slots.get(value, hex(value))}]"

        own = self.translator.reserved(self.context).name
        reserved = own if address >= self.block.start else "[fg]s"
        return re.sub(rf"\b({reserved}):\[(e[a-z]{{2}}\*4 \+ )?(0x[0-9a-f]+|\d)?\]", slot, text)

    def _operands(self, text: str) -> str:
        """Relative addresses."""

        def relative(match: re.Match[str]) -> str:
            value = int(match[0], 16)
            start = self.block.start if hasattr(self, "block") else BASE
            if BASE <= value < BASE + SIZE:
                return f"tc{value - start:+x}"
            if ORIGIN <= value < ORIGIN + 0x1000:
                return self._place(value)
            return match[0]

        return re.sub(r"\b0x[0-9a-f]+\b", relative, text)


def disassemble(code: bytes, address: int) -> Iterator[tuple[int, str, str]]:
    decoder = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_32)
    decoder.skipdata = True
    for at, _size, mnemonic, operands in decoder.disasm_lite(code, address):
        yield at, mnemonic, operands


def render(source: str, context: Context, reserved: int | None = None) -> str:
    """The whole text of an expectation."""
    listing = Listing(context, assembled(source + "\n", ORIGIN).image, reserved=reserved)
    ring = "user" if context.user else "kernel"
    title = ring if context.stubs else f"{ring}, IOPL not 0"
    return "\n".join([title, *listing.guest(), "->", *listing.translation(), ""])
