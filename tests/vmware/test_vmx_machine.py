"""What a .vmx file means for a machine, and that every setting is accounted for."""

from __future__ import annotations

import json
import random
from dataclasses import fields, replace
from pathlib import Path

import pytest

from monitor.settings.printer_config import PrinterConfig
from monitor.settings.serial_config import SerialConfig
from monitor.vmm.errors import UserError
from monitor.vmware.restrictions import NOTHING_YET, SETTINGS, Restrictions
from monitor.vmware.vmx.config_file import parse_vmx, shown
from monitor.vmware.vmx.ignored import UNKNOWN, reason_for
from monitor.vmware.vmx.machine import VmxMachine, VmxSettings


def machine(*lines: str, name: str = "x.vmx") -> VmxMachine:
    """The machine of these lines."""
    return VmxMachine(parse_vmx("\n".join(lines).encode(), name))


def refusal(*lines: str) -> str:
    with pytest.raises(UserError) as caught:
        machine(*lines)
    return str(caught.value)


ORDINARY = """\
#!/usr/bin/vmware
.encoding = "UTF-8"
config.version = "8"
virtualHW.version = "10"
virtualHW.productCompatibility = "hosted"
memsize = "256"
MemTrimRate = "-1"
displayName = "Größe"
guestOS = "debian5"
uuid.bios = "56 4d 01 23 45 67 89 ab-cd ef 01 23 45 67 89 ab"
uuid.location = "56 4d 01 23 45 67 89 ab-cd ef 01 23 45 67 89 ab"
bios.bootOrder = "cdrom,hdd"
rtc.startTime = "1462003200"
machine.id = "number seven"
guestinfo.Host.Name = "guest"
guestInfo.detailed.data = "bitness='32'"
isolation.tools.copy.disable = "TRUE"
isolation.tools.hgfs.disable = "TRUE"
tools.syncTime = "FALSE"
scsi0.present = "TRUE"
scsi0:0.fileName = "disk.vmdk"
scsi0:0.redo = ""
ide1:0.deviceType = "cdrom-image"
floppy0.present = "FALSE"
ethernet0.generatedAddress = "00:0c:29:38:af:92"
usb.present = "TRUE"
usb_xhci:4.deviceType = "hid"
ehci.present = "TRUE"
sound.virtualDev = "es1371"
svga.vramSize = "16777216"
mks.enable3d = "FALSE"
vmotion.checkpointFBSize = "65536000"
vmci0.present = "TRUE"
hpet0.present = "TRUE"
pciBridge4.virtualDev = "pcieRootPort"
nvram = "x.nvram"
numvcpus = "1"
cpuid.coresPerSocket = "1"
powerType.powerOff = "soft"
toolScripts.afterPowerOn = "TRUE"
sched.mem.pshare.enable = "TRUE"
monitor.phys_bits_used = "40"
checkpoint.vmState = ""
replay.supported = "FALSE"
cleanShutdown = "TRUE"
softPowerOff = "FALSE"
extendedConfigFile = "x.vmxf"
msg.autoAnswer = "TRUE"
sharedFolder.maxNum = "0"
paevm = "FALSE"
serial0.present = "FALSE"
""".splitlines()


def test_an_ordinary_file() -> None:
    vmx = machine(*ORDINARY)
    uuid = bytes.fromhex("564d0123456789abcdef0123456789ab")
    assert vmx.settings == VmxSettings(
        display_name="Größe",
        guest_os="debian5",
        memory_mb=256,
        start_time=1462003200,
        uuid=uuid,
        hardware_version=10,
        machine_id="number seven",
        boot_order=("cdrom", "hdd"),
        restrictions=Restrictions(copy_disable=True),
        tools_options={"synctime": False, "toolScripts.afterPowerOn": True},
        guestinfo={"Host.Name": "guest", "detailed.data": "bitness='32'"},
    )
    assert vmx.account.warnings == []
    assert UNKNOWN not in vmx.account.ignored.values()


def test_every_setting_is_used_or_ignored_and_none_twice() -> None:
    account = machine(*ORDINARY).account
    names = [entry.name for entry in account.file.entries.values()]
    assert sorted([*account.used, *account.ignored]) == sorted(names)
    assert list(account.used) == [name for name in names if name in account.used]


def test_an_empty_file_is_vmware_s_default_machine() -> None:
    vmx = machine("")
    assert vmx.settings == VmxSettings(memory_mb=32)
    assert (vmx.account.used, vmx.account.ignored) == ({}, {})


