"""The small lab of standin.py as a course: a right solution, and limits.

A run takes a fifth of a second; `wall` is for hosts on which it takes far longer.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import standin

from monitor.grading.classroom import Course
from monitor.grading.limits import Limits
from monitor.grading.verdict import Grade

HERE = Path(__file__).parent
RIGHT = """
def add(a, b):
    return a + b

def double(a):
    return a + a

def greet(name):
    return "hello " + name
"""
LIMITS = Limits(cpu=1, wall=60, memory=256, file=4)
STANDIN = Course(f"{standin.__name__}:Check", HERE, (HERE,))

GradeOne = Callable[..., Grade]
