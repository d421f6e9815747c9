"""Runs the notebooks, each in a Python of its own, and writes them back with what came out.

    python -m tools.notebooks                      # all of notebooks/, in place
    python -m tools.notebooks --into DIR FILE...   # these; the results go to DIR

What is written holds nothing of the host and of the moment: no times, no versions of a kernel, cell
names that count up; of the guests that it names in its metadata, their SHA-256. A notebook that
raises is left as it was; its cell and traceback are printed, and the status is 1. One whose guests
are not there is left as it was, too, and says so.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import os
import re
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monitor.writing.progress import Bar, bar

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "notebooks"
GUESTS = ROOT / "guests"
CELL_SECONDS = 1200  # a cell needs ten at most, on a host of its own
PROCESSES = 2
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class Run:
    """How one notebook fared."""

    path: Path
    seconds: float
    failure: str = ""  # cell and traceback
    skipped: str = ""  # why it was not run


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="tools.notebooks", description=__doc__.split("\n")[0])
    parser.add_argument("files", nargs="*", type=Path, help="without: all of notebooks/")
    parser.add_argument("--into", type=Path, help="write the results to this folder")
    given = parser.parse_args(arguments)
    files = given.files or sorted(FOLDER.glob("[0-9][0-9]-*.ipynb"))
    with bar("running notebooks", len(files)) as shown:
        runs = asyncio.run(_run_all(files, given.into, shown))
    for run in runs:
        if run.failure:
            print(f"\n{run.path.name}: {run.failure}", file=sys.stderr)
    return 1 if any(run.failure for run in runs) else 0


async def _run_all(files: Sequence[Path], into: Path | None, shown: Bar) -> list[Run]:
    """A few at a time; each says when it is done."""
    free = asyncio.Semaphore(PROCESSES)

    async def one(path: Path) -> Run:
        async with free:
            run = await _run(path, (into or path.parent) / path.name)
        end = "  FAILED" if run.failure else ""
        shown.print(f"{path.name}  {run.skipped or f'{run.seconds:.1f} s{end}'}")
        shown.advance()
        return run

    return list(await asyncio.gather(*map(one, files)))


async def _run(path: Path, result: Path) -> Run:
    """One notebook, in an empty folder, with none of the user's settings."""
    import nbformat
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, DeadKernelError
    from traitlets.config import Config

    notebook = nbformat.read(path, as_version=4)
    missing = [name for name in guests_of(notebook.metadata) if not (GUESTS / name).exists()]
    if missing:
        return Run(path, 0, skipped=f"left out: no guests/{missing[0]}, `make guests` fetches it")
    forget(notebook)
    begun = time.perf_counter()
    failure = ""
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as settings:
        sockets = {"transport": "ipc", "connection_file": f"{settings}/kernel.json"}
        client = NotebookClient(
            notebook, timeout=CELL_SECONDS, kernel_name=KERNEL["name"], record_timing=False,
            resources={"metadata": {"path": folder}}, config=Config(KernelManager=sockets),
        )  # fmt: skip
        try:
            await client.async_execute(env=_environment(settings))
        except (CellExecutionError, DeadKernelError, TimeoutError) as error:
            failure = _failure(notebook, error)
    if not failure:
        clean(notebook)
        nbformat.write(notebook, result)
    return Run(path, time.perf_counter() - begun, failure)


def _environment(settings: str) -> dict[str, str]:
    """This process's, with the sources to be imported, and an empty folder of settings."""
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return os.environ | {
        "PYTHONPATH": os.pathsep.join(paths),
        "PYTHONHASHSEED": "0",
        "IPYTHONDIR": settings,
        "COLUMNS": "100",
    }


def _failure(notebook: Any, error: Exception) -> str:
    """Which cell it was, and its traceback."""
    executed = [n for n, cell in enumerate(notebook.cells) if cell.get("execution_count")]
    which = f"cell {executed[-1] + 1} of {len(notebook.cells)}" if executed else "no cell was run"
    return f"{which}\n{COLOUR.sub('', str(error)).strip()}"


def forget(notebook: Any) -> None:
    """As if it had never been run."""
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None


def guests_of(metadata: Any) -> dict[str, str]:
    """Files in guests/ that a notebook needs, with the SHA-256 of those that it was run with."""
    return dict(metadata.get("virtual_platform", {}).get("guests", {}))


def digest(guest: str) -> str:
    """The SHA-256 of a file in guests/."""
    return hashlib.sha256((GUESTS / guest).read_bytes()).hexdigest()


def clean(notebook: Any) -> None:
    """Only what is the notebook's own; tags of cells stay."""
    if guests := guests_of(notebook.metadata):
        notebook.metadata["virtual_platform"]["guests"] = {name: digest(name) for name in guests}
    own = {name: value for name, value in notebook.metadata.items() if name == "virtual_platform"}
    notebook.metadata = own | {"kernelspec": KERNEL, "language_info": {"name": "python"}}
    notebook.nbformat_minor = 5
    for number, cell in enumerate(notebook.cells, 1):
        cell.id = f"cell-{number}"
        tags = cell.metadata.get("tags")
        cell.metadata = {"tags": tags} if tags else {}
        if cell.cell_type == "code":
            cell.outputs = joined(cell.outputs)
        for output in cell.get("outputs", ()):
            if "metadata" in output:
                output.metadata = {}


def joined(outputs: list[Any]) -> list[Any]:
    """What was printed without a break is one output, however many messages it came in."""
    found: list[Any] = []
    for output in outputs:
        stream = output.get("name")  # no other kind of output has a name
        if stream and found and found[-1].get("name") == stream:
            found[-1].text += output.text
        else:
            found.append(output)
    return found


if __name__ == "__main__":
    sys.exit(main())
