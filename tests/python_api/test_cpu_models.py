"""A machine with another processor model: `Settings.cpu`, in both modes, in files, in sweeps."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bt.assembler import assemble
from bt.models import DEFAULT, MODELS
from monitor import Machine
from monitor.cli import main
from monitor.settings.machine import CPU, CPUS, Settings
from monitor.sweep.spec import load
from monitor.vmm.errors import UserError

MODES = ("bare", "trap", "translate")
SAYS = 0x105000
# CPUID's leaf 1, then an instruction that the 486 and the Pentium lack: #UD comes to `undefined`.
GUEST = """
    mov  eax, 1
    cpuid
    mov  [0x105000], eax
    mov  [0x105004], edx
    mov  dword ptr [0x105008], 0
    mov  ecx, 0x55
    xor  eax, eax
    test eax, eax
    cmovz eax, ecx
    mov  [0x105008], eax
    mov  edx, 0xf4
    mov  al, 0
    out  dx, al
    hlt
"""
UNDEFINED = "mov edx, 0xf4; mov al, 1; out dx, al; hlt"
IDT, HANDLER = 0x106000, 0x107000


def guest(machine: Machine) -> Machine:
    """In protected mode with an IDT whose #UD leads to UNDEFINED."""
    machine.write_physical(HANDLER, assemble(UNDEFINED, HANDLER))
    gate = (HANDLER & 0xFFFF | 0x10 << 16) | (HANDLER & 0xFFFF0000 | 0x8E00) << 32
    machine.write_physical(IDT + 8 * 6, gate.to_bytes(8, "little"))
    machine.write_physical(IDT + 0x400, (0x3FF | IDT << 16).to_bytes(6, "little"))
    code = assemble(f"lidt [{IDT + 0x400:#x}]" + GUEST, 0x100000)
    machine.load_flat(code, 0x100000, esp=0x104000)
    return machine


def said(machine: Machine) -> list[int]:
    data = machine.read_physical(SAYS, 12)
    return [int.from_bytes(data[at : at + 4], "little") for at in (0, 4, 8)]


def test_the_settings_know_all_models() -> None:
    assert tuple(MODELS) == CPUS and DEFAULT.name == CPU
    with pytest.raises(UserError, match="cpu 'pentium9': choose from 486, pentium"):
        Settings(cpu="pentium9")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("cpu", CPUS)
def test_a_guest_finds_the_model(cpu: str, mode: str) -> None:
    machine = guest(Machine(memory_mb=2, mode=mode, cpu=cpu))
    model = MODELS[cpu]
    outcome = machine.run()
    has = "cmov" in model.features
    assert outcome.status == (1 if has else 3), outcome
    assert said(machine) == [model.signature, model.announced, 0x55 if has else 0]
    assert machine.statistics()["cpu"] == cpu


def test_a_checkpoint_names_its_model(tmp_path: Path) -> None:
    machine = guest(Machine(memory_mb=2, mode="translate", cpu="486"))
    machine.run(max_instructions=3)
    machine.snapshot().save(tmp_path / "m.vpcheck")
    for mode in ("bare", "translate"):
        again = Machine.restore(tmp_path / "m.vpcheck", mode=mode)
        assert again.settings.cpu == "486"
        assert again.run().status == 3
        assert said(again)[0] == MODELS["486"].signature


def test_an_option_beats_the_vmx_file(tmp_path: Path) -> None:
    (tmp_path / "guest.bin").write_bytes(assemble("mov eax, 1; cpuid; mov [0x105000], eax; hlt", 0))
    (tmp_path / "m.vmx").write_text('memsize = "4"\nvp.cpu = "pentium3"\n')
    for options, cpu in (([], "pentium3"), (["--cpu", "486"], "486")):
        stats = tmp_path / "stats.json"
        main(["run", str(tmp_path / "m.vmx"), "--flat", f"{tmp_path}/guest.bin@0x100000",
              "--serial", "null", "--quiet", "--stats", str(stats), *options])  # fmt: skip
        assert json.loads(stats.read_text())["cpu"] == cpu


def test_a_vmx_file_with_a_model_that_there_is_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "m.vmx").write_text('vp.cpu = "pentium33"\n')
    assert main(["run", str(tmp_path / "m.vmx"), "--flat", "none@0"]) == 2
    assert "did you mean pentium3" in capsys.readouterr().err


def test_a_sweep_over_models(tmp_path: Path) -> None:
    spec = tmp_path / "s.toml"
    spec.write_text('grid.cpu = ["486", "pentium4"]\n[[guest]]\nbench = "nano"\n')
    points = load(spec).points()
    assert {point.cpu for point in points} == {"486", "pentium4"}
    spec.write_text('grid.cpu = ["486DX"]\n[[guest]]\nbench = "nano"\n')
    with pytest.raises(UserError, match=r"grid\.cpu: '486DX': "):
        load(spec)


def test_vp_cpus_lists_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cpus"]) == 0
    shown = capsys.readouterr().out
    assert all(model.title in shown for model in MODELS.values())
    assert main(["cpus", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)["cpus"]
    assert [each["name"] for each in listed] == list(CPUS)
    assert listed[0]["features"] == ["fpu", "vme"]
