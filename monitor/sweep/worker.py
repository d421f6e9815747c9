"""A worker process of a local sweep: `python -m monitor.sweep.worker DESCRIPTOR` (local.py).

It is gone as soon as the sweep is, however that ends: the pipe's other end closes then.
"""

from __future__ import annotations

import os
import pickle
import select
import signal
import sys
import threading
from multiprocessing.connection import Connection

from monitor.sweep.task import Job, run_point

READY: dict[str, object] = {}


def main(descriptor: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the sweep, which ends its workers
    threading.Thread(target=_leave_with, args=(descriptor,), daemon=True).start()
    connection = Connection(descriptor)
    try:
        connection.send(READY)
        job: Job = pickle.loads(connection.recv_bytes())
        while True:
            point = connection.recv()
            connection.send(run_point(job.guests[point.guest], point, job.models, job.time))
    except (EOFError, ConnectionError):
        return


def _leave_with(descriptor: int) -> None:
    """Also in the middle of a guest."""
    poll = select.poll()
    poll.register(descriptor, 0)  # POLLHUP is always told
    poll.poll()
    os._exit(1)


if __name__ == "__main__":
    main(int(sys.argv[1]))
