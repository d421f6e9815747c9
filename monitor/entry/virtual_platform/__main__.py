"""`python -m virtual_platform` is `vp`: the same command, with the same packages.

`python -m` looks into the current folder first, where a script of one's own may well be called
monitor.py; the installed `vp` does not, and nor does this. Packages of these names that come first
for another reason (PYTHONPATH, another project in the same environment) are an error that says so.
Nothing that takes time is imported, as in monitor/cli/__init__.py.
"""

import os
import sys
from importlib.util import find_spec

OURS = ("bt", "devices", "monitor")
STATUS = 2


def home() -> str:
    """The folder that our packages are in: site-packages, or the sources' own."""
    above = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    if os.path.isdir(os.path.join(above, OURS[0])):
        return above
    return os.path.dirname(os.path.dirname(above))


def collision() -> str:
    """What to say if a package of ours is hidden behind somebody else's; nothing if none is."""
    wanted = home()
    for name in OURS:
        spec = find_spec(name)
        found = (None if spec is None else spec.origin) or f"nowhere/{name}"
        if os.path.realpath(os.path.dirname(os.path.dirname(found))) != os.path.realpath(wanted):
            return (
                f"vp: error: the package {name} of Virtual Platform is hidden by another one, "
                f"{found}: install each into an environment of its own"
            )
    return ""


def main() -> int:
    """Run `vp`; its exit status."""
    try:
        here = os.path.realpath(os.getcwd())
    except OSError:  # it was removed
        here = ""
    if sys.path and sys.path[0] in ("", here) and here != os.path.realpath(home()):
        del sys.path[0]
    said = collision()
    if said:
        print(said, file=sys.stderr)
        return STATUS
    from monitor.cli import main as vp

    return vp()


if __name__ == "__main__":
    sys.exit(main())
