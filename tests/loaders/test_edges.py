"""The edges of what the loaders take and write: first and last addresses, sizes, unused bytes."""

from __future__ import annotations

import stat
import struct

import pytest
from loader_images import MIB, FakeMemory, bzimage, elf, multiboot_header, refused

from monitor.loaders import cpio, elf_file, flat, images, linux, multiboot
from monitor.loaders.plan import HOLE_END, HOLE_START, LoadPlan, more_memory
from monitor.loaders.setup_header import HEADER_MAX, check_signature, parse
from monitor.loaders.source import Image
from monitor.loaders.start import GENERAL, StartState, check_registers
from monitor.settings.machine import MAX_MEMORY_MB
from monitor.vmm.errors import UserError

# --- plans ----------------------------------------------------------------------------------------


def test_how_much_memory_is_advised() -> None:
    most = MAX_MEMORY_MB << 20
    assert more_memory(1) == "give it at least 1 MiB (--memory)"
    assert more_memory(MIB + 1) == "give it at least 2 MiB (--memory)"
    assert more_memory(most) == f"give it at least {MAX_MEMORY_MB} MiB (--memory)"
    assert "no size will do" in more_memory(most + 1)


def test_room_right_before_and_right_behind_something() -> None:
    plan = LoadPlan(4 * MIB)
    plan.put("below", 0x10000, bytes(0x1000))
    plan.put("above", 0x12000, bytes(0x1000))
    assert plan.room("between", 0x1000, above=0x11000) == 0x11000
    assert plan.room("too long", 0x1001, above=0x11000) == 0x13000
    plan.put("empty", 0x11800, b"")
    assert plan.room("an empty piece is in nobody's way", 0x1000, above=0x11000) == 0x11000


def test_room_is_aligned() -> None:
    plan = LoadPlan(4 * MIB)
    assert plan.room("to paragraphs", 1, above=0x10001) == 0x10010
    assert plan.room("to pages", 1, align=0x1000, above=0x10001) == 0x11000
    assert plan.room("from the second page on", 1) == 0x1000


def test_room_around_the_hole() -> None:
    plan = LoadPlan(4 * MIB)
    assert plan.room("up to it", 0x1000, above=HOLE_START - 0x1000) == HOLE_START - 0x1000
    assert plan.room("into it", 0x1001, above=HOLE_START - 0x1000) == HOLE_END
    assert plan.room("behind it", 0x1000, above=HOLE_END) == HOLE_END
    assert plan.room("behind that", 0x1000, above=HOLE_END + 0x10) == HOLE_END + 0x10
    with pytest.raises(UserError):
        plan.room("too much", 3 * MIB + 1, above=HOLE_END)
    assert plan.room("all of it", 3 * MIB, above=HOLE_END) == HOLE_END


def test_what_is_reserved_is_left_as_it_was() -> None:
    memory = FakeMemory()
    plan = LoadPlan(memory.size)
    plan.put("code", 0x10000, b"\1\2", 4)
    plan.reserve("working memory", 0x20000, 4)
    plan.commit(memory)
    assert memory.read(0x0FFFF, 6) == b"\xcc\1\2\0\0\xcc"
    assert memory.read(0x20000, 4) == b"\xcc" * 4


# --- flat images ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "cs", "ip"),
    [(0, 0, 0), (0xFFFF, 0, 0xFFFF), (0x10000, 0x1000, 0), (0x1234F, 0x1234, 0xF)],
)
def test_where_real_mode_code_starts(address: int, cs: int, ip: int) -> None:
    start = flat.load(FakeMemory(), b"\xf4", address, real_mode=True)
    assert (start.registers["cs"], start.eip, start.code_selector) == (cs, ip, cs)
    assert (start.esp, start.data_selector) == (0x7C00, 0)
    chosen = {"ds": 5, "esp": 0x100}
    start = flat.load(FakeMemory(), b"\xf4", address, real_mode=True, registers=chosen)
    assert (start.esp, start.data_selector) == (0x100, 5)


