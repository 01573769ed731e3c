"""What is scored on a task: models, feature tables, fusions with controls, baselines; each built when used.

A fusion has two models' features side by side, joined by id, and the controls that a gain is read beside (E2,
docs/paper.md).
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import combinations
from typing import Any

import numpy as np

from cytoimagenet_hf.core.seeding import derive_rng
from cytoimagenet_hf.images import Image
from cytoimagenet_hf.scoring.contamination import training_sources
from cytoimagenet_hf.scoring.results import Kind
from cytoimagenet_hf.tables import FeatureTable, join_features, make_table

from .base import Array, Benchmark, column, ids_of
from .baselines import BASELINES, pixel_baselines
from .extraction import ModelRun, features_of
from .recipes import BenchmarkRecipe

_NEVER_TRAINED = frozenset[str]()

CONTROLS_NOTE = (
    "Rows were joined by id. A fusion A + B is worth what it gains over its controls, not over A alone: A + A has the "
    "neighbours of A, A + random net tells what more dimensions give without pretraining. A + B shuffled within class "
    "joins two different images of one class on purpose, which leaks the label; its accuracy is not a result. It "
    "shows how high a fusion would seem to score with its rows joined wrongly."
)


@dataclass(frozen=True)
class Entry:
    """One column of the table.

    Attributes:
        name: unique within a run.
        kind: `model`, `fusion`, `control` or `baseline`.
        build: makes the features, so that no more than one table and its parts are in memory.
        sources: training sources, None when unknown.
        about: for the record.
    """

    name: str
    kind: Kind
    build: Callable[[], FeatureTable]
    sources: frozenset[str] | None = None
    about: dict[str, Any] = field(default_factory=dict)


def model_entries(specs: Iterable[str], items: Sequence[Image], run: ModelRun, *, kind: Kind = "model") -> list[Entry]:
    """One entry per model and method; the method is part of the name when there are several."""
    return [
        Entry(
            model.name if len(run.methods) == 1 else f"{model.name} [{method}]",
            kind,
            partial(features_of, model, items, cache=run.cache, settings=run.settings),
            training_sources(model.spec, declared=model.encoder.training_sources),
            {
                "model": model.spec,
                "method": method,
                "weights": model.encoder.fingerprint,
                "options": run.options.given(),
            },
        )
        for method in run.methods
        for model in (run.load(spec, method) for spec in specs)
    ]


def table_entry(name: str, table: FeatureTable) -> Entry:
    """A ready feature table: what its network was trained on is known where the table's own record says it."""
    declared = table.about.get("training_sources")
    sources = frozenset(map(str, declared)) if isinstance(declared, list | tuple) else None
    return Entry(name, "model", lambda: table, sources, table.about)


def fusion_entries(
    entries: Sequence[Entry],
    items: Sequence[Image],
    benchmark: Benchmark,
    *,
    recipe: BenchmarkRecipe,
    seed: int,
    noise: Callable[[Entry], Entry | None],
) -> list[Entry]:
    """Every two entries of one method side by side, each followed by its three controls.

    Rows are joined as the recipe says (E2, docs/paper.md). `noise` gives an entry its random partner, if it has one.
    """
    fusions: dict[str, Entry] = {}

    def add(
        a: Entry, name: str, second: Callable[[], FeatureTable], kind: Kind, sources: frozenset[str] | None
    ) -> None:
        title, about = f"{a.name} + {name}", {"method": a.about.get("method")}
        fusions[title] = Entry(title, kind, lambda: fuse(a.build(), second(), ids=ids_of(items)), sources, about)

    def shuffled(entry: Entry) -> FeatureTable:
        return shuffle_within_class(entry.build(), items, seed=seed)

    for a, b in combinations(entries, 2):
        if a.about.get("method") != b.about.get("method"):
            continue
        misjoined = recipe.fusion_join == "position" and benchmark.listed_from_set
        both = None if a.sources is None or b.sources is None else a.sources | b.sources
        add(a, b.name, partial(shuffled, b) if misjoined else b.build, "fusion", both)
        add(a, a.name, a.build, "control", a.sources)
        add(a, f"{b.name} shuffled within class", partial(shuffled, b), "control", both)
        if (random := noise(a)) is not None:
            add(a, random.name, random.build, "control", a.sources)
    return list(fusions.values())


def baseline_entries(items: Sequence[Image], run: ModelRun, *, random_nets: int) -> list[Entry]:
    """Random nets of several seeds, and features of pixels."""
    nets = [f"random net {number}=random:{number}" for number in range(run.seed, run.seed + random_nets)]
    pixels: dict[str, FeatureTable] = {}

    def pixel_table(name: str) -> FeatureTable:
        if not pixels:
            pixels.update(pixel_baselines(items, seed=run.seed, workers=run.settings.workers))
        return pixels[name]

    return model_entries(nets, items, replace(run, methods=run.methods[:1]), kind="baseline") + [
        Entry(name, "baseline", partial(pixel_table, name), _NEVER_TRAINED) for name in BASELINES
    ]


def noise_entry(table: Entry, items: Sequence[Image], *, seed: int) -> Entry:
    """A random partner for a table that came without images."""
    return Entry(
        "noise",
        "baseline",
        lambda: random_features(ids_of(items), table.build().values.shape[1], seed=seed),
        _NEVER_TRAINED,
    )


def fuse(first: FeatureTable, second: FeatureTable, *, ids: Array) -> FeatureTable:
    """Both tables' features of these ids side by side, without their metadata, which need not agree.

    Example:
        >>> one, two = make_table(["x", "y"], [[1.0], [2.0]]), make_table(["y", "x"], [[20.0], [10.0]])
        >>> fuse(one, two, ids=one.ids).values.tolist()
        [[1.0, 10.0], [2.0, 20.0]]
    """
    tables = (first.rows(ids), second.rows(ids))
    return join_features([replace(table, metadata=table.metadata[[]]) for table in tables])


def shuffle_within_class(table: FeatureTable, items: Sequence[Image], *, seed: int) -> FeatureTable:
    """The table with its rows exchanged among items of one label (and one split): every row lies about its id.

    The control that shows what misaligned rows do, and what the recipe `published` does where the original listed its
    cells from a set.
    """
    ids = ids_of(items)
    labels = column(items, "label")
    strata = np.array(
        [f"{item.metadata.get('split', '')}\x1f{label}" for item, label in zip(items, labels, strict=True)]
    )
    source = np.arange(len(ids))
    for stratum in np.unique(strata):
        rows = (strata == stratum).nonzero()[0]
        rows = rows[np.argsort(ids[rows].astype(str))]  # the same exchange, whatever the order of the items
        source[rows] = rows[derive_rng(seed, "shuffle-within-class", stratum).permutation(len(rows))]
    return make_table(ids, table.rows(ids[source]).values, names=table.names, about=table.about)


def random_features(ids: Array, width: int, *, seed: int) -> FeatureTable:
    """Features that know nothing: the random partner of tables that came without images."""
    values = derive_rng(seed, "random-features").normal(size=(len(ids), width)).astype(np.float32)
    return make_table(ids, values)
