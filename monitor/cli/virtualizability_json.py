"""`vp virtualizability --json`: everything that was derived, as one document."""

from __future__ import annotations

from typing import Any

from bt.virtualizability.classify import Finding
from bt.virtualizability.explain import explain, situation
from bt.virtualizability.native import Host, key
from bt.virtualizability.published import entry_of, table_differences
from bt.virtualizability.survey import Survey
from bt.virtualizability.worlds import PROTECTED, VIRTUAL_0, VIRTUAL_3


def document(result: Survey) -> dict[str, Any]:
    whole = result.comparison
    return {
        "forms": [_form(result, number) for number in range(len(result.forms))],
        "experiments": result.experiments,
        "runs": result.runs,
        "published": {
            "found": whole.found,
            "missing": whole.missing,
            "further": whole.further,
        },
        "left_with_umip": result.umip_comparison.found,
        "table_differences": [
            {"form": each.form.name, "class": each.verdict.value, "why": why}
            for each, why in table_differences(result.protected)
        ],
        "host": _host(result.host) if result.host is not None else {"absent": result.no_host},
    }


def _form(result: Survey, number: int) -> dict[str, Any]:
    finding = result.protected[number]
    form = finding.form
    return {
        "name": form.name,
        "opcode": form.row.opcode,
        "entry": entry_of(form.row.mnemonic),
        "operand_size": form.size,
        "memory": form.memory,
        "x87": form.x87,
        "experiments": len(finding.trials),
        "class": finding.verdict.value,
        "class_v8086_iopl0": result.findings[VIRTUAL_0.name][number].verdict.value,
        "class_v8086_iopl3": result.findings[VIRTUAL_3.name][number].verdict.value,
        "class_with_umip": result.with_umip[PROTECTED.name][number].verdict.value,
        "completes_in_ring0": finding.completes,
        "changes": finding.control,
        "depends_on": finding.behaviour,
        "witness": _witness(finding),
        "host": _host_trials(result.host, finding),
    }


def _witness(finding: Finding) -> dict[str, str] | None:
    if finding.witness is None:
        return None
    ring0, ring3 = explain(finding.witness)
    code = finding.witness.experiment.code.hex(" ")
    return {"code": code, "with": situation(finding.witness), "ring0": ring0, "ring3": ring3}


def _host_trials(host: Host | None, finding: Finding) -> list[dict[str, str]] | None:
    if host is None:
        return None
    return [
        {
            "with": each.experiment.label,
            "outcome": str(each.host.trap) if each.host.trap else "no trap",
            "disagreement": each.disagreement,
        }
        for each in host.trials.get(key(finding), [])
    ]


def _host(host: Host) -> dict[str, Any]:
    return {
        "experiments": host.count,
        "refused": host.refused,
        "umip": host.umip,
        "disagreements": len(host.disagreements),
    }
