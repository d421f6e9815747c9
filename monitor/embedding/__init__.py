"""What a program that embeds a machine does to it, one file each.

Plug devices in, put ROMs, drive lines, press keys, set segments, stop at places, be called at
others, wait for something, and not wait for ever.
"""
