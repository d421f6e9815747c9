"""The guest: Debian's kernel with a program of ours as its first, and only, process.

`benchmarks/guests/crossings.c` says what it answers to. It is a static i386 program without a
library, so the host can run it as well, which the tests do.
"""

from __future__ import annotations

import gzip
from pathlib import Path

from benchmarks import images
from monitor.guests import linux
from monitor.loaders import cpio

NAME = "crossings"
PROMPT = "crossings> "
DONE = "done"
APPEND = f"{linux.QUICK} rdinit=/{NAME}"


def build() -> Path:
    """Compile and link it."""
    images.OUT.mkdir(parents=True, exist_ok=True)
    target, compiled = images.OUT / NAME, images.OUT / f"{NAME}.o"
    source = images.SOURCES / f"{NAME}.c"
    images.tool(["gcc", *images.CFLAGS, "-c", str(source), "-o", str(compiled)])
    images.tool(["ld", *images.LDFLAGS, "-o", str(target), str(compiled)])
    return target


def initrd(program: bytes) -> bytes:
    """An initramfs with nothing but the program, and the console that it talks through."""
    entries = {
        NAME: cpio.program(program),
        "dev": cpio.folder(),
        "dev/console": cpio.character_device(5, 1),
    }
    return gzip.compress(cpio.archive(entries), mtime=0)


def write_initrd() -> Path:
    """The same as a file, for machines that want one."""
    path = images.OUT / f"{NAME}.cpio.gz"
    path.write_bytes(initrd(build().read_bytes()))
    return path
