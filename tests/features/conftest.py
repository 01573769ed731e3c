"""Exported networks of the tests lie in a folder of their own, not in the user's cache."""

import pytest


@pytest.fixture(scope="session")
def _exports(tmp_path_factory: pytest.TempPathFactory):
    return tmp_path_factory.mktemp("exports")


@pytest.fixture(autouse=True)
def _own_exports(_exports, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cytoimagenet_hf.features.exports._place", lambda: _exports)
