"""The examples in the devices' own documentation run."""

import doctest
import importlib
import pkgutil

import pytest

import devices

NAMES = sorted(module.name for module in pkgutil.iter_modules(devices.__path__))


@pytest.mark.parametrize("name", NAMES)
def test_examples(name):
    module = importlib.import_module(f"devices.{name}")
    assert doctest.testmod(module).failed == 0
    assert module.__doc__, "every file opens with what it is"


def test_there_are_examples():
    modules = [importlib.import_module(f"devices.{name}") for name in NAMES]
    assert sum(doctest.testmod(module).attempted for module in modules) >= 10
