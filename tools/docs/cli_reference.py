"""docs/reference/cli.md, from the parsers of `vp`.

    python -m tools.docs.cli_reference            # prints the page
    python -m tools.docs.cli_reference --write    # and this writes it

The page is committed, so that it can be read on a code host; tests/docs fails when it is stale. It
is made from argparse's actions and not from their `--help`, which looks different in each version
of Python.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from monitor.cli import Verb, build_parser, verbs

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "cli.md"
COMMAND = "python -m tools.docs.cli_reference --write"
#: An option in running text, or what is literal there already.
OPTION = re.compile(r"`[^`]*`|(?<![\w-])--[a-z][\w-]*")

HEAD = f"""\
<!-- Written by `{COMMAND}` from the parsers of vp; do not edit. -->

# The command vp

Every verb with every option. The [user's guide](../user-guide.md) says what to do with them;
`vp VERB --help` prints the same as here.

```text
vp [--help] [--version] VERB [OPTIONS]
```

Options cannot be shortened. Addresses are decimal, or hexadecimal with 0x;
[sizes, times and counts](../command-line.md#sizes-times-and-counts) are 64M, 1m30s, 1e6, too.

## Verbs

"""

STATUSES = """\
## Exit status

| status | when |
| --- | --- |
| 0 | as asked |
| 1 | not as asked: each verb says what that is |
| 2 | bad usage or input: one line on standard error says what to do about it |
| 2 | also: standard output, or a file that an option names, cannot be written |
| 130 | Ctrl-C, at whatever moment |
| 141 | nobody reads standard output any more (`vp ... \\| head`) |
| other numbers from 128 on | ended by a signal: 128 and its number |

A file that an option names is written whole or not at all; `--serial file:NAME`, `--log` and the
journal of a sweep grow as they come. What cannot be written to standard error is lost.

`vp run` has more: the odd ones from 3 on are the guest's own.

## Environment

| variable | what it does |
| --- | --- |
| `VP_PURE=1` | the uncompiled interpreter, even where there is a compiled one |
| `VP_ENABLE_VMWARE_BACKDOOR=1` | machines have VMware's backdoor unless they say otherwise |
"""


def page() -> str:
    """The whole page."""
    parsers = _parsers(build_parser())
    parts = [HEAD + "\n".join(_verb_table()), STATUSES.rstrip("\n")]
    parts += ["\n".join(_verb(verb, parsers[verb.NAME])) for verb in verbs()]
    return "\n\n".join(parts) + "\n"


def _parsers(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """The verbs' own parsers, by name."""
    found = _actions(parser)
    assert found, "vp has no verbs"
    return found


def _verb_table() -> Iterator[str]:
    yield "| verb | what it does |"
    yield "| --- | --- |"
    for verb in verbs():
        yield f"| [vp {verb.NAME}](#vp-{verb.NAME}) | {_cell(verb.HELP)} |"


def _verb(verb: Verb, parser: argparse.ArgumentParser) -> Iterator[str]:
    yield f"## vp {verb.NAME}"
    yield ""
    yield "```text"
    yield " ".join(("vp", verb.NAME, "[OPTIONS]", *_positionals(parser)))
    yield "```"
    yield ""
    yield _prose(verb.__doc__ or "")
    yield from _tables(parser)
    for name, action in _actions(parser).items():
        yield ""
        yield f"### vp {verb.NAME} {name}"
        yield ""
        yield "```text"
        yield " ".join(("vp", verb.NAME, name, "[OPTIONS]", *_positionals(action)))
        yield "```"
        yield from _tables(action)
    yield ""
    yield "Examples:"
    yield ""
    yield "```sh"
    yield from verb.EXAMPLES
    yield "```"


def _actions(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """The parsers of what a verb can do, if it can do several things."""
    found = [each for each in parser._actions if isinstance(each, argparse._SubParsersAction)]
    return dict(found[0].choices) if found else {}


def _tables(parser: argparse.ArgumentParser) -> Iterator[str]:
    """A table for each group of arguments. Actions are listed by what they do."""
    for group in parser._action_groups:
        actions = [each for each in group._group_actions if each.help != argparse.SUPPRESS]
        if actions and isinstance(actions[0], argparse._SubParsersAction):
            yield ""
            yield from _table("actions", actions[0]._choices_actions)
        elif [each for each in actions if not isinstance(each, argparse._HelpAction)]:
            yield ""
            yield from _table(_title(group.title or ""), actions)


def _positionals(parser: argparse.ArgumentParser) -> list[str]:
    found = []
    for action in parser._actions:
        if not action.option_strings:
            name = _value(action) or action.dest
            found.append({"?": f"[{name}]", "*": f"[{name} ...]"}.get(str(action.nargs), name))
    return found


def _prose(text: str) -> str:
    """A verb's own words: Markdown, but for indented tables and bare stars."""
    lines = text.strip().splitlines()
    return "\n".join(line if line.startswith("    ") else _marked(line) for line in lines)


def _title(title: str) -> str:
    """argparse's own names say nothing here, ours are parts of a sentence."""
    return {"positional arguments": "arguments", "options": "options"}.get(title, title)


def _table(title: str, actions: Sequence[argparse.Action]) -> Iterator[str]:
    yield f"| {_cell(title)} | meaning |"
    yield "| --- | --- |"
    for action in actions:
        yield f"| {_names(action)} | {_cell(_marked(action.help or ''))} |"


def _names(action: argparse.Action) -> str:
    """The option's spellings, each with its value."""
    value = _value(action)
    names = action.option_strings or [value or action.dest]
    shown = f" {value}" if value and action.option_strings else ""
    if action.nargs == "?" and action.option_strings:
        shown = f" [{value}]"
    return ", ".join(f"`{_cell(name + shown)}`" for name in names)


def _value(action: argparse.Action) -> str:
    """How the option's value is called; nothing for a switch."""
    if action.nargs == 0:
        return ""
    if action.metavar:
        return str(action.metavar)
    if action.choices is not None:
        return "{" + ",".join(map(str, action.choices)) + "}"
    return action.dest.upper()


def _cell(text: str) -> str:
    """Text for a cell of a table."""
    return " ".join(text.split()).replace("|", "\\|")


def _marked(text: str) -> str:
    """Text with its options as code, and nothing that Markdown would take for emphasis."""
    found = OPTION.sub(lambda found: f"`{found[0].strip('`')}`", text)
    return "".join(part if number % 2 else part.replace("*", "\\*")
                   for number, part in enumerate(re.split("(`[^`]*`)", found)))  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the page, or write it."""
    parser = argparse.ArgumentParser(prog="python -m tools.docs.cli_reference")
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.name}")
    if parser.parse_args(arguments).write:
        PAGE.write_text(page(), encoding="utf-8")
    else:
        sys.stdout.write(page())
    return 0


if __name__ == "__main__":
    sys.exit(main())
