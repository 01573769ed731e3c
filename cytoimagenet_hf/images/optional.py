"""Packages that only some sources need: an absent one is named with the extra that brings it."""

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from cytoimagenet_hf.core.boundary import EXTRAS
from cytoimagenet_hf.core.errors import InputError


def require(module: str, path: object) -> ModuleType:
    """Import the package that reads a file; an `InputError` says how to install it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise InputError(
            f"{path} is read by {package}, which is not installed: pip install 'cytoimagenet-hf[{EXTRAS[package]}]' "
            f"({error})"
        ) from error


@contextmanager
def opened(path: Path, module: str, opener: str) -> Iterator[Any]:
    """A file as its package opens it; whatever the package raises becomes an `InputError` that names the file."""
    package = require(module, path)
    try:
        with getattr(package, opener)(str(path)) as document:
            yield document
    except InputError:
        raise
    except Exception as error:  # whatever the package's C++ raises
        raise unreadable(path, module, error) from error


def unreadable(path: Path, module: str, error: Exception) -> InputError:
    """The error of a file that its package cannot read."""
    return InputError(f"{module.partition('.')[0]} cannot read {path}: {type(error).__name__}: {error}")
