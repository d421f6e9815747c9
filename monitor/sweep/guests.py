"""The guests of a sweep: what a [[guest]] of the spec stands for, whole enough to be sent away.

A guest carries the contents of its files, so that a worker on another machine needs no file
system in common with this one. What vp bench assembles, it assembles where it runs.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from monitor.bench import nano, talk
from monitor.bench.own_loop import OwnOperation
from monitor.bench.own_plan import profile_of
from monitor.bench.profile import Profile, profile
from monitor.bench.rows import Workload
from monitor.bench.suite import Source
from monitor.guests.embedded import embedded_image
from monitor.host.typist import TypedLine
from monitor.loaders.described import load
from monitor.settings.config import ImageConfig, LimitConfig
from monitor.vmm.errors import UserError

if TYPE_CHECKING:
    from monitor import Machine

SUITES: Mapping[str, Callable[[Sequence[str]], list[Source]]] = {
    "nano": lambda only: nano.sources(nano.choose(only)),
    "talk": lambda only: talk.sources(talk.choose(only)),
}
LEAST_MB = 4  # what guests/frame.asm maps
ROUNDS = {"nano": nano.ROUNDS, "talk": talk.ROUNDS}


class Image(ABC):
    """What is loaded."""

    @abstractmethod
    def load(self, machine: Machine) -> None:
        """Put it into the machine. Raises UserError."""

    def profile(self) -> Profile | None:
        """Its instructions by class, if they are known: a cost model needs them."""
        return None


@dataclass(frozen=True)
class FileImage(Image):
    """Files, as `vp run` takes them. `contents` is by the names that the spec has for them."""

    config: ImageConfig
    contents: Mapping[Path, bytes]

    def load(self, machine: Machine) -> None:
        load(machine, self.config, self.contents)


@dataclass(frozen=True)
class DemoImage(Image):
    """The embedded guest of `vp demo`."""

    def load(self, machine: Machine) -> None:
        guest = embedded_image()
        machine.load_flat(guest.image, guest.load_address, eip=guest.entry)


@dataclass(frozen=True)
class BenchImage(Image):
    """A workload of `vp bench`."""

    suite: str
    name: str
    rounds: int

    def load(self, machine: Machine) -> None:
        machine.load_multiboot(_workload(self).image, firmware_state="raw")

    def profile(self) -> Profile:
        return _profile(self)


@dataclass(frozen=True)
class OwnImage(Image):
    """An operation of the user's own, in its loop (monitor/bench/own_loop.py). `text` is the file
    that it is from."""

    operation: OwnOperation
    rounds: int
    text: bytes

    def load(self, machine: Machine) -> None:
        if machine.memory.size < LEAST_MB << 20:
            raise UserError(f"operations of one's own need {LEAST_MB} MiB of memory")
        image = self.operation.workload(self.rounds).image
        machine.load_multiboot(image, firmware_state="raw")

    def profile(self) -> Profile:
        return profile_of(self.operation, self.rounds)


@dataclass(frozen=True)
class Guest:
    """One guest, where it runs if the grid does not say, and when it is stopped."""

    name: str
    image: Image
    memory_mb: int
    limits: LimitConfig
    typing: Sequence[TypedLine] = field(default=())


def bench_names(suite: str, only: Sequence[str]) -> list[str]:
    """The workloads that `vp bench SUITE --only ONLY` runs. Raises UserError."""
    return [source.name for source in SUITES[suite](only)]


def _source(image: BenchImage) -> Source:
    return next(source for source in SUITES[image.suite](()) if source.name == image.name)


@lru_cache(maxsize=64)
def _workload(image: BenchImage) -> Workload:
    return _source(image).make(image.rounds)


@lru_cache(maxsize=64)
def _profile(image: BenchImage) -> Profile:
    return profile(_source(image).make, image.rounds)
