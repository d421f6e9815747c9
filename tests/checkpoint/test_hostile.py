"""Files from strangers: a sentence, never a traceback, never half a machine; bounded time, memory.

VP_MUTATIONS=10000 in the environment does so many; here there are fewer.
"""

from __future__ import annotations

import io
import json
import os
import random
import resource
import struct
import zlib
from pathlib import Path

import pytest
from hostile_files import broken, forged, sealed, sections
from patience import PATIENCE

from monitor import Machine
from monitor.checkpoint import restore
from monitor.checkpoint.format import VERSION, BadCheckpoint
from monitor.checkpoint.snapshot import Snapshot
from monitor.cli.parser import build_parser
from monitor.guests import embedded_image
from monitor.settings.capabilities import X86_VMWARE_BACKDOOR
from monitor.vmm.errors import UserError

MUTATIONS = int(os.environ.get("VP_MUTATIONS", "150"))


@pytest.fixture(scope="module")
def data() -> bytes:
    """A small machine with everything on."""
    machine = Machine(memory_mb=4, mode="bare")
    machine.enable(X86_VMWARE_BACKDOOR, True)
    machine.roms.add(0xC8000, b"\x55\xaa" + bytes(100))
    machine.vmware.tools.guestinfo["answer"] = "42"
    machine.vmware.tools.send("ping")
    guest = embedded_image()
    machine.load_flat(guest.image, guest.load_address, eip=guest.entry)
    machine.run(max_instructions=250_000)
    machine.send("typed")
    return machine.snapshot().data


def sentence(data: bytes) -> str | None:
    """What is said of a file, in one line; None if it is restored, and then the machine runs."""
    try:
        machine = Machine.restore(Snapshot(data))
    except UserError as error:
        text = str(error)
        assert text and "\n" not in text and len(text) < 600 and text.isprintable(), text
        return text
    machine.run(max_instructions=3000, timeout=PATIENCE)
    return None


def test_it_is_right_as_it_is(data: bytes) -> None:
    assert sentence(data) is None
    assert sealed(sections(data)) == data


def test_damaged_files_are_refused(data: bytes) -> None:
    chance = random.Random(1)
    for _ in range(MUTATIONS):
        changed = broken(data, chance)
        assert changed == data or sentence(changed) is not None


def test_forged_files_are_refused_or_run(data: bytes) -> None:
    chance = random.Random(2)
    refused = sum(sentence(forged(data, chance)) is not None for _ in range(MUTATIONS))
    assert refused > MUTATIONS / 2


def test_a_length_alone_allocates_nothing(data: bytes) -> None:
    head, *_ = sections(data)
    for kind, length in ((b"PAGE", 0xFFFFFFFF), (b"STAT", 15 << 20), (b"DATA", 2 << 20)):
        file = sealed([head], end=False) + struct.pack("<4sI", kind, length) + b"short"
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        assert sentence(file) is not None
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000


def test_bombs_are_not_inflated(data: bytes) -> None:
    parts = sections(data)
    bomb = zlib.compress(bytes(200 << 20), 9)
    page = struct.pack("<I32s", 0, b"\xff" * 32)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert "more or fewer" in str(sentence(sealed([*parts[:1], (b"PAGE", page + bomb)])))
    assert "more or fewer" in str(sentence(sealed([*parts[:1], (b"DATA", b"\1x" + bomb)])))
    piece = zlib.compress(bytes(1 << 20), 9)
    many = [(b"DATA", b"\1x" + piece)] * 1000
    assert "more data" in str(sentence(sealed([*parts[:1], *many])))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 150_000


def test_pages_outside_of_ram_and_twice_are_refused(data: bytes) -> None:
    parts = sections(data)
    one = zlib.compress(bytes(4096))
    for number, bit in ((5, 1), (0xFFFFFFFF, 1), (0, 0)):
        page = struct.pack("<I32s", number, bit.to_bytes(32, "little")) + one
        assert "no RAM" in str(sentence(sealed([*parts[:2], (b"PAGE", page)])))
    page = struct.pack("<I32s", 1, b"\1" + bytes(31)) + one
    assert "not in order" in str(sentence(sealed([*parts[:2], (b"PAGE", page), (b"PAGE", page)])))


def test_another_version_is_refused_with_its_writer(data: bytes) -> None:
    parts = sections(data)
    head = json.loads(parts[0][1])
    head |= {"format": VERSION + 1, "program": "virtual-platform 7.0"}
    said = sentence(sealed([(b"HEAD", json.dumps(head).encode()), *parts[1:]]))
    assert said == (
        f"it was written in version {VERSION + 1} of the format, by 'virtual-platform 7.0'; this "
        f"program reads version {VERSION}"
    )


def test_nothing_is_given_away_before_the_end_was_read(data: bytes) -> None:
    made: list[Machine] = []

    def make(head: restore.Head) -> Machine:
        made.append(Machine(memory_mb=head.settings["memory_mb"], mode="bare"))
        return made[-1]

    with pytest.raises(BadCheckpoint, match="ends amid"):
        restore.read(io.BytesIO(data[:-1]), make)
    assert made[0].instructions == 0 and not any(made[0].registers["cr3"] for _ in "1")


NONE = (b"", b"VP", b"\x80\x04\x95pickle", b"VPcheck\x1a", b"\0" * 99)


@pytest.mark.parametrize("contents", NONE)
def test_vp_resume_says_so(
    contents: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "x.vpcheck"
    path.write_bytes(contents)
    args = build_parser().parse_args(["resume", str(path)])
    with pytest.raises(UserError, match="not a checkpoint that can be restored"):
        args.run(args)


def test_no_pickle_and_no_eval() -> None:
    folder = Path(restore.__file__).parent
    for path in folder.glob("*.py"):
        text = path.read_text()
        for word in ("import pickle", "marshal", "eval(", "exec(", "__import__", "import_module"):
            assert word not in text, path
