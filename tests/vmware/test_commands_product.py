"""Commands that only tell which machine this is."""

from __future__ import annotations

import pytest
from calls import Bench, changed

from monitor.vmm.errors import UserError
from monitor.vmware.call import MAGIC, UNSUPPORTED, Call
from monitor.vmware.restrictions import Restrictions


@pytest.mark.parametrize(
    ("name", "settings", "eax"),
    [
        ("GETHWVERSION", {"hardware_version": 4}, 4),
        ("GETMEMSIZE", {"memory_bytes": 300 << 20}, 300),
        ("GETBUILDNUM", {"build_number": 12345}, 12345),
        ("ISACPIDISABLED", {}, 1),
        ("ISACPIDISABLED", {"acpi": True}, 0),
        ("ISGOSDARWIN", {}, 0),
        ("ISGOSDARWIN", {"guest_os": "darwin10"}, 1),
        ("ISGOSDARWIN", {"guest_os": "debian12"}, 0),
        ("SECUREBOOT", {}, 0xFFFFFFFF),
    ],
)
def test_answers_in_eax_alone(name: str, settings: dict[str, object], eax: int) -> None:
    call = Bench(settings).call(name, ebx=5, esi=6)
    assert call.eax == eax
    assert changed(Call(ebx=5, esi=6, ecx=call.ecx), call) == {"eax"}


def test_the_version_says_workstation() -> None:
    call = Bench().call("GETVERSION", ebx=MAGIC ^ 0xFFFFFFFF, subcommand=0xFFFF)
    assert (call.eax, call.ebx, call.ecx) == (6, MAGIC, 4)


def test_the_version_can_be_kept_from_the_guest() -> None:
    bench = Bench({"restrictions": Restrictions(get_version_disable=True)})
    call = bench.call("GETVERSION", ebx=0)
    assert (call.eax, call.ebx) == (UNSUPPORTED, 0)


def test_a_uuid_has_16_bytes() -> None:
    with pytest.raises(UserError, match="uuid '0102': 16 bytes are wanted"):
        Bench({"uuid": b"\1\2"})


def test_the_uuid_comes_in_four_registers() -> None:
    call = Bench({"uuid": bytes(range(16))}).call("GETUUID")
    words = [0x03020100, 0x07060504, 0x0B0A0908, 0x0F0E0D0C]
    assert [call.eax, call.ebx, call.ecx, call.edx] == words


def test_a_machine_without_a_uuid_of_its_own_has_one() -> None:
    call = Bench().call("GETUUID")
    assert call.eax.to_bytes(4, "little")[:2] == b"VM"
    assert call.eax not in (0, MAGIC, UNSUPPORTED)  # what tools take for a failure
