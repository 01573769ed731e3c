"""Every rule of the curation that can change a number, as one frozen dataclass with two named values.

`RECIPES["published"]` does what the paper or its code did; `RECIPES["corrected"]`, the default, does what was meant.
`load` reads a recipe by name or from a YAML file and applies overrides of the command line; `as_dict` is what a
summary records. The tables in docs/recipes.md are made from the metadata of the fields.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.settings import build, check_fields, from_text, plain, read_yaml, setting
from cytoimagenet_hf.dataset.schema import CATEGORIES


def _rule(default: Any, row: str, meaning: str, *, reason: str = "", **limits: Any) -> Any:
    """A field whose default is the corrected value; `row` is the rule's id in the list of known faults, or "-".

    `limits` are those of `cytoimagenet_hf.core.settings.setting`: choices, low, high, above, below.
    """
    return setting(default, commas=True, row=row, meaning=meaning, reason=reason, **limits)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """The rules of one build; the defaults are the corrected ones.

    Raises:
        InputError: a value outside its choices or its range.

    Example:
        >>> RECIPES["published"].label_match, Recipe().label_match
        ('regex', 'token')
    """

    name: str = _rule("corrected", "-", "what this recipe is called; overrides are appended to it")

    # Weak labels, paper §2.1.
    label_match: str = _rule(
        "token",
        "L1",
        "how a row is found to carry a label: the label as a regular expression anywhere in the cell, or a whole "
        "token between vertical bars",
        reason="`rab5` also took `rab5a`; `(`, `+` and `.` matched wrongly or raised",
        choices=("regex", "token"),
    )
    uncertain_labels: str = _rule(
        "none",
        "L7",
        "cells that list what may be there (one organism of three, one structure of two), and cells of which the "
        "published table knew less than the plate tells: every name in the list is a label, as published, or none of "
        "them is. The column is kept",
        reason="506 of 646 images of `fly` came from a source that does not say which organism they show, 8 of 8 of "
        "`a549` from wells of MCF7. The price: 3,754 fields of bbbc038 stand for no organism, 288 of bbbc015 for no "
        "structure, and there is no class `fly`",
        choices=("published", "none"),
    )
    odd_labels: str = _rule(
        "safe",
        "L2",
        "labels with `*` or `/`: lost after their rows were taken, or kept under one safe file name",
        reason="three spellings of one label, of which later steps found none",
        choices=("lost", "safe"),
    )
    repeated_label: str = _rule(
        "largest",
        "L5",
        "one spelling that is a candidate in two columns: the later (larger) one overwrites the earlier, whose rows "
        "stay taken, or only the larger is a candidate",
        reason="both were written to one file; the rows of the first were lost to everyone",
        choices=("overwrite", "largest"),
    )
    allocation: str = _rule(
        "largest-remainder",
        "L3",
        "how rows are spread over strata: a rounded fraction of each, raised until there are enough, or the largest "
        "remainder with every stratum represented before any is doubled",
        reason="small strata got nothing, and the loop could ask for more than there is",
        choices=("fraction", "largest-remainder"),
    )
    strata: tuple[str, ...] = _rule(
        ("dir_name", "organism", "cell_type", "cell_visible", "sirna", "compound", "phenotype"),
        "L3",
        "columns a label's rows are stratified by; its own is left out, and of sirna and compound the other too",
        reason="sources were spread over in the first sample of very large labels only",
    )
    presample_above: int = _rule(
        0,
        "L3",
        "labels with more free rows are first sampled down to about this many, stratified by `presample_strata`; "
        "0: never",
        reason="what the first sample left out, the second could not represent",
        low=0,
    )
    presample_strata: tuple[str, ...] = _rule(
        ("dir_name", "organism", "cell_type"), "-", "columns of that first sample; the label's own is left out"
    )
    min_fields: int = _rule(
        287,
        "L6",
        "fewest rows of a candidate, and fewest free rows of a label",
        reason="four thresholds in four places: 287, 287, 500, 287",
        low=1,
    )
    max_fields: int = _rule(1000, "-", "most fields of view chosen for a label", low=1)
    assignment: str = _rule(
        "minimum first",
        "H1",
        "labels in the order from the rarest: each takes all it may (in turn), or each takes `min_fields` and, when "
        "all had their turn, draws anew up to `max_fields` (minimum first)",
        reason="with complete downloads 1,177 compounds of one source took every row of the mechanisms they stand for",
        choices=("in turn", "minimum first"),
    )
    holdings: str = _rule(
        "",
        "H1",
        "fields of view held of each source: all that were annotated (empty), the author's as far as they are known "
        "(`author`, builder/holdings.csv), or a file of that form",
        reason="the paper's labels follow from what its author had downloaded",
    )
    min_images: int = _rule(500, "L6", "classes with fewer images after upsampling are dropped", low=1)
    max_images: int = _rule(
        1000, "-", "classes with more images after upsampling are sampled down to this many", low=1
    )
    held_out: tuple[str, ...] = _rule(
        ("bbbc021",), "-", "sources never selected from, because they are benchmarks", reason="paper §2.1"
    )

    # Images, paper §2.2.
    low: float = _rule(
        0.1, "I6", "lower percentile of the contrast stretch", reason="0.01 where 0.1 is documented", low=0, high=100
    )
    high: float = _rule(99.9, "I6", "upper percentile of the contrast stretch", low=0, high=100)
    read_depth: str = _rule(
        "native",
        "I1",
        "depth at which files are read, before the contrast stretch",
        reason="12-bit images kept 16 of 2,604 gray levels",
        choices=("8-bit", "native"),
    )
    rgb: str = _rule(
        "mean",
        "I3",
        "colour to gray: the mean written to bytes while still in [0, 1], or the mean in float",
        reason="images of zeros and ones",
        choices=("unit-bytes", "mean"),
    )
    missing_channels: str = _rule(
        "record",
        "I4",
        "a channel file that is absent: left out of the mean (drop), the same and recorded in `channels_missing` "
        "(record), or the field is rejected (reject)",
        reason="merged images of one stain passed as images of five",
        choices=("drop", "record", "reject"),
    )
    full_decode: bool = _rule(
        True, "I5", "decode every image to its end when it is checked", reason="truncated files passed a lazy open"
    )
    channel_depth: str = _rule(
        "native",
        "-",
        "depth of the planes that --keep-channels stores: as read, or stretched to 8 bits like the gray image",
        choices=("native", "8-bit"),
    )
    max_pixels: int = _rule(
        1 << 28,
        "-",
        "most pixels of one plane of a file; larger ones are rejected by their header, before any memory is taken",
        low=1,
    )
    reject_uniform: str = _rule(
        "reject",
        "I2",
        "a constant image: 0/0 cast to bytes, or rejected as uniform",
        reason="undefined bytes, different on each processor",
        choices=("nan-cast", "reject"),
    )

    black_margins: str = _rule(
        "trim",
        "-",
        "a dim image with black margins: rejected as it is (keep), or cut to its signal and judged again (trim)",
        reason="single cells cut out onto black (kag_leukemia) were all dim as whole images",
        choices=("keep", "trim"),
    )

    # Crops, paper §2.3.
    min_crop_side: int = _rule(70, "-", "smallest side of a crop, in pixels", low=1)
    min_whole_side: int = _rule(140, "-", "images with a smaller side stay whole, in pixels", low=1)
    crop_scales: tuple[float, ...] = _rule(
        (1 / 2, 1 / 4, 1 / 8, 1 / 16),
        "-",
        "sides of a crop, as part of the image's: at most half, for crops stay in their window",
        above=0,
        high=1 / 2,
    )
    crops_wanted: tuple[tuple[int, int], ...] = _rule(
        ((1000, 1), (550, 2), (400, 3), (0, 4)),
        "-",
        "crops per image, by the number of images of the class: from that many on, so many crops; largest first",
    )
    replace_single: bool = _rule(
        False,
        "I6",
        "with one crop wanted, the crop takes the place of the whole image",
        reason="classes of exactly 1000 fields lost all their whole images",
    )
    renormalise_crops: bool = _rule(True, "-", "stretch the contrast of each crop again")
    min_crop_contrast: float = _rule(
        0.1,
        "-",
        "least contrast of a crop before that stretch, as part of the gray range of the merged field; 0 keeps all",
        reason="3 % of the crops of 167 real fields were background alone, which the stretch made pure noise",
        low=0,
        below=1,
    )
    duplicate_conflict: str = _rule(
        "keep_first",
        "S1",
        "exact copies of an image under different labels: keep all, keep the one with the first id, or drop all",
        reason="434 conflicting-label copies in the published set",
        choices=("keep", "keep_first", "drop_all"),
    )

    # Splits.
    split_scheme: str = _rule(
        "field",
        "S1",
        "how images go to train and validation: row by row, or whole fields with their exact copies",
        reason="64,805 source images on both sides, 10,274 exact copies",
        choices=("published", "field"),
    )
    validation_fraction: float = _rule(0.1, "-", "part of the images that goes to validation", above=0, below=1)

    def __post_init__(self) -> None:
        check_fields(self, name="recipe")
        if not self.low < self.high:
            raise InputError(f"recipe: need 0 <= low < high <= 100, not low={self.low} and high={self.high}")
        if not self.crop_scales:
            raise InputError("recipe: crop_scales is empty: name at least one")
        if 0 != self.presample_above < self.max_fields:
            raise InputError(
                f"recipe: presample_above={self.presample_above} is below max_fields={self.max_fields}; 0 turns it off"
            )
        starts = [start for start, _ in self.crops_wanted]
        if starts != sorted(set(starts), reverse=True) or starts[-1:] != [0]:
            raise InputError(f"recipe: crops_wanted {self.crops_wanted} must fall from the largest class size to 0")
        if not all(1 <= wanted <= 4 for _, wanted in self.crops_wanted):
            raise InputError(f"recipe: crops_wanted {self.crops_wanted}: an image has four windows, so 1 to 4 crops")
        columns = {*CATEGORIES, "database", "name", "dir_name", "microscopy", "plate", "donor"}
        for name in ("strata", "presample_strata"):
            if unknown := sorted(set(getattr(self, name)) - columns):
                raise InputError(f"recipe: {name} names {unknown}; columns to stratify by are {sorted(columns)}")


RECIPES: dict[str, Recipe] = {
    "published": Recipe(
        name="published",
        label_match="regex",
        uncertain_labels="published",
        odd_labels="lost",
        repeated_label="overwrite",
        allocation="fraction",
        strata=("organism", "cell_type", "cell_visible", "sirna", "compound", "phenotype"),
        presample_above=10_000,
        assignment="in turn",
        holdings="author",
        low=0.01,
        read_depth="8-bit",
        rgb="unit-bytes",
        missing_channels="drop",
        full_decode=False,
        reject_uniform="nan-cast",
        black_margins="keep",
        replace_single=True,
        min_crop_contrast=0.0,
        duplicate_conflict="keep",
        split_scheme="published",
    ),
    "corrected": Recipe(),
}
"""The two recipes by name."""


def load(name_or_yaml: str, overrides: Mapping[str, str] | None = None) -> Recipe:
    """A recipe by name or from a YAML file, with overrides.

    A YAML file holds any fields of `Recipe`, and `base: published` or `base: corrected` (the default) for the rest.

    Args:
        name_or_yaml: `published`, `corrected` or the path of a `.yaml` file.
        overrides: field name to value, spelled as in YAML (`{"min_fields": "4", "strata": "organism,cell_type"}`).

    Raises:
        InputError: an unknown name, file or field, or a value of the wrong type.

    Example:
        >>> load("corrected", {"min_fields": "4"}).name
        'corrected+min_fields=4'
    """
    recipe = RECIPES[name_or_yaml] if name_or_yaml in RECIPES else _from_yaml(Path(name_or_yaml))
    if not overrides:
        return recipe
    values = {name: from_text(Recipe, name, text, name="recipe") for name, text in overrides.items()}
    history = "".join(f"+{name}={text}" for name, text in sorted(overrides.items()) if name != "name")
    return build(Recipe, {"name": recipe.name + history} | values, name="recipe", base=recipe)


def as_dict(recipe: Recipe) -> dict[str, Any]:
    """The recipe as plain JSON values, in field order: what summaries record and what a YAML file may hold."""
    return plain(recipe)


def _from_yaml(path: Path) -> Recipe:
    if path.suffix not in {".yaml", ".yml"} or not path.is_file():
        raise InputError(f"recipe {str(path)!r} is neither one of {', '.join(RECIPES)} nor a .yaml file that exists")
    content = read_yaml(path, name="recipe")
    base = content.pop("base", "corrected")
    if not isinstance(base, str) or base not in RECIPES:
        raise InputError(f"recipe {path}: base is {base!r}; choose one of {', '.join(RECIPES)}")
    return build(Recipe, {"name": path.stem} | content, name=f"recipe {path}", base=RECIPES[base])