def test_the_data_is_json() -> None:
    data = machine(*ORDINARY).as_data()
    assert json.loads(json.dumps(data)) == data
    assert data["ignored"]["scsi0.present"] == "there is no such device yet"
    copying = data["used"]["isolation.tools.copy.disable"]
    assert copying == "denied: the guest's clipboard to the host"


BAD_VALUES = [
    ("memsize", "lots", "write a whole number from 4 to 1073741824"),
    ("memsize", "-4", "write a whole number from 4"),
    ("memsize", "2", "write a whole number from 4"),
    ("memsize", "4" * 5000, "write a whole number from 4"),
    ("memsize", "٤٨", "write a whole number from 4"),
    ("memsize", "", "write a whole number from 4"),
    ("rtc.startTime", "soon", "write a whole number from 0 to 4294967295"),
    ("rtc.startTime", "4294967296", "write a whole number from 0 to 4294967295"),
    ("virtualHW.version", "0", "write a whole number from 1 to 255"),
    ("uuid.bios", "56 4d", "write 32 hexadecimal digits"),
    ("uuid.bios", "x" * 32, "write 32 hexadecimal digits"),
    ("hypervisor.cpuid.v0", "maybe", 'write "TRUE" or "FALSE"'),
    ("serial0.present", "2", 'write "TRUE" or "FALSE"'),
    ("tools.setInfo.sizeLimit", "1 MB", "write a whole number from 0 to 1073741824"),
    *((name, "ture", 'write "TRUE" or "FALSE"')
      for name, item in SETTINGS.items() if isinstance(item.default, bool)),
]


@pytest.mark.parametrize(("name", "value", "what_to_do"), BAD_VALUES)
def test_a_value_that_makes_no_sense_is_refused(name: str, value: str, what_to_do: str) -> None:
    text = refusal("# a line before it", f'{name} = "{value}"')
    assert text.startswith(f"x.vmx: line 2: {name}: {shown(value)}: ")
    assert what_to_do in text


@pytest.mark.parametrize(
    ("asked", "given"), [(4, 4), (64, 64), (255, 252), (2048, 2048), (2052, 2048), (65536, 2048)]
)
def test_memory_is_rounded_and_limited_with_a_warning(asked: int, given: int) -> None:
    vmx = machine(f'memsize = "{asked}"')
    assert vmx.settings.memory_mb == given
    warning = f"line 1: memsize: {asked} MiB of memory is not a multiple of 4 up to 2048: {given} "
    assert [text[: len(warning)] for text in vmx.account.warnings] == [warning] * (asked != given)


@pytest.mark.parametrize("words", [("TRUE", "FALSE"), ("true", "false"), ("Yes", "nO"), ("1", "0")])
def test_words_for_true_and_false(words: tuple[str, str]) -> None:
    for word, wanted in zip(words, (True, False), strict=True):
        vmx = machine(f'isolation.tools.paste.disable = "{word}"')
        assert vmx.settings.restrictions.paste_disable is wanted


def test_no_start_time() -> None:
    assert machine('rtc.startTime = "0"').settings.start_time is None


def test_a_64_bit_guest_is_a_warning() -> None:
    assert machine('guestOS = "debian10-64"').account.warnings == [
        "line 1: guestOS: 'debian10-64' needs a 64-bit processor; this machine has a 32-bit one"
    ]


def test_a_suspended_machine_is_a_warning() -> None:
    assert machine('checkpoint.vmState = "x.vmss"').account.warnings == [
        "line 1: checkpoint.vmState: the machine was suspended; it starts afresh"
    ]


def test_cpuid_need_not_tell() -> None:
    assert machine('hypervisor.cpuid.v0 = "FALSE"').settings.hypervisor_leaf is False


# --- restrictions ---------------------------------------------------------------------------------


def test_every_restriction_has_a_name_and_says_what_it_denies() -> None:
    assert len(SETTINGS) == len(fields(Restrictions))
    for item in fields(Restrictions):
        assert item.metadata["name"] and item.metadata["denies"]
    assert not set(SETTINGS) & {name.lower() for name in NOTHING_YET}


def test_the_documentation_has_them_all() -> None:
    page = (Path(__file__).parents[2] / "docs/vmware.md").read_text(encoding="utf-8")
    for item in fields(Restrictions):
        assert f"| `{item.metadata['name']} = " in page
        assert f"| {item.metadata['denies']} |" in page


