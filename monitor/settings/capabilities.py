"""What a machine can be given before its first run, by the names that KVM gave them.

    machine.enable(X86_VMWARE_BACKDOOR)
    machine.enable(X86_VMWARE_HYPERCALL, "magic")

All are off, but for one default: `defaults.vmware_backdoor` is for this whole process what the
module parameter kvm.enable_vmware_backdoor is for a host. It holds for machines made afterwards,
and each can say otherwise. The environment's VP_ENABLE_VMWARE_BACKDOOR=1 sets it at the start. This
is the one piece of state that belongs to no machine.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

X86_VMWARE_BACKDOOR = "X86_VMWARE_BACKDOOR"
X86_VMWARE_HYPERCALL = "X86_VMWARE_HYPERCALL"
CAPABILITIES = (X86_VMWARE_BACKDOOR, X86_VMWARE_HYPERCALL)

HYPERCALL_MODES = ("all", "magic")  # every one is forwarded, or those with the magic in EAX


@dataclass
class Defaults:
    """What a machine starts with."""

    vmware_backdoor: bool = False  #: is the backdoor on?


defaults = Defaults(os.environ.get("VP_ENABLE_VMWARE_BACKDOOR") == "1")
