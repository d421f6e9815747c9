"""The host application: whatever touches the host, a world switch away from the monitor's core.

Consoles, the terminal, the streams and sockets that a serial port leads to. The core (monitor/vmm)
never calls in here; it hands requests to `vmm.world_switch`, which counts and times them.
"""
