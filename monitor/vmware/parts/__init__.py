"""The parts of the backdoor: each handles the commands of one subject and owns its state.

The table (monitor/vmware/commands.py) names them; what talks with VMware's tools, the message
channel and the clipboard, is in monitor/vmware/tools.
"""
