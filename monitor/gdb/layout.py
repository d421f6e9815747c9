"""The registers as gdb knows them: numbers, sizes, and the target description (E. G).

Registers 0 to 31 are those of the feature org.gnu.gdb.i386.core, in the order that gdb demands; the
packet `g` carries them. Behind them come those of org.gnu.gdb.i386.sse and the system's, which gdb
asks for one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import quoteattr

from bt.interp.architecture import BITS
from monitor.vmm import registers


@dataclass(frozen=True)
class Register:
    """One register: what gdb calls it, its size in bits and its type."""

    name: str
    bits: int = 32
    type: str = "int32"
    group: str = "general"

    @property
    def size(self) -> int:
        return self.bits // 8

    @property
    def xml(self) -> str:
        attributes = {"name": self.name, "bitsize": str(self.bits), "type": self.type}
        if self.group != "general":
            attributes["group"] = self.group
        text = " ".join(f"{key}={quoteattr(value)}" for key, value in attributes.items())
        return f"    <reg {text}/>"


GENERAL = (
    *(Register(name) for name in ("eax", "ecx", "edx", "ebx")),
    Register("esp", type="data_ptr"),
    Register("ebp", type="data_ptr"),
    *(Register(name) for name in ("esi", "edi")),
    Register("eip", type="code_ptr"),
    Register("eflags", type="i386_eflags"),
    *(Register(name) for name in ("cs", "ss", "ds", "es", "fs", "gs")),
)
STACK = tuple(Register(f"st{i}", 80, "i387_ext") for i in range(8))
X87_CONTROL = tuple(
    Register(name, type="int", group="float")
    for name in ("fctrl", "fstat", "ftag", "fiseg", "fioff", "foseg", "fooff", "fop")
)
CORE = (*GENERAL, *STACK, *X87_CONTROL)
VECTORS = (
    *(Register(name, 128, "vec128", "vector") for name in registers.VECTORS),
    Register("mxcsr", type="i386_mxcsr", group="vector"),
)

# Of the system's, what `info registers` shows; the rest is for `info registers system`.
SHOWN = {
    *("gdtr_base", "gdtr_limit", "idtr_base", "idtr_limit"),
    *("ldtr", "ldtr_base", "ldtr_limit", "tr", "tr_base", "tr_limit"),
    *("es_base", "cs_base", "ss_base", "ds_base", "fs_base", "gs_base"),
    *("dr0", "dr1", "dr2", "dr3", "dr6", "dr7", "cpl"),
}


def _system(name: str, value: str) -> Register:
    """A register of which only the processor's state knows."""
    bits = 64 if BITS[value] > 0xFFFFFFFF else 32
    return Register(name, bits, f"int{bits}", "general" if name in SHOWN else "system")


SYSTEM = (
    Register("cr0", type="cr0_flags"),
    Register("cr2", type="data_ptr"),
    Register("cr3"),
    Register("cr4", type="cr4_flags"),
    *(
        _system(name, value)
        for name, value in registers.SYSTEM.items()
        if not name.startswith(("xmm", "mxcsr"))
    ),
)
REGISTERS = (*CORE, *VECTORS, *SYSTEM)

# Bits of flag registers: SDM vol. 3, 2.3 and 2.5
FLAGS = {
    "i386_eflags": {"": 1, "CF": 0, "PF": 2, "AF": 4, "ZF": 6, "SF": 7, "TF": 8, "IF": 9, "DF": 10,
                    "OF": 11, "NT": 14, "RF": 16, "VM": 17, "AC": 18, "VIF": 19, "VIP": 20,
                    "ID": 21},
    "cr0_flags": {"PE": 0, "MP": 1, "EM": 2, "TS": 3, "ET": 4, "NE": 5, "WP": 16, "AM": 18,
                  "NW": 29, "CD": 30, "PG": 31},
    "cr4_flags": {"VME": 0, "PVI": 1, "TSD": 2, "DE": 3, "PSE": 4, "PAE": 5, "MCE": 6, "PGE": 7,
                  "PCE": 8, "OSFXSR": 9, "OSXMMEXCPT": 10},
    "i386_mxcsr": {"IE": 0, "DE": 1, "ZE": 2, "OE": 3, "UE": 4, "PE": 5, "DAZ": 6, "IM": 7, "DM": 8,
                   "ZM": 9, "OM": 10, "UM": 11, "PM": 12, "FZ": 15},
}  # fmt: skip
CORE_FLAGS, SYSTEM_FLAGS = ("i386_eflags",), ("cr0_flags", "cr4_flags")

# What an XMM register can be taken for: a field's name, the type of its elements, how many
VIEWS = (
    ("v4_float", "ieee_single", 4), ("v2_double", "ieee_double", 2), ("v16_int8", "int8", 16),
    ("v8_int16", "int16", 8), ("v4_int32", "int32", 4), ("v2_int64", "int64", 2),
)  # fmt: skip


def _flags_xml(name: str) -> list[str]:
    fields = [
        f"      <field name={quoteattr(field)} start=\"{bit}\" end=\"{bit}\"/>"
        for field, bit in FLAGS[name].items()
    ]
    return [f'    <flags id="{name}" size="4">', *fields, "    </flags>"]


def _vector_types() -> list[str]:
    """The union that gdb prints XMM registers as."""
    vectors = [f'    <vector id="{name}_" type="{kind}" count="{n}"/>' for name, kind, n in VIEWS]
    fields = [f'      <field name="{name}" type="{name}_"/>' for name, _, _ in VIEWS]
    fields.append('      <field name="uint128" type="uint128"/>')
    return [*vectors, '    <union id="vec128">', *fields, "    </union>"]


def _feature(
    name: str, flags: tuple[str, ...], registers: tuple[Register, ...], own: Sequence[str] = ()
) -> list[str]:
    """`own`: types that it has besides flags."""
    types = [*(line for each in flags for line in _flags_xml(each)), *own]
    return [
        f'  <feature name="{name}">',
        *types,
        *(register.xml for register in registers),
        "  </feature>",
    ]


def target_description() -> bytes:
    """What qXfer:features:read:target.xml reads."""
    lines = [
        '<?xml version="1.0"?>',
        '<!DOCTYPE target SYSTEM "gdb-target.dtd">',
        "<target>",
        "  <architecture>i386</architecture>",
        *_feature("org.gnu.gdb.i386.core", CORE_FLAGS, CORE),
        *_feature("org.gnu.gdb.i386.sse", ("i386_mxcsr",), VECTORS, _vector_types()),
        *_feature("org.virtual-platform.i386.system", SYSTEM_FLAGS, SYSTEM),
        "</target>",
    ]
    return "\n".join(lines).encode() + b"\n"
