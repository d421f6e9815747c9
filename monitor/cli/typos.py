"""Options that there are not, found before argparse looks: what was meant, and whose help to read.

argparse leaves unknown options of a verb to the parser of `vp`, which does not know the verb's, and
tells first what is missing. So a parser of ours looks through its words by argparse's own rules:
what follows `--` is no option, nor is a negative number, a word with a space in it, or a single
dash. `-memory` is no option, though `-m emory` might be read out of it.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from monitor.settings.did_you_mean import question

NUMBER = re.compile(r"-\d+|-\d*\.\d+")
Parsers = Mapping[str, argparse.ArgumentParser]


def below(parser: argparse.ArgumentParser) -> Parsers:
    """The parsers of a parser's verbs or actions, by name."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            found: Parsers = action.choices
            return found
    return {}


def unknown_options(parser: argparse.ArgumentParser, words: Sequence[str]) -> Iterator[str]:
    """What looks like an option of this parser and is none, without its value."""
    has_verbs = bool(below(parser))
    value_follows = False
    for word in words:
        if word == "--":
            return
        if value_follows or not _is_option(word):
            if has_verbs and not value_follows:
                return  # the verb: what follows is for its parser
            value_follows = False
            continue
        name = word.partition("=")[0]
        action = _action(parser, word)
        if action is None:
            yield name
        exact = word in parser._option_string_actions  # not --type=TEXT, not -m64M
        value_follows = exact and action is not None and action.nargs is None


def _is_option(word: str) -> bool:
    return len(word) > 1 and word[0] == "-" and " " not in word and not NUMBER.fullmatch(word)


def _action(parser: argparse.ArgumentParser, word: str) -> argparse.Action | None:
    """The option that argparse would take a word for."""
    known = parser._option_string_actions
    name = word.partition("=")[0]
    if word.startswith("--") or name in known:
        return known.get(name)
    if f"-{name}" in known:
        return None
    return known.get(word[:2])  # -m64M, or flags in one


def explain(name: str, parser: argparse.ArgumentParser, others: Parsers) -> tuple[str, str]:
    """What to say of an option that is none, and the command whose help explains.

    `others` are the parsers of the other verbs.
    """
    having = [other for other in others.values() if name in other._option_string_actions]
    if having:
        names = ", ".join(other.prog for other in having)
        has, whose = ("has", having[0]) if len(having) == 1 else ("have", parser)
        return f"{parser.prog} has no option {name}, but {names} {has}", whose.prog
    asked = question(name, parser._option_string_actions)
    said = f"{parser.prog} has no option {name}"
    return (f"{said}: {asked}" if asked else said), parser.prog


def no_such(prog: str, kind: str, word: str, names: Iterable[str]) -> str:
    """What to say of a verb, or of an action of a verb, that there is not."""
    known = list(names)
    said = question(word, known) or f"choose from {', '.join(known)}"
    return f"{prog} has no {kind} {word!r}: {said}"
