"""Guests by name: operating systems and tools that people ran on a PC.

    vp guest list             what there is, and whether its files are here
    vp guest fetch [NAME...]  get files of guests out of Debian's packages; all, if none is named
    vp guest run NAME         run one, with any option of `vp run` beside its own

`run` shows the guest's screen on the terminal, or its serial console, and its keys are yours. With
--expect, and where there is no terminal, it types by itself what the guest's row has, and ends when
what that should lead to is to be seen. Where there is no terminal, the screen's text is printed in
the end.

Exit status: 0 listed, fetched, or ended as asked; 1 not as asked: what was expected did not come,
or what ends `vp run` with 1; 2 bad usage or input, no such guest, or files that are missing.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from monitor.cli import config_file
from monitor.cli import run as vp_run
from monitor.cli.display import is_terminal
from monitor.cli.json_output import STANDARD_OUTPUT, JsonOutput, add_json
from monitor.cli.parser import Parser

if TYPE_CHECKING:
    from monitor import Machine
    from monitor.guestbook.guest import Guest

NAME = "guest"
HELP = "list, fetch and run guests by name: FreeDOS, GRUB, Linux, ..."
EXAMPLES = (
    "vp guest list",
    "vp guest fetch grub memtest",
    "vp guest run freedos",
    "vp guest run grub --mode bare --expect",
    "vp guest run linux --report",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The actions of `vp guest`."""
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="list the guests")
    add_json(listing, "the list")
    listing.set_defaults(act=_list)
    fetch = actions.add_parser("fetch", help="get files of guests out of Debian's packages")
    fetch.add_argument("names", nargs="*", metavar="NAME", help="which guests (default: all)")
    fetch.add_argument("--refresh", action="store_true", help="ask apt for newer packages")
    fetch.set_defaults(act=_fetch)
    run_one = actions.add_parser("run", help="run a guest; the options of `vp run` beat its own")
    run_one.add_argument("guest", metavar="NAME", help="which guest")
    run_one.add_argument("--expect", action="store_true",
                         help="type what its row types, and end when what it expects is seen")
    vp_run.add_options(run_one)
    run_one.settings = _settings  # type: ignore[attr-defined]
    run_one.set_defaults(act=_run, vmx=None)


def run(args: argparse.Namespace) -> int:
    """`vp guest`."""
    status: int = args.act(args)
    return status


def _list(args: argparse.Namespace) -> int:
    from monitor.guestbook.rows import GUESTS

    with JsonOutput(args.json) as json:
        json.write(lambda: {"guests": [_document(guest) for guest in GUESTS]})
        if not json.alone:
            _print_table(GUESTS)
    return 0


def _document(guest: Guest) -> dict[str, Any]:
    from monitor.guestbook.bringing import missing

    return {
        "name": guest.name, "title": guest.title, "licence": guest.licence,
        "files": list(guest.files), "missing": missing(guest), "options": guest.machine,
        "types": [{"after": step.after, "text": step.text} for step in guest.steps],
        "expects": guest.expect, "long": guest.long,
    }  # fmt: skip


def _print_table(guests: tuple[Guest, ...]) -> None:
    from rich import box

    from monitor.cli.pieces import plain_console
    from monitor.guestbook.bringing import missing
    from monitor.writing.whole_table import Table

    table = Table(title="Guests", box=box.SIMPLE_HEAD)
    table.add_column("NAME", no_wrap=True)
    for column in ("what it is", "licence", "here"):
        table.add_column(column)
    for guest in guests:
        lacking = missing(guest)
        here = f"no {', '.join(lacking)}" if lacking else "yes"
        table.add_row(guest.name, guest.title, guest.licence, here)
    plain_console().print(table)


def _fetch(args: argparse.Namespace) -> int:
    from monitor.guestbook import bringing
    from monitor.guestbook.rows import GUESTS

    guests = [bringing.named(name) for name in args.names] or list(GUESTS)
    bringing.fetch(guests, lambda line: print(line, flush=True), args.refresh)
    for guest in guests:
        if args.names:
            bringing.check(guest)
        elif bringing.missing(guest):
            print(f"{guest.name}: no {', '.join(bringing.missing(guest))}")
    return 0


def _settings(parser: Parser, given: argparse.Namespace) -> dict[str, Any]:
    """What the guest's row says and the command line does not; a --config file stands between."""
    from monitor.guestbook import bringing

    guest = bringing.named(given.guest)
    words = guest.options(bringing.where(guest))
    attended = is_terminal()
    if given.expect or not attended:
        words += guest.attended()
    if attended and guest.screen:
        words += ["--display", "terminal"]
    by_itself = Parser(prog=parser.prog)
    vp_run.add_options(by_itself)
    by_itself.settings = None
    row = vars(by_itself.parse_args(words))
    found = {name: value for name, value in row.items() if value != by_itself.get_default(name)}
    return found | config_file.settings(parser, given)


def _run(args: argparse.Namespace) -> int:
    from monitor.guestbook.bringing import named

    made: list[Machine] = []
    status = vp_run.run(args, made.append)
    screen = named(args.guest).screen and not is_terminal() and args.json != STANDARD_OUTPUT
    if screen and made:
        print(made[0].screen.text)
    return status
