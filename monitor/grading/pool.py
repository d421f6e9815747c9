"""Several runs at once, each in processes of its own; the grades as they come.

Each thread here waits for one run's pipes. How many there are changes how long it takes, and no
grade: what counts is a run's own processor time, and the wall clock's limit is far above it.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed

from monitor.grading.sandbox import Sandbox
from monitor.grading.submissions import Submission
from monitor.grading.verdict import Grade, judge

Work = tuple[Submission, bytes]


def run_all(
    work: Sequence[Work], sandbox: Sandbox, jobs: int
) -> Generator[tuple[Work, Grade], None, None]:
    """Every piece of work with its grade, in no order. Closing it ends the runs under way."""
    pool = ThreadPoolExecutor(jobs, thread_name_prefix="grading")
    try:
        waiting: dict[Future[Grade], Work] = {
            pool.submit(_grade, submission, source, sandbox): (submission, source)
            for submission, source in work
        }
        for done in as_completed(waiting):
            yield waiting[done], done.result()
    finally:
        sandbox.stop.set()
        pool.shutdown(wait=True, cancel_futures=True)


def _grade(submission: Submission, source: bytes, sandbox: Sandbox) -> Grade:
    run = sandbox.run(submission.lab, f"lab{submission.lab}.py", source)
    return judge(submission.student, submission.lab, run, sandbox.limits)
