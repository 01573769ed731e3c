"""Load the dataset: a built folder or a Hub repository, whole or a subset, under either split scheme."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

import datasets as hf
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads
import pyarrow.parquet as pq
from datasets.packaged_modules.parquet.parquet import ParquetConfig

from cytoimagenet_hf.core.boundary import reading
from cytoimagenet_hf.core.errors import InputError, one_line
from cytoimagenet_hf.core.regular import require_regular

from .hub import require_hub
from .manifest import read_manifest
from .mapped import map_parquet
from .schema import SUBSETS
from .splits import apply_split_scheme


def load_cytoimagenet(
    path: str | Path,
    *,
    split: str | None = None,
    subset: str | Sequence[str] = "full",
    split_scheme: str | None = None,
    streaming: bool = False,
    revision: str | None = None,
    configuration: str = "default",
) -> Any:
    """Load CytoImageNet with the options that plain `load_dataset` does not have.

    Args:
        path: a built folder or a Hub repository such as `"me/cytoimagenet"`.
        split: `"train"` or `"validation"`; both when None.
        subset: `"full"`, the author's `"toy_20"` or `"toy_50"`, or any sequence of labels. Labels of a named subset
            that the dataset lacks are left out; an unknown label in a sequence is an error. The classes of the result
            are renumbered to the subset, in alphabetical order. A named subset is the configuration of that name,
            whose files are read alone. A sequence of labels goes through all files, on the Hub over the network.
        split_scheme: None for the split as stored (by field of view), `"published"` for the original row-wise split,
            in which crops of one field fall on both sides (S1).
        streaming: an iterable dataset, nothing read before it is iterated.
        revision: tag, branch or commit of a Hub repository; the newest when None.
        configuration: `"default"`, gray images; `"channels"`, one plane per stain instead.

    Returns:
        A `Dataset` or `DatasetDict` (their iterable forms when streaming).

    Raises:
        InputError: neither a dataset folder nor a repository of that revision, an unknown subset, label or scheme, no
            planes in the dataset, or a damaged shard.

    Example:
        >>> load_cytoimagenet("me/cytoimagenet", subset="toy_20", split="train")  # doctest: +SKIP
    """
    # The split scheme of a row follows from all rows.
    rows_of = subset if split_scheme is None else "full"
    loaded = None
    try:
        if configuration != "default":
            loaded = _load(str(path), streaming, revision, name=configuration, rows_of=rows_of)
        elif isinstance(rows_of, str) and rows_of in SUBSETS:
            loaded = _load(str(path), streaming, revision, name=rows_of)
    except ValueError as error:
        if not re.search(r"BuilderConfig '.*' not found", str(error)):
            raise
        if configuration != "default":
            raise InputError(
                f"{path} has no configuration {configuration!r}: planes are kept by `python -m builder build … "
                "--keep-channels`"
            ) from error
    if loaded is None:
        loaded = _load(str(path), streaming, revision, rows_of=rows_of)
    if split_scheme is not None:
        loaded = apply_split_scheme(loaded, split_scheme)
    if split is not None:
        if split not in loaded:
            raise InputError(f"{path} has no split {split!r}; it has {sorted(loaded)}")
        loaded = loaded[split]
    return loaded if subset == "full" or _has_its_classes(loaded, subset) else _restrict(loaded, subset)


def require_columns(loaded: hf.Dataset, names: Sequence[str], path: str | Path) -> None:
    """Refuse a loaded split that lacks a column, or whose `label` is not a class in some row.

    Args:
        loaded: one split of `load_cytoimagenet`, not streamed.
        names: of the columns that are needed.
        path: where it is from, for messages.

    Raises:
        InputError: which column, and what it has instead; or how many rows have no class.
    """
    present = list(loaded.column_names or [])
    if absent := [name for name in names if name not in present]:
        raise InputError(f"{path} has no column {', '.join(absent)}; it has {', '.join(present)}")
    if "label" in names and not hasattr(loaded.features["label"], "names"):
        raise InputError(f"{path}: label is not a class with names: write it as a ClassLabel feature")
    if "label" in names and len(loaded):
        codes = loaded.select_columns(["label"]).with_format("arrow")[:]["label"]
        # Sets whose labels are kept back have -1 for them, which in Python is the last name.
        is_known = pc.and_(pc.greater_equal(codes, 0), pc.less(codes, len(loaded.features["label"].names)))
        if without := len(codes) - (pc.sum(is_known).as_py() or 0):
            raise InputError(f"{path}: {without} of {len(codes)} rows have no class in label: leave them out")
    require_stored(names, path)


def require_stored(names: Sequence[str], path: str | Path) -> None:
    """Refuse a folder with a file that lacks one of some columns: `datasets` would read it as nulls."""
    for file in sorted(Path(path).glob("data/*.parquet")):
        present = pq.read_schema(file).names
        if absent := [name for name in names if name not in present]:
            raise InputError(f"{file} has no column {', '.join(absent)}: build it again, or copy it again")


def _has_its_classes(loaded: Any, subset: str | Sequence[str]) -> bool:
    """Whether what was loaded holds the classes of a named subset and no other, in order."""
    part = next(iter(loaded.values())) if isinstance(loaded, Mapping) else loaded
    names = getattr((part.features or {}).get("label"), "names", [])
    return isinstance(subset, str) and names == sorted(set(names) & set(SUBSETS.get(subset, ())))


def _load(
    path: str,
    streaming: bool,
    revision: str | None,
    *,
    name: str | None = None,
    rows_of: str | Sequence[str] = "full",
) -> Any:
    """All splits of a configuration; streamed, of some labels the rows alone, under the codes of all."""
    files: list[Path] = []
    if Path(path).is_dir() and path.strip():
        data_files(path)
        files = sorted(Path(path).glob(f"{name or 'data'}/*.parquet"))
        for file in files:
            require_regular(file)
        require_one_class_order(files)
    else:
        require_hub(path)
    try:
        loaded = _stream(path, name, revision, rows_of) if streaming else read_splits(path, name, revision=revision)
    except FileNotFoundError as error:  # DatasetNotFoundError is one, too
        if files:
            raise InputError(
                f"{path} lacks a file that its card names ({one_line(error, longest=120)}): python -m builder verify "
                f"{path} names all that are missing; copy them again"
            ) from error
        raise InputError(
            f"{path} is neither a folder nor a dataset on the Hub that you may read: {one_line(error)}. "
            "Log in with `hf auth login` if it is private"
        ) from error
    for part in loaded.values() if files else ():
        if part.features:  # where the card names other classes than the files, its own would be taken
            stored = _classes(stored_features(files[0]))
            _require_equal_classes(stored, _classes(part.features), files[0], Path(path) / "README.md")
    return loaded


def _stream(path: str, name: str | None, revision: str | None, subset: str | Sequence[str]) -> Any:
    """All splits as streams; rows of other labels are left out while the files are read, before they are decoded."""
    builder = hf.load_dataset_builder(path, name, revision=revision)
    classes = (builder.info.features or {}).get("label")
    # Others than Parquet have no filters, or the classes are known only when they are read.
    if subset != "full" and hasattr(builder.config, "filters") and isinstance(classes, hf.ClassLabel):
        codes = [classes.names.index(label) for label in subset_labels(subset, classes.names)]
        builder = hf.load_dataset_builder(path, name, revision=revision, filters=[("label", "in", codes)])
    return builder.as_streaming_dataset()


def read_splits(path: str, name: str | None = None, *, revision: str | None = None) -> hf.DatasetDict:
    """All splits of a dataset as `load_dataset` gives them, Parquet read where it lies: see `mapped`.

    `load_dataset` goes by folder name and card, and serves the rows of an earlier build, or of a shard damaged since,
    and copies every state of a folder. Here a folder has one index, which is replaced when its files have changed.

    Args:
        path: a folder, or a repository on the Hub, whose files are downloaded.
        name: of the configuration.
        revision: of a repository.
    """
    builder = hf.load_dataset_builder(path, name, revision=revision)
    if not isinstance(builder.config, ParquetConfig):
        return hf.load_dataset(path, name, revision=revision)
    access = hf.DownloadConfig(token=builder.token)
    files = hf.DownloadManager(download_config=access, base_path=builder.base_path).download(builder.config.data_files)
    info = builder.info.copy()
    info.features = info.features or stored_features(next(iter(files.values()))[0])
    digest = hashlib.sha256(repr(builder.base_path).encode()).hexdigest()[:16]
    place = Path(hf.config.HF_DATASETS_CACHE) / f"{builder.dataset_name}-{digest}"
    splits = {}
    for split, of_split in files.items():
        index = place / f"{builder.config.name}-{split}.arrow"
        rows = map_parquet(of_split, index, info=info, split=hf.NamedSplit(str(split)))
        stated = (info.splits or {}).get(split)
        if stated is not None and stated.num_examples != len(rows):
            raise InputError(
                f"{path}: split {split} has {len(rows):,} rows where its card states {stated.num_examples:,}: "
                f"python -m builder verify {path} names the file that is missing or another"
            )
        splits[split] = rows
    return hf.DatasetDict(splits)


def require_one_class_order(files: Sequence[Path]) -> None:
    """Refuse Parquet files that number their classes differently, as their own records say.

    `datasets` reads the codes of all files by one order, so that the labels of another would be wrong without a word.
    """
    first: Path | None = None
    names: dict[str, list[str]] = {}
    for file in files:
        classes = _classes(stored_features(file))
        if first is not None:
            _require_equal_classes(names, classes, first, file)
        elif classes:  # a file without names contradicts nothing
            first, names = file, classes


def _require_equal_classes(
    names: Mapping[str, list[str]], others: Mapping[str, list[str]], place: Path, other: Path
) -> None:
    for column in sorted(names.keys() & others.keys()):
        for code, (ours, theirs) in enumerate(zip_longest(names[column], others[column])):
            if ours != theirs:
                raise InputError(
                    f"{other} numbers its classes otherwise than {place}: {column} {code} is {theirs!r} there and "
                    f"{ours!r} here, so that labels would be wrong. Is it of another build? Remove it, or build again"
                )


def _classes(features: hf.Features) -> dict[str, list[str]]:
    """Column → class names."""
    return {name: list(kind.names) for name, kind in features.items() if isinstance(kind, hf.ClassLabel)}


def stored_features(file: str | Path) -> hf.Features:
    """The features that the record in a Parquet file states, or those of its columns."""
    try:
        with reading(file, kind="a shard"):
            schema = pq.read_schema(file)
    except InputError as error:
        raise InputError(f"{error} python -m builder verify {Path(file).parents[1]} names every such file") from error
    try:
        return hf.Features.from_arrow_schema(schema)
    except (TypeError, ValueError, KeyError, AttributeError, RecursionError) as error:
        raise InputError(
            f"the record of columns in {file} (its metadata `huggingface`) is damaged: {one_line(error)}. Build or "
            "download the file again"
        ) from error


def data_files(path: str | Path) -> list[Path]:
    """The Parquet files of a built folder, by name.

    Raises:
        InputError: there are none.
    """
    files = sorted(Path(path).glob("data/*.parquet"))
    if not files:
        raise InputError(f"{path} holds no data/*.parquet: build it first (python -m builder build --output {path})")
    for file in files:
        require_regular(file)
    return files


def label_names(path: str | Path) -> list[str]:
    """Class names of a built folder in the order of their codes, from the Parquet schema alone."""
    return list(stored_features(data_files(path)[0])["label"].names)


def dataset_sources(
    path: str | Path, *, subset: str | Sequence[str] = "full", revision: str | None = None
) -> list[str] | None:
    """Short names of the sources that a dataset, or a subset of it, has images of: what a model trained on it saw.

    Args:
        path: a built folder, whose rows are read (no pixels); of other folders and of a repository the manifest is.
        subset: as for `load_cytoimagenet`; of a repository, the sources of the whole dataset are given.
        revision: of a Hub repository.

    Returns:
        Sorted names; None where neither the rows nor a manifest tell.
    """
    if not any(Path(path).glob("data/*.parquet")):
        manifest = read_manifest(path, revision=revision)
        return sorted(manifest["statistics"]["images_by_source"]) if manifest else None
    files = pads.dataset(data_files(path))
    if "dir_name" not in files.schema.names:
        return None
    rows = files.to_table(columns=["dir_name"] if subset == "full" else ["dir_name", "label"])
    if subset != "full":
        names = label_names(path)
        codes = [names.index(label) for label in subset_labels(subset, names)]
        rows = rows.filter(pc.is_in(rows["label"], pa.array(codes, rows["label"].type)))
    return sorted(pc.unique(rows["dir_name"].drop_null()).to_pylist())


def stored_files(path: str | Path) -> list[tuple[str, str]]:
    """What tells a dataset's files from those of another build, without reading them: name and content of each.

    The content is the hash in the manifest, or the size in a folder without one. A repository without a manifest
    tells nothing: the list is empty.
    """
    if manifest := read_manifest(path):
        files = manifest["files"] | manifest.get("channels", {})
        return sorted((name, facts["sha256"]) for name, facts in files.items())
    return [(file.name, str(file.stat().st_size)) for file in data_files(path)] if Path(path).is_dir() else []


def subset_labels(subset: str | Sequence[str], available: Sequence[str]) -> list[str]:
    """The labels of a subset that a dataset has, in alphabetical order.

    Raises:
        InputError: an unknown name, a label in a sequence that is not available, or nothing left.
    """
    if isinstance(subset, str):
        if subset not in SUBSETS:
            raise InputError(f"no subset {subset!r}: choose full, {', '.join(SUBSETS)}, or give a list of labels")
        chosen = sorted(set(SUBSETS[subset]) & set(available))
    else:
        unknown = sorted(set(subset) - set(available))
        if unknown:
            raise InputError(f"the dataset has no label {unknown}; it has {len(available)} labels")
        chosen = sorted(set(subset))
    if not chosen:
        raise InputError(f"none of the labels of {subset!r} is in this dataset of {len(available)} labels")
    return chosen


def _restrict(loaded: Any, subset: str | Sequence[str]) -> Any:
    """Keep the rows of some labels and renumber the classes; images are neither decoded nor copied."""
    if isinstance(loaded, dict):
        return type(loaded)({name: _restrict(part, subset) for name, part in loaded.items()})
    names = loaded.features["label"].names
    chosen = subset_labels(subset, names)
    new_code = {names.index(label): code for code, label in enumerate(chosen)}
    features = loaded.features.copy()
    features["label"] = hf.ClassLabel(names=chosen)
    if isinstance(loaded, hf.IterableDataset):
        kept = loaded.filter(lambda label: label in new_code, input_columns="label")
        return kept.map(lambda label: {"label": new_code[label]}, input_columns="label", features=features)
    # A `map` would write a copy of the images: of the table below only the column of labels is replaced.
    table = hf.Dataset(loaded.data, loaded.info.copy(), loaded.split)
    old = loaded.data.column("label").to_numpy()
    codes = pa.array([new_code.get(code) for code in old.tolist()], pa.int64())
    renumbered = table.remove_columns("label").add_column("label", codes, feature=features["label"])
    places = np.arange(len(old)) if loaded._indices is None else loaded._indices.column(0).to_numpy()
    return renumbered.select_columns(list(features)).select(places[np.isin(old[places], list(new_code))])
