"""The window around the guest: its options, the screen's size, screenshots.

Registers as open-vm-tools use them: toolbox-cmd and guestApp.c for the options, checkvm for the
size, the options' bits from tclodefs.h. What SCREENSHOT answers is not published: EAX 1, or 0.
"""

from __future__ import annotations

from enum import IntFlag
from typing import ClassVar

from devices.shapes import Fields, Number
from monitor.vmware.call import Call
from monitor.vmware.host import Host
from monitor.vmware.tools.tools import Tools

MAX_EDGE = 0x7FFF  # a larger width or height reads as none


class GuiOption(IntFlag):
    """Bits of GETGUIOPTIONS and SETGUIOPTIONS (VMWARE_GUI_*)."""

    AUTO_GRAB = 0x001
    AUTO_UNGRAB = 0x002
    AUTO_SCROLL = 0x004
    AUTO_RAISE = 0x008
    EXCHANGE_SELECTIONS = 0x010
    WARP_CURSOR_ON_UNGRAB = 0x020
    FULL_SCREEN = 0x040  # read only
    TO_FULL_SCREEN = 0x080  # write only
    TO_WINDOW = 0x100  # write only
    AUTO_RAISE_DISABLED = 0x200  # read only
    SYNC_TIME = 0x400
    DISABLE_CURSOR_OPTIONS = 0x800  # read only


DEFAULT_OPTIONS = (
    GuiOption.AUTO_GRAB
    | GuiOption.AUTO_UNGRAB
    | GuiOption.AUTO_SCROLL
    | GuiOption.AUTO_RAISE_DISABLED
    | GuiOption.EXCHANGE_SELECTIONS
    | GuiOption.WARP_CURSOR_ON_UNGRAB
)
WRITABLE = (
    GuiOption.AUTO_GRAB
    | GuiOption.AUTO_UNGRAB
    | GuiOption.AUTO_SCROLL
    | GuiOption.AUTO_RAISE
    | GuiOption.EXCHANGE_SELECTIONS
    | GuiOption.WARP_CURSOR_ON_UNGRAB
    | GuiOption.SYNC_TIME
)


class Gui:
    """There need not be a window: the guest's wishes are kept and told."""

    state: ClassVar[Fields] = {"options": Number(0, 0xFFF)}

    def __init__(self, host: Host, tools: Tools) -> None:
        self.host = host
        self.tools = tools  # SYNC_TIME is an option of theirs
        self.options = DEFAULT_OPTIONS

    def get_options(self, call: Call) -> None:
        restrictions = self.host.restrictions
        options = self.options
        if self.tools.options["synctime"] == "1":
            options |= GuiOption.SYNC_TIME
        if restrictions.copy_disable and restrictions.paste_disable:
            options &= ~GuiOption.EXCHANGE_SELECTIONS
        call.eax = int(options)

    def set_options(self, call: Call) -> None:
        """EBX: all options anew. EAX 0."""
        if not self.host.restrictions.gui_options_enable:
            call.refuse()
            return
        wanted = GuiOption(call.ebx & WRITABLE)
        kept = self.options & ~WRITABLE
        if call.ebx & GuiOption.TO_FULL_SCREEN:
            kept |= GuiOption.FULL_SCREEN
        if call.ebx & GuiOption.TO_WINDOW:
            kept &= ~GuiOption.FULL_SCREEN
        self.options = wanted & ~GuiOption.SYNC_TIME | kept
        self.tools.set_option("synctime", str(int(GuiOption.SYNC_TIME in wanted)))
        call.eax = 0

    def get_screen_size(self, call: Call) -> None:
        """EAX: width in the upper half, height in the lower; 0 where the host has no screen."""
        width, height = self.host.call_user(self.host.screen_size)
        fits = 0 < width <= MAX_EDGE and 0 < height <= MAX_EDGE
        call.eax = width << 16 | height if fits else 0

    def screenshot(self, call: Call) -> None:
        """One picture into the host's keeping, if it has a screen."""
        take = self.host.screenshot
        call.eax = int(take is not None and bool(self.host.call_user(take)))
