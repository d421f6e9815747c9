"""`HostCpu`: run 32-bit x86 code on the real processor, thousands of cases per batch.

    with HostCpu() as cpu:
        [outcome] = cpu.run_batch([Case(b"\\x01\\xd8", State(regs=(1, 0, 0, 2, 0, 0, 0, 0)))])
    outcome.regs[0]  # ADD EAX, EBX: 3

The fast path is `run_array`, from a numpy array of layout.CASE to one of layout.RESULT. A case
ends when its code runs off its end, or with the first exception; a taken branch lands on an INT3
(the code page is full of them) and shows its target in EIP. Linux on x86-64, no privileges; what
keeps the code inside is in filters.py.

Limits: LOCK on an operand across cache lines may be slowed down or refused by the host kernel
(split-lock detection); SGDT, SIDT, SLDT, STR and SMSW are answered by the host kernel (UMIP) and
CPUID, RDTSC and the like are the host's own: they are no ground truth.
"""

from __future__ import annotations

import json
import mmap
import os
import platform
import select
import subprocess
import sys
import weakref
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bt.hostcpu import driver, filters
from bt.hostcpu import layout as at

Array = NDArray[Any]

SIGSYS = 31
RF = 0x1_0000
NO_FAULT = 0xFFFF_FFFF  # the vector of a case that ran to its end
START_TIMEOUT = 30.0
SELECTORS = ("cs", "es", "ss", "ds", "fs", "gs")

#: FNSAVE image after FNINIT: control word 037Fh, every register empty.
FPU_INIT = (
    b"\x7f\x03\xff\xff\x00\x00\xff\xff\xff\xff\xff\xff"
    + bytes(12)
    + b"\x00\x00\xff\xff"
    + bytes(80)
)


MXCSR_INIT = 0x1F80  # all exceptions masked, none pending


class OracleError(Exception):
    """The oracle itself could not do what was asked."""


class EscapeError(OracleError):
    """Code under test that is refused, or that tried a system call."""


class CaseTimeoutError(OracleError):
    """A case did not end in time."""


class StrayWriteError(OracleError):
    """A case wrote to the data pages outside of the memory windows."""


@dataclass(frozen=True)
class State:
    """The processor before a case. `regs` in the order EAX ECX EDX EBX ESP EBP ESI EDI."""

    regs: tuple[int, ...] = (0, 0, 0, 0, at.MAIN_WINDOW + 256, 0, 0, 0)
    eflags: int = 0x202
    mem: bytes = bytes(at.MEM_SIZE)
    fpu: bytes = bytes(FPU_INIT)
    cs: int = at.SEL_CODE32
    es: int = at.SEL_FLAT
    ss: int = at.SEL_FLAT
    ds: int = at.SEL_FLAT
    fs: int = at.SEL_FLAT
    gs: int = at.SEL_FLAT


@dataclass(frozen=True)
class Case:
    """Code to run (at layout.CODE_ADDR) and the state to run it from."""

    code: bytes
    state: State = field(default_factory=State)


@dataclass(frozen=True)
class Fault:
    """An exception as the host's processor raised it; `address` is CR2, for #PF."""

    vector: int
    error: int
    address: int | None


@dataclass(frozen=True)
class CaseOutcome:
    """The processor after a case; EIP is CS-relative (SEG_CODE16 has the base CODE_PAGE)."""

    regs: tuple[int, ...]
    eflags: int
    eip: int
    mem: bytes
    fpu: bytes
    selectors: dict[str, int]
    fault: Fault | None


def entry_eip(cs: Array) -> Array:
    """EIP of a case's first byte under its code segment."""
    return np.where(cs == at.SEG_CODE16.selector, at.CODE_OFFSET, at.CODE_ADDR).astype(np.uint32)


def new_cases(count: int) -> Array:
    """Case records with flat segments, an initialised x87 unit and everything else zero."""
    cases = np.zeros(count, at.CASE)
    cases["regs"][:, 4] = at.MAIN_WINDOW + 256
    cases["eflags"] = 0x202
    cases["cs"] = at.SEL_CODE32
    for name in ("es", "ss", "ds", "fs", "gs"):
        cases[name] = at.SEL_FLAT
    cases["fpu"] = np.frombuffer(FPU_INIT, np.uint8)
    cases["mxcsr"] = MXCSR_INIT
    return cases


