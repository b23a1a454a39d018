"""The examples in the modules' documentation are executed."""

import doctest
import importlib
import pkgutil

import pytest

import leadlog_processors

MODULES = sorted(module.name for module in pkgutil.iter_modules(leadlog_processors.__path__))


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_come_out_as_written(name: str) -> None:
    """Examples that readers copy must work."""
    module = importlib.import_module(f"leadlog_processors.{name}")
    assert doctest.testmod(module).failed == 0
