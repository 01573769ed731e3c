"""How many cases there are: a registry that shrinks must not pass unseen."""

import importlib
from pathlib import Path


def test_there_are_more_than_six_hundred_cases():
    names = sorted(file.stem for file in Path(__file__).parent.glob("test_*.py") if file.stem != "test_registry")
    cases = {name: getattr(importlib.import_module(f"tests.faults.{name}"), "CASES", ()) for name in names}
    for name, listed in cases.items():
        assert len(set(listed)) == len(listed), name
    assert sum(map(bool, cases.values())) >= 9
    assert sum(map(len, cases.values())) > 600
