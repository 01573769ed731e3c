"""Versions: of this project, and of whatever made a record. Every record and every `--version` asks here."""

import importlib.metadata
import platform
from collections.abc import Iterable

PROJECT = "cytoimagenet-hf"


def project_version() -> str:
    """The installed version of this project; `not installed` in a bare checkout."""
    return _version(PROJECT) or "not installed"


def installed_versions(packages: Iterable[str]) -> dict[str, str]:
    """Versions of Python, of this project and of those of `packages` that are installed.

    Args:
        packages: names of distributions (`scikit-learn`, not `sklearn`).

    Example:
        >>> list(installed_versions(["numpy", "no-such-package"]))
        ['python', 'cytoimagenet-hf', 'numpy']
    """
    versions = {"python": platform.python_version(), PROJECT: project_version()}
    return versions | {name: version for name in packages if (version := _version(name)) is not None}


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