@pytest.mark.parametrize("name", SETTINGS)
def test_every_restriction_can_be_set(name: str) -> None:
    item = SETTINGS[name]
    value = "5" if item.name == "set_info_size_limit" else str(not item.default)
    vmx = machine(f'{name.upper()} = "{value}"')
    changed = getattr(vmx.settings.restrictions, item.name)
    assert changed != item.default
    assert vmx.settings.restrictions == replace(Restrictions(), **{item.name: changed})
    assert vmx.account.used == {name.upper(): f"denied: {item.metadata['denies']}"}


def test_what_there_is_not_to_restrict_is_told() -> None:
    vmx = machine(*(f'{name} = "TRUE"' for name in NOTHING_YET))
    assert set(vmx.account.ignored.values()) == {"there is nothing here to restrict yet"}
    assert vmx.account.warnings == []


@pytest.mark.parametrize(
    ("line", "warned"),
    [
        ('isolation.tools.telepathy.disable = "TRUE"', True),
        ('isolation.tools.telepathy.disable = "FALSE"', False),
        ('isolation.tools.telepathy.enable = "FALSE"', True),
        ('isolation.tools.telepathy.enable = "TRUE"', False),
        ('isolation.tools.paste.enabled = "TRUE"', False),
        ('isolation.tools.telepathy.disable = "perhaps"', True),
    ],
)
def test_an_unknown_restriction_is_not_passed_over_in_silence(line: str, warned: bool) -> None:
    account = machine(line).account
    assert any("nothing is denied by it" in text for text in account.warnings) is warned
    assert list(account.ignored.values()) == [UNKNOWN]


# --- the serial console ---------------------------------------------------------------------------


def serial(*lines: str, folder: Path) -> VmxMachine:
    return machine('serial0.present = "TRUE"', *lines, name=str(folder / "x.vmx"))


def test_the_console_in_a_file_is_appended_to_it(tmp_path: Path) -> None:
    lines = ('serial0.fileType = "file"', 'serial0.fileName = "log/com1.txt"')
    vmx = serial(*lines, folder=tmp_path)
    path = tmp_path / "log/com1.txt"
    assert vmx.settings.serial == SerialConfig("file", path, append=True)
    assert vmx.account.used["serial0.present"] == f"the serial console, appended to {path}"
    assert vmx.account.ignored == {}


@pytest.mark.parametrize(
    "name", ["/etc/passwd", "../other", "a/../../other", "C:\\com1.txt", "a\\b", "link", "x.vmx",
             ".", "a|1Bb", "/dev/stdout"]
)
def test_other_people_s_files_are_not_written(name: str, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path.parent / "other")
    vmx = serial(
        'serial0.fileType = "file"', f'serial0.fileName = "{name}"', folder=tmp_path
    )
    assert vmx.settings.serial is None
    assert "is not written: it is not a file below the folder" in vmx.account.warnings[0]


def test_a_file_without_a_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"line 1: serial0\.present: there is no serial0\.fileName"):
        serial('serial0.fileType = "file"', folder=tmp_path)


@pytest.mark.parametrize("kind", ["pipe", "device", "network", ""])
def test_what_a_port_cannot_be_is_told(kind: str, tmp_path: Path) -> None:
    vmx = serial(f'serial0.fileType = "{kind}"', folder=tmp_path)
    assert vmx.settings.serial is None
    wanted = f"line 1: serial0.present: a port of type {kind or 'device'!r} is not possible here"
    assert vmx.account.warnings[0].startswith(wanted)


def test_thinprint_is_ignored_in_silence(tmp_path: Path) -> None:
    vmx = serial('serial0.fileType = "thinprint"', folder=tmp_path)
    assert (vmx.settings.serial, vmx.account.warnings) == (None, [])


def test_a_port_that_is_not_connected(tmp_path: Path) -> None:
    lines = ('serial0.fileType = "pipe"', 'serial0.startConnected = "FALSE"')
    assert serial(*lines, folder=tmp_path).settings.serial == SerialConfig("null")


