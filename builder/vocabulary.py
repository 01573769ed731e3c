"""One spelling of every label: the rules that hold for all sources, and the merges of `vocabulary.toml`.

In comes what an archive wrote, out comes the label of the dataset: lower case, merged spelling, several values joined
by `|`, " targeted" behind genes, null for what is missing (SOURCES 1.3 and 2).
"""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.dataset.schema import CATEGORIES

VOCABULARY = Path(__file__).with_name("vocabulary.toml")
CONTROLS = ("negative", "positive", "untreated")


@dataclass(frozen=True, slots=True)
class Label:
    """Normalised text of a cell, null when nothing is known, and the control it marks, if any."""

    text: str | None
    control: str | None = None


@dataclass(frozen=True)
class Vocabulary:
    """Merged spellings, words for missing values and words for controls; read by `load_vocabulary`."""

    merges: Mapping[str, Mapping[str, str]]
    missing: Mapping[str, Mapping[str, str | None]]
    controls: Mapping[str, Mapping[str, str]]

    def label(self, category: str, value: str | Sequence[str] | None) -> Label:
        """Normalise what an archive wrote into a column.

        Args:
            category: a label column, or `microscopy`.
            value: one value, several joined by `|`, or a sequence of values.

        Example:
            >>> vocabulary = load_vocabulary()
            >>> vocabulary.label("cell_visible", ("Nuclei", "F-actin", "nucleus")).text
            'nucleus|actin'
            >>> vocabulary.label("gene", "VAMP5").text
            'vamp5 targeted'
            >>> vocabulary.label("compound", "BX-795*HCl"), vocabulary.label("sirna", "EMPTY")
            (Label(text='bx-795 -- hcl', control=None), Label(text=None, control='untreated'))
        """
        if value is None:
            return Label(None)
        merges, controls = self.merges.get(category, {}), self.controls.get(category, {})
        missing = {**self.missing.get("any", {}), **self.missing.get(category, {})}
        labels: dict[str, None] = {}  # a set that keeps the order of the archive
        control = None
        for part in [value] if isinstance(value, str) else value:
            for token in map(plain, part.split("|")):
                if not token or token in missing:
                    control = control or missing.get(token)
                    continue
                token = merges.get(token, token)
                control = control or controls.get(token)
                if category == "gene" and "targeted" not in token:
                    token += " targeted"
                labels[token] = None
        return Label("|".join(labels) or None, control)

    def control(self, stated: str | None) -> str | None:
        """The kind of control a table states in its own words: one of `CONTROLS`, or null for a sample."""
        words = plain(stated or "")
        exact = self.controls.get("stated", {}).get(words)
        # Free text such as "positive control (PLK1)" carries one of the three words.
        return exact or next((kind for kind in CONTROLS if words.startswith(kind)), None)


def plain(text: str) -> str:
    """Lower case, blanks collapsed, `*` written ` -- ` so that a label can name a file.

    Example:
        >>> plain(" UV  Inactivated SARS-CoV-2 "), plain("a*b")
        ('uv inactivated sars-cov-2', 'a -- b')
    """
    return " ".join(text.replace("*", " -- ").lower().split())


def load_vocabulary(path: Path = VOCABULARY) -> Vocabulary:
    """Read a vocabulary file; refuse an entry that stands twice, lacks `seen` or has an impossible spelling."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"cannot read the vocabulary {path}: {error}") from error
    merges = _section(path, content, "merge", (*CATEGORIES, "microscopy"))
    missing = _section(path, content, "missing", (*CATEGORIES, "any"))
    controls = _section(path, content, "control", (*CATEGORIES, "stated"))
    for category, entries in merges.items():
        for spelling, entry in entries.items():
            target = entry.get("to", "")
            if not target or target != plain(target) or target in entries:
                raise InputError(f"{path}: merge.{category} {spelling!r} leads to {target!r}, not a final label")
    for category, entries in controls.items():
        for spelling, entry in entries.items():
            if entry.get("kind") not in CONTROLS:
                raise InputError(f"{path}: control.{category} {spelling!r} needs a kind, one of {', '.join(CONTROLS)}")
    return Vocabulary(
        merges={name: {key: entry["to"] for key, entry in entries.items()} for name, entries in merges.items()},
        missing={name: {key: e.get("control") for key, e in entries.items()} for name, entries in missing.items()},
        controls={name: {key: entry["kind"] for key, entry in entries.items()} for name, entries in controls.items()},
    )


def _section(path: Path, content: dict[str, Any], section: str, names: Sequence[str]) -> dict[str, dict[str, Any]]:
    entries_of: dict[str, dict[str, Any]] = content.get(section, {})
    unknown = [name for name in entries_of if name not in names]
    if unknown:
        raise InputError(f"{path}: [{section}.{unknown[0]}] is not a column; known are {', '.join(names)}")
    for name, entries in entries_of.items():
        for spelling, entry in entries.items():
            if spelling != plain(spelling) or "|" in spelling:
                raise InputError(f"{path}: {section}.{name} {spelling!r} can never match: write {plain(spelling)!r}")
            if not entry.get("seen"):
                raise InputError(f"{path}: {section}.{name} {spelling!r} does not say where it was seen")
    return entries_of