def set_code(cases: Array, code: bytes) -> None:
    """The same code bytes for every case."""
    if len(code) > at.CODE_MAX:
        raise OracleError(f"{len(code)} bytes of code: at most {at.CODE_MAX} fit a case")
    cases["code"] = 0
    cases["code"][:, : len(code)] = np.frombuffer(code, np.uint8)
    cases["length"] = len(code)


def finish_code(cases: Array, save: int, save_vectors: int) -> None:
    """Append the jump back to every case's code and fill the slot with INT3."""
    cases["eip"] = entry_eip(cases["cs"])
    for vectors, end in ((0, save), (1, save_vectors)):
        for bits16 in (False, True):
            rows = cases["vectors"] == vectors
            rows &= (cases["cs"] == at.SEG_CODE16.selector) == bits16
            _finish(cases, rows, bits16, end)


def _finish(cases: Array, chosen: Array, bits16: bool, save: int) -> None:
    """finish_code() of cases that end alike."""
    code = cases["code"]
    for length in np.unique(cases["length"][chosen]):
        rows = chosen & (cases["length"] == length)
        if bits16:  # JMP ptr16:32 with an operand size prefix
            jump = b"\x66\xea" + save.to_bytes(4, "little")
            jump += at.SEL_CODE32.to_bytes(2, "little")
        else:
            distance = (save - (at.CODE_ADDR + int(length) + 5)) & 0xFFFF_FFFF
            jump = b"\xe9" + distance.to_bytes(4, "little")
        tail = jump + b"\xcc" * (at.SLOT - int(length) - len(jump))
        code[rows, length:] = np.frombuffer(tail, np.uint8)


