"""One guest instruction to what stands for it in the cache: the same bytes, a stub, or an exit.

    pushf                  push dword ptr of the virtual flags: a stub, a few lines of bt/stubs.py
    mov eax, [ebx]         the same bytes
    call eax               its address into ECX, and a look into the table of landings
    lgdt [ebx]             int3: the monitor emulates it

Which of them, says bt/policy.py; what surrounds an instruction in its block, bt/translate.py.
"""

from __future__ import annotations

from collections import Counter

from bt.cache import CHAIN, EMULATE, SLOT_BYTES, Exit, TranslationCache
from bt.instruction import Class, Instruction
from bt.interp.state import MARK_COUNTS, MARK_LOOKUP, MARK_STUB
from bt.output import Output, Surveyed
from bt.own_stubs import OWN, OwnStubs
from bt.policy import (
    BRANCHES,
    FLAG_BODIES,
    OPENS_WINDOW,
    STUBBED,
    X87_ENVIRONMENT,
    Context,
    policy_of,
)
from bt.reserved import Choice, Reserved
from bt.segment_access import (
    address_code,
    operand_of,
    reads_code_segment,
    take_apart,
    touches_memory,
)
from bt.stub_code import MARKER
from bt.stubs import stub
from bt.vcpu_page import CONTROLS, LDTR_SELECTOR, SELECTORS, TR_SELECTOR, load_slot, push_slot

STUB_DONE = MARK_COUNTS | MARK_STUB
LOOKED_UP = MARK_COUNTS | MARK_LOOKUP
CS, FS, GS = 1, 4, 5
ECX = 1


class Rewriter:
    """Writes what stands for one instruction. One per translator."""

    def __init__(self, cache: TranslationCache, without: frozenset[str]) -> None:
        """`without`: techniques to leave out, as Translator has them."""
        self.cache = cache
        self.without = without
        self.own: OwnStubs | None = None
        # By context.user: most kernels use FS, if any, and most user code GS.
        self.choices = (Choice(GS), Choice(FS))
        self.patches: Counter[str] = Counter()  # problem instructions replaced, by mnemonic
        self.returns: set[int] = set()  # where translated calls come back to

    def reserved(self, context: Context) -> Reserved:
        """The segment register that leads to the vCPU page while code of a context runs."""
        return self.choices[context.user].now

    def one(
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
        if reads_code_segment(item, raw, row):
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
            return self.one(out, item, raw, (usual, row), context)
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
        if item[5] != 4 or (item[3] < 0xC0 and reads_code_segment(item, raw, row)):
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
