"""The translator: guest code at an EIP to a block in the translation cache.

Most instructions are copied byte for byte; the register file is the guest's own. What must not
run as it is (bt/policy.py) becomes a stub or an exit to the monitor (bt/rewrite.py). Direct
branches become jumps that are chained when first taken; returns and indirect branches look the
cache up by themselves.

Worked example, guest on the left, cache on the right (unchained):

    C0100000  cli                 mov dword ptr gs:[VSYS], 0
    C0100001  mov eax, [ebx]      mov eax, [ebx]
    C0100003  jz  C0100010        jz  L1
    C0100005  call C0200000       push 0xC010000A
                                  int3              ; CHAIN to C0200000, becomes jmp
                              L1: int3              ; CHAIN to C0100010, becomes jz's own target
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from operator import or_

from bt.cache import (
    BEGINS,
    CHAIN,
    INDIRECT,
    Exit,
    TranslatedBlock,
    TranslationCache,
)
from bt.interp.state import MARK_ENTRY, MARK_RECORD
from bt.output import Output, Surveyed
from bt.own_stubs import OWN, OwnStubs
from bt.policy import CONTEXTS, Context, plain_entries, policies
from bt.rewrite import CS, FS, Rewriter
from bt.stubs import stub

ENTRY_WHERE_BEGINS = bytes(BEGINS) + bytes([MARK_ENTRY]) * (256 - BEGINS)  # undo masks to marks
RECORD_WHERE_BEGINS = bytes(BEGINS) + bytes([MARK_RECORD]) * (256 - BEGINS)
NO_BLOCK = Exit(INDIRECT, 0)  # an indirect branch to what is not translated
MAX_INSTRUCTIONS = 48
WORTH_JUMPING = 4  # instructions: fewer are rather translated twice than jumped to
MAX_BLOCK_BYTES = 4096  # room a block may need in the cache: 48 stubs of the longest kind



class Translator:
    """Writes translations into a cache. One per virtual CPU."""

    def __init__(
        self,
        cache: TranslationCache,
        mark: Callable[[int, bytes], None],
        without: Collection[str] = (),
    ) -> None:
        """`mark(address, marks)` tells the engine which TC instructions count.

        `without`: techniques to leave out, of "chaining", "lookup", "stubs", "window".
        """
        self.cache = cache
        self.without = frozenset(without)
        cache.chaining = "chaining" not in self.without
        self.mark = mark
        self.policies = (policies(False), policies(True))
        self._plain = tuple(plain_entries(table) for table in self.policies)
        self.rewriter = Rewriter(cache, self.without)
        self.count_entries = False  # shall the engine count how often instructions are begun?
        self.choices = self.rewriter.choices
        self.reserved = self.rewriter.reserved
        self.patches = self.rewriter.patches
        self.returns = self.rewriter.returns
        self.record = False  # shall the engine note what instructions are begun?
        self.instructions = 0  # guest instructions translated
        self.reset()

    def use_own(self, own: OwnStubs) -> None:
        """Let somebody else's stubs stand for instructions of the kernel. Before any is translated.

        What they do not stand for after all is translated as ever.
        """
        self.rewriter.own = own
        kernel, user = self.policies
        theirs = {entry: (OWN, kernel[entry][1]) for entry in own.entries}
        self.policies = (kernel | theirs, user)
        self._plain = (self._plain[False] - theirs.keys(), self._plain[True])

    def reset(self) -> None:
        """Start an empty cache: only the places where lookups that fail end up."""
        self.cache.forget()
        self.returns.clear()
        for context in CONTEXTS:
            reserved = self.reserved(context).name
            out = Output(self.cache, 0)
            out.runs(stub("near_miss", reserved).hot, NO_BLOCK)
            far_miss = out.here
            out.runs(stub("far_miss", reserved).hot, NO_BLOCK)
            self._finish(out)
            self.cache.clear_landings(context.number, out.start, far_miss)

    def reconsider(self, surveyed: list[Surveyed], context: Context) -> bool:
        """Before code is translated: what does it say about the register to reserve?

        True: another one is reserved from now on. All translations are to be forgotten, and the
        cache to be reset.
        """
        segments = (item[7] for item in surveyed if item[7] >= FS)
        return self.choices[context.user].note(segments, self.instructions)

    def translate(
        self, code: bytes, pa: int, surveyed: list[Surveyed], context: Context, whole: bool
    ) -> TranslatedBlock:
        """Translate surveyed instructions; `code` holds their bytes, from physical address pa.

        `whole`: the last one never falls through.
        """
        eip = surveyed[0][0]
        own = self.rewriter.own
        if own is not None:
            known = len(surveyed)
            surveyed = own.prepare(code, surveyed, context, self.reserved(context).name)
            whole = whole and len(surveyed) == known
        out = Output(self.cache, eip, context.number)
        wanted = eip in self.returns and "lookup" not in self.without
        landing = self._landing(out, context, False) if wanted else None
        start = out.here
        done = self._body(out, code, surveyed, context)
        length = surveyed[done - 1][0] + surveyed[done - 1][1] - eip
        self.instructions += done
        if not out.left and (done < len(surveyed) or not whole):
            out.begin(eip + length, entry=False)
            out.slot(Exit(CHAIN, eip + length & 0xFFFFFFFF), counts=False)
        out.place_cold()
        block = TranslatedBlock(eip, pa, length, start, out.here, context.number)
        self._finish(out, block)
        self.cache.add(block)
        if landing is not None:
            block.landings[False] = landing
            if self.cache.near_is_free(block):
                self.cache.set_landing(block, False)
        return block

    def _body(
        self, out: Output, code: bytes, surveyed: list[Surveyed], context: Context
    ) -> int:
        """Translate instructions one after the other; how many.

        Ends at one that leaves for good (`out.left`), and where another block goes on from here.
        """
        first = surveyed[0][0]
        table, one = self.policies[context.user], self.rewriter.one
        plain, reserved = self._plain[context.user], self.reserved(context).number
        known = self.cache.blocks[context.number]
        count = len(surveyed)
        index = 0
        entry = True
        while index < count and not out.left:
            item = surveyed[index]
            if index and item[0] in known and count - index >= WORTH_JUMPING:
                break
            out.begin(item[0], entry)
            begun = index
            while item[2] in plain and item[7] != CS and item[7] != reserved:
                index += 1  # most of them: nothing to look at
                if index == count:
                    break
                item = surveyed[index]
                if item[0] in known:
                    break
            if index > begun:
                run = surveyed[begun:index]
                out.copy(code[run[0][0] - first : run[-1][0] + run[-1][1] - first], run)
                entry = True
                continue
            raw = code[item[0] - first : item[0] + item[1] - first]
            row = table.get(item[2])
            out.left = one(out, item, raw, row, context)
            entry = row is None or row[1].body != "sti"  # an interrupt shadow is not its target's
            index += 1
        return index

    def enter_inside(self, block: TranslatedBlock, eip: int) -> TranslatedBlock | None:
        """A block that begins in the middle of another's translation, if eip is a boundary there.

        Nothing is kept in registers or flags from one guest instruction to the next, so any of
        them will do as a beginning.
        """
        start = self.cache.entry_of(block, eip)
        if start == 0:
            return None
        offset = eip - block.eip
        inner = TranslatedBlock(
            eip,
            block.pa + offset,
            block.length - offset,
            start,
            block.end,
            block.context,
            inner=True,
        )
        self.cache.add(inner)
        return inner

    def land(self, block: TranslatedBlock) -> None:
        """Let indirect branches find a block: near if that place is free, else far.

        Landings fill a cache in which nothing new is translated: without room, they go on missing.
        """
        if self.cache.room < MAX_BLOCK_BYTES or "lookup" in self.without:
            return
        far = not self.cache.near_is_free(block)
        if far not in block.landings:
            out = Output(self.cache, block.eip)
            block.landings[far] = self._landing(out, CONTEXTS[block.context], far)
            out.jump(block.start)
            self._finish(out)
        self.cache.set_landing(block, far)

    def _landing(self, out: Output, context: Context, far: bool) -> int:
        """Write a landing for the guest EIP at hand; the body must follow. Its address."""
        landing = stub("landing", self.reserved(context).name)
        out.keep_together(landing.size)
        start = out.here + landing.enter
        miss = {"MISS": self.cache.miss(context.number, far)}
        out.run(landing.hot[0], out.guest, miss)
        return start

    def _finish(self, out: Output, block: TranslatedBlock | None = None) -> None:
        """Put what was emitted into the cache. `block`: what it is the translation of, if any."""
        start = self.cache.place(out.code, out.undos)
        assert start == out.start
        marks = bytes(out.marks)
        if self.count_entries:
            marks = bytes(map(or_, marks, out.undos.translate(ENTRY_WHERE_BEGINS)))
        if self.record:
            marks = self._with_record(out, marks)
        self.mark(start, marks)
        for link, target in out.links:
            target = target or block
            assert target is not None
            target.incoming.append(link)

    def _with_record(self, out: Output, marks: bytes) -> bytes:
        """Mark where instructions begin, behind STI too; a slot that falls through is none."""
        traced = bytearray(map(or_, marks, out.undos.translate(RECORD_WHERE_BEGINS)))
        for at in self.cache.after_sti:
            exit_ = self.cache.exits.get(at)
            falls = exit_ is not None and exit_.kind == CHAIN and not exit_.completes
            if out.start <= at < out.here and not falls:
                traced[at - out.start] |= MARK_RECORD
        return bytes(traced)
