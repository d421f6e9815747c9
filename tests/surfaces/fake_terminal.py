"""`vp run` of a fake guest on a terminal (a pseudo-terminal here)."""

from __future__ import annotations

import os
import pty
import select
import termios
import time
from pathlib import Path
from typing import Any

import pytest
from patience import PATIENCE
from vp_command import spawn

# The part of a shell that matters here: a job in a process group of its own, in the foreground,
# can be stopped, and somebody notices. (One that nobody watches is never stopped by SIGTSTP.)
JOB_CONTROL = """
import os, signal, subprocess, sys
def foreground():
    os.setpgid(0, 0)
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    os.tcsetpgrp(0, os.getpid())
    signal.signal(signal.SIGTTOU, signal.SIG_DFL)
job = subprocess.Popen(sys.argv[1:], preexec_fn=foreground)
os.write(1, b"job %d;" % job.pid)
while True:
    _, status = os.waitpid(job.pid, os.WUNTRACED)
    if not os.WIFSTOPPED(status):
        os._exit(os.waitstatus_to_exitcode(status))
    os.write(1, b"stopped;")
"""


class Terminal:
    """A pseudo-terminal with `vp run` of a guest on it: a fake one, or of bytes."""

    def __init__(
        self, image: Path, *options: str, shell: str = "", real: bool = False, **environment: str
    ) -> None:
        try:
            self.master, self.slave = pty.openpty()
        except OSError as error:
            pytest.skip(f"no pseudo-terminals here (is /dev/pts mounted?): {error}")
        self.before = termios.tcgetattr(self.slave)
        self.seen = b""
        self.process = spawn(
            "run", "--flat", f"{image}@{0x1000 if real else 0}", *options, real=real,
            stdin=self.slave, stdout=self.slave, stderr=self.slave,
            shell_program=shell, environment=environment, start_new_session=True,
            preexec_fn=self._control,
        )  # fmt: skip

    def _control(self) -> None:
        """In the child: make this its controlling terminal, as a shell's is."""
        import fcntl

        fcntl.ioctl(self.slave, termios.TIOCSCTTY, 0)

    def wait_for(self, text: bytes) -> bytes:
        """Read until the text was seen; everything seen so far."""
        end = time.monotonic() + PATIENCE
        while text not in self.seen:
            assert time.monotonic() < end, f"{text!r} never came, but {self.seen!r}"
            self.wait_for_more()
        return self.seen

    def wait_for_more(self) -> None:
        """Read what comes next, whatever it is."""
        ready, _, _ = select.select([self.master], [], [], PATIENCE)
        assert ready, f"nothing came any more after {self.seen!r}"
        self.seen += os.read(self.master, 4096)

    def type(self, keys: bytes) -> None:
        os.write(self.master, keys)

    def ends(self) -> int:
        """Read all that comes until the process ends; its exit status."""
        end = time.monotonic() + PATIENCE
        while self.process.poll() is None:
            assert time.monotonic() < end, f"it never ended; seen: {self.seen!r}"
            if select.select([self.master], [], [], 0.02)[0]:
                self.seen += os.read(self.master, 4096)
        while select.select([self.master], [], [], 0)[0]:
            self.seen += os.read(self.master, 4096)
        return self.process.returncode

    @property
    def settings(self) -> list[Any]:
        return termios.tcgetattr(self.slave)

    @property
    def raw(self) -> bool:
        return not self.settings[3] & (termios.ICANON | termios.ECHO | termios.ISIG)

    def until_raw(self, wanted: bool) -> None:
        end = time.monotonic() + PATIENCE
        while self.raw != wanted:
            assert time.monotonic() < end, f"the terminal's raw mode never became {wanted}"
            time.sleep(0.01)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.master)
        os.close(self.slave)
