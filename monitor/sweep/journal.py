"""The journal of a sweep: every finished row, safe on the disk before the next is waited for.

A text file beside the table, one line a record, each with its CRC-32 in front:

    the identity of the sweep (identity.py)
    {"point": number, "row": {...}}       for each row, in the order in which they were finished

A row is written in one piece at the end of the file and flushed to the disk. Whatever ends the
process, what is left is whole lines and at most one that was cut off: reading stops at the first
line that is not whole, and what follows is cut away. The last line of a point counts.

Only one process has the journal: it holds a lock (flock) that ends with it, however it ends.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zlib import crc32

from monitor.sweep.identity import Identity, differences
from monitor.sweep.task import Row
from monitor.vmm.errors import UserError

if TYPE_CHECKING:
    from typing_extensions import Self

SUFFIX = ".journal"
FRESH = "--fresh starts afresh"
MOST_DIFFERENCES = 3


class Journal:
    """A context manager that holds the journal of the table `out`. Raises UserError."""

    def __init__(self, out: Path, identity: Identity, fresh: bool = False) -> None:
        self.path = out.with_name(out.name + SUFFIX)
        self.rows: dict[int, Row] = {}
        self._identity = dict(identity)
        if not fresh and out.exists() and not self.path.exists():
            raise UserError(f"{out}: is there, and {self.path.name} is not: give another --out, "
                            f"or {FRESH} and replaces it")  # fmt: skip
        try:
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise self._trouble(error) from error
        try:
            self._lock()
            if fresh:
                os.ftruncate(self._file, 0)
            self._read()
        except BaseException:
            os.close(self._file)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        os.close(self._file)

    def add(self, point: int, row: Row) -> None:
        """Keep a row; it is on the disk when this returns."""
        self._append({"point": point, "row": row})
        self.rows[point] = row

    # --- the file -------------------------------------------------------------------------

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"{self.path}: another vp sweep is writing there; wait for it, or give "
                            "another --out") from None  # fmt: skip
        except OSError as error:
            raise self._trouble(error) from error

    def _read(self) -> None:
        with os.fdopen(os.dup(self._file), "rb") as stream:
            text = stream.read()
        whole = 0
        records: list[Any] = []
        for record, end in _records(text):
            records.append(record)
            whole = end
        if records:
            self._check(records[0])
        elif b"\n" in text:
            raise UserError(f"{self.path}: not the journal of a sweep; give another --out")
        try:
            os.ftruncate(self._file, whole)
            os.lseek(self._file, 0, os.SEEK_END)
        except OSError as error:
            raise self._trouble(error) from error
        self.rows |= {record["point"]: record["row"] for record in records[1:]}
        if not records:
            self._append({"sweep": self._identity})
            _sync_folder(self.path.parent)

    def _check(self, head: Any) -> None:
        before = head.get("sweep")
        if not isinstance(before, dict):
            raise UserError(f"{self.path}: not the journal of a sweep; give another --out")
        found = differences(before, self._identity)
        if found:
            more = len(found) - MOST_DIFFERENCES
            rest = f"; and {more} more" if more > 0 else ""
            raise UserError(f"{self.path} is another sweep's: {'; '.join(found[:MOST_DIFFERENCES])}"
                            f"{rest}. Give another --out, or {FRESH}")  # fmt: skip

    def _append(self, record: object) -> None:
        text = json.dumps(record).encode()
        line = b"%08x %s\n" % (crc32(text), text)
        try:
            while line:
                line = line[os.write(self._file, line) :]
            os.fsync(self._file)
        except OSError as error:
            raise self._trouble(error) from error

    def _trouble(self, error: OSError) -> UserError:
        safe = f"; the {len(self.rows)} rows in it are safe" if self.rows else ""
        return UserError(f"cannot write {self.path}: {error.strerror}{safe}")


def _records(text: bytes) -> Iterator[tuple[Any, int]]:
    """What is whole at the beginning, each with the place where it ends."""
    end = 0
    for line in text.splitlines(keepends=True):
        end += len(line)
        checksum, _, record = line[:-1].partition(b" ")
        if not line.endswith(b"\n") or checksum != b"%08x" % crc32(record):
            return
        yield json.loads(record), end


def replace_file(path: Path, text: str) -> None:
    """Give a file new contents, all or nothing, on the disk when this returns."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with draft.open("w", encoding="utf-8", newline="") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        draft.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise UserError(f"cannot write {path}: {error.strerror}") from error


def _sync_folder(folder: Path) -> None:
    """A new name is safe when its folder is."""
    file = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
