"""A process gives up, for good, what a submission must not have: before any of it is read.

The order matters. Descriptors that are not the submission's business are closed first; the filter
comes last, since it forbids the calls that set up the rest.
"""

from __future__ import annotations

import os
import site
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path

from monitor.grading import landlock, linux, seccomp
from monitor.grading.limits import Limits, set_limits

PACKAGES = ("monitor", "bt", "devices")
#: The libraries that Python's own are linked with, and what they look up.
SYSTEM = ("/lib", "/lib32", "/lib64", "/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/local/lib",
          "/etc/ld.so.cache", "/etc/localtime", "/usr/share/zoneinfo", "/dev/null", "/dev/zero",
          "/dev/urandom")  # fmt: skip


def user_site() -> list[Path]:
    """Where `pip install --user` puts packages, if this Python looks there."""
    place = Path(site.getusersitepackages())
    return [place] if site.ENABLE_USER_SITE and os.path.isdir(place) else []


def readable_places() -> list[Path]:
    """Python, its libraries and the monitor; not the rest of a source tree."""
    sources = Path(__file__).parents[2]
    places = [sources / name for name in PACKAGES]
    places += [Path(sys.prefix), Path(sys.base_prefix), *map(Path, SYSTEM), *user_site()]
    places += [Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib", "purelib",
                                                           "platlib")]  # fmt: skip
    # A prefix of / or /usr holds more than Python: its libraries are in the list already.
    too_wide = {Path("/"), Path("/usr"), Path("/usr/local")}
    named = {place for place in places if place not in too_wide}
    return sorted(named | {place.resolve() for place in named})


def confine(limits: Limits, readable: Iterable[Path], *, filtered: bool = True) -> None:
    """`filtered`: False leaves the system-call filter out, to test what stands behind it."""
    linux.drop_capabilities()
    linux.prctl(linux.PR_SET_NO_NEW_PRIVS, 1)
    if landlock.version():
        landlock.restrict(readable)
    set_limits(limits)
    if filtered:
        seccomp.install(os.getpid())
