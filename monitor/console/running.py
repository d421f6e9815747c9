"""Words that change the machine: stop, cont, reset, keys and checkpoints."""

from __future__ import annotations

from monitor.console.command import Command, Context, no_more
from monitor.vmm.errors import UserError


def _stop(context: Context, rest: str) -> str:
    no_more(rest, "stop")
    context.attendant.halt()
    return ""


def _cont(context: Context, rest: str) -> str:
    no_more(rest, "cont")
    context.attendant.cont()
    return ""


def _quit(context: Context, rest: str) -> str:
    no_more(rest, "quit")
    context.attendant.quit()
    return ""


def _reset(context: Context, rest: str) -> str:
    no_more(rest, "system_reset")
    context.machine.reset()
    return ""


def _nmi(context: Context, rest: str) -> str:
    no_more(rest, "nmi")
    context.machine.lines.nmi()
    return ""


def _sendkey(context: Context, rest: str) -> str:
    """Keys that are held together, by their names; several such, one after the other."""
    if not rest:
        raise UserError("sendkey needs keys: sendkey ctrl-alt-delete")
    context.machine.keys.send(*rest.split())
    return ""


def _savevm(context: Context, rest: str) -> str:
    path = rest.strip()
    if not path:
        raise UserError("savevm needs a file: savevm before.vpcheck")
    size = context.machine.checkpoints.save(path)
    return f"{size:,} bytes: loadvm {path}, or vp resume {path}"


def _loadvm(context: Context, rest: str) -> str:
    path = rest.strip()
    if not path:
        raise UserError("loadvm needs a file that savevm or --checkpoint has written")
    context.machine.checkpoints.load(path)
    return f"at {context.machine.instructions:,} instructions"


COMMANDS = {
    "stop": Command("", "let the machine stand", _stop),
    "cont": Command("", "let it run on", _cont),
    "quit": Command("", "end the machine", _quit),
    "system_reset": Command("", "the reset button", _reset),
    "nmi": Command("", "an edge of the NMI pin", _nmi),
    "sendkey": Command("KEYS", "keys of the PS/2 keyboard together (ctrl-alt-delete)", _sendkey),
    "savevm": Command("FILE", "write the whole machine into a file", _savevm),
    "loadvm": Command("FILE", "be the machine in that file", _loadvm),
}
