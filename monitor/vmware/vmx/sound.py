"""The sound card of a .vmx file.

    sound.present = "TRUE"          sound.virtualDev = "sb16"

A file without the second line, or one that names another card (es1371, hdaudio), asks for one that
the machine has not; it goes without.
"""

from __future__ import annotations

from monitor.vmware.vmx.account import Account
from monitor.vmware.vmx.config_file import shown

CARD, PREFIX = "sb16", "sound."
SETTINGS = ("sound.present", "sound.virtualDev", "sound.startConnected")


def card_of(account: Account) -> str | None:
    """The card, by the name of the machine's part; None: none."""
    present, device = account.entry("sound.present"), account.entry("sound.virtualDev")
    if present is None or not account.truth(present):
        for name, entry in account.file.entries.items():
            if name.startswith(PREFIX):
                account.ignore(entry, "sound.present is not TRUE")
        return None
    if device is None or device.value.lower() != CARD:
        named = shown(device.value) if device is not None else "the card that VMware has"
        account.warn(present, f"{named} is not possible here; sound.virtualDev takes {CARD}")
        account.ignore(present, f"the one sound card is {CARD}")
        if device is not None:
            account.ignore(device, f"the one sound card is {CARD}")
        return None
    account.use(present, "a Sound Blaster 16")
    account.use(device, "a Sound Blaster 16")
    if account.entry("sound.startConnected") is not None:
        account.flag("sound.startConnected", True, "--sound says where it is heard")
    return CARD
