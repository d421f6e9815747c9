"""Bare and translated, from the command line:

    python -m monitor.lockstep                   # the embedded guest, instruction by instruction
    python -m monitor.lockstep --kernel guests/vmlinuz --initrd guests/initramfs.cpio.gz
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from monitor.guests.linux import QUICK
from monitor.lockstep.comparison import Lockstep, Report, Stage
from monitor.lockstep.pair import MakeMachine
from monitor.lockstep.subjects import EMBEDDED_STAGES, embedded_guest, linux_guest, linux_stages
from monitor.vmm.errors import UserError


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status 0: they agree; 1: they differ; 2: bad usage or input."""
    parser = argparse.ArgumentParser(prog="python -m monitor.lockstep", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--kernel", help="a bzImage; without it the embedded guest runs")
    parser.add_argument("--initrd")
    parser.add_argument("--append", default=QUICK, help="the kernel's command line")
    parser.add_argument("--memory", type=int, default=128, metavar="MB")
    parser.add_argument("--vmware-backdoor", action="store_true", help="as for `vp run`")
    parser.add_argument("--until", default="/ # ", help="text on the console that ends the run")
    parser.add_argument("--close", type=int, default=100_000_000, metavar="N",
                        help="instructions with a close look before the digests")  # fmt: skip
    parser.add_argument("--stride", type=int, default=101, metavar="N",
                        help="instructions between two comparisons of the close look")  # fmt: skip
    options = parser.parse_args(arguments)
    make: MakeMachine = embedded_guest
    stages: tuple[Stage, ...] = EMBEDDED_STAGES
    try:
        if options.kernel:
            make = linux_guest(options.kernel, options.initrd, options.append, options.memory,
                               options.vmware_backdoor)  # fmt: skip
            stages = linux_stages(options.until, options.close, options.stride)
        report = Lockstep(make).run(*stages, progress=_tell if options.kernel else None)
    except UserError as error:
        print(f"lockstep: {error}", file=sys.stderr)
        return error.status
    return _conclude(report)


def _tell(count: int) -> None:
    print(f"\r{count:,} instructions agree", end="", file=sys.stderr, flush=True)


def _conclude(report: Report) -> int:
    for count, value in report.digests.items():
        print(f"{count:>16,} {value}")
    if report.difference is not None:
        print(report.difference)
        return 1
    ending = report.outcome.detail if report.outcome else "the last stage is done"
    print(
        f"bare and translate agree over {report.instructions:,} guest instructions: processors "
        f"compared {report.states:,} times, memory {report.memories:,} times; {ending}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
