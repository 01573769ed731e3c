"""Croissant 1.0 metadata of a dataset repository, so that search engines and loaders know its files and columns.

The record set reads the Parquet files in place; types follow the columns of `schema.dataset_features`.
"""

from collections.abc import Sequence
from typing import Any

import datasets as hf

from .render import BIBTEX, PAPER

_TERMS = (
    *("citeAs", "column", "extract", "field", "fileObject", "fileProperty", "fileSet", "format", "includes"),
    *("isLiveDataset", "jsonPath", "key", "md5", "parentField", "path", "recordSet", "references", "regex"),
    *("repeated", "replace", "samplingRate", "separator", "source", "subField", "transform", "equivalentProperty"),
)
_CONTEXT = {name: f"cr:{name}" for name in _TERMS} | {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "rai": "http://mlcommons.org/croissant/RAI/",
    "sc": "https://schema.org/",
}
_TYPES = {
    "string": "sc:Text",
    "bool": "sc:Boolean",
    "float32": "sc:Float",
    "int32": "sc:Integer",
    "int64": "sc:Integer",
}


def croissant(
    *, features: hf.Features, splits: Sequence[str], licence: str, version: str, date: str
) -> dict[str, Any]:
    """Metadata as JSON-LD, ready for `croissant.json` at the root of the repository.

    Args:
        features: columns of the dataset.
        splits: names of the splits; the files are `data/<split>-*.parquet`, beside the metadata wherever those lie.
        licence: identifier or address of the licence.
        version: of the dataset, for example `"1.0.0"`.
        date: of publication, ISO 8601.

    Example:
        >>> from cytoimagenet_hf.dataset.schema import dataset_features
        >>> content = croissant(features=dataset_features(["actin"]), splits=["train"], licence="other",
        ...     version="1.0.0", date="2026-01-31")
        >>> content["distribution"][0]["includes"]
        ['data/train-*.parquet']
    """
    shards = {
        "@type": "cr:FileSet",
        "@id": "shards",
        "name": "shards",
        "encodingFormat": "application/x-parquet",
        "includes": [f"data/{split}-*.parquet" for split in splits],
    }
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": "CytoImageNet",
        "description": "Weakly labelled grayscale microscopy images for pretraining, curated from open archives.",
        "citeAs": BIBTEX,
        "license": licence,
        "url": PAPER,
        "version": version,
        "datePublished": date,
        "distribution": [shards],
        "recordSet": [
            {
                "@type": "cr:RecordSet",
                "@id": "images",
                "name": "images",
                "key": {"@id": "images/image_id"},
                "field": [_field(name, feature) for name, feature in features.items()],
            }
        ],
    }


def _field(name: str, feature: Any) -> dict[str, Any]:
    source: dict[str, Any] = {"fileSet": {"@id": "shards"}, "extract": {"column": name}}
    if isinstance(feature, hf.Image):
        data_type = "sc:ImageObject"
        source["transform"] = {"jsonPath": "bytes"}
    else:
        data_type = _TYPES[feature.dtype]
    return {"@type": "cr:Field", "@id": f"images/{name}", "name": name, "dataType": data_type, "source": source}