def test_ports_that_are_not_there(tmp_path: Path) -> None:
    vmx = machine('serial0.fileName = "a"', 'serial0.present = "FALSE"', 'serial1.present = "TRUE"')
    assert vmx.settings.serial is None
    assert vmx.account.ignored == {
        "serial0.fileName": "serial0.present is not TRUE",
        "serial0.present": "serial0.present is not TRUE",
    }
    assert vmx.settings.more_serial == {"com2": SerialConfig("null", option="--serial2")}
    ignored = machine('serial4.present = "TRUE"', 'parallel1.present = "TRUE"').account.ignored
    assert ignored == {
        "serial4.present": "the machine has serial0 to serial3",
        "parallel1.present": "the machine has parallel0",
    }


def test_more_ports(tmp_path: Path) -> None:
    lines = [
        f'{port}.{name} = "{value}"'
        for port in ("serial1", "serial3", "parallel0")
        for name, value in (("present", "TRUE"), ("fileType", "file"), ("fileName", port))
    ]
    vmx = machine(*lines, 'serial2.present = "FALSE"', name=str(tmp_path / "x.vmx"))
    assert vmx.settings.more_serial == {
        part: SerialConfig("file", tmp_path / port, append=True, option=option)
        for part, port, option in (
            ("com2", "serial1", "--serial2"),
            ("com4", "serial3", "--serial4"),
        )
    }
    assert vmx.settings.printer == PrinterConfig(tmp_path / "parallel0", append=True)
    assert vmx.account.used["parallel0.present"].startswith("the parallel port, appended to ")
    assert list(vmx.account.ignored) == ["serial2.present"] and not vmx.account.warnings


@pytest.mark.parametrize("port", ["serial1", "parallel0"])
def test_another_port_leads_to_files_of_its_own_folder_only(port: str, tmp_path: Path) -> None:
    lines = f'{port}.present = "TRUE"', f'{port}.fileType = "file"', f'{port}.fileName = "../x"'
    vmx = machine(*lines, name=str(tmp_path / "x.vmx"))
    assert vmx.settings.printer is None and "is not written" in vmx.account.warnings[0]
    assert all(config.kind == "null" for config in vmx.settings.more_serial.values())


@pytest.mark.parametrize(
    ("device", "card"), [("sb16", "sb16"), ("SB16", "sb16"), ("es1371", None), (None, None)]
)
def test_a_sound_card(device: str | None, card: str | None) -> None:
    lines = ['sound.present = "TRUE"', 'sound.startConnected = "TRUE"']
    vmx = machine(*lines, *([f'sound.virtualDev = "{device}"'] if device else []))
    assert vmx.settings.sound_card == card
    if card is None:
        assert "is not possible here; sound.virtualDev takes sb16" in vmx.account.warnings[0]
    else:
        assert vmx.account.used["sound.virtualDev"] == "a Sound Blaster 16"
    assert machine('sound.present = "FALSE"', *lines[1:]).settings.sound_card is None


# --- options beat the file ------------------------------------------------------------------------


def test_an_option_takes_a_setting_s_place_and_its_warning() -> None:
    vmx = machine('memsize = "255"', 'displayName = "x"')
    vmx.override("--memory", "MEMSIZE", "serial0.present")
    assert vmx.account.used == {"displayName": "x"}
    assert vmx.account.ignored == {"memsize": "--memory was given"}
    assert vmx.account.warnings == []


def test_reasons_do_not_mind_their_case() -> None:
    assert reason_for("SCSI0:0.FileName") == "there is no such device yet"
    assert reason_for("something") == UNKNOWN


def test_any_values_are_taken_or_refused(tmp_path: Path) -> None:
    """Names that mean something, with values that rarely do: only a UserError, on one line."""
    pick = random.Random(2026)
    names = [line.partition(" ")[0] for line in ORDINARY[1:]]
    names += [*SETTINGS, "serial0.fileType", "serial0.fileName", "serial1.present", "guestinfo."]
    pieces = ["TRUE", "FALSE", "file", "1", "64", " ", "-", "56", "\x1b", "/", "é", "|0A", "{}"]
    refused = 0
    for _ in range(5_000):
        lines = {
            name.lower(): f'{name} = "{"".join(pick.choices(pieces, k=pick.randrange(3)))}"'
            for name in pick.sample(names, 3)
            if name != ".encoding"
        }
        try:
            vmx = machine(*lines.values(), name=str(tmp_path / "x.vmx"))
        except UserError as error:
            refused += 1
            assert str(error).isprintable()
        else:
            assert len(vmx.account.used) + len(vmx.account.ignored) == len(lines)
            assert all(text.isprintable() for text in vmx.account.warnings)
    assert 500 < refused < 4_500
