"""The command `vp`: one verb, one file of this folder.

A verb is a module as `Verb` in parser.py describes it. Its words come first: what it does in one
line, then what a user has to know, at the end its exit statuses; indented lines are shown as they
are. Its heavy imports (numpy, rich, keystone, the processor) stand inside run(), so that
`vp --help` is instant. tools/docs/cli_reference.py makes docs/reference/cli.md from all of them.

    >>> main(["run", "--memory", "lots"])
    2

prints ``vp: error: argument --memory: ...`` on standard error. Exit statuses, of every verb:

    0    as asked                      130  interrupted (Ctrl-C)
    1    not as asked                  141  nobody reads standard output any more (`vp ... | head`)
    2    bad usage or input; standard output or a file could not be written

What nobody foresaw is a traceback. Nothing that takes time is imported here, since Ctrl-C is only
ours once main() runs.
"""

from __future__ import annotations

TYPE_CHECKING = False  # typing would be the slowest import of all these
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from monitor.cli.parser import VERBS, Parser, Verb, build_parser, verbs

__all__ = ["VERBS", "Parser", "Verb", "build_parser", "main", "verbs"]

FAILED, INTERRUPTED, NOBODY_READS = 1, 130, 141  # 128 + SIGINT, 128 + SIGPIPE


def __getattr__(name: str) -> Any:
    """The parser's names, once somebody wants them."""
    if name in __all__:
        from monitor.cli import parser

        return getattr(parser, name)
    raise AttributeError(name)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb; its exit status.

    Without arguments it is the process's own, whose standard streams and Ctrl-C are then ours.
    With arguments it is a guest in somebody's process.
    """
    if argv is not None:
        return run_verb(argv)
    from monitor.cli.interrupts import Interrupts

    with Interrupts() as interrupts:
        from monitor.host import streams

        streams.take()
        try:
            status = run_verb(None, interrupts)
            return INTERRUPTED if interrupts.seen else status  # it came too late to be raised
        except BaseException:
            if interrupts.seen:  # a library may have made something else of it
                return INTERRUPTED
            raise
        finally:
            streams.leave(interrupts.seen)


def run_verb(argv: Sequence[str] | None, interrupts: Any = None) -> int:
    """Its exit status, whatever became of it, but for what nobody foresaw."""
    import sys

    from monitor.host.streams import NobodyReads
    from monitor.vmm.errors import UserError

    try:
        status = _run(argv, interrupts)
        if sys.stdout is not None:
            sys.stdout.flush()
        return status
    except UserError as error:
        return _say(error)
    except ImportError as error:
        from bt.interp.sources import StaleBuildError  # not above: `vp --help` must be instant

        if not isinstance(error, StaleBuildError):
            raise
        return _say(error)
    except KeyboardInterrupt:
        return INTERRUPTED
    except (NobodyReads, BrokenPipeError):
        return NOBODY_READS


def _run(argv: Sequence[str] | None, interrupts: Any) -> int:
    from monitor.cli.parser import build_parser

    try:
        args = build_parser().parse_args(argv)
    except SystemExit as leave:  # argparse's way out; here it is a status like any other
        return leave.code if isinstance(leave.code, int) else FAILED
    if interrupts is not None:
        interrupts.raise_from_now_on()
    status: int = args.run(args)
    return status


def _say(error: Exception) -> int:
    import sys

    from monitor.vmm.errors import UserError

    print(f"vp: error: {error}", file=sys.stderr)
    return UserError.status
