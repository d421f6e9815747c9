"""Grade a class's submissions, each in a process that can harm nothing but itself.

    vp lab grade submissions/ --out grades/

A submission is a stranger's program, and grading runs it. So it runs in a process with limits on
time, memory and descriptors (limits.py), which cannot start processes, write files, signal others
or reach a network (seccomp.py), and sees no files but Python's and the monitor's (landlock.py).

    pool.py       so many submissions at once, in a process of the command's
      sandbox.py    one of them: starts a keeper, reads report, output and ending, bounded
        keeper.py     a process: forks the worker, ends it when its time is over, and all it left
          worker.py     a process: gives up its rights (confine.py), then checks the submission

What came back is judged by verdict.py and kept by gradebook.py. None of it needs root.
"""
