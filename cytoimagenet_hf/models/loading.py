"""Where other people's model files meet this package: what is wrong with them becomes an `InputError`."""

from collections.abc import Iterator
from contextlib import contextmanager

from cytoimagenet_hf.errors import InputError


@contextmanager
def input_errors() -> Iterator[None]:
    """Turn the `ValueError` of the modules that travel with saved models into `InputError`."""
    try:
        yield
    except InputError:
        raise
    except ValueError as error:
        raise InputError(str(error)) from error
