"""What rich prints, as HTML for a notebook."""

from __future__ import annotations

import io

from rich.console import RenderableType

from monitor.writing.whole_console import WholeConsole

WIDTH = 180
FORMAT = (
    '<pre style="font-family:ui-monospace,Menlo,Consolas,monospace;font-size:12px;'
    'line-height:1.25;white-space:pre;overflow-x:auto;background:#ffffff;color:#1d2430">{code}</pre>'
)


def html_of(renderable: RenderableType) -> str:
    """A fragment with its styles inline: no style sheet, no script."""
    console = WholeConsole(
        record=True, file=io.StringIO(), width=WIDTH, force_terminal=True,
        color_system="truecolor", highlight=False, force_jupyter=False,
    )
    console.print(renderable)
    return console.export_html(inline_styles=True, code_format=FORMAT)
