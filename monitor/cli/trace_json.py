"""`vp trace --json`: the events as they come, so that a long trace needs no memory for them.

    {"events": [TraceEvent.as_dict(), ...], "taken": 3, "full": false, "lost": 0}
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from monitor.cli.json_output import JsonOutput
    from monitor.watch.trace import Trace
    from monitor.watch.trace_model import TraceEvent


class JsonEvents:
    """Takes events; `finish` ends the document."""

    def __init__(self, output: JsonOutput) -> None:
        self._output = output
        self._before = '{"events": [\n'

    def __call__(self, event: TraceEvent) -> None:
        self._output.append(self._before + json.dumps(event.as_dict()))
        self._before = ",\n"

    def finish(self, trace: Trace) -> None:
        begun = self._before.startswith(",")
        rest = json.dumps({"taken": trace.taken, "full": trace.full, "lost": trace.lost})
        self._output.append(("" if begun else self._before) + "\n], " + rest[1:] + "\n")
        self._output.finish()
