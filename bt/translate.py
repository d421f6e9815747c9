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
from collections.abc import Callable, Collection
from operator import or_
from typing import NamedTuple, Protocol

from bt.cache import (
    BEGINS,
    CHAIN,
    EMULATE,
    INDIRECT,
    SLOT_BYTES,
    Exit,
    TranslatedBlock,
    TranslationCache,
)
from bt.interp.state import MARK_COUNTS, MARK_ENTRY, MARK_LOOKUP, MARK_STUB, MARK_TRACE
from bt.lengths import PREFIXES
from bt.output import Output, Surveyed
from bt.reserved import Choice, Reserved
from bt.segment_access import NO_ACCESS, address_code, operand_of, take_apart, touches_memory
from bt.stubs import (
    CONTROLS,
    LDTR_SELECTOR,
    MARKER,
    SELECTORS,
    TR_SELECTOR,
    Stub,
    load_slot,
    push_slot,
    stub,
)
from bt.table import TABLE, Class, Instruction

STUB_DONE = MARK_COUNTS | MARK_STUB
LOOKED_UP = MARK_COUNTS | MARK_LOOKUP
ENTRY_WHERE_BEGINS = bytes(BEGINS) + bytes([MARK_ENTRY]) * (256 - BEGINS)  # undo masks to marks
TRACE_WHERE_BEGINS = bytes(BEGINS) + bytes([MARK_TRACE]) * (256 - BEGINS)
NO_BLOCK = Exit(INDIRECT, 0)  # an indirect branch to what is not translated
MAX_INSTRUCTIONS = 48
WORTH_JUMPING = 4  # instructions: fewer are rather translated twice than jumped to
MAX_BLOCK_BYTES = 4096  # room a block may need in the cache: 48 stubs of the longest kind
CS, FS, GS = 1, 4, 5
ECX = 1

# FNSTENV and FNSAVE store the address of the last x87 instruction: the guest's, not ours. FLDENV
# and FRSTOR load one, which must not be taken for ours afterwards.
X87_ENVIRONMENT = (0xD9 * 8 + 6, 0xDD * 8 + 6, 0xD9 * 8 + 4, 0xDD * 8 + 4)

FLAG_BODIES = ("pushf", "popf")
OWN = "own"  # the policy of what somebody else's stubs stand for
BRANCHES = ("jcc", "loop", "jmp_near", "call_near", "ret_near", "jmp_e", "call_e")
COPY = "copy"  # the policy of what runs as it is
STUBBED = ("port", "flags", "push_seg", "mov_es", "read_system")  # policies without an exit
OPENS_WINDOW = ("sti", "popf")  # what may set IF


class Context:
    """What a translation depends on besides the bytes. Blocks of different contexts never mix."""

    def __init__(self, user: bool = False, stubs: bool = True) -> None:
        """`stubs`: CLI, STI, PUSHF, POPF may be simulated (kernel) or copied (user): IOPL is 0."""
        self.user = user
        self.stubs = stubs
        self.number = user + 2 * (not stubs)  # 0 to 3: its place in tables of contexts


CONTEXTS = (
    Context(),
    Context(user=True),
    Context(stubs=False),
    Context(user=True, stubs=False),
)


def policy_of(row: Instruction, user: bool) -> str:
    """How an instruction is translated: the name of a method of Translator, less `_do_`."""
    body = row.body
    if body in BRANCHES:
        return body
    if body in ("cpuid", "rdpmc", "bound", "ud2", "int1"):
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
    if body in FLAG_BODIES:  # the user's
        return "copy"
    return "emulate"


@functools.cache
def policies(user: bool) -> dict[int, tuple[str, Instruction]]:
    """Policy and row by survey entry (opcode * 8 + ModRM.reg)."""
    found = {}
    for row in TABLE:
        if row.modrm is not None:
            continue  # as its group's other members: left to the monitor
        code = (0x100 if row.two_byte else 0) + row.byte
        for c in range(code, code + 8) if row.in_opcode else (code,):
            for reg in range(8) if row.extension is None else (row.extension,):
                found[c * 8 + reg] = (policy_of(row, user), row)
    return found


class OwnStub(NamedTuple):
    """A stub that takes the place of the translator's, for one instruction."""

    stub: Stub
    transfers: bool = False  # its last line is an indirect branch; else it falls through


