"""What the grader tells a keeper, and what it hears back: JSON over pipes."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from monitor.grading.limits import Limits


@dataclass(frozen=True)
class GradingPlan:
    """One run. It comes over standard input: arguments can be read by the submission."""

    check: str  # "module:class", as monitor.labs.check:Check
    lab: int
    file: str
    limits: Limits
    readable: tuple[str, ...]
    report: int  # descriptors
    ending: int
    parent: int  # the grader's process
    nonce: str
    marks: str  # the token of the marks in what is printed (monitor.labs.printed)
    filtered: bool = True

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> GradingPlan:
        document = json.loads(text)
        document["limits"] = Limits(**document["limits"])
        document["readable"] = tuple(document["readable"])
        return cls(**document)

    def readable_paths(self) -> list[Path]:
        return [Path(each) for each in self.readable]


@dataclass(frozen=True)
class Ending:
    """How the worker ended, from the process that waited for it."""

    status: int  # exit status; minus the signal that ended it
    ended_for: str  # the limit for which the keeper ended it: "wall", "memory", or nothing
    cpu: float  # seconds
    wall: float
    peak: int  # MiB resident
    strays: int  # processes that it left behind

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Ending:
        return cls(**json.loads(text))
