"""What a virtual machine's owner denies the guest: the isolation.* settings of a .vmx file.

The defaults are those of a machine without any such line.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Restrictions:
    """One field a setting; the name in the .vmx file stands behind it."""

    copy_disable: bool = False  # isolation.tools.copy.disable: guest to host
    paste_disable: bool = False  # isolation.tools.paste.disable: host to guest
    gui_options_enable: bool = True  # isolation.tools.setGUIOptions.enable
    device_connectable_disable: bool = False  # isolation.device.connectable.disable
    device_edit_disable: bool = False  # isolation.device.edit.disable
    set_info_disable: bool = False  # isolation.tools.setInfo.disable
    set_info_size_limit: int = 1 << 20  # tools.setInfo.sizeLimit, bytes of all guestinfo.*
    log_disable: bool = False  # isolation.tools.log.disable
    get_version_disable: bool = False  # isolation.tools.getVersion.disable
    get_pointer_disable: bool = False  # isolation.tools.getPtrLocation.disable
    set_pointer_disable: bool = False  # isolation.tools.setPtrLocation.disable
    set_version_disable: bool = False  # isolation.tools.setVersion.disable
    get_machine_id_disable: bool = False  # isolation.tools.getMachineID.disable
    guestlib_disable: bool = False  # isolation.tools.guestlibGetInfo.disable
    set_option_disable: bool = False  # isolation.tools.setOption.disable
    restrict_backdoor: bool = False  # monitor_control.restrict_backdoor: IOPL decides, as for IN
