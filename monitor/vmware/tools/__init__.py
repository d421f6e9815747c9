"""VMware's tools in the guest: the message channel, and who speaks on it.

    messages.py, channel.py     command 30: eight channels, cookies, bytes of messages
    rpci.py, rpci_channel.py    guest to host: info-get, log, tools.set.version, ...
    tclo.py                     host to guest: ping, options, power operations
    tools.py                    `machine.vmware.tools`, what an embedder sees of it
"""
