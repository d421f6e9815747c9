"""The monitor's console: a line of words, an answer, in the words that users of QEMU know.

    print(machine.monitor("info registers"))
    print(machine.monitor("x /4i $eip"))

`words.py` is the table of all words; `attended.py` is the console of a machine that runs, whose
lines come from another thread: Ctrl-A w, `--monitor`.
"""
