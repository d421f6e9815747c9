"""`vp run --config FILE.toml`: options of vp run in a file, under the names they have in a sweep.

    kernel = "vmlinuz"              # paths are relative to the file
    initrd = "initramfs.cpio.gz"
    append = "console=ttyS0"
    memory = "64M"                  # or 64
    without = "chaining,stubs"
    type = ["uname -a\\n", { after = "login: ", text = "root\\n" }]
    until = "i686"                  # texts are TOML's: no escapes of ours in them
    timeout = "5m"
    quiet = true

Every option of `vp run` is a key, and vmx is NAME.vmx. The command line wins: what it says replaces
what the file says, lists as a whole; if it names a guest of another kind, all that the file says
about its own guest is left out. UserError says which file and which key.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from monitor.settings.config import BIOS, KINDS
from monitor.settings.did_you_mean import choose
from monitor.settings.drives import EMPTY, PLUGS
from monitor.settings.serial_config import SERIAL_PATHS
from monitor.vmm.errors import UserError

OPTION = "--config"
TYPING, VMX = "type", "vmx"
#: Keys that say something about the guest, and go with it.
GUEST = (*KINDS, "initrd", "append", "module", "entry", "firmware-state",
         BIOS, "vgabios", "option-rom", "boot")  # fmt: skip
NOT_HERE = ("config", "help", "type-after", "keys")
TYPED = {"text": "--type", "keys": "--keys"}
TEXTS_OF_OURS = ("until",)  # where the command line has escapes
WORDS = {bool: "true or false", str: "text", list: "a list of texts"}


def add_config(parser: argparse.ArgumentParser) -> None:
    """The option; `parser` is a monitor.cli.parser.Parser."""
    parser.add_argument(OPTION, type=Path, metavar="FILE.toml",
                        help="take options from there; the command line wins")
    parser.settings = settings  # type: ignore[attr-defined]


def settings(parser: argparse.ArgumentParser, given: argparse.Namespace) -> dict[str, Any]:
    """What the file says and the command line does not, as defaults for the parser.

    `given` is what the command line has become. Nothing without a file.
    """
    path: Path | None = given.config
    if path is None:
        return {}
    from monitor.settings import toml_file  # not above: `vp --help` must be instant

    where = str(path)
    data = toml_file.parse(toml_file.read(path, "configuration"), where)
    options = keys(parser)
    toml_file.known(data, options, where)
    said = {key for key, action in options.items()
            if getattr(given, action.dest) != parser.get_default(action.dest)}  # fmt: skip
    kinds = said & {*KINDS, BIOS}
    dropped = GUEST if kinds - {*data} else ()
    found: dict[str, Any] = {}
    for key, value in data.items():
        if key not in dropped and not (key in said and _is_list(options[key])):
            found[options[key].dest] = _value(key, value, options[key], path, f"{where}: {key}")
    return found | {"from_file": (where, frozenset({*data} - {*dropped} - said))}


def keys(parser: argparse.ArgumentParser) -> dict[str, argparse.Action]:
    """The options by the names that they have in a file."""
    found = {}
    for action in parser._actions:
        names = [name[2:] for name in action.option_strings if name.startswith("--")]
        if names and names[0] not in NOT_HERE:
            found[names[0]] = action
        elif not action.option_strings:
            found[action.dest] = action
    return found


@contextmanager
def named(args: argparse.Namespace) -> Iterator[None]:
    """Errors about options that came from a file name the file and the key."""
    where, names = getattr(args, "from_file", ("", frozenset()))
    try:
        yield
    except UserError as error:
        option = re.match(r"(?:--)?([a-z-]+)\b ?(.*)", str(error), re.DOTALL)
        if option is None or option[1] not in names:
            raise
        raise UserError(f"{where}: {option[1]}: {option[2].removeprefix(': ')}") from error


# --- values -------------------------------------------------------------------------------


def _is_list(action: argparse.Action) -> bool:
    return isinstance(action, argparse._AppendAction) or action.dest == "typing"


def _value(key: str, value: Any, action: argparse.Action, path: Path, where: str) -> Any:
    """What argparse would have made of it."""
    if key == TYPING:
        return _typing(value, where)
    if _is_list(action):
        if not isinstance(value, list):
            raise UserError(f"{where}: must be {WORDS[list]}")
        return [_converted(each, action, path, where) for each in value]
    if action.nargs == "?" and value is True and action.const is not None:
        return action.const
    if action.nargs == 0:
        if not isinstance(value, bool):
            raise UserError(f"{where}: must be {WORDS[bool]}")
        return value
    if key in TEXTS_OF_OURS and isinstance(value, str):
        value = _literally(value)
    return _converted(value, action, path, where)


def _converted(value: Any, action: argparse.Action, path: Path, where: str) -> Any:
    if type(value) not in (str, int, float):
        raise UserError(f"{where}: must be {WORDS[str]} or a number")
    text = _beside(str(value), action, path)
    try:
        found = action.type(text) if callable(action.type) else text
    except (argparse.ArgumentTypeError, ValueError) as error:
        raise UserError(f"{where}: {error}") from error
    if action.choices is not None and found not in action.choices:
        raise UserError(f"{where}: {text!r}: {choose(text, map(str, action.choices))}")
    return found


def _beside(text: str, action: argparse.Action, path: Path) -> str:
    """A path of the file is relative to the file."""
    if action.type is Path or action.dest in ("flat", "option_rom"):
        return str(path.parent / text)
    if action.dest in PLUGS and text != EMPTY:
        return str(path.parent / text)
    if action.dest.startswith("serial"):
        kind, colon, name = text.partition(":")
        return f"{kind}:{path.parent / name}" if colon and kind in SERIAL_PATHS and name else text
    if action.dest == "sound" and text.startswith("wav:"):
        return f"wav:{path.parent / text.removeprefix('wav:')}"
    if action.dest == "parallel" and not text.startswith("pipe:"):
        return f"file:{path.parent / text.removeprefix('file:')}"
    return text


def _typing(lines: Any, where: str) -> list[tuple[str, str]]:
    """Texts and tables with `after` and `text` or `keys`, as --type-after, --type and --keys."""
    if not isinstance(lines, list):
        raise UserError(f"{where}: must be a list of texts, or tables with `after` and `text`")
    found: list[tuple[str, str]] = []
    for line in lines:
        table: Mapping[str, Any] = line if isinstance(line, dict) else {"text": line}
        typed = {*table} - {"after"}
        if len(typed) != 1 or not typed <= {*TYPED} or not all(
            isinstance(text, str) for text in table.values()
        ):
            raise UserError(f"{where}: give texts, or tables with `after` and `text`")
        if "after" in table:
            found.append(("--type-after", _literally(table["after"])))
        (name,) = typed
        text = table[name] if name == "keys" else _literally(table[name])
        found.append((TYPED[name], text))
    return found


def _literally(text: str) -> str:
    """Written so that the command line's escapes leave it as it is."""
    return text.replace("\\", "\\\\")
