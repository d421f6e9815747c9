"""The mode `bare`: the interpreter as real hardware, no monitor. The ground truth."""

from __future__ import annotations

from bt.engine import Interp, Ram
from bt.interp.state import EXIT_IO, EXIT_STOPPED
from monitor.vmm.board import Board
from monitor.vmm.processor import Processor


class BareProcessor(Processor):
    """The ideal processor runs the guest at the guest's own privilege."""

    def __init__(self, ram: Ram, board: Board) -> None:
        self.ram = self.frames = ram
        self.listeners = []
        self.stops = set()
        self.cpu = Interp(ram, board)
        self.ideal = self.cpu

    def run(self, budget: int) -> int:
        reason = int(self.cpu.run(budget))
        return EXIT_IO if reason == EXIT_STOPPED else reason

    def count(self) -> int:
        return int(self.cpu.icount())

    def resume_at(self, count: int) -> None:
        self.cpu.set_icount(count)
        self.restored = count

    def io_count(self) -> int:
        return int(self.cpu.io_icount)

    def io_place(self) -> int:
        return int(self.cpu.eip)

    def notice(self) -> None:
        self.cpu.recheck = 1

    def stop(self) -> None:
        self.cpu.stop()

    def wait(self, ticks: int) -> None:
        self.cpu.wait(ticks)

    def map_changed(self) -> None:
        self.cpu.flush()
        self.cpu.recheck = 1

    def set_intr(self, level: bool) -> None:
        self.cpu.intr = 1 if level else 0

    def set_a20(self, level: bool) -> None:
        self.cpu.set_a20(level)
        self.cpu.recheck = 1  # the rest of the block may lie elsewhere by now

    def interruptible(self) -> bool:
        return bool(self.cpu.interruptible())

    def interrupt(self, vector: int) -> int:
        return int(self.cpu.interrupt(vector))

    def set_vmware(
        self, backdoor: int, hypercalls: int, served: int, tsc_khz: int, bus_khz: int
    ) -> None:
        self.cpu.set_vmware(backdoor, hypercalls, served, tsc_khz, bus_khz)

    def answer_call(self, vector: int, error: int, address: int) -> int:
        return int(self.cpu.answer_call(vector, error, address))

    def sync(self) -> None:
        pass

    def statistics(self) -> dict[str, object]:
        kinds = {"bare": self.count() - self.restored}
        if self.restored:
            kinds["restored"] = self.restored
        return {"by_kind": kinds}


