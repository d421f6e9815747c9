"""The virtual CPU's tables and capabilities, nesting, entropy."""

from __future__ import annotations

import pytest
from calls import Bench

from monitor.vmware.call import MAGIC, UNSUPPORTED
from monitor.vmware.host import DescriptorTables
from monitor.vmware.restrictions import Restrictions

TABLES = DescriptorTables(0xC1000000, 0xFF, 0xFFFB2000, 0x7FF, 0x28, 0x80)


@pytest.mark.parametrize(
    ("name", "ebx", "ecx"),
    [("SGDT", 0xC1000000, 0xFF), ("SIDT", 0xFFFB2000, 0x7FF), ("SLDT_STR", 0x28, 0x80)],
)
def test_descriptor_tables(name: str, ebx: int, ecx: int) -> None:
    call = Bench({"descriptor_tables": lambda: TABLES}).call(name)
    assert (call.eax, call.ebx, call.ecx) == (MAGIC, ebx, ecx)


@pytest.mark.parametrize("name", ["SGDT", "SIDT", "SLDT_STR"])
def test_no_tables_without_a_processor(name: str) -> None:
    call = Bench().call(name, ebx=1)
    assert (call.eax, call.ebx) == (UNSUPPORTED, 1)


@pytest.mark.parametrize(("x2apic", "bits"), [(False, 0b0010), (True, 0b1010)])
def test_vcpu_info(x2apic: bool, bits: int) -> None:
    call = Bench({"x2apic": x2apic}).call("GET_VCPU_INFO")
    assert call.eax == bits  # SYNC_VTSCS, LEGACY_X2APIC_OK; neither MMIO_HONORS_PAT nor RESERVED


def test_nesting_restricts_and_opens() -> None:
    told: list[bool] = []
    bench = Bench({"restricted": told.append})
    restrict, open_again, query = 0, 1, 2
    answers = []
    for operation in (query, restrict, query, open_again, query):
        answers.append(bench.call("NESTING_CONTROL", ebx=operation).eax)
        assert bench.backdoor.restricted == bool(answers[-1])
    assert answers == [0, 1, 1, 0, 0]
    assert told == [True, False]


def test_nesting_cannot_open_what_the_owner_closed() -> None:
    bench = Bench({"restrictions": Restrictions(restrict_backdoor=True)})
    assert bench.call("NESTING_CONTROL", ebx=1).eax == 1
    assert bench.backdoor.restricted


@pytest.mark.parametrize("operation", [3, 0x80000000, 0xFFFFFFFF])
def test_nesting_knows_three_operations(operation: int) -> None:
    bench = Bench()
    assert bench.call("NESTING_CONTROL", ebx=operation).eax == UNSUPPORTED
    assert not bench.backdoor.restricted


def entropy(bench: Bench) -> tuple[int, ...]:
    call = bench.call("GETENTROPY")
    assert call.eax == 0
    return (call.ebx, call.ecx, call.esi, call.edi)


def test_entropy_repeats_with_counted_instructions() -> None:
    one, other = Bench({"entropy_seed": 7}), Bench({"entropy_seed": 7})
    first = entropy(one)
    assert first == entropy(other)
    assert first != entropy(one)
    assert first != entropy(Bench({"entropy_seed": 8}))


def test_entropy_is_the_hosts_where_time_is() -> None:
    settings = {"entropy_seed": 7, "real_time": True}
    assert entropy(Bench(settings)) != entropy(Bench(settings))
