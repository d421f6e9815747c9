"""Cost models: a TOML file that turns counts into the cycles of a machine of 1999.

    [instruction.CLASS]  one instruction of a class (classes.py), run by the hardware
    [hardware.EVENT]     what the hardware does by itself
    [monitor.WORK]       one piece of the monitor's work

Each has `cycles`, a whole number, `basis` (published, derived, assumed) and `source`. A model is
complete and has nothing else, or it is refused.

    bare      instructions by class, and exceptions
    virtual   direct and translated instructions as the hardware runs them, the others as work:
              stubs, emulated instructions, exits, fills, links, lookups, translation, ports,
              interrupts, world switches
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from monitor.bench.classes import CLASSES, NATIVE, SIMPLE
from monitor.bench.profile import Profile
from monitor.bench.rows import Counts
from monitor.settings.toml_file import complete, table
from monitor.settings.toml_file import parse as parse_toml
from monitor.settings.toml_file import read as read_text
from monitor.vmm.errors import UserError

DEFAULT = "pentium2-450"
SECTIONS = {
    "instruction": CLASSES,
    "hardware": ("exception",),
    "monitor": ("exit", "emulate", "port", "stub", "lookup", "link", "fill", "translate",
                "interrupt", "world_switch"),
}  # fmt: skip
HEAD = {"name": str, "title": str, "clock_mhz": int}
BASES = ("published", "derived", "assumed")

# Words in `exits` behind which no exit stands: trap mode's witness, which hardware does not have,
# what an exit did, and an instruction emulated while the monitor was there anyway.
NO_EXITS = frozenset({"critical, silent", "traced bytes written", "interrupt shadow"})
LINKS = ("chain", "indirect branch")


@dataclass(frozen=True)
class Price:
    """What one of something costs: whole cycles, how good the figure is (BASES), and its source."""

    cycles: int
    basis: str
    source: str


@dataclass(frozen=True)
class Model:
    """A cost model: prices by section and name."""

    name: str
    title: str
    clock_mhz: int
    prices: Mapping[str, Mapping[str, Price]]

    def of(self, section: str, name: str) -> int:
        """Cycles of one."""
        return self.prices[section][name].cycles

    def cycles(self, counts: Counts, profile: Profile) -> int:
        """The estimate for a run of the workload with this profile."""
        return self.estimate(counts, profile)[0]

    def estimate(self, counts: Counts, profile: Profile) -> tuple[int, dict[str, int]]:
        """The same, and a virtual run's parts."""
        if "bare" in counts.by_kind:
            return self._bare(profile), {}
        parts = self.parts(counts, profile)
        return sum(parts.values()), parts

    def _bare(self, profile: Profile) -> int:
        run = sum(n * self.of("instruction", kind) for kind, n in profile.classes.items())
        return run + profile.exceptions * self.of("hardware", "exception")

    def parts(self, counts: Counts, profile: Profile) -> dict[str, int]:
        """A virtual run's cycles by what they were spent on."""
        native = counts.by_kind.get("direct", 0) + counts.by_kind.get("translated", 0)
        simple = self.of("instruction", SIMPLE)
        slow = sum(
            profile.classes.get(kind, 0) * (self.of("instruction", kind) - simple)
            for kind in NATIVE
        )
        work = {
            "exit": real_exits(counts),
            "emulate": counts.by_kind.get("emulated", 0),
            "port": counts.port_accesses,
            "stub": counts.by_kind.get("stubs", 0),
            "lookup": counts.lookups,
            "link": sum(counts.exits.get(word, 0) for word in LINKS),
            "fill": counts.fills,
            "translate": counts.translated,
            "interrupt": counts.interrupts,
            "world_switch": counts.world_switches,
        }
        spent = {name: n * self.of("monitor", name) for name, n in work.items()}
        return {"native": native * simple + slow, **spent}


def real_exits(counts: Counts) -> int:
    """Exits that a processor of 1999 would have taken."""
    return sum(n for word, n in counts.exits.items() if word not in NO_EXITS)


# --- reading a model file -------------------------------------------------------------------------


def load(name: str) -> Model:
    """A model by its name, or by the path of its file. Raises UserError."""
    path = Path(name)
    if path.suffix == ".toml":
        return parse(read_text(path, "model"), name)
    known = known_models()
    if name not in known:
        raise UserError(f"model {name!r}: choose {', '.join(known)}, or name a .toml file")
    text = files("monitor.bench.models").joinpath(f"{name}.toml").read_text(encoding="utf-8")
    return parse(text, f"{name}.toml")


def known_models() -> list[str]:
    """Names of the models that come with the package."""
    folder = files("monitor.bench.models").iterdir()
    return sorted(item.name[:-5] for item in folder if item.name.endswith(".toml"))


def parse(text: str, where: str) -> Model:
    """A model out of its file's text; UserError names what is wrong with it, and where."""
    data = parse_toml(text, where)
    complete(data, {*HEAD, *SECTIONS}, where)
    for key, kind in HEAD.items():
        if type(data[key]) is not kind:
            raise UserError(f"{where}: {key}: must be {_words(kind)}")
    prices = {}
    for section, names in SECTIONS.items():
        complete(table(data[section], f"{where}: {section}"), set(names), f"{where}: {section}")
        prices[section] = {
            name: _price(data[section][name], f"{where}: {section}.{name}") for name in names
        }
    return Model(data["name"], data["title"], data["clock_mhz"], prices)


def _price(entry: Any, where: str) -> Price:
    complete(table(entry, where), {"cycles", "basis", "source"}, where)
    cycles, basis, source = entry["cycles"], entry["basis"], entry["source"]
    if type(cycles) is not int or cycles < 0:
        raise UserError(f"{where}: cycles: must be a whole number, 0 or more")
    if basis not in BASES:
        raise UserError(f"{where}: basis: choose one of {', '.join(BASES)}")
    if not isinstance(source, str) or not source.strip():
        raise UserError(f"{where}: source: say where the figure comes from")
    return Price(cycles, basis, source)


def _words(kind: type) -> str:
    return "a whole number" if kind is int else "text"
