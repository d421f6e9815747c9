"""`info registers`: in the lines that QEMU users read."""

from __future__ import annotations

from collections.abc import Mapping

from monitor.console.command import Context, no_more

FLAGS = "DOSZAPC"  # as QEMU shows them, and the bits of EFLAGS:
FLAG_BITS = (10, 11, 7, 6, 4, 2, 0)
SEGMENTS = ("es", "cs", "ss", "ds", "fs", "gs")
S, CODE = 0x10, 0x08  # of a segment's rights
UNUSABLE = 0x10000
SYSTEM_TYPES = {1: "TSS16-avl", 2: "LDT", 3: "TSS16-busy", 9: "TSS32-avl", 11: "TSS32-busy"}


def info_registers(context: Context, rest: str) -> str:
    """General registers, segments with what they hold, tables, control and debug registers."""
    no_more(rest, "info registers")
    machine = context.machine
    r, s = machine.registers, machine.system_registers
    lines = [
        " ".join(f"{name.upper()}={r[name]:08x}" for name in ("eax", "ebx", "ecx", "edx")),
        " ".join(f"{name.upper()}={r[name]:08x}" for name in ("esi", "edi", "ebp", "esp")),
        f"EIP={r['eip']:08x} EFL={r['eflags']:08x} [{_flags(r['eflags'])}] CPL={s['cpl']} "
        f"II={int(bool(s['interrupt_shadow']))} A20={int(bool(s['a20']))} "
        f"HLT={int(bool(s['halted']))}",
        *(_segment(name, r[name], s) for name in SEGMENTS),
        *(_segment(name, s[name], s) for name in ("ldtr", "tr")),
        f"GDT=     {s['gdtr_base']:08x} {s['gdtr_limit']:08x}",
        f"IDT=     {s['idtr_base']:08x} {s['idtr_limit']:08x}",
        " ".join(f"{name.upper()}={r[name]:08x}" for name in ("cr0", "cr2", "cr3", "cr4")),
        *(" ".join(f"{name.upper()}={s[name]:08x}" for name in row)
          for row in (("dr0", "dr1", "dr2", "dr3"), ("dr6", "dr7"))),
    ]  # fmt: skip
    return "\n".join(lines)


def _flags(eflags: int) -> str:
    """One letter for each flag that is set, as `-O-Z-P-`."""
    pairs = zip(FLAGS, FLAG_BITS, strict=True)
    return "".join(letter if eflags >> bit & 1 else "-" for letter, bit in pairs)


def _segment(name: str, selector: int, s: Mapping[str, int]) -> str:
    """Selector, base, limit, rights, and what those mean.

    >>> values = {"cs_base": 0, "cs_limit": 0xFFFFFFFF, "cs_rights": 0xC09B}
    >>> _segment("cs", 0x10, values)
    'CS =0010 00000000 ffffffff 00c09b00 DPL=0 CS32 [-RA]'
    """
    base, limit, rights = (s[f"{name}_{part}"] for part in ("base", "limit", "rights"))
    label = {"ldtr": "LDT", "tr": "TR "}.get(name, f"{name.upper()} ")
    head = f"{label}={selector:04x} {base:08x} {limit:08x} {(rights & 0xFFFF) << 8:08x}"
    return head if rights & UNUSABLE else f"{head} DPL={rights >> 5 & 3} {_kind(rights)}"


def _kind(rights: int) -> str:
    if not rights & S:
        return SYSTEM_TYPES.get(rights & 15, "")
    wide = 32 if rights & 0x4000 else 16
    accessed = "A" if rights & 1 else "-"
    middle = "R" if rights & CODE else "W"
    first = ("C" if rights & CODE else "E") if rights & 4 else "-"
    access = middle if rights & 2 else "-"
    return f"{'CS' if rights & CODE else 'DS'}{wide} [{first}{access}{accessed}]"
