"""Unicorn, QEMU's translator as a library: runs the flat image until OUT 0xF4.

`python -m benchmarks.peers.unicorn_machine IMAGE ENTRY [count]` runs it in a process of its own,
so that it is measured as the other peers are. With `count`, it prints the number of instructions
executed instead of the checksum: a hook on every block adds up the block's instructions, an
iteration of a repeated string instruction counting as one.
"""

from __future__ import annotations

import sys
from pathlib import Path

import capstone
import unicorn
from unicorn import x86_const

from benchmarks import images
from benchmarks.timing import BenchmarkError, Measured, measure

NAME = "Unicorn 2"
MEMORY = 64 << 20
LINE_STATUS, TRANSMITTER_IDLE = 0x3FD, 0x60
SERIAL, DEBUG_EXIT = 0x3F8, 0xF4


def run(rounds: int) -> Measured:
    """Run so many rounds in a process of its own; the output is the checksum."""
    return _process(rounds)


def instructions(rounds: int) -> int:
    """How many instructions so many rounds execute."""
    return int(_process(rounds, "count").output)


def _process(rounds: int, *words: str) -> Measured:
    image = images.integer_mix(rounds)
    module = "benchmarks.peers.unicorn_machine"
    done = measure([sys.executable, "-m", module, image.flat, str(image.entry), *words])
    if done.status != 0:
        raise BenchmarkError(f"Unicorn did not finish the integer mix:\n{done.output}")
    return done


def _machine(image: Path, output: list[int]) -> unicorn.Uc:
    """A flat 32-bit machine with a serial port and the debug-exit port."""
    machine = unicorn.Uc(unicorn.UC_ARCH_X86, unicorn.UC_MODE_32)
    machine.mem_map(0, MEMORY)
    machine.mem_write(images.LOAD_ADDRESS, image.read_bytes())

    def read_port(_machine: unicorn.Uc, port: int, _size: int, _data: object) -> int:
        return TRANSMITTER_IDLE if port == LINE_STATUS else 0xFF

    def write_port(uc: unicorn.Uc, port: int, _size: int, value: int, _data: object) -> None:
        if port == SERIAL:
            output.append(value)
        elif port == DEBUG_EXIT:
            uc.emu_stop()

    hook = unicorn.UC_HOOK_INSN
    machine.hook_add(hook, read_port, None, 1, 0, x86_const.UC_X86_INS_IN)
    machine.hook_add(hook, write_port, None, 1, 0, x86_const.UC_X86_INS_OUT)
    return machine


def _count_blocks(machine: unicorn.Uc) -> dict[tuple[int, int], int]:
    """How often each block (address, size) is entered, filled while the machine runs."""
    entered: dict[tuple[int, int], int] = {}

    def block(_machine: unicorn.Uc, address: int, size: int, _data: object) -> None:
        entered[address, size] = entered.get((address, size), 0) + 1

    machine.hook_add(unicorn.UC_HOOK_BLOCK, block)
    return entered


def _total(machine: unicorn.Uc, entered: dict[tuple[int, int], int]) -> int:
    decoder = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_32)
    return sum(
        times * len(list(decoder.disasm_lite(bytes(machine.mem_read(address, size)), address)))
        for (address, size), times in entered.items()
    )


def main(image: str, entry: str, count: str = "") -> None:
    """Run the image to its end and print what was asked for."""
    output: list[int] = []
    machine = _machine(Path(image), output)
    entered = _count_blocks(machine) if count else {}
    machine.emu_start(int(entry), MEMORY)
    print(_total(machine, entered) if count else bytes(output).decode(), end="")


if __name__ == "__main__":
    main(*sys.argv[1:])
