"""The processor models that a machine can have, for `vp run --cpu`.

A guest on one of them finds what is listed: CPUID says so, and an instruction of a feature that it
lacks raises #UD.

Exit status: 0 listed, 2 bad usage.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from monitor.cli.json_output import JsonOutput, add_json
from monitor.settings.machine import CPU, CPUS

if TYPE_CHECKING:
    from bt.models import Model

NAME = "cpus"
HELP = "list the processor models"
EXAMPLES = ("vp cpus", "vp cpus --json")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `vp cpus`."""
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """`vp cpus`."""
    from bt.models import MODELS

    models = [MODELS[name] for name in CPUS]
    with JsonOutput(args.json) as json:
        json.write(lambda: {"cpus": [_document(model) for model in models]})
        if not json.alone:
            _print_text(models)
    return 0


def _document(model: Model) -> dict[str, Any]:
    return {
        "name": model.name,
        "default": model.name == CPU,
        "title": model.title,
        "family": model.family,
        "model": model.model,
        "stepping": model.stepping,
        "features": model.names,
    }


def _print_text(models: list[Model]) -> None:
    from rich import box

    from monitor.cli.pieces import plain_console
    from monitor.writing.whole_table import Table

    table = Table(title="Processor models", box=box.SIMPLE_HEAD)
    table.add_column("--cpu", no_wrap=True)
    table.add_column("processor")
    table.add_column("CPUID", no_wrap=True)
    table.add_column("features")
    for model in models:
        title = f"{model.title} (default)" if model.name == CPU else model.title
        table.add_row(model.name, title, f"{model.signature:x}", " ".join(model.names))
    plain_console().print(table)
