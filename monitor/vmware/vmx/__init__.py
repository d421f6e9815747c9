"""VMware's configuration files, NAME.vmx: reading them, and the machine that one describes."""
