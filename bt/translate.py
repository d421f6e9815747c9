"""The translator: guest code at an EIP to a block in the translation cache.

Most instructions are copied byte for byte; the register file is the guest's own. What must not
run as it is (policy below, from the classes of bt/table.py) becomes a stub or an exit to the
monitor. Direct branches become jumps that are chained when first taken; returns and indirect
branches look the cache up by themselves.

Worked example, guest on the left, cache on the right (unchained):

    C0100000  cli                 mov dword ptr gs:[VSYS], 0
    C0100001  mov eax, [ebx]      mov eax, [ebx]
    C0100003  jz  C0100010        jz  L1
    C0100005  call C0200000       push 0xC010000A
                                  int3              ; CHAIN to C0200000, becomes jmp
                              L1: int3              ; CHAIN to C0100010, becomes jz's own target

The policy by ring: in the guest's kernel every sensitive instruction is replaced; in user code
that has to run translated, only those that would show ring 3 something else than the guest's own
state. What traps anyway may as well exit at once.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from bt.cache import (
    CHAIN,
    EMULATE,
    INDIRECT,
    INT3,
    SLOT_BYTES,
    Exit,
    TranslatedBlock,
    TranslationCache,
)
from bt.interp.state import MARK_COUNTS, MARK_STUB
from bt.lengths import PREFIXES
from bt.stubs import (
    CONTROLS,
    LDTR_SELECTOR,
    SELECTORS,
    TR_SELECTOR,
    Piece,
    Stub,
    load_slot,
    push_slot,
    stub,
)
from bt.table import TABLE, Class, Instruction

STUB_DONE = MARK_COUNTS | MARK_STUB
NOP = b"\x90"
LANDING_BYTES = 40  # at most
MAX_INSTRUCTIONS = 48
MAX_BLOCK_BYTES = 4096  # room a block may need in the cache: 48 stubs of the longest kind
CS, FS, GS = 1, 4, 5
NO_ACCESS = ("lea_g", "nop")  # bodies that have a memory operand and leave it alone

# FNSTENV and FNSAVE store the address of the last x87 instruction: the guest's, not ours. FLDENV
# and FRSTOR load one, which must not be taken for ours afterwards.
X87_ENVIRONMENT = (0xD9 * 8 + 6, 0xDD * 8 + 6, 0xD9 * 8 + 4, 0xDD * 8 + 4)

FLAG_BODIES = ("pushf", "popf")

Surveyed = tuple[int, ...]  # Interp.survey(): eip, length, entry, modrm, imm, size, rep, segment


@dataclass(frozen=True)
class Context:
    """What a translation depends on besides the bytes. Blocks of different contexts never mix."""

    user: bool = False
    stubs: bool = True  # CLI, STI, PUSHF, POPF may be simulated (kernel) or copied (user): IOPL 0

    @property
    def number(self) -> int:
        """0 to 3: its place in tables of contexts."""
        return self.user + 2 * (not self.stubs)

    @property
    def reserved(self) -> str:
        return "fs" if self.user else "gs"

    @property
    def reserved_number(self) -> int:
        return FS if self.user else GS

    @property
    def override(self) -> int:
        """The prefix that names the reserved segment register."""
        return 0x64 if self.user else 0x65


CONTEXTS = (
    Context(),
    Context(user=True),
    Context(stubs=False),
    Context(user=True, stubs=False),
)


def policy_of(row: Instruction, user: bool) -> str:
    """How an instruction is translated: the name of a method of Translator, less `_do_`."""
    body = row.body
    if body in ("jcc", "loop", "jmp_near", "call_near", "ret_near", "jmp_e", "call_e"):
        return body
    if body in ("cpuid", "rdpmc", "wbinvd", "bound", "ud2", "int1"):
        return "emulate"
    if row.sensitivity is Class.INNOCUOUS:
        return "copy"
    if not user and body in ("in_imm", "in_dx", "out_imm", "out_dx"):
        return "port"
    if not user and body in ("cli", "sti", "pushf", "popf"):
        return "flags"
    if body in ("push_seg", "mov_es"):
        return body
    if not user and body in ("smsw", "str_e", "sldt", "mov_rc"):
        return "read_system"
    if user and body in ("pushf", "popf"):
        return "copy"
    return "emulate"


@functools.cache
def policies(user: bool) -> dict[int, tuple[str, Instruction]]:
    """Policy and row by survey entry (opcode * 8 + ModRM.reg)."""
    found = {}
    for row in TABLE:
        code = (0x100 if row.two_byte else 0) + row.byte
        for c in range(code, code + 8) if row.in_opcode else (code,):
            for reg in range(8) if row.extension is None else (row.extension,):
                found[c * 8 + reg] = (policy_of(row, user), row)
    return found


class Translator:
    """Writes translations into a cache. One per virtual CPU."""

    def __init__(self, cache: TranslationCache, mark: Callable[[int, bytes], None]) -> None:
        """`mark(address, marks)` tells the engine which TC instructions count."""
        self.cache = cache
        self.mark = mark
        self.policies = (policies(False), policies(True))
        self._plain = tuple(_plain_entries(table) for table in self.policies)
        self.patches: Counter[str] = Counter()  # problem instructions replaced, by mnemonic
        self.returns: set[int] = set()  # where translated calls come back to
        self.instructions = 0  # guest instructions translated
        self.reset()

    def reset(self) -> None:
        """Start an empty cache: only the places where lookups that fail end up."""
        self.cache.forget()
        self.returns.clear()
        for context in CONTEXTS:
            out = _Output(self.cache, 0)
            for piece in stub("near_miss", context.reserved).hot:
                out.piece(piece, 0, {})
            far_miss = out.here
            for piece in stub("far_miss", context.reserved).hot:
                if piece.kind == "exit":
                    out.exit(Exit(INDIRECT, 0), piece.undo)
                else:
                    out.piece(piece, 0, {})
            self._finish(out)
            self.cache.clear_landings(context.number, out.start, far_miss)

    def translate(
        self, code: bytes, pa: int, surveyed: list[Surveyed], context: Context, whole: bool
    ) -> TranslatedBlock:
        """Translate surveyed instructions; `code` holds their bytes, from physical address pa.

        `whole`: the last one never falls through.
        """
        eip = surveyed[0][0]
        out = _Output(self.cache, eip)
        table = self.policies[context.user]
        landing = self._landing(out, context, False) if eip in self.returns else None
        start = out.here
        emulated = False
        length = 0
        plain, reserved = self._plain[context.user], context.reserved_number
        for item in surveyed:
            length = item[0] + item[1] - eip
            raw = code[item[0] - eip : length]
            out.guest = item[0]
            if item[2] in plain and item[7] != CS and item[7] != reserved:
                out.emit(raw, mark=MARK_COUNTS)  # most of them: nothing to look at
            elif self._one(out, item, raw, table.get(item[2]), context):
                emulated = True
                break
        self.instructions += len(surveyed)
        if not emulated and not whole:
            out.guest = eip + length
            out.slot(Exit(CHAIN, eip + length & 0xFFFFFFFF), counts=False)
        out.place_cold()
        block = TranslatedBlock(eip, pa, length, start, out.here, context.number)
        self._finish(out)
        self.cache.add(block)
        if landing is not None:
            block.landings[False] = landing
            if self.cache.near_is_free(block):
                self.cache.set_landing(block, False)
        return block

    def land(self, block: TranslatedBlock) -> None:
        """Let indirect branches find a block: near if that place is free, else far.

        Landings fill a cache in which nothing new is translated: without room, they go on missing.
        """
        if self.cache.room < MAX_BLOCK_BYTES:
            return
        far = not self.cache.near_is_free(block)
        if far not in block.landings:
            out = _Output(self.cache, block.eip)
            block.landings[far] = self._landing(out, CONTEXTS[block.context], far)
            out.jump(block.start)
            self._finish(out)
        self.cache.set_landing(block, far)

    def _landing(self, out: _Output, context: Context, far: bool) -> int:
        """Write a landing for the guest EIP at hand; the body must follow. Its address."""
        eip = out.guest
        out.keep_together(LANDING_BYTES)
        before = out.here
        miss = {"MISS": self.cache.miss(context.number, far)}
        for piece in stub("not_here", context.reserved).hot:
            out.piece(piece, eip, miss)
        start = out.here
        for piece in stub("landing", context.reserved).hot:
            out.piece(piece, eip - 1, {"back": before})
        return start

    def _finish(self, out: _Output) -> None:
        cache = self.cache
        start = cache.reserve(len(out.code))
        assert start == out.start
        cache.write(start, bytes(out.code))
        marks = bytearray(len(out.code))
        for at, _, _, mark in out.places:
            marks[at] = mark
        cache.note_places(start, out.places)
        self.mark(start, bytes(marks))

    # --- one instruction ----------------------------------------------------------------

    def _one(
        self,
        out: _Output,
        item: Surveyed,
        raw: bytes,
        found: tuple[str, Instruction] | None,
        context: Context,
    ) -> bool:
        """Translate one instruction; True when it leaves for the monitor for good."""
        if found is None:
            return self._emulate(out, item, None)
        policy, row = found
        memory = item[3] < 0xC0
        if context.user and not context.stubs and row.body in FLAG_BODIES:
            policy = "emulate"  # IF and IOPL are not what ring 3 of the engine has
        if policy == "copy" and memory and item[2] in X87_ENVIRONMENT:
            policy = "emulate"
        if policy == "copy":
            if self._cannot_reach(item, raw, row, context):
                return self._emulate(out, item, row)
            out.emit(raw, mark=MARK_COUNTS)
            return False
        if policy == "port":  # the engine serves it from the bus in place (Cpu.ports_open)
            self._note(row)
            out.emit(raw, mark=STUB_DONE)
            return False
        if policy == "flags" and context.stubs and item[5] == 4:
            self._note(row)
            out.stub(stub(row.body, context.reserved), Exit(EMULATE, item[0]), mark=STUB_DONE)
            if row.body == "sti":
                self.cache.after_sti.add(out.here)
            return False
        done = False
        if policy == "push_seg":
            done = self._push_segment(out, item, row, context)
        elif policy == "mov_es" and not memory and item[3] >> 3 & 7 <= GS:
            done = self._read(out, SELECTORS + 4 * (item[3] >> 3 & 7), item, context)
        elif policy == "read_system":
            done = self._read_system(out, item, row, memory, context)
        elif policy in _BRANCHES:
            return bool(getattr(self, f"_do_{policy}")(out, item, raw, row, context))
        if done:
            self._note(row)
            return False
        return self._emulate(out, item, row)

    def _note(self, row: Instruction | None) -> None:
        if row is not None and row.sensitivity is not Class.INNOCUOUS:
            self.patches[row.mnemonic] += 1

    def _emulate(self, out: _Output, item: Surveyed, row: Instruction | None) -> bool:
        self._note(row)
        out.exit(Exit(EMULATE, item[0]))
        return True

    @staticmethod
    def _cannot_reach(
        item: Surveyed, raw: bytes, row: Instruction | None, context: Context
    ) -> bool:
        """Is the operand in a segment that is not the guest's while translated code runs?

        The reserved one leads to the vCPU page; CS is flat, so through it the whole hidden region
        could be read. (The survey names a segment also where there is no override.)
        """
        if item[7] == CS:
            harmless = row is not None and row.body in NO_ACCESS
            return not harmless and _has_prefix(raw, 0x2E)
        return item[7] == context.reserved_number and _has_prefix(raw, context.override)

    def _push_segment(
        self, out: _Output, item: Surveyed, row: Instruction, context: Context
    ) -> bool:
        if item[5] != 4:
            return False
        out.emit(push_slot(SELECTORS + 4 * row.args[0], context.reserved), mark=STUB_DONE)
        return True

    def _read(self, out: _Output, slot: int, item: Surveyed, context: Context) -> bool:
        """A register takes a doubleword of the vCPU page."""
        out.emit(load_slot(item[3] & 7, slot, context.reserved, item[5] == 4), mark=STUB_DONE)
        return True

    def _read_system(
        self, out: _Output, item: Surveyed, row: Instruction, memory: bool, context: Context
    ) -> bool:
        if row.body == "mov_rc":
            number = item[3] >> 3 & 7
            if number not in (0, 2, 3, 4):
                return False
            code = load_slot(item[3] & 7, CONTROLS + 4 * number, context.reserved)
            out.emit(code, mark=STUB_DONE)
            return True
        if memory:
            return False
        slot = {"smsw": CONTROLS, "str_e": TR_SELECTOR, "sldt": LDTR_SELECTOR}[row.body]
        return self._read(out, slot, item, context)

    # --- control transfers --------------------------------------------------------------

    def _do_jcc(
        self, out: _Output, item: Surveyed, raw: bytes, row: Instruction, context: Context
    ) -> bool:
        if item[5] != 4:
            return self._emulate(out, item, row)
        out.branch(bytes([0x0F, 0x80 | row.args[0]]), item[4])
        return False

    def _do_loop(
        self, out: _Output, item: Surveyed, raw: bytes, row: Instruction, context: Context
    ) -> bool:
        """LOOP and JCXZ only come short: over a jump that is taken when they are not."""
        if item[5] != 4:
            return self._emulate(out, item, row)
        out.keep_together(len(raw) + 2 + SLOT_BYTES)
        out.emit(raw[:-1] + b"\x02", mark=MARK_COUNTS)
        out.guest = item[0] + item[1] & 0xFFFFFFFF
        out.emit(bytes([0xEB, SLOT_BYTES]))
        out.guest = item[4]
        out.slot(Exit(CHAIN, item[4]), counts=False)
        out.guest = item[0]
        return False

    def _do_jmp_near(
        self, out: _Output, item: Surveyed, raw: bytes, row: Instruction, context: Context
    ) -> bool:
        if item[5] != 4:
            return self._emulate(out, item, row)
        out.slot(Exit(CHAIN, item[4], completes=True), counts=True)
        return True

    def _do_call_near(
        self, out: _Output, item: Surveyed, raw: bytes, row: Instruction, context: Context
    ) -> bool:
        if item[5] != 4:
            return self._emulate(out, item, row)
        back = item[0] + item[1] & 0xFFFFFFFF
        self.returns.add(back)
        out.emit(b"\x68" + back.to_bytes(4, "little"))
        out.slot(Exit(CHAIN, item[4], completes=True), counts=True)
        return True

    def _do_ret_near(
        self, out: _Output, item: Surveyed, raw: bytes, row: Instruction, context: Context
    ) -> bool:
        if item[5] != 4:
            return self._emulate(out, item, row)
        name = "ret_immediate" if item[4] else "ret"
        out.stub(stub(name, context.reserved), None, immediate=item[4])
        return True

    def _do_call_e(
        self, out: _Output, item: Surveyed, raw: bytes, row: Instruction, context: Context
    ) -> bool:
        return self._indirect(out, "call_indirect", item, raw, row, context)

    def _do_jmp_e(
        self, out: _Output, item: Surveyed, raw: bytes, row: Instruction, context: Context
    ) -> bool:
        return self._indirect(out, "jmp_indirect", item, raw, row, context)

    def _indirect(
        self,
        out: _Output,
        name: str,
        item: Surveyed,
        raw: bytes,
        row: Instruction,
        context: Context,
    ) -> bool:
        at = raw.find(0xFF)
        memory = item[3] < 0xC0
        if item[5] != 4 or (memory and self._cannot_reach(item, raw, row, context)):
            return self._emulate(out, item, row)
        load = raw[:at] + bytes([0x8B, raw[at + 1] & 0xC7 | 1 << 3]) + raw[at + 2 :]
        back = item[0] + item[1] & 0xFFFFFFFF
        if name == "call_indirect":
            self.returns.add(back)
        out.stub(stub(name, context.reserved), None, immediate=back, guest_code=load)
        return True


def _has_prefix(raw: bytes, prefix: int) -> bool:
    """Is a byte among an instruction's prefixes, however many there are?"""
    for byte in raw:
        if byte == prefix:
            return True
        if byte not in PREFIXES:
            return False
    return False


