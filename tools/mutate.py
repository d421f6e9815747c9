"""Breaks the code on purpose, thousands of times, and asks whether a test notices.

    python -m tools.mutate                          # every file of tests/mutants/targets.toml
    python -m tools.mutate bt/cache.py              # one
    python -m tools.mutate --again bt/cache.py      # only what was not caught the last time
    python -m tools.mutate --sample 200             # so many of each group of files
    python -m tools.mutate --table                  # what is in out/mutants.json

Status 1: a mutant lives that tests/mutants/survivors.toml does not explain. The results of files
that are not asked for stay in out/mutants.json. One process runs at a time.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable

from monitor.writing.progress import bar
from tools.mutation import report
from tools.mutation.mutants import ROOT, Mutant, mutants
from tools.mutation.report import CAUGHT, EXPLAINED, SURVIVED, MutantLine
from tools.mutation.session import PATIENCE, PATIENCE_OF_A_SAMPLE, Result, Session, anew
from tools.mutation.survivors import Explained, explained, why
from tools.mutation.targets import Target, targets


def main() -> int:
    wanted = _arguments()
    if wanted.table:
        print(report.table([_explained(line, explained()) for line in report.load().values()]))
        return 0
    chosen = [each for each in targets() if not wanted.files or {*each.files} & {*wanted.files}]
    names = {file for target in chosen for file in target.files}
    if set(wanted.files) - names:
        print("not in tests/mutants/targets.toml:", *sorted(set(wanted.files) - names))
        return 2
    names = set(wanted.files) or names
    if wanted.one:
        _one_target(chosen[0], _wanted(chosen[0], names, wanted))
        return 0
    known = explained()
    for target in chosen:
        _in_a_process(target, sorted({*target.files} & names), wanted, known)
    lines = [line for line in report.load().values() if line.file in names]
    print(report.table(lines))
    return 1 if any(line.fate == SURVIVED for line in lines) else 0


def _wanted(target: Target, files: set[str], wanted: argparse.Namespace) -> list[Mutant]:
    """A target's mutants; with --again those that were run before and not caught."""
    if not wanted.again:
        return target.mutants(files, wanted.sample)
    lived = {key for key, line in report.load().items() if line.fate != CAUGHT}
    return [mutant for file in sorted(files) for mutant in mutants(file) if mutant.key in lived]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tools.mutate",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("files", nargs="*", metavar="FILE")
    parser.add_argument("--again", action="store_true", help="only what was not caught last time")
    parser.add_argument("--sample", type=int, metavar="N", help="N mutants of each group of files")
    parser.add_argument("--table", action="store_true", help="print the last results")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def _in_a_process(
    target: Target, files: list[str], wanted: argparse.Namespace, known: list[Explained]
) -> None:
    """A Python of its own for each target, because what is imported once stays."""
    environment = os.environ | ({"VP_PURE": "1"} if target.pure else {})
    command = [sys.executable, "-m", "tools.mutate", "--one", *files]
    command += ["--again"] if wanted.again else []
    command += ["--sample", str(wanted.sample)] if wanted.sample is not None else []
    lines = report.load()
    with bar("breaking the code") as shown, subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        for number, text in enumerate(process.stdout, 1):
            line = _line(json.loads(text), known)
            shown.say(f"mutant {number}, {line.file}:{line.line}")
            lines[line.key] = line
            if len(lines) % 25 == 0:
                report.save(list(lines.values()))
            if line.fate == SURVIVED:
                shown.print(f"{line.file}:{line.line} {line.function}: {line.before}  ->  "
                            f"{line.after}  [{line.by}]")  # fmt: skip
    if process.returncode:
        raise SystemExit(f"{', '.join(files)}: the session failed")
    keys = {mutant.key for file in files for mutant in mutants(file)}  # the others are of old code
    report.save([line for line in lines.values() if line.file not in files or line.key in keys])


def _line(found: dict[str, object], known: list[Explained]) -> MutantLine:
    caught = bool(found.pop("caught"))
    line = MutantLine(**found, fate=CAUGHT if caught else SURVIVED)  # type: ignore[arg-type]
    return _explained(line, known)


def _explained(line: MutantLine, known: list[Explained]) -> MutantLine:
    """The same, EXPLAINED if it lived and may."""
    reason = why(line.file, line.function, line.before, line.after, known)
    if line.fate == CAUGHT or reason is None:
        return line
    return MutantLine(**vars(line) | {"fate": EXPLAINED, "by": reason})


# --- one target, in its own process ---------------------------------------------------------


def _one_target(target: Target, mutants: list[Mutant]) -> None:
    """Print a line of JSON for each mutant."""
    output = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def tell(result: Result) -> None:
        mutant = result.mutant
        data = {"file": mutant.file, "function": mutant.function, "line": mutant.line,
                "before": mutant.before, "after": mutant.after, "number": mutant.number,
                "caught": result.caught, "by": result.by, "seconds": result.seconds}  # fmt: skip
        output.write(json.dumps(data) + "\n")
        output.flush()

    for mutant in _in_place(target, mutants, tell):
        tell(anew(mutant, list(target.tests)))


def _in_place(
    target: Target, mutants: list[Mutant], tell: Callable[[Result], None]
) -> list[Mutant]:
    """Those that could be exchanged are done; the others come back, to be imported.

    In a fork: this process must not import what they change.
    """
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        patience = PATIENCE_OF_A_SAMPLE if target.pure else PATIENCE
        session = Session(mutants, tell, by_line=not target.pure, patience=patience)
        try:
            session.run(target.tests)
            for name in session.failing:
                print(f"fails without any mutant: {name}", file=sys.stderr)
            keys = [mutants.index(mutant) for mutant in session.later]
            os.write(writer, json.dumps(keys).encode())
        except BaseException:
            sys.excepthook(*sys.exc_info())
            os._exit(1)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        later = pipe.read()
    if os.waitpid(pid, 0)[1]:
        raise SystemExit(1)
    return [mutants[index] for index in json.loads(later)]


if __name__ == "__main__":
    sys.exit(main())
