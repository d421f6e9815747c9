"""Mutation testing: what our tests notice, shown by breaking the code on purpose.

    operators.py    what is changed, on Python's syntax tree
    templates.py    the same for the assembly templates of bt/stubs.py
    mutants.py      all mutants of a file, with names that survive edits elsewhere
    patching.py     one mutant, put into modules that are imported already, or imported anew
    session.py      the pytest session that forks for every mutant
    survivors.py    the file of explained survivors
    report.py       the table and out/mutants.json
"""
