"""Models of processors: one row of data each (`vp run --cpu pentium2`).

A row says what CPUID says, what the reset leaves in EDX, which features there are, and with them
which instructions (the feature column of bt/table.py), bits of CR4 and model-specific registers.

    row["pentium2"].signature       0x652: family 6, model 5, stepping 2
    row["pentium2"].leaves          what CPUID answers from leaf 0 on: EAX, EBX, ECX, EDX each
    row["pentium2"].absent          FEAT_* that it lacks, as bits

Rows are of real processors, as Intel's Application Note 485 and their specification updates have
them. Announced is what is implemented: what a real one has beyond that (a local APIC, thermal
monitoring, the debug store) is in no row, and of instruction sets those count that have rows in the
table. So a model never promises what then raises #UD.

* `486` is a late one, the DX4, which knows CPUID and virtual-8086 mode's extensions. Those before
  it had no CPUID and could not change EFLAGS.ID; systems take that for a 486 without features.
* The processor serial number of the Pentium III is as good as disabled: there is no leaf 3.
* The Pentium 4's brand string leaves out the frequency, which here is another.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from bt.interp import features as numbers
from bt.interp.state import (
    CR4_DE,
    CR4_MCE,
    CR4_OSFXSR,
    CR4_OSXMMEXCPT,
    CR4_PAE,
    CR4_PCE,
    CR4_PGE,
    CR4_PSE,
    CR4_PVI,
    CR4_TSD,
    CR4_VALID,
    CR4_VME,
)
from bt.table import TABLE

Leaf = tuple[int, int, int, int]  # EAX, EBX, ECX, EDX

#: Features by their bits in EDX of CPUID's leaf 1 (SDM vol. 2, table 3-11).
EDX = {
    "fpu": 0, "vme": 1, "de": 2, "pse": 3, "tsc": 4, "msr": 5, "pae": 6, "mce": 7,
    "cx8": 8, "sep": 11, "mtrr": 12, "pge": 13, "mca": 14, "cmov": 15,
    "pat": 16, "pse36": 17, "clfsh": 19, "mmx": 23, "fxsr": 24, "sse": 25, "sse2": 26,
}  # fmt: skip

APIC = 1 << 9

#: Bits of CR4 that are reserved without a feature.
CR4 = {
    "vme": CR4_VME | CR4_PVI, "tsc": CR4_TSD, "de": CR4_DE, "pse": CR4_PSE, "pae": CR4_PAE,
    "mce": CR4_MCE, "pge": CR4_PGE, "pmc": CR4_PCE, "fxsr": CR4_OSFXSR,
    "sse": CR4_OSXMMEXCPT,
}  # fmt: skip

#: Names of features whose instructions the table has. Of others it has none.
HAVE_ROWS = frozenset(row.feature for row in TABLE)
#: Other features that no model announces yet.
NOT_YET: frozenset[str] = frozenset()


def implemented(name: str) -> bool:
    """May a model announce this feature?"""
    instructions = hasattr(numbers, f"FEAT_{name.upper()}")
    return name in HAVE_ROWS if instructions else name not in NOT_YET


@dataclass(frozen=True)
class Model:
    """A processor as the row describes it."""

    name: str  #: of `--cpu`
    title: str  #: for people
    family: int
    model: int
    stepping: int
    real: str  #: names of the features that the real one has, and which are possible here
    caches: Leaf | None = None  #: leaf 2, if it is there
    brand_index: int = 0
    line: int = 0  #: of the cache, as CLFLUSH takes it
    apic: bool = False  #: is a local APIC announced? no row has it, a machine may
    brand: str = ""  #: the string of leaves 80000002h to 80000004h; "": they are not there

    @cached_property
    def features(self) -> frozenset[str]:
        """What it has here."""
        return frozenset(name for name in self.real.split() if implemented(name))

    @property
    def names(self) -> list[str]:
        """The features that CPUID announces, in the order of their bits."""
        return [name for name in EDX if name in self.features]

    @property
    def signature(self) -> int:
        """EAX of leaf 1, and EDX after a reset."""
        return self.family << 8 | self.model << 4 | self.stepping

    @property
    def announced(self) -> int:
        """EDX of leaf 1."""
        found = sum(1 << EDX[name] for name in self.features if name in EDX)
        return found | APIC if self.apic else found

    @property
    def absent(self) -> int:
        """Bit n: the model lacks FEAT_* n."""
        return sum(
            1 << number
            for name, number in vars(numbers).items()
            if name.startswith("FEAT_")
            and name != "FEAT_NONE"
            and name.removeprefix("FEAT_").lower() not in self.features
        )

    @property
    def cr4_valid(self) -> int:
        """The bits of CR4 that are not reserved."""
        return CR4_VALID & sum(bits for name, bits in CR4.items() if name in self.features)

    @property
    def pde_reserved(self) -> int:
        """Bits that have to be 0 in the directory entry of a 4 MiB page."""
        return 0x003E0000 if "pse36" in self.features else 0x003FE000

    @property
    def msr_groups(self) -> int:
        """MSR_GROUP_*: which model-specific registers there are."""
        family = {5: numbers.MSR_GROUP_P5, 6: numbers.MSR_GROUP_P6, 15: numbers.MSR_GROUP_P4}
        named = {"mtrr": numbers.MSR_GROUP_MTRR, "mca": numbers.MSR_GROUP_MCA,
                 "pat": numbers.MSR_GROUP_PAT, "sep": numbers.MSR_GROUP_SEP}  # fmt: skip
        groups = family.get(self.family, 0)
        return groups + sum(bit for name, bit in named.items() if name in self.features)

    @property
    def leaves(self) -> list[Leaf]:
        """CPUID's leaves from 0 on."""
        words = _words("GenuineIntel")
        found = [
            (1 if self.caches is None else 2, words[0], words[2], words[1]),
            (self.signature, self.line // 8 << 8 | self.brand_index, 0, self.announced),
        ]
        return found if self.caches is None else [*found, self.caches]

    @property
    def extended_leaves(self) -> list[Leaf]:
        """Those from 80000000h on."""
        if not self.brand:
            return []
        w = _words(self.brand.rjust(47) + "\0")
        strings = [(w[i], w[i + 1], w[i + 2], w[i + 3]) for i in (0, 4, 8)]
        return [(0x80000004, 0, 0, 0), (0, 0, 0, 0), *strings]


def _words(text: str) -> list[int]:
    """Text in little-endian words of four bytes."""
    data = text.encode("ascii")
    return [int.from_bytes(data[i : i + 4], "little") for i in range(0, len(data), 4)]


F486 = "486 cpuid fpu vme"
F586 = F486 + " de pse tsc msr mce cx8"
F686 = F586 + " p6 pmc cmov pge mtrr mca pae"
PENTIUM2 = F686 + " sep pat pse36 mmx fxsr"
PENTIUM3 = PENTIUM2 + " sse"
PENTIUM4 = PENTIUM3 + " sse2 clfsh"

# The descriptors of leaf 2: TLBs of 32+2 and 64+8 entries; caches of 8+8, then 16+16 KiB, and of
# 256 or 512 KiB behind them. The Pentium 4 has 12,000 micro-operations instead of code.
ROWS = (
    Model("486", "Intel 486 DX4", 4, 8, 0, F486),
    Model("pentium", "Intel Pentium", 5, 2, 12, F586),
    Model("pentiumpro", "Intel Pentium Pro", 6, 1, 9, F686,
          caches=(0x03020101, 0, 0, 0x06040A42)),
    Model("pentium2", "Intel Pentium II", 6, 5, 2, PENTIUM2,
          caches=(0x03020101, 0, 0, 0x0C040843)),
    Model("pentium3", "Intel Pentium III", 6, 8, 6, PENTIUM3,
          caches=(0x03020101, 0, 0, 0x0C040882), brand_index=2),
    Model("pentium4", "Intel Pentium 4", 15, 2, 9, PENTIUM4,
          caches=(0x665B5001, 0, 0, 0x007B7040), brand_index=9, line=64,
          brand="Intel(R) Pentium(R) 4 CPU"),
)  # fmt: skip

MODELS = {model.name: model for model in ROWS}
DEFAULT = MODELS["pentiumpro"]