def test_the_reach_of_real_mode() -> None:
    """FFFF:FFFF is the last byte."""
    def where(address: int, **registers: int) -> int:
        start = flat.load(FakeMemory(), b"\xf4", address, real_mode=True, registers=registers)
        return start.eip

    assert where(0x10FFEF, cs=0xFFFF) == 0xFFFF
    assert where(0x1FFFF, cs=0x1000) == 0xFFFF
    for address, cs in ((0x10FFF0, 0xFFFF), (0x20000, 0x1000), (0x1FFFF, 0x2000)):
        words = refused(flat.load, FakeMemory(), b"\xf4", address, real_mode=True,
                        registers={"cs": cs})  # fmt: skip
        assert "out of reach" in words
    assert "out of reach" in refused(flat.load, FakeMemory(), b"\xf4", 0x110000, real_mode=True,
                                     registers={"cs": 0x10, "eip": 0})  # fmt: skip


# --- ELF ------------------------------------------------------------------------------------------


def test_only_segments_that_are_loaded_are_loaded() -> None:
    image = bytearray(elf([(0x100000, 0x100000, b"code", 4), (0x200000, 0x200000, b"note", 4),
                           (0x300000, 0x300000, b"", 0)], 0x100000))  # fmt: skip
    struct.pack_into("<I", image, 52 + 32, 4)  # PT_NOTE
    file = elf_file.parse(Image("kernel", bytes(image)))
    assert [segment.paddr for segment in file.loadable] == [0x100000]


def with_sections(*sections: tuple[int, int, int, int]) -> bytes:
    """An ELF file of sections: type, flags, address, size; each one's bytes are its number."""
    names = b"\0" + b"".join(b".s%d\0" % n for n in range(len(sections)))
    head = bytearray(elf([], 0))
    body, table = b"", b""
    for number, (kind, flags, address, size) in enumerate(sections):
        at = len(head) + len(body)
        body += bytes([number]) * (0 if kind == 8 else size)
        table += struct.pack("<10I", 1 + 4 * number, kind, flags, address, at, size, 0, 0, 1, 0)
    at = len(head) + len(body)
    table += struct.pack("<10I", 0, 3, 0, 0, at, len(names), 0, 0, 1, 0)
    struct.pack_into("<I", head, 32, at + len(names))  # e_shoff
    struct.pack_into("<HHH", head, 46, 40, len(sections) + 1, len(sections))
    return bytes(head) + body + names + table


def test_code_is_what_sections_say() -> None:
    """Executable ones that have bytes in the file (type 8, NOBITS, has none)."""
    rows = ((1, 4, 0x1000, 3), (1, 2, 0x2000, 3), (8, 4, 0x3000, 3), (1, 6, 0x4000, 1))
    regions = images.code_regions(with_sections(*rows))
    assert [(r.name, r.address, r.code) for r in regions] == [
        (".s0", 0x1000, b"\0\0\0"), (".s3", 0x4000, b"\3"),
    ]  # fmt: skip


def test_a_section_may_not_end_behind_the_file() -> None:
    whole = bytearray(with_sections((1, 4, 0x1000, 3)))
    struct.pack_into("<I", whole, whole.index(struct.pack("<II", 1, 1)) + 20, 0x10000)
    with pytest.raises(UserError, match="truncated"):
        elf_file.parse(Image("x", bytes(whole)))


def test_sections_without_names() -> None:
    whole = bytearray(with_sections((1, 4, 0x1000, 3)))
    struct.pack_into("<H", whole, 50, 99)  # e_shstrndx
    file = elf_file.parse(Image("x", bytes(whole)))
    assert [section.name for section in file.sections] == ["", ""]


def test_five_bytes_say_that_a_file_is_of_64_bits() -> None:
    with pytest.raises(UserError, match="64"):
        elf_file.parse(Image("x", b"\x7fELF\2"))


def test_what_is_raw_lies_at_0_in_32_bits() -> None:
    region = images.code_regions(b"\x90\xc3")[0]
    assert (region.name, region.address, region.code, region.bits) == ("raw", 0, b"\x90\xc3", 32)


@pytest.mark.parametrize("name", ["eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi", "eip",
                                  "eflags"])  # fmt: skip
def test_registers_to_start_with(name: str) -> None:
    assert check_registers({name: 0xFFFFFFFF}, GENERAL) == {name: 0xFFFFFFFF}
    with pytest.raises(UserError, match="32 bits"):
        check_registers({name: 1 << 32}, GENERAL)


def test_a_start_that_says_nothing_is_at_0() -> None:
    start = StartState(eip=1)
    assert (start.esp, start.registers, start.protected, start.gdt) == (0, {}, True, None)
    assert (start.code_selector, start.data_selector, start.code_base) == (0, 0, 0)