class HostCpu:
    """The real processor behind a child process. A context manager; reusable after errors."""

    def __init__(self, timeout: float = 20.0) -> None:
        self._timeout = timeout
        self._driver = driver.build()
        self._memory = os.memfd_create("oracle", os.MFD_CLOEXEC)
        os.ftruncate(self._memory, at.FILE_SIZE)
        self._map = mmap.mmap(self._memory, at.FILE_SIZE)
        self._child: subprocess.Popen[bytes] | None = None
        self._close = weakref.finalize(self, os.close, self._memory)
        self._kill: weakref.finalize[..., HostCpu] | None = None
        self._fill()

    @classmethod
    def available(cls) -> str | None:
        """None, or why 32-bit code cannot run here."""
        return _available()

    def __enter__(self) -> HostCpu:
        self._start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Kill the child and free the memory."""
        self._stop()
        self._close()

    def run_batch(self, cases: Sequence[Case]) -> list[CaseOutcome]:
        """Run cases given as objects; see `run_array` for thousands."""
        records = new_cases(len(cases))
        for record, case in zip(records, cases, strict=True):
            _write_case(record, case)
        return [outcome(result) for result in self.run_array(records)]

    def run_array(self, cases: Array) -> Array:
        """Run an array of layout.CASE; an array of layout.RESULT.

        `code` and `length` say what to run; `eip` and the rest of the code slot are filled in.
        """
        self._check(cases)
        results = np.zeros(len(cases), at.RESULT)
        for start in range(0, len(cases), at.CAPACITY):
            part = cases[start : start + at.CAPACITY].copy()
            finish_code(part, self._driver.save, self._driver.save_vectors)
            results[start : start + at.CAPACITY] = self._run(part, start)
        return results

    def _check(self, cases: Array) -> None:
        if (cases["length"] > at.CODE_MAX).any():
            raise OracleError(f"at most {at.CODE_MAX} bytes of code fit a case")
        if not np.isin(cases["cs"], (at.SEL_CODE32, at.SEG_CODE16.selector)).all():
            raise OracleError("CS must be SEL_CODE32 or SEG_CODE16")
        code = cases["code"].copy()
        code[np.arange(at.SLOT)[None, :] >= cases["length"][:, None]] = 0
        bad = filters.refused(code)
        if bad.any():
            index = int(np.argmax(bad))
            raise EscapeError(f"case {index} is refused: {code[index].tobytes().hex(' ')}")

    def _run(self, cases: Array, first: int) -> Array:
        """One batch; `first` numbers its first case in messages."""
        results = self._execute(cases, first)
        if self._strays():
            index = self._find_stray(cases)
            raise StrayWriteError(f"case {first + index} wrote outside of the memory windows")
        return results

    def _execute(self, cases: Array, first: int) -> Array:
        if self._child is None:
            self._start()
        count = len(cases)
        self._records()[:count] = cases
        self._control(at.COUNT)[:] = count
        self._wake(first)
        results: Array = self._results()[:count].copy()
        self._check_results(results, first)
        results["eflags"] &= ~np.uint32(RF)
        ended = results["signal"] == 0
        results["eip"][ended] = (cases["eip"] + cases["length"])[ended]
        results["cs"][ended] = cases["cs"][ended]
        for name in ("error", "cr2", "si_code"):
            results[name][ended] = 0
        results["vector"][ended] = NO_FAULT
        results["cr2"][results["vector"] != 14] = 0
        return results

    def _check_results(self, results: Array, first: int) -> None:
        escaped = results["signal"] == SIGSYS
        if escaped.any():
            raise EscapeError(f"case {first + int(np.argmax(escaped))} tried a system call")
        page = (results["eip"] & 0xFFFF_F000) == at.DRIVER
        ends = (self._driver.save, self._driver.save_vectors)
        lost = (results["signal"] != 0) & page & ~np.isin(results["eip"], ends)
        if lost.any():
            index = int(np.argmax(lost))
            raise OracleError(
                f"case {first + index} could not be loaded or saved: vector "
                f"{results['vector'][index]} at {results['eip'][index]:#x} of the driver"
            )

    def _strays(self) -> bool:
        """Whether the data pages hold anything outside of the windows; then clear it."""
        data = self._view("data")
        outside = (slice(0, 0xF00), slice(0x1100, 0x1F80))
        dirty = any(data[part].any() for part in outside)
        if dirty:
            data[:] = 0
        return dirty

    def _find_stray(self, cases: Array) -> int:
        for index in range(len(cases)):
            self._execute(cases[index : index + 1], index)
            if self._strays():
                return index
        return len(cases)

    # The child

    def _start(self) -> None:
        plan = {
            "memory": self._memory,
            "pieces": [[p.address, p.size, p.offset, p.protection] for p in at.PIECES],
            "ldt": [_user_desc(segment) for segment in at.LDT],
            "handler": self._driver.handler,
            "stack": at.SIGNAL_STACK,
            "stack_size": at.SIGNAL_STACK_SIZE,
            "start": self._driver.start,
        }
        script = Path(__file__).with_name("child.py")
        child = subprocess.Popen(
            [sys.executable, "-I", "-S", str(script), json.dumps(plan)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            pass_fds=(self._memory,),
            # glibc's rseq area is a page that the child gives up, and the kernel writes to it.
            env={**os.environ, "GLIBC_TUNABLES": "glibc.pthread.rseq=0"},
        )
        self._child = child
        self._kill = weakref.finalize(self, _end, child)
        self._control(at.COUNT)[:] = 0
        self._wake(0, START_TIMEOUT)

    def _stop(self) -> None:
        if self._kill is not None:
            self._kill()
        self._kill = None
        self._child = None

    def _wake(self, first: int, timeout: float | None = None) -> None:
        """Let the child run the batch; a silent or dead child ends in a clear error."""
        assert self._child is not None
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        seconds = self._timeout if timeout is None else timeout
        try:
            self._child.stdin.write(b"x")
            ready, _, _ = select.select([self._child.stdout], [], [], seconds)
            if not ready:
                raise CaseTimeoutError(
                    f"case {first + self._index()} did not end within {seconds:g} seconds"
                )
            if self._child.stdout.read(1) != b"x":
                raise OracleError(self._obituary(first))
        except BaseException:
            self._stop()
            raise

    def _obituary(self, first: int) -> str:
        assert self._child is not None
        assert self._child.stderr is not None
        self._child.kill()
        status = self._child.wait()
        said = self._child.stderr.read().decode(errors="replace").strip()
        return f"the child ended with {status} in case {first + self._index()} {said}".rstrip()

    # The memory file

    def _fill(self) -> None:
        """Driver, code page full of INT3, and the driver's constants."""
        code = self._driver.code
        self._view("driver")[: len(code)] = np.frombuffer(code, np.uint8)
        self._view("code")[:] = 0xCC
        self._control(at.FLAT_SELECTOR)[:] = at.SEL_FLAT
        self._control(at.AFTER_FAULT_POINTER, 2)[:] = (self._driver.after_fault, at.SEL_CODE32)
        self._control(at.DRIVER_POINTER, 2)[:] = (self._driver.driver, at.SEL_CODE32)
        words: list[int] = []
        for address, length in [*at.gaps(), (0, 0)]:
            words += [address & 0xFFFF_FFFF, address >> 32, length & 0xFFFF_FFFF, length >> 32]
        self._control(at.UNMAP_LIST, len(words))[:] = words
        program = np.frombuffer(filters.program(self._driver), np.uint32)
        self._control(at.FILTER_PROGRAM, len(program))[:] = program

    def _view(self, name: str) -> Array:
        piece = at.piece(name)
        return np.frombuffer(self._map, np.uint8, piece.size, piece.offset)

    def _control(self, address: int, count: int = 1) -> Array:
        offset = at.piece("control").offset + address - at.CONTROL
        return np.frombuffer(self._map, np.uint32, count, offset)

    def _records(self) -> Array:
        return np.frombuffer(self._map, at.CASE, at.CAPACITY, at.piece("records").offset)

    def _results(self) -> Array:
        return np.frombuffer(self._map, at.RESULT, at.CAPACITY, at.piece("results").offset)

    def _index(self) -> int:
        return int(self._control(at.INDEX)[0])