def _plain_entries(policies: dict[int, tuple[str, Instruction]]) -> frozenset[int]:
    """Survey entries that are copied whatever their operands (but for segment overrides)."""
    return frozenset(
        entry
        for entry, (policy, row) in policies.items()
        if policy == "copy" and entry not in X87_ENVIRONMENT and row.body not in FLAG_BODIES
    )


_BRANCHES = ("jcc", "loop", "jmp_near", "call_near", "ret_near", "jmp_e", "call_e")


class _Output:
    """A translation under construction: bytes, and for each what the cache records."""

    def __init__(self, cache: TranslationCache, guest: int) -> None:
        self.cache = cache
        self.start = cache.base + cache.used
        self.guest = guest  # guest EIP of what is being emitted
        self.code = bytearray()
        self.places: list[tuple[int, int, int, int]] = []  # offset, guest EIP, undo, mark
        self._cold: list[tuple[list[int], tuple[Piece, ...], Exit, int]] = []
        self._branches: list[tuple[int, int]] = []  # Jcc address, guest target

    @property
    def here(self) -> int:
        return self.start + len(self.code)

    def emit(self, code: bytes, undo: int = 0, mark: int = 0) -> None:
        """Append one instruction; `undo`: what a rollback from it restores; `mark`: MARK_*."""
        if (self.here & 0xFFF) + len(code) > 0x1000:
            self.keep_together(len(code))
        self.places.append((len(self.code), self.guest & 0xFFFFFFFF, undo, mark))
        self.code += code

    def keep_together(self, size: int) -> None:
        """Pad so that the next `size` bytes lie in one page.

        The engine has to look twice at an instruction across two pages, every time; and the short
        jumps of a stub need its pieces where they were assembled.
        """
        room = 0x1000 - (self.here & 0xFFF)
        if size > room:
            for _ in range(room):
                self.places.append((len(self.code), self.guest & 0xFFFFFFFF, 0, 0))
                self.code += NOP

    def exit(self, exit_: Exit, undo: int = 0) -> None:
        self.cache.exits[self.here] = exit_
        self.emit(bytes([INT3]), undo)

    def slot(self, exit_: Exit, counts: bool) -> None:
        """A direct jump that is an exit until it is chained."""
        self.keep_together(SLOT_BYTES)
        self.cache.exits[self.here] = exit_
        code = bytes([INT3]) + NOP * (SLOT_BYTES - 1)
        self.emit(code, mark=MARK_COUNTS if counts else 0)

    def jump(self, target: int) -> None:
        """A jump within the cache that is no guest instruction."""
        displacement = target - self.here - 5 & 0xFFFFFFFF
        self.emit(b"\xe9" + displacement.to_bytes(4, "little"))

    def branch(self, opcode: bytes, target: int) -> None:
        """A conditional branch to a slot at the end of the block."""
        self.keep_together(len(opcode) + 4)
        self._branches.append((self.here, target))
        self.emit(opcode + bytes(4), mark=MARK_COUNTS)

    def piece(
        self, piece: Piece, immediate: int, places: dict[str, int], mark: int = MARK_COUNTS
    ) -> None:
        """One instruction of a stub."""
        code = piece.code
        if piece.immediate is not None:
            at = piece.immediate
            value = -immediate if piece.negative else immediate
            code = code[:at] + (value & 0xFFFFFFFF).to_bytes(4, "little") + code[at + 4 :]
        if piece.kind == "back":
            code = code[:-1] + bytes([places["back"] - self.here - len(code) & 0xFF])
        elif piece.kind in places:
            displacement = places[piece.kind] - self.here - len(code) & 0xFFFFFFFF
            code = code[:-4] + displacement.to_bytes(4, "little")
        self.emit(code, piece.undo, mark=mark if piece.done else 0)

    def stub(
        self,
        stub_: Stub,
        exit_: Exit | None,
        immediate: int = 0,
        guest_code: bytes = b"",
        mark: int = MARK_COUNTS,
    ) -> None:
        """A stub; its slow part is kept for the end of the block."""
        self.keep_together(len(guest_code) + sum(len(piece.code) for piece in stub_.hot))
        to_slow = []
        for piece in stub_.hot:
            if piece.kind == "guest":
                self.emit(guest_code, piece.undo)
                continue
            if piece.kind == "slow":
                to_slow.append(self.here)
            self.piece(piece, immediate, {}, mark)
        if stub_.slow and exit_ is not None:
            self._cold.append((to_slow, stub_.slow, exit_, self.guest))

    def place_cold(self) -> None:
        """The out-of-line parts: slots of conditional branches, slow parts of stubs."""
        for at, target in self._branches:
            self._aim(at, self.here)
            self.guest = target
            self.slot(Exit(CHAIN, target, jump=at), counts=False)
        for jumps, pieces, exit_, guest in self._cold:
            self.guest = guest
            for at in jumps:
                self._aim(at, self.here)
            for piece in pieces:
                if piece.kind == "exit":
                    self.exit(exit_, piece.undo)
                else:
                    self.piece(piece, 0, {})

    def _aim(self, at: int, target: int) -> None:
        """Point the jump at TC address `at` (Jcc or JMP with a 32-bit displacement) to target."""
        offset = at - self.start
        size = 6 if self.code[offset] == 0x0F else 5
        displacement = target - at - size & 0xFFFFFFFF
        self.code[offset + size - 4 : offset + size] = displacement.to_bytes(4, "little")
