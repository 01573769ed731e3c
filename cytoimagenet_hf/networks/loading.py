"""Where other people's model files meet this package: what is wrong with them becomes an `InputError`."""

from collections.abc import Iterator
from contextlib import contextmanager

from cytoimagenet_hf.core.errors import InputError


@contextmanager
def input_errors(where: object = "") -> Iterator[None]:
    """Turn the `ValueError` of the modules that read model files into `InputError`.

    Args:
        where: the model's folder or name; messages that do not hold it begin with it.
    """
    try:
        yield
    except ValueError as error:
        said = str(error)
        if isinstance(error, InputError) and str(where) in said:
            raise
        raise InputError(said if str(where) in said else f"{where}: {said}") from error