def outcome(result: Any) -> CaseOutcome:
    """One row of layout.RESULT as an object."""
    vector = int(result["vector"])
    fault = None
    if result["signal"]:
        fault = Fault(vector, int(result["error"]), int(result["cr2"]) if vector == 14 else None)
    return CaseOutcome(
        regs=tuple(int(value) for value in result["regs"]),
        eflags=int(result["eflags"]),
        eip=int(result["eip"]),
        mem=result["mem"].tobytes(),
        fpu=result["fpu"].tobytes(),
        selectors={name: int(result[name]) & 0xFFFF for name in SELECTORS},
        fault=fault,
    )


def _write_case(record: Any, case: Case) -> None:
    if len(case.code) > at.CODE_MAX:
        raise OracleError(f"{len(case.code)} bytes of code: at most {at.CODE_MAX} fit a case")
    state = case.state
    record["regs"] = state.regs
    record["eflags"] = state.eflags
    record["mem"] = np.frombuffer(state.mem, np.uint8)
    record["fpu"] = np.frombuffer(state.fpu, np.uint8)
    for name in SELECTORS:
        record[name] = getattr(state, name)
    record["length"] = len(case.code)
    record["code"][: len(case.code)] = np.frombuffer(case.code, np.uint8)


def _user_desc(segment: at.LdtSegment) -> list[int]:
    """struct user_desc of modify_ldt(2)."""
    contents = 2 if segment.code else int(segment.expand_down)
    flags = (
        int(segment.big)
        | contents << 1
        | int(not segment.writable) << 3
        | int(segment.pages) << 4
        | int(not segment.present) << 5
    )
    limit = segment.limit >> 12 if segment.pages else segment.limit
    return [segment.selector >> 3, segment.base, limit, flags]


def _end(child: subprocess.Popen[bytes]) -> None:
    child.kill()
    for stream in (child.stdin, child.stdout, child.stderr):
        if stream is not None:
            stream.close()
    child.wait()


@lru_cache(maxsize=1)
def _available() -> str | None:
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return "32-bit code on the host CPU needs Linux on x86-64"
    try:
        with HostCpu() as cpu:
            [result] = cpu.run_batch([Case(b"\x40")])  # INC EAX
    except (OracleError, OSError) as error:
        return f"32-bit code cannot run here: {error}"
    return None if result.regs[0] == 1 else "32-bit code gave a wrong answer here"