class OwnStubs(Protocol):
    """Where stubs come from that are not the translator's own."""

    @property
    def entries(self) -> Collection[int]:
        """Survey entries of the instructions that they may stand for, in kernel code."""

    def prepare(
        self, code: bytes, surveyed: list[Surveyed], context: Context, reserved: str
    ) -> list[Surveyed]:
        """Find the stubs of a block before anything of it is emitted; what to translate of it.

        Less than was surveyed where a block would grow too long. `reserved`: the register's name.
        """

    def at(self, eip: int) -> OwnStub | None:
        """That of the instruction at `eip` in the block that was prepared; None: it has none."""


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
        self._plain = tuple(_plain_entries(table) for table in self.policies)
        self.count_entries = False  # shall the engine count how often instructions are begun?
        self.own: OwnStubs | None = None
        # By context.user: most kernels use FS, if any, and most user code GS.
        self.choices = (Choice(GS), Choice(FS))
        self.trace = False  # shall the engine note what instructions are begun?
        self.patches: Counter[str] = Counter()  # problem instructions replaced, by mnemonic
        self.returns: set[int] = set()  # where translated calls come back to
        self.instructions = 0  # guest instructions translated
        self.reset()

    def use_own(self, own: OwnStubs) -> None:
        """Let somebody else's stubs stand for instructions of the kernel. Before any is translated.

        What they do not stand for after all is translated as ever.
        """
        self.own = own
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

    def reserved(self, context: Context) -> Reserved:
        """The segment register that leads to the vCPU page while code of a context runs."""
        return self.choices[context.user].now

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
        if self.own is not None:
            known = len(surveyed)
            surveyed = self.own.prepare(code, surveyed, context, self.reserved(context).name)
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
        table = self.policies[context.user]
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
            out.left = self._one(out, item, raw, row, context)
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
        if self.trace:
            marks = self._with_trace(out, marks)
        self.mark(start, marks)
        for link, target in out.links:
            target = target or block
            assert target is not None
            target.incoming.append(link)

    def _with_trace(self, out: Output, marks: bytes) -> bytes:
        """Mark where instructions begin, behind STI too; a slot that falls through is none."""
        traced = bytearray(map(or_, marks, out.undos.translate(TRACE_WHERE_BEGINS)))
        for at in self.cache.after_sti:
            exit_ = self.cache.exits.get(at)
            falls = exit_ is not None and exit_.kind == CHAIN and not exit_.completes
            if out.start <= at < out.here and not falls:
                traced[at - out.start] |= MARK_TRACE
        return bytes(traced)

    # --- one instruction ----------------------------------------------------------------

    def _one(
        self,
        out: Output,
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
        if self.without and self._ablated(policy, row):
            policy = "emulate"
        if policy == "copy" and memory and item[2] in X87_ENVIRONMENT:
            policy = "emulate"
        if policy == "copy":
            return self._copy(out, item, raw, row, context)
        if policy == "port":  # the engine serves it from the bus in place (Cpu.ports_open)
            self._note(row)
            out.emit(raw, mark=STUB_DONE)
            return False
        if policy == "flags" and context.stubs and item[5] == 4:
            self._note(row)
            flag_stub = stub(row.body, self.reserved(context).name)
            out.stub(flag_stub, Exit(EMULATE, item[0]), mark=STUB_DONE)
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
        elif policy in BRANCHES:
            return bool(getattr(self, f"_do_{policy}")(out, item, raw, row, context))
        elif policy == OWN:
            return self._do_own(out, item, raw, row, context)
        if done:
            self._note(row)
            return False
        return self._emulate(out, item, row)

    def _ablated(self, policy: str, row: Instruction) -> bool:
        """Is this one of the stubs that are left out?"""
        if "stubs" in self.without and policy in STUBBED:
            return True
        return "window" in self.without and policy == "flags" and row.body in OPENS_WINDOW

    def _note(self, row: Instruction | None) -> None:
        if row is not None and row.sensitivity is not Class.INNOCUOUS:
            self.patches[row.mnemonic] += 1

    def _emulate(self, out: Output, item: Surveyed, row: Instruction | None) -> bool:
        self._note(row)
        out.exit(Exit(EMULATE, item[0]))
        return True

    def _copy(
        self, out: Output, item: Surveyed, raw: bytes, row: Instruction, context: Context
    ) -> bool:
        """An instruction that may run as it is, if its operand is where it shall be."""
        if _reads_code_segment(item, raw, row):
            return self._emulate(out, item, row)
        if not self._needs_reserved(item, row, context):
            out.emit(raw, mark=MARK_COUNTS)
            return False
        access = None
        if "stubs" not in self.without:
            access = take_apart(raw, item, row, self.reserved(context).name)
        if access is None:
            return self._emulate(out, item, row)
        out.stub(
            access.stub,
            None,
            guest_code=access.guest_code,
            address_code=access.address_code,
            mark=STUB_DONE,
        )
        return False

    def _needs_reserved(self, item: Surveyed, row: Instruction, context: Context) -> bool:
        """Is the operand in the guest's own segment of the register that is reserved?"""
        return item[7] == self.reserved(context).number and touches_memory(item, row)

    def _push_segment(
        self, out: Output, item: Surveyed, row: Instruction, context: Context
    ) -> bool:
        if item[5] != 4:
            return False
        code = push_slot(SELECTORS + 4 * row.args[0], self.reserved(context).name)
        out.emit(code, mark=STUB_DONE)
        return True

    def _read(self, out: Output, slot: int, item: Surveyed, context: Context) -> bool:
        """A register takes a doubleword of the vCPU page."""
        reserved = self.reserved(context).name
        out.emit(load_slot(item[3] & 7, slot, reserved, item[5] == 4), mark=STUB_DONE)
        return True

    def _read_system(
        self, out: Output, item: Surveyed, row: Instruction, memory: bool, context: Context
    ) -> bool:
        if row.body == "mov_rc":
            number = item[3] >> 3 & 7
            if number not in (0, 2, 3, 4):
                return False
            reserved = self.reserved(context).name
            code = load_slot(item[3] & 7, CONTROLS + 4 * number, reserved)
            out.emit(code, mark=STUB_DONE)
            return True
        if memory:
            return False
        slot = {"smsw": CONTROLS, "str_e": TR_SELECTOR, "sldt": LDTR_SELECTOR}[row.body]
        return self._read(out, slot, item, context)

    def _do_own(
        self, out: Output, item: Surveyed, raw: bytes, row: Instruction, context: Context
    ) -> bool:
        """Somebody else's stub, if there is one for this instruction and stubs are not left out.

        MARKER stands for itself: it may be a number that they have chosen.
        """
        found = self.own.at(item[0]) if self.own is not None else None
        usual = policy_of(row, context.user)
        if found is None or "stubs" in self.without or self._ablated(usual, row):
            return self._one(out, item, raw, (usual, row), context)
        self.patches[row.mnemonic] += 1
        mark = LOOKED_UP if found.transfers else STUB_DONE
        out.stub(found.stub, Exit(EMULATE, item[0]), immediate=MARKER, mark=mark)
        if row.body == "sti":
            self.cache.after_sti.add(out.here)
        if row.ends and not found.transfers:
            behind = item[0] + item[1] & 0xFFFFFFFF
            out.begin(behind, entry=False)
            out.slot(Exit(CHAIN, behind), counts=False)
        return row.ends

    # --- control transfers --------------------------------------------------------------

    def _do_jcc(
        self, out: Output, item: Surveyed, raw: bytes, row: Instruction, context: Context
    ) -> bool:
        if item[5] != 4:
            return self._emulate(out, item, row)
        out.branch(bytes([0x0F, 0x80 | row.args[0]]), item[4])
        return False

    def _do_loop(
        self, out: Output, item: Surveyed, raw: bytes, row: Instruction, context: Context
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
        return False

    def _do_jmp_near(
        self, out: Output, item: Surveyed, raw: bytes, row: Instruction, context: Context
    ) -> bool:
        if item[5] != 4:
            return self._emulate(out, item, row)
        out.slot(Exit(CHAIN, item[4], completes=True), counts=True)
        return True

    def _do_call_near(
        self, out: Output, item: Surveyed, raw: bytes, row: Instruction, context: Context
    ) -> bool:
        if item[5] != 4:
            return self._emulate(out, item, row)
        back = item[0] + item[1] & 0xFFFFFFFF
        self.returns.add(back)
        out.emit(b"\x68" + back.to_bytes(4, "little"))
        out.slot(Exit(CHAIN, item[4], completes=True), counts=True)
        return True

    def _do_ret_near(
        self, out: Output, item: Surveyed, raw: bytes, row: Instruction, context: Context
    ) -> bool:
        if item[5] != 4:
            return self._emulate(out, item, row)
        name = "ret_immediate" if item[4] else "ret"
        returns = stub(name, self.reserved(context).name)
        out.stub(returns, None, immediate=item[4], mark=LOOKED_UP)
        return True

    def _do_call_e(
        self, out: Output, item: Surveyed, raw: bytes, row: Instruction, context: Context
    ) -> bool:
        return self._indirect(out, "call", item, raw, row, context)

    def _do_jmp_e(
        self, out: Output, item: Surveyed, raw: bytes, row: Instruction, context: Context
    ) -> bool:
        return self._indirect(out, "jmp", item, raw, row, context)

    def _indirect(
        self,
        out: Output,
        name: str,
        item: Surveyed,
        raw: bytes,
        row: Instruction,
        context: Context,
    ) -> bool:
        """`name`: "call" or "jmp"."""
        if item[5] != 4 or (item[3] < 0xC0 and _reads_code_segment(item, raw, row)):
            return self._emulate(out, item, row)
        load, address = b"", b""
        if self._needs_reserved(item, row, context):
            operand = operand_of(raw)
            if operand is None or "stubs" in self.without:
                return self._emulate(out, item, row)
            kind, address = "through", address_code(operand, ECX)
        else:
            at = raw.find(0xFF)
            kind = "indirect"
            load = raw[:at] + bytes([0x8B, raw[at + 1] & 0xC7 | ECX << 3]) + raw[at + 2 :]
        back = item[0] + item[1] & 0xFFFFFFFF
        if name == "call":
            self.returns.add(back)
        out.stub(
            stub(f"{name}_{kind}", self.reserved(context).name),
            None,
            immediate=back,
            guest_code=load,
            address_code=address,
            mark=LOOKED_UP,
        )
        return True


def _reads_code_segment(item: Surveyed, raw: bytes, row: Instruction) -> bool:
    """Is there a CS override that counts? CS is flat, so the whole hidden region could be read.

    (The survey names a segment also where there is no override.)
    """
    return item[7] == CS and row.body not in NO_ACCESS and _has_prefix(raw, 0x2E)


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
