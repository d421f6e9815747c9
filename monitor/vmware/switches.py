"""A machine's switches for VMware's guest interfaces: what `Machine.enable` does.

They are to be set before the first run, as KVM wants them before the first virtual CPU.
"""

from __future__ import annotations

from dataclasses import fields
from functools import partial
from typing import Any

from bt.interp.state import LDTR, TR
from monitor.settings.capabilities import (
    CAPABILITIES,
    HYPERCALL_MODES,
    X86_VMWARE_BACKDOOR,
)
from monitor.vmm.clock import TSC_HZ, HostClock
from monitor.vmm.errors import UserError
from monitor.vmm.outcome import Outcome
from monitor.vmware.backdoor import Backdoor
from monitor.vmware.guest_calls import GuestCalls
from monitor.vmware.host import DescriptorTables, Host
from monitor.vmware.served import serve

WIRED = ("memory_bytes", "tsc_hz", "start_time", "now", "real_time", "notice", "put_char", "power",
         "restricted", "descriptor_tables", "keyboard", "mouse_event", "report",
         "call_user", "give", "ask", "repeated")  # fmt: skip
OPTIONS = tuple(field.name for field in fields(Host) if field.name not in WIRED)

ENDS = {"off": "poweroff", "reset": "reset", "crash": "reset"}


class Switches:
    """What is on, for one machine."""

    def __init__(self, calls: GuestCalls, start_time: int) -> None:
        self.calls = calls
        self.start_time = start_time
        self.served = False  # hypercalls with the magic are backdoor calls
        self.locked = False  # the machine has run

    def enable(self, capability: str, value: bool | str, options: dict[str, Any]) -> None:
        """Raises UserError for what there is not, or when it is too late."""
        if capability not in CAPABILITIES:
            known = ", ".join(CAPABILITIES)
            raise UserError(f"capability {capability!r}: choose one of {known}")
        if self.locked:
            raise UserError(f"{capability} has to be set before the machine's first run")
        if capability == X86_VMWARE_BACKDOOR:
            self._backdoor(bool(value), options)
        else:
            self._hypercalls(value, options)
        self._configure()

    def _configure(self) -> None:
        backdoor = self.calls.backdoor
        bus_khz = backdoor.host.bus_hz // 1000 if backdoor is not None else 0
        self.calls.configure(TSC_HZ // 1000, bus_khz, self.served)

    def _backdoor(self, on: bool, options: dict[str, Any]) -> None:
        _check(X86_VMWARE_BACKDOOR, options, OPTIONS)
        self.calls.backdoor = backdoor = Backdoor(self._host(options)) if on else None
        if backdoor is not None:
            self.calls.board.real_inputs.connect("clipboard", backdoor.clipboard.copy)

    def _hypercalls(self, value: bool | str, options: dict[str, Any]) -> None:
        _check("X86_VMWARE_HYPERCALL", options, ("serve",))
        mode = "all" if value is True else value or ""
        if mode not in ("", *HYPERCALL_MODES):
            known = ", ".join(HYPERCALL_MODES)
            raise UserError(f"hypercalls {value!r}: choose one of {known}, or False")
        self.calls.hypercalls.mode = str(mode)
        self.served = bool(mode) and bool(options.get("serve"))
        self.calls.hypercalls.server = partial(serve, self.calls) if self.served else None

    def _host(self, options: dict[str, Any]) -> Host:
        board = self.calls.board
        return Host(
            memory_bytes=board.memory_bytes,
            tsc_hz=TSC_HZ,
            start_time=self.start_time,
            now=board.clock.now,
            real_time=isinstance(board.clock, HostClock),
            notice=self.calls.processor.notice,
            put_char=lambda code: board.cables["debug"].write(bytes((code,))),
            power=self._power,
            restricted=lambda needs_privilege: self._configure(),
            descriptor_tables=self._descriptor_tables,
            keyboard=board.pc.kbc.keyboard,
            mouse_event=board.pc.kbc.call_driver,
            give=board.give,
            ask=lambda source, question: board.inputs.answer(source, question),
            repeated=lambda: board.inputs.repeated,
            report=self.calls.reports.append,
            call_user=self.calls.hypercalls.caller.call,
            **options,
        )

    def _descriptor_tables(self) -> DescriptorTables:
        cpu = self.calls.processor.ideal
        return DescriptorTables(
            cpu.gdtr_base, cpu.gdtr_limit, cpu.idtr_base, cpu.idtr_limit,
            cpu.segment(LDTR)[0], cpu.segment(TR)[0],
        )  # fmt: skip

    def _power(self, how: str) -> None:
        self.calls.board.end(Outcome(ENDS[how], detail=f"the guest asked its host: {how}"))


def _check(capability: str, options: dict[str, Any], known: tuple[str, ...]) -> None:
    for name in options:
        if name not in known:
            raise UserError(f"{capability} has no option {name!r}: choose from {', '.join(known)}")
