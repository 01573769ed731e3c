"""Load the dataset: a built folder or a Hub repository, whole or a subset, under either split scheme."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import datasets as hf
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads
import pyarrow.parquet as pq
from huggingface_hub import hf_hub_download

from cytoimagenet_hf.core.errors import InputError, one_line
from cytoimagenet_hf.core.jsontext import read_json_file

from .hub import require_hub
from .schema import SUBSETS
from .splits import apply_split_scheme

FOLDERS = ("data", "channels", *SUBSETS)
"""The folders of a dataset that may hold Parquet files: gray images, planes, and subsets with their own classes."""


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
            whose files are read alone. A sequence of labels goes through all files, on the Hub over the network, and
            keeps its own rows alone; with a split scheme it goes through all rows.
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
    loaded = None
    # The split scheme of a row follows from all rows.
    rows_of = subset if split_scheme is None else "full"
    if configuration != "default":
        loaded = _load_named(str(path), configuration, streaming, revision, rows_of=rows_of)
        if loaded is None:
            raise InputError(
                f"{path} has no configuration {configuration!r}: planes are kept by `python -m builder build … "
                "--keep-channels`"
            )
    elif isinstance(rows_of, str) and rows_of in SUBSETS:
        loaded = _load_named(str(path), rows_of, streaming, revision)
    if loaded is None:
        loaded = _load(str(path), streaming, revision, rows_of=rows_of)
    if split_scheme is not None:
        loaded = apply_split_scheme(loaded, split_scheme)
    if split is not None:
        if split not in loaded:
            raise InputError(f"{path} has no split {split!r}; it has {sorted(loaded)}")
        loaded = loaded[split]
    return loaded if subset == "full" or _has_its_classes(loaded, subset) else _restrict(loaded, subset)


def require_columns(loaded: Any, names: Sequence[str], path: str | Path) -> None:
    """Refuse a loaded dataset that lacks a column, or whose `label` is no class in some row.

    Args:
        loaded: of `load_cytoimagenet`, not streamed.
        names: of the columns that are needed.
        path: where it is from, for messages.

    Raises:
        InputError: which column, and what it has instead; or how many rows have no class.
    """
    for part in loaded.values() if isinstance(loaded, Mapping) else [loaded]:
        present = list(part.column_names or [])
        if absent := [name for name in names if name not in present]:
            raise InputError(f"{path} has no column {', '.join(absent)}; it has {', '.join(present)}")
        if "label" in names and not hasattr(part.features["label"], "names"):
            raise InputError(f"{path}: label is no class with names: write it as a ClassLabel feature")
        if "label" in names and len(part):
            codes = part.select_columns(["label"]).with_format("arrow")[:]["label"]
            # Sets whose labels are kept back have -1 for them, which in Python is the last name.
            known = pc.and_(pc.greater_equal(codes, 0), pc.less(codes, len(part.features["label"].names)))
            if without := len(codes) - (pc.sum(known).as_py() or 0):
                raise InputError(f"{path}: {without} of {len(codes)} rows have no class in label: leave them out")
    require_stored(names, path)


def require_stored(names: Sequence[str], path: str | Path) -> None:
    """Refuse a folder with a file that lacks a column which its own record names: `datasets` would read it as nulls.

    Raises:
        InputError: which file, and what it lacks.
    """
    for file in sorted(Path(path).glob("data/*.parquet")):
        present = pq.read_schema(file).names
        if absent := [name for name in names if name not in present]:
            raise InputError(f"{file} has no column {', '.join(absent)}: build it again, or copy it again")


def _load_named(
    path: str, name: str, streaming: bool, revision: str | None, *, rows_of: str | Sequence[str] = "full"
) -> Any:
    """A configuration by name; None where the dataset's card names none."""
    try:
        return _load(path, streaming, revision, name=name, rows_of=rows_of)
    except ValueError as error:
        if f"BuilderConfig '{name}' not found" in str(error):
            return None
        raise


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
    """All splits of a configuration; of some labels the rows alone, under the codes of all."""
    local = Path(path).is_dir() and bool(path.strip())
    cache = _cache_of(Path(path)) if local else None
    if not local:
        require_hub(path)
    try:
        if rows_of == "full":
            return hf.load_dataset(path, name, streaming=streaming, revision=revision, cache_dir=cache)
        builder = hf.load_dataset_builder(path, name, revision=revision, cache_dir=cache)
        if filters := _filters(rows_of, builder):
            builder = hf.load_dataset_builder(path, name, revision=revision, cache_dir=cache, filters=filters)
        return builder.as_streaming_dataset() if streaming else _prepared(builder)
    except FileNotFoundError as error:  # DatasetNotFoundError is one, too
        raise InputError(
            f"{path} is neither a folder nor a dataset on the Hub that you may read: {one_line(error)}. "
            "Log in with `hf auth login` if it is private"
        ) from error
    except hf.exceptions.DatasetGenerationError as error:
        raise InputError(
            f"{path} cannot be read: {error.__cause__ or error}. A shard may be damaged: "
            f"python -m builder verify {path} names it"
        ) from error


