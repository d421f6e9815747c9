"""Run a guest with its screen, keys, mouse and serial console on a page for a browser.

The page is on this machine only, at the address that is printed, token included. Beside what vp run
shows there are live statistics, the translation cache, the memory map and the monitor's console.
The options are those of vp run, but for --serial, which is null here, and a display adapter and a
mouse, which are there.

Exit status: that of vp run; 2 too where the page cannot be served.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from monitor.cli import run as vp_run
from monitor.settings.listen_config import parse_listen

if TYPE_CHECKING:
    from monitor import Machine
    from monitor.console.attended import Attended

NAME = "web"
HELP = "run a guest with its screen and console in a browser"
EXAMPLES = (
    "vp web --fda freedos.img",
    "vp web --kernel guests/vmlinuz --initrd guests/initramfs.cpio.gz --append console=ttyS0",
    "vp web --cdrom grub.iso --clock host --listen localhost:8080",
)
LISTEN = "127.0.0.1:0"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `vp web`."""
    group = parser.add_argument_group("the page")
    group.add_argument(
        "--listen",
        default=LISTEN,
        metavar="HOST:PORT",
        help=f"where it is, on this machine (default {LISTEN}: a free port)",
    )
    vp_run.add_arguments(parser)
    parser.set_defaults(serial="null", vga="std", mouse=True)


def run(args: argparse.Namespace) -> int:
    """`vp web`."""
    from monitor.web.server import PageServer, check_packages

    host, port = parse_listen(args.listen)
    check_packages()

    @contextmanager
    def page(machine: Machine, attended: Attended) -> Iterator[PageServer]:
        with PageServer(machine, attended, host, port, "Virtual Platform") as server:
            print(server.url, file=sys.stderr, flush=True)
            yield server

    return vp_run.run(args, page=page)
