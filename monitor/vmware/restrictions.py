"""What a virtual machine's owner denies the guest: the isolation.* settings of a .vmx file.

The names are those of VMware's hardening guides and of open-vm-tools; the defaults are those of a
machine without any such line. A command that is denied answers that it was not done, which for
most is the answer of an unknown one; a request on the message channel is answered "disabled".

What those names deny that no machine here has (drag and drop, Unity, shared folders, ...) stands in
NOTHING_YET: there is nothing to restrict yet.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

MAX_SET_INFO = 1 << 20


def _setting(default: object, name: str, denies: str) -> Any:
    """A field, its name in the .vmx file, and what its other value denies."""
    return field(default=default, metadata={"name": name, "denies": denies})


@dataclass(frozen=True)
class Restrictions:
    """One field a setting. `*_disable` denies when true, `*_enable` when false."""

    # The clipboard
    copy_disable: bool = _setting(
        False, "isolation.tools.copy.disable", "the guest's clipboard to the host"
    )
    paste_disable: bool = _setting(
        False, "isolation.tools.paste.disable", "the host's clipboard to the guest"
    )
    # The window, and devices
    gui_options_enable: bool = _setting(
        True, "isolation.tools.setGUIOptions.enable", "SETGUIOPTIONS: the window's options"
    )
    get_pointer_disable: bool = _setting(
        False, "isolation.tools.getPtrLocation.disable", "GETPTRLOCATION: where the mouse is"
    )
    set_pointer_disable: bool = _setting(
        False, "isolation.tools.setPtrLocation.disable", "SETPTRLOCATION: moving the mouse"
    )
    device_connectable_disable: bool = _setting(
        False, "isolation.device.connectable.disable", "TOGGLEDEVICE: connecting devices"
    )
    # What the guest tells its host, and asks it
    get_version_disable: bool = _setting(
        False, "isolation.tools.getVersion.disable", "GETVERSION: which product this is"
    )
    set_version_disable: bool = _setting(
        False, "isolation.tools.setVersion.disable", "tools.set.version: which tools the guest has"
    )
    get_machine_id_disable: bool = _setting(
        False, "isolation.tools.getMachineID.disable", "machine.id.get: the owner's own name for it"
    )
    guestlib_disable: bool = _setting(
        False, "isolation.tools.guestlibGetInfo.disable", "guestlib.info.get: the machine's figures"
    )
    set_option_disable: bool = _setting(
        False, "isolation.tools.setOption.disable", "vmx.set_option: options of the tools"
    )
    set_info_disable: bool = _setting(
        False, "isolation.tools.setInfo.disable", "info-set: guestinfo.* variables from the guest"
    )
    set_info_size_limit: int = _setting(
        MAX_SET_INFO, "tools.setInfo.sizeLimit", "guestinfo.* beyond so many bytes in all"
    )
    log_disable: bool = _setting(
        False, "isolation.tools.log.disable", "log: lines in the host's log"
    )
    # The backdoor itself
    restrict_backdoor: bool = _setting(
        False,
        "monitor_control.restrict_backdoor",
        "the backdoor to code that IOPL and the I/O bitmap keep from its ports",
    )


SETTINGS = {item.metadata["name"].lower(): item for item in fields(Restrictions)}

NOTHING_YET = {
    "isolation.bios.bbs.disable": "the BIOS boot specification",
    "isolation.device.edit.disable": "changing the settings of devices",
    "isolation.ghi.host.shellAction.disable": "opening the host's programs",
    "isolation.monitor.control.disable": "monitor control",
    "isolation.tools.autoInstall.disable": "installing the tools",
    "isolation.tools.commandDone.disable": "guest operations",
    "isolation.tools.diskShrink.disable": "shrinking disks",
    "isolation.tools.diskWiper.disable": "wiping disks",
    "isolation.tools.dispTopoRequest.disable": "several displays",
    "isolation.tools.dnd.disable": "drag and drop",
    "isolation.tools.getCreds.disable": "credentials",
    "isolation.tools.ghi.autologon.disable": "guest host interaction",
    "isolation.tools.ghi.launchmenu.change": "guest host interaction",
    "isolation.tools.ghi.protocolhandler.info.disable": "guest host interaction",
    "isolation.tools.ghi.trayicon.disable": "guest host interaction",
    "isolation.tools.guestCopyPasteVersionSet.disable": "versions of cut and paste",
    "isolation.tools.guestDnDVersionSet.disable": "drag and drop",
    "isolation.tools.guestInitiatedUpgrade.disable": "upgrading the tools",
    "isolation.tools.haltReboot.disable": "the host's power buttons",
    "isolation.tools.hgfs.disable": "shared folders",
    "isolation.tools.hgfsServerSet.disable": "shared folders",
    "isolation.tools.imgCust.disable": "guest customization",
    "isolation.tools.memSchedFakeSampleStats.disable": "memory statistics",
    "isolation.tools.runProgramDone.disable": "guest operations",
    "isolation.tools.stateLoggerControl.disable": "record and replay",
    "isolation.tools.trashFolderState.disable": "shared folders",
    "isolation.tools.unifiedLoop.disable": "several message loops",
    "isolation.tools.unity.disable": "Unity",
    "isolation.tools.unity.push.update.disable": "Unity",
    "isolation.tools.unity.taskbar.disable": "Unity",
    "isolation.tools.unity.windowContents.disable": "Unity",
    "isolation.tools.unityActive.disable": "Unity",
    "isolation.tools.unityInterlockOperation.disable": "Unity",
    "isolation.tools.upgraderParameters.disable": "upgrading the tools",
    "isolation.tools.vixMessage.disable": "guest operations",
    "isolation.tools.vmxCopyPasteVersionGet.disable": "versions of cut and paste",
    "isolation.tools.vmxDnDVersionGet.disable": "drag and drop",
    "guest.command.enabled": "guest operations",
    "guest.commands.enabled": "guest operations",
    "tools.guestlib.enableHostInfo": "figures of the host",
}
"""A setting's name, and what it would deny: none of it exists here."""
