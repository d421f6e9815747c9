"""A guest that shows what it is told by keys and mouse, and clients beside it."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from patience import PATIENCE
from vga_modes import TEXT_80x25
from video_lab import DATA, load, machine_with, setting

from monitor import Machine
from monitor.host.vnc.server import VncServer
from monitor.settings.vnc_config import VncConfig

Result = TypeVar("Result")
MOUSE = DATA + 0x1000
#: Writes what the keyboard sends to DATA, and to the screen; what the mouse sends to MOUSE.
#: There is no font: what is seen of a character is its ground.
LISTENING = setting(TEXT_80x25) + f"""
    mov dx, 0x3c8; xor al, al; out dx, al; inc dx; mov ecx, 192
colour: mov al, cl; out dx, al; loop colour
    mov dword ptr [0xb8000], 0x1e691e48
    mov edi, {DATA}; mov esi, {MOUSE}; mov ebx, 0xb80a0
    mov al, 0xa8; out 0x64, al; mov al, 0xd4; out 0x64, al; mov al, 0xf4; out 0x60, al
again:
    mov ecx, 3000
wait: loop wait
    in al, 0x64; test al, 1; jz again
    test al, 0x20; jnz motion
    in al, 0x60
    mov [edi], al; inc edi; mov ah, 0x70; mov [ebx], ax; add ebx, 2
    jmp again
motion:
    in al, 0x60
    mov [esi], al; inc esi
    jmp again
"""  # fmt: skip


def listening(mode: str, **options: object) -> Machine:
    """A machine with that guest."""
    machine = machine_with(mode, parts=["mouse"], **options)
    load(machine, LISTENING)
    machine.run(max_instructions=20_000)
    return machine


def beside(machine: Machine, task: Callable[[], Result]) -> Result:
    """Run the machine while somebody does something in another thread."""
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(task)
        future.add_done_callback(lambda _: machine.stop())
        outcome = machine.run(timeout=PATIENCE)
        assert outcome.kind == "stopped", outcome
        return future.result()


def served(
    machine: Machine, client: Callable[[int], Result], password: str = ""
) -> Result:
    """What a client comes home with."""
    with VncServer(machine, VncConfig(port=0, password=password)) as server:
        return beside(machine, lambda: client(server.port))


class RawClient:
    """The protocol by hand, for what clients do not do."""

    def __init__(self, port: int) -> None:
        self.link = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)

    def __enter__(self) -> RawClient:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.link.close()

    def send(self, data: bytes) -> None:
        self.link.sendall(data)

    def take(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            more = self.link.recv(size - len(data))
            assert more, f"hung up after {data!r}"
            data += more
        return data

    def rest(self) -> bytes:
        """Until the server hangs up."""
        data = b""
        try:
            while more := self.link.recv(1 << 16):
                data += more
        except ConnectionResetError:
            pass
        return data

    def greet(self) -> tuple[int, int, str]:
        """Come in without a password: width, height and name."""
        assert self.take(12) == b"RFB 003.008\n"
        self.send(b"RFB 003.008\n")
        assert self.take(2) == b"\x01\x01"
        self.send(b"\x01")
        assert self.take(4) == bytes(4)
        self.send(b"\x01")
        width, height, _, length = struct.unpack(">HH16sI", self.take(24))
        return width, height, self.take(length).decode()

    def pixel_format(self, bits: int, big: int, true: int, *numbers: int) -> None:
        self.send(struct.pack(">Bxxx4B3H3Bxxx", 0, bits, 24, big, true, *numbers))

    def encodings(self, *numbers: int) -> None:
        self.send(struct.pack(f">BxH{len(numbers)}i", 2, len(numbers), *numbers))

    def ask(self, x: int, y: int, width: int, height: int, incremental: bool = False) -> None:
        self.send(struct.pack(">BBHHHH", 3, incremental, x, y, width, height))

    def rectangle(self) -> tuple[int, int, int, int, int]:
        return struct.unpack(">HHHHi", self.take(12))

    def update(self) -> int:
        kind, count = struct.unpack(">BxH", self.take(4))
        assert kind == 0
        return count
