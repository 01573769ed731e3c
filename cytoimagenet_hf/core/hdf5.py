"""Arrays of HDF5 files from outside, which may name other files: as links, as raw storage, or as virtual parts."""

from typing import Any

from .errors import InputError, one_line


def own_array(file: Any, name: str) -> Any:
    """A dataset that lies in this very file, below the given group.

    Args:
        file: an open `h5py.File`, or a group of it.
        name: of the dataset, `/` between groups.

    Raises:
        InputError: no dataset of that name, links that lead in a circle or to another file, or an array whose values
            lie in another file.
    """
    import h5py  # which most sources need not have

    where = f"{file.file.filename}, {name}"
    place: Any = file
    try:
        for part in [part for part in name.split("/") if part]:
            link = place.get(part, getlink=True)
            if isinstance(link, h5py.ExternalLink):
                raise InputError(f"{where}: a link to another file ({link.filename}), which is not followed")
            place = place[part]
    except (KeyError, AttributeError, TypeError, RuntimeError, OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{where}: {one_line(error)}") from error
    if not isinstance(place, h5py.Dataset):
        raise InputError(f"{where} is not an array")
    if place.file.filename != file.file.filename or place.external or place.is_virtual:
        raise InputError(f"{where}: its values lie in another file, which is not read")
    return place