# --- Linux ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("mib", "extended"), [(2, 1024), (64, 0xFC00), (65, 0xFFFF), (80, 0xFFFF)])
def test_the_zero_page(mib: int, extended: int) -> None:
    image = Image("vmlinuz", bzimage())
    page = linux.boot_params(image, parse(image), mib * MIB, (0, 0))
    assert len(page) == 4096
    assert page[:2] + page[4:18] == bytes.fromhex("0000 0000 0350 0000 0000 0000 1901 1000")
    assert struct.unpack_from("<H", page, 2)[0] == extended
    assert struct.unpack_from("<I", page, 0x1E0)[0] == (mib - 1) * 1024


def test_a_kernel_that_needs_more_memory_while_it_starts() -> None:
    words = refused(linux.load, FakeMemory(), bzimage(init_size=3 * MIB))
    assert "while it starts" in words and "at least 5 MiB" in words
    assert linux.load(FakeMemory(), bzimage(init_size=2 * MIB)).eip == 0x100000


def test_a_kernel_that_ends_in_its_setup_part() -> None:
    whole = bzimage()
    for length in (5 * 512, 5 * 512 - 1, 0x26C):
        words = refused(linux.load, FakeMemory(), whole[:length])
        assert "truncated in the setup part" in words
    assert "truncated (" in refused(linux.load, FakeMemory(), whole[: 5 * 512 + 1])


@pytest.mark.parametrize(("jump", "known"), [(0x6A, True), (0x62, True), (0x61, False)])
def test_fields_behind_the_headers_end_have_their_defaults(jump: int, known: bool) -> None:
    image = bytearray(bzimage(init_size=0x123000))
    image[0x201] = jump  # the header ends at 0x202 and this
    header = parse(Image("vmlinuz", bytes(image)))
    assert header.init_size == (0x123000 if known else 0)
    assert HEADER_MAX >= header.end == 0x202 + jump


@pytest.mark.parametrize("version", range(0x202, 0x20D))
def test_fields_that_a_version_does_not_have(version: int) -> None:
    made = bytearray(bzimage(version=version, initrd_addr_max=0x12345678, payload=(7, 9)))
    header = parse(Image("vmlinuz", bytes(made)))
    assert header.initrd_addr_max == (0x12345678 if version >= 0x203 else 0x37FFFFFF)
    assert (header.kernel_alignment, header.relocatable) == (
        (0x10000, True) if version >= 0x205 else (0x1000, False)
    )
    assert header.cmdline_size == (2047 if version >= 0x206 else 255)
    assert header.payload == ((7, 9) if version >= 0x208 else (0, 0))
    assert (header.pref_address, header.init_size) == (
        (0x200000, 0x100000) if version >= 0x20A else (0x100000, 0)
    )


def test_no_alignment_is_that_of_a_page() -> None:
    made = bytearray(bzimage())
    struct.pack_into("<I", made, 0x230, 0)
    assert parse(Image("vmlinuz", bytes(made))).kernel_alignment == 0x1000


def test_a_command_line_of_the_most_bytes() -> None:
    """What the kernel takes, or the room that there is for it and its terminating zero."""
    for size, most in ((255, 255), (1 << 20, linux.STACK_TOP - 0x11000 - 0x1000 - 1)):
        image = bzimage(cmdline_size=size)
        memory = FakeMemory()
        linux.load(memory, image, cmdline="x" * most)
        assert memory.string(memory.word(0x10000 + 0x228)) == "x" * most
        words = refused(linux.load, FakeMemory(), image, cmdline="x" * (most + 1))
        assert f"at most {most}" in words


def test_how_much_of_a_kernel_there_must_be() -> None:
    """As far as LOADFLAGS; only then is it asked which header there is."""
    whole = bzimage()
    check_signature(Image("x", whole[:0x212]))
    with pytest.raises(UserError, match="too few"):
        check_signature(Image("x", whole[:0x211]))
    data = bytearray(whole[:0x212])
    data[0x202:0x206] = b"Hdr?"
    with pytest.raises(UserError, match="no 'HdrS'"):
        parse(Image("x", bytes(data)))


