"""Packages that only some sources need: an absent one is named with the extra that brings it."""

import importlib
from pathlib import Path
from types import ModuleType

from cytoimagenet_hf.core.boundary import EXTRAS
from cytoimagenet_hf.core.errors import InputError


def require(module: str, path: object) -> ModuleType:
    """Import the package that reads a file.

    Raises:
        InputError: it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise InputError(
            f"{path} is read by {package}, which is not installed: pip install 'cytoimagenet-hf[{EXTRAS[package]}]' "
            f"({error})"
        ) from error


def unreadable(path: Path, module: str, error: Exception) -> InputError:
    """The error of a file that its package cannot read."""
    return InputError(f"{module.partition('.')[0]} cannot read {path}: {type(error).__name__}: {error}")
