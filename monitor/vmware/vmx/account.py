"""The account of a .vmx file: every setting is used for something, or ignored for a reason.

Whoever takes a setting reads its value here, and says what came of it. What nobody took is ignored
for the reason that its name suggests. A value that makes no sense is a UserError: a machine with
less isolation than its owner wrote down is worse than none.
"""

from __future__ import annotations

import re

from monitor.vmware.restrictions import NOTHING_YET
from monitor.vmware.vmx.config_file import Entry, VmxFile, shown
from monitor.vmware.vmx.ignored import reason_for

TRUE = ("true", "yes", "y", "on", "t", "1")
FALSE = ("false", "no", "n", "off", "f", "0")
NUMBER = re.compile(r"[0-9]{1,18}", re.ASCII)
ISOLATION = "isolation."
NOT_DENIED = "there is nothing here to restrict yet"
UNENFORCED = {name.lower() for name in NOTHING_YET}


class Account:
    """The settings of one file, and what was done with each.

    `used` says what came of a setting and `ignored` why nothing did, both by its name; `warnings`
    are lines for people.
    """

    def __init__(self, file: VmxFile) -> None:
        self.file = file
        self.warnings = list(file.warnings)
        self.used: dict[str, str] = {}  # a setting's name, what came of it
        self.ignored: dict[str, str] = {}  # a setting's name, why

    # --- values -------------------------------------------------------------------------------

    def entry(self, name: str) -> Entry | None:
        """A setting, whatever the case of its name."""
        return self.file.entries.get(name.lower())

    def text(self, name: str, meaning: str = "{}") -> str | None:
        """A setting's text; None if it has none."""
        entry = self.entry(name)
        if entry is None or not entry.value:
            return None
        self.use(entry, meaning.format(entry.value))
        return entry.value

    def truth(self, entry: Entry) -> bool:
        """TRUE or FALSE."""
        value = entry.value.strip().lower()
        if value not in TRUE + FALSE:
            raise self.file.error(entry, f'{shown(entry.value)}: write "TRUE" or "FALSE"')
        return value in TRUE

    def flag(self, name: str, default: bool, meaning: str) -> bool:
        """A switch that may be missing."""
        entry = self.entry(name)
        if entry is None:
            return default
        self.use(entry, meaning)
        return self.truth(entry)

    def whole(self, entry: Entry, low: int, high: int) -> int:
        """A whole number in decimal."""
        text = entry.value.strip()
        value = int(text) if NUMBER.fullmatch(text) else -1
        if not low <= value <= high:
            problem = f"{shown(entry.value)}: write a whole number from {low} to {high}"
            raise self.file.error(entry, problem)
        return value

    def number(self, name: str, low: int, high: int, meaning: str) -> int | None:
        """A whole number that may be missing."""
        entry = self.entry(name)
        if entry is None:
            return None
        value = self.whole(entry, low, high)
        self.use(entry, meaning.format(value))
        return value

    # --- what came of them --------------------------------------------------------------------

    def use(self, entry: Entry, meaning: str) -> None:
        """Something came of it."""
        self.used[entry.name] = meaning

    def ignore(self, entry: Entry, reason: str) -> None:
        """Nothing did, and why."""
        self.used.pop(entry.name, None)
        self.ignored[entry.name] = reason

    def warn(self, entry: Entry, text: str) -> None:
        """Say something about it to people, with its line."""
        self.warnings.append(_place(entry) + text)

    def override(self, entry: Entry, option: str) -> None:
        """An option says it better: what is wrong with the setting does not matter any more."""
        self.ignore(entry, f"{option} was given")
        self.warnings = [text for text in self.warnings if not text.startswith(_place(entry))]

    def finish(self) -> None:
        """Find a reason for every setting that nobody took."""
        for name, entry in self.file.entries.items():
            if entry.name in self.used or entry.name in self.ignored:
                continue
            if name in UNENFORCED:
                self.ignore(entry, NOT_DENIED)
                continue
            if name.startswith(ISOLATION) and _may_deny(entry):
                self.warn(entry, "not known here, so nothing is denied by it")
            self.ignore(entry, reason_for(name) if entry.value else "it is empty")
        self.used = self._in_order(self.used)
        self.ignored = self._in_order(self.ignored)

    def _in_order(self, settings: dict[str, str]) -> dict[str, str]:
        """As the file has them."""
        names = (entry.name for entry in self.file.entries.values())
        return {name: settings[name] for name in names if name in settings}


def _may_deny(entry: Entry) -> bool:
    """Does a setting that is not known look as if something should be denied?"""
    words = TRUE if entry.name.lower().rstrip("d").endswith("enable") else FALSE
    return entry.value.strip().lower() not in words


def _place(entry: Entry) -> str:
    return f"line {entry.line}: {entry.name}: "
