"""A .vmx machine as its owner would run it: the command, Debian's kernel and open-vm-tools."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from boots import GUESTS, KERNEL, QUICK
from patience import PATIENCE

VMTOOLS = GUESTS / "vmtools.cpio.gz"
PROMPT = "/ # "

pytestmark = [
    pytest.mark.guest,
    pytest.mark.slow,
    pytest.mark.skipif(
        not (KERNEL.exists() and VMTOOLS.exists()), reason="no guests: `make guests`"
    ),
]

FILE = """\
#!/usr/bin/vmware
.encoding = "Shift_JIS"
config.version = "8"
virtualHW.version = "7"
memsize = "128"
guestOS = "debian5"
displayName = "\u30dd\u30f3\u30d7"
guestinfo.hello = "a |22quoted|22 value"
machine.id = "number 7"
isolation.tools.setInfo.disable = "TRUE"
isolation.tools.log.disable = "TRUE"
ethernet0.present = "TRUE"
"""
SAYS = {
    "vmware-checkvm": "VMware software version 6 (good)",
    'vmware-rpctool "info-get guestinfo.hello"': 'a "quoted" value',
    "vmware-rpctool machine.id.get": "number 7",
    'vmware-rpctool "info-set guestinfo.hello other" && echo done': "disabled",
    'vmware-rpctool "log something" && echo done': "disabled",
    'vmware-rpctool "info-get guestinfo.hello" | cat': 'a "quoted" value',
}


@pytest.mark.parametrize("mode", ["bare", "translate"])
def test_the_tools_find_what_the_file_says(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "server.vmx"
    path.write_bytes(FILE.encode("cp932"))
    typed = [word for line in (*SAYS, "exit") for word in ("--type", f"{line}\\n")]
    done = subprocess.run(
        [sys.executable, "-m", "monitor", "run", path, "--mode", mode, "--kernel", KERNEL,
         "--initrd", VMTOOLS, "--append", QUICK, "--timeout", str(PATIENCE), *typed],
        capture_output=True, stdin=subprocess.DEVNULL, timeout=PATIENCE + 60,
        env={**os.environ, "COLUMNS": "100"},
    )  # fmt: skip
    console = done.stdout.decode(errors="replace").replace("\r", "")
    assert done.returncode == 0, done.stderr.decode()
    answers = [part.split("\n", 1)[1].strip() for part in console.split(PROMPT)[1:] if "\n" in part]
    assert answers[: len(SAYS)] == list(SAYS.values())
    assert "server.vmx: \u30dd\u30f3\u30d7\n" in done.stderr.decode()