def test_a_file_that_ends_before_its_signature() -> None:
    """Too short to say what it is not."""
    data = bytearray(0x1FF)
    with pytest.raises(UserError, match="too few"):
        check_signature(Image("x", bytes(data)))
    with pytest.raises(UserError, match="no 0xAA55"):
        check_signature(Image("x", bytes(0x200)))


# --- Multiboot ------------------------------------------------------------------------------------


def test_the_information_structure_is_its_own() -> None:
    """Nothing lies over its unused end; what it names lies inside what was planned."""
    memory = FakeMemory()
    kernel = elf([(0x100000, 0x100000, multiboot_header(3), 0x1000)], 0x10000C)
    modules = [(f"module {n}", b"x") for n in range(5)]
    info = multiboot.load(memory, kernel, "a command line", modules).registers["ebx"]
    assert memory.read(info + 68, 116 - 68) == bytes(116 - 68)
    table, text = memory.word(info + 24), memory.word(info + 16)
    assert table == info + 116
    last = max(text + len("a command line"), *(memory.word(table + 16 * n + 8) for n in range(5)))
    assert memory.string(last) in ("module 4", "a command line")
    types = [entry[3] for entry in struct.iter_unpack("<IQQI", memory.read(memory.word(info + 48),
             memory.word(info + 44)))]  # fmt: skip
    assert types == [1, 2, 2, 1]


def test_the_information_needs_room_for_all_of_it() -> None:
    plan = LoadPlan(4 * MIB)
    plan.put("a wall", 0x10000 + 116 + 2 * 16 + 96 + len("cmd") + 1 + 17 + 2 * 2 - 1, bytes(0x1000))
    from monitor.loaders.multiboot_info import put_information

    base = put_information(plan, "cmd", [("a", 0, 1), ("b", 1, 2)])
    assert base > 0x10000, "one byte is missing before the wall"


# --- initial RAM disks ----------------------------------------------------------------------------


def entries(data: bytes) -> list[tuple[str, list[int], bytes]]:
    """Name, fields and contents of an archive's entries, read by the format's own description."""
    found = []
    at = 0
    while at < len(data):
        assert data[at : at + 6] == b"070701"
        fields = [int(data[at + 6 + 8 * n : at + 14 + 8 * n], 16) for n in range(13)]
        name = data[at + 110 : at + 110 + fields[11]]
        body = at + 110 + fields[11] + 3 & ~3
        found.append((name.rstrip(b"\0").decode(), fields, data[body : body + fields[6]]))
        assert name.endswith(b"\0") and b"\0" not in name[:-1]
        at = body + fields[6] + 3 & ~3
    assert at == len(data)
    return found


def test_an_archive_by_its_fields() -> None:
    made = cpio.archive({
        "dev/console": cpio.character_device(5, 1), "dev": cpio.folder(),
        "init": cpio.program(b"#!"), "note": cpio.plain(b"abcde"), "sh": cpio.link("init"),
        "dev/null": cpio.character_device(1, 3, 0o666),
    })  # fmt: skip
    rows = {name: (fields, body) for name, fields, body in entries(made)}
    assert list(rows) == ["dev", "dev/console", "dev/null", "init", "note", "sh", "TRAILER!!!"]
    for number, (name, (fields, body)) in enumerate(rows.items(), 1):
        assert fields[0] == (number if name != "TRAILER!!!" else 0)
        assert fields[2:4] == [0, 0] and fields[5] == 0 and fields[7:9] == [0, 0]
        assert fields[4] == (2 if name == "dev" else 1)
        assert (fields[6], fields[11], fields[12]) == (len(body), len(name) + 1, 0)
    modes = {name: fields[1] for name, (fields, _) in rows.items()}
    assert modes == {
        "dev": stat.S_IFDIR | 0o755, "dev/console": stat.S_IFCHR | 0o600,
        "dev/null": stat.S_IFCHR | 0o666, "init": stat.S_IFREG | 0o755,
        "note": stat.S_IFREG | 0o644, "sh": stat.S_IFLNK | 0o777, "TRAILER!!!": 0,
    }  # fmt: skip
    assert all(fields[9:11] == [0, 0] for name, (fields, _) in rows.items() if name[:4] != "dev/")
    assert rows["dev/console"][0][9:11] == [5, 1] and rows["dev/null"][0][9:11] == [1, 3]
    assert [rows[name][1] for name in ("init", "note", "sh")] == [b"#!", b"abcde", b"init"]