def _filters(subset: str | Sequence[str], builder: hf.DatasetBuilder) -> list[tuple[str, str, list[int]]]:
    """What leaves out the rows of other labels while files are read, so that they are neither copied nor decoded."""
    classes = (builder.info.features or {}).get("label")
    if not (hasattr(builder.config, "filters") and isinstance(classes, hf.ClassLabel)):
        return []  # no Parquet, or classes that are known only when it is read
    return [("label", "in", [classes.names.index(label) for label in subset_labels(subset, classes.names)])]


def _prepared(builder: hf.DatasetBuilder) -> hf.DatasetDict:
    """All splits, those without a row as well, which `load_dataset` refuses."""
    builder.download_and_prepare(verification_mode="no_checks")  # the card states how many rows all labels have
    empty = hf.Dataset(builder.info.features.arrow_schema.empty_table())
    splits = builder.info.splits.items()
    return hf.DatasetDict({name: builder.as_dataset(name) if facts.num_examples else empty for name, facts in splits})


def _cache_of(folder: Path) -> str:
    """A cache of its own for each state of the files.

    `datasets` goes by folder name and card, and would serve the rows of an earlier build, or of a shard damaged since.
    """
    data_files(folder)
    files = sorted(path for name in FOLDERS for path in folder.glob(f"{name}/*.parquet"))
    state = [(str(path.relative_to(folder)), path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    digest = hashlib.sha256(repr((str(folder.resolve()), state)).encode()).hexdigest()[:16]
    return str(Path(hf.config.HF_DATASETS_CACHE) / f"{folder.name}-{digest}")


def data_files(path: str | Path) -> list[Path]:
    """The Parquet files of a built folder, by name.

    Raises:
        InputError: there are none.
    """
    files = sorted(Path(path).glob("data/*.parquet"))
    if not files:
        raise InputError(f"{path} holds no data/*.parquet: build it first (python -m builder build --output {path})")
    return files


def label_names(path: str | Path) -> list[str]:
    """Class names of a built folder in the order of their codes, from the Parquet schema alone."""
    features = hf.Features.from_arrow_schema(pq.read_schema(data_files(path)[0]))
    return list(features["label"].names)


def dataset_sources(
    path: str | Path, *, subset: str | Sequence[str] = "full", revision: str | None = None
) -> list[str] | None:
    """Short names of the sources that a dataset, or a subset of it, has images of: what a model trained on it saw.

    Args:
        path: a built folder, whose rows are read (no pixels), or a Hub repository, whose manifest is.
        subset: as for `load_cytoimagenet`; of a repository, the sources of the whole dataset are given.
        revision: of a Hub repository.

    Returns:
        Sorted names; None where neither the rows nor a manifest tell.
    """
    if not Path(path).is_dir():
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


def read_manifest(path: str | Path, *, revision: str | None = None) -> dict[str, Any]:
    """The `manifest.json` that `publish` wrote into a folder or repository; empty where there is none.

    Args:
        path: a built folder, or a Hub repository.
        revision: tag, branch or commit of the repository; the newest when None.
    """
    try:
        if Path(path).is_dir():
            found = Path(path) / "manifest.json"
        else:
            found = Path(hf_hub_download(str(path), "manifest.json", repo_type="dataset", revision=revision))
        content = read_json_file(found)
    except (OSError, ValueError):  # absent, or no such repository
        return {}
    # Others use the name for other things.
    ours = isinstance(content, dict) and {"files", "labels", "class_counts", "statistics", "sources"} <= content.keys()
    return content if ours else {}


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
    """Keep the rows of some labels and renumber the classes."""
    if isinstance(loaded, dict):
        return type(loaded)({name: _restrict(part, subset) for name, part in loaded.items()})
    names = loaded.features["label"].names
    chosen = subset_labels(subset, names)
    new_code = {names.index(label): code for code, label in enumerate(chosen)}
    features = loaded.features.copy()
    features["label"] = hf.ClassLabel(names=chosen)
    # Only the label column is read to filter: the images of other classes are never decoded.
    kept = loaded.filter(lambda label: label in new_code, input_columns="label")
    return kept.map(lambda label: {"label": new_code[label]}, input_columns="label", features=features)
