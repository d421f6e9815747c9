"""`vp` as a process of its own, many times, without starting Python each time.

A server has imported all that the command needs, and forks for each command line: whatever a guest
does to the interpreter, up to a crash, ends that process and is told. It is this file run as a
script, in a process without threads:

    with VpServer() as vp:
        done = vp.run("run", "--flat", "image@0x1000")      # a subprocess.CompletedProcess

A line of JSON on the server's standard input is a command, and one on its output says how it ended.
"""

from __future__ import annotations

import json
import os
import runpy
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


class VpServer:
    """The server's owner. Nothing of it outlives the `with`."""

    def __enter__(self) -> VpServer:
        self._folder = tempfile.TemporaryDirectory()
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            [sys.executable, __file__], env=environment, start_new_session=True, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        return self

    def __exit__(self, *_: object) -> None:
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.communicate()
        self._folder.cleanup()

    def run(self, *arguments: object) -> subprocess.CompletedProcess[str]:
        """`vp ARGUMENTS`, without input. No limit but the test's own."""
        assert self._process.stdin is not None and self._process.stdout is not None
        out, errors = (Path(self._folder.name) / name for name in ("out", "errors"))
        line = [*map(str, arguments)]
        command = {"arguments": line, "out": str(out), "errors": str(errors)}
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        status = json.loads(self._process.stdout.readline())
        texts = (path.read_text(encoding="utf-8", errors="replace") for path in (out, errors))
        return subprocess.CompletedProcess(line, status, *texts)


def serve() -> None:
    import bt.engine  # noqa: F401  (what children find imported)
    import monitor.cli.run
    import monitor.machine  # noqa: F401

    for line in sys.stdin:
        command = json.loads(line)
        child = os.fork()
        if not child:
            become(command)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def become(command: dict[str, str]) -> None:
    """This process is `python -m monitor` from here on, and ends as that does."""
    for path, descriptor in ((os.devnull, 0), (command["out"], 1), (command["errors"], 2)):
        flags = os.O_RDONLY if descriptor == 0 else os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        os.dup2(os.open(path, flags, 0o600), descriptor)
    sys.argv = ["vp", *command["arguments"]]
    runpy.run_module("monitor", run_name="__main__", alter_sys=True)
    sys.exit()


if __name__ == "__main__":
    serve()
