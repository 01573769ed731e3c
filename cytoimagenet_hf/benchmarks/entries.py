"""What is scored on a task: models, feature tables, fusions with controls, baselines; each built when used."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import combinations
from typing import Any

from cytoimagenet_hf.images import Image
from cytoimagenet_hf.scoring.contamination import training_sources
from cytoimagenet_hf.scoring.results import Kind
from cytoimagenet_hf.tables import FeatureTable

from .base import Benchmark, ids_of
from .baselines import BASELINES, pixel_baselines
from .extraction import ModelRun, features_of
from .fusion import fuse, random_features, shuffle_within_class
from .recipes import BenchmarkRecipe

_NEVER_TRAINED = frozenset[str]()


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
    """One entry per model and method; the method is part of the name when there are several.

    Args:
        specs: what `load_model` takes.
        items: their images.
        run: how they are loaded.
        kind: of the entries.
    """
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

    Args:
        entries: models or tables.
        items: their images or wells.
        benchmark: whether the original joined this set's rows by an arbitrary position.
        recipe: how rows are joined (E2, docs/paper.md).
        seed: of the shuffles.
        noise: the random partner of an entry; None for those that are random themselves.
    """
    fusions = []
    for a, b in combinations(entries, 2):
        if a.about.get("method") != b.about.get("method"):
            continue
        misjoined = recipe.fusion_join == "position" and benchmark.listed_from_set
        second = _shuffled(b, items, seed) if misjoined else b.build
        both = _union(a.sources, b.sources)
        join = partial(_fusion, a, items=items)
        fusions += [
            join(b.name, second, "fusion", sources=both),
            join(a.name, a.build, "control", sources=a.sources),
            join(f"{b.name} shuffled within class", _shuffled(b, items, seed), "control", sources=both),
        ]
        random = noise(a)
        if random is not None:
            fusions.append(join(random.name, random.build, "control", sources=a.sources))
    return list({entry.name: entry for entry in fusions}.values())


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


def _fusion(
    a: Entry,
    second_name: str,
    second: Callable[[], FeatureTable],
    kind: Kind,
    *,
    items: Sequence[Image],
    sources: frozenset[str] | None,
) -> Entry:
    return Entry(
        f"{a.name} + {second_name}",
        kind,
        lambda: fuse(a.build(), second(), ids=ids_of(items)),
        sources,
        {"method": a.about.get("method")},
    )


def _shuffled(entry: Entry, items: Sequence[Image], seed: int) -> Callable[[], FeatureTable]:
    return lambda: shuffle_within_class(entry.build(), items, seed=seed)


def _union(first: frozenset[str] | None, second: frozenset[str] | None) -> frozenset[str] | None:
    return None if first is None or second is None else first | second
