"""All words of the console, and how a line is answered."""

from __future__ import annotations

from collections.abc import Mapping

from monitor.console import chips, examine, mappings, media, ours, registers, running
from monitor.console.command import Answer, Command, Context, chosen
from monitor.vmm.errors import UserError

PROMPT = "(vp) "
LONGEST = 1000  # characters of a line


def _looks(help: str, answer: Answer, arguments: str = "") -> Command:
    return Command(arguments, help, answer, looks=True)


INFO = {
    "registers": _looks("all registers, with what segments hold", registers.info_registers),
    "mem": _looks("ranges that the guest's page tables map", mappings.info_mem),
    "tlb": _looks("every mapping of the guest's page tables", mappings.info_tlb),
    "mtree": _looks("what answers at which physical address", mappings.info_mtree),
    "pic": _looks("the interrupt controllers", chips.info_pic),
    "irq": _looks("interrupts delivered", chips.info_irq),
    "devices": _looks("all devices; with a name, its registers", chips.info_devices, "[NAME]"),
    "block": _looks("the drives, and what lies in them", media.info_block),
    "pci": _looks("functions on the PCI bus", media.info_pci),
    "status": _looks("does it run, and how far has it come", chips.info_status),
    "version": _looks("of this program", chips.info_version),
    "exits": _looks("exits by reason, and the last ones", ours.info_exits),
    "tc": _looks("the translation cache, and the block at eip", ours.info_tc),
    "shadow": _looks("the shadow page tables", ours.info_shadow),
    "where": _looks("registers, last exits and the code at eip", ours.info_where),
    "statistics": _looks("every figure, as JSON", ours.info_statistics),
}
OTHER_NAMES = {"p": "print", "c": "cont", "q": "quit", "s": "stop", "?": "help", "i": "info"}


def answer_to(context: Context, line: str, looking: bool = False) -> str:
    """The answer to a line, without its last newline; "" if there is nothing to say.

    UserError: the line is wrong, or what it asks for cannot be. `looking`: it may change nothing.
    """
    if len(line) > LONGEST:
        raise UserError(f"a line of {len(line)} characters: {LONGEST} at most")
    word, rest = _split(" ".join(line.split()))
    if not word:
        return ""
    command = chosen(COMMANDS, OTHER_NAMES.get(word, word), "command")
    if command.subjects and rest:
        word, rest = _split(rest)
        command = chosen(command.subjects, word, "info")
    if looking and not command.looks:
        raise UserError(f"{word}: not while a debugger has the machine")
    return command.answer(context, rest).rstrip("\n")


def _split(line: str) -> tuple[str, str]:
    """The first word, and what follows; `x/4i` is `x /4i`."""
    word, _, rest = line.partition(" ")
    head, slash, format_ = word.partition("/")
    return (head, f"/{format_} {rest}") if slash and head else (word, rest)


def _info(_context: Context, _rest: str) -> str:
    return "\n".join(_listing("info ", INFO))


def _help(_context: Context, rest: str) -> str:
    if not rest:
        return "\n".join([*_listing("", COMMANDS), *_listing("info ", INFO)])
    word, more = _split(rest)
    command = chosen(COMMANDS, OTHER_NAMES.get(word, word), "command")
    if command.subjects and more:
        return "\n".join(_listing("info ", {more: chosen(command.subjects, more, "info")}))
    return "\n".join(_listing("", {word: command}))


def _listing(before: str, commands: Mapping[str, Command]) -> list[str]:
    return [f"{f'{before}{name} {each.arguments}':26} {each.help}"
            for name, each in commands.items()]  # fmt: skip


COMMANDS: dict[str, Command] = {
    "help": _looks("this list, or the line of one command", _help, "[COMMAND]"),
    "info": Command("[SUBJECT]", "what there is to know; alone, a list", _info, True, INFO),
    **examine.COMMANDS,
    **running.COMMANDS,
    **media.COMMANDS,
}


def completions(text: str) -> list[str]:
    """The lines that a text may become: names of commands, and of what `info` knows."""
    word, space, rest = text.lstrip().partition(" ")
    if not space:
        return [name for name in COMMANDS if name.startswith(word)]
    if OTHER_NAMES.get(word, word) == "info":
        return [f"{word} {name}" for name in INFO if name.startswith(rest)]
    return []
