"""All tasks on all models or feature tables: one call, one results record, resumable.

Features that the cache holds are not extracted again. The record names the configuration, versions and hashes that
made it; scores keep their predictions, so that any two entries can be compared item by item.
"""

import hashlib
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.files import file_sha256
from cytoimagenet_hf.core.seeding import derive_rng
from cytoimagenet_hf.core.settings import setting
from cytoimagenet_hf.core.simulated import is_simulated
from cytoimagenet_hf.core.versions import installed_versions
from cytoimagenet_hf.images import Image
from cytoimagenet_hf.images.kept import kept_in_memory
from cytoimagenet_hf.options.benchmark import SuiteOptions
from cytoimagenet_hf.options.extraction import DEFAULTS, Extraction
from cytoimagenet_hf.options.networks import DEFAULTS as AS_TRAINED
from cytoimagenet_hf.options.networks import EncoderOptions
from cytoimagenet_hf.scoring.contamination import overlaps
from cytoimagenet_hf.scoring.results import EntryRecord, LadderStep, ResultsRecord, ScoreRecord
from cytoimagenet_hf.tables import FeatureTable, read_features
from cytoimagenet_hf.tables.reading import SHARDS

from .base import Benchmark, Score, column, ids_of
from .compare import compare_pairs, compare_with_best, summarise_score
from .entries import Entry, baseline_entries, fusion_entries, model_entries, noise_entry, table_entry
from .extraction import ModelRun, split_name
from .fusion import CONTROLS_NOTE
from .measured import check_measures, measured_scores
from .nuisances import ladder, nuisance_tables
from .pooled import pool_record
from .postprocess import STEPS, postprocessed
from .recipes import RECIPES, BenchmarkRecipe
from .redrawn import redrawn_entries, training_gains

_SAMPLE = 2000  # items of a scatter plot
_VERSIONED = ("numpy", "scipy", "scikit-learn", "torch", "transformers", "pandas", "pyarrow")


@dataclass(frozen=True, kw_only=True)
class Suite(SuiteOptions):
    """What to run; `run_suite` runs it.

    Attributes:
        tasks: benchmarks, each with the folder of its files.
        recipe: of the benchmarks.
        settings: of the extraction: device, precision, units per step.
        options: of the networks.
    """

    tasks: tuple[tuple[Benchmark, Path], ...] = setting((), parse=tuple)
    recipe: BenchmarkRecipe = setting(RECIPES["corrected"])
    settings: Extraction = setting(DEFAULTS)
    options: EncoderOptions = setting(AS_TRAINED)


@dataclass(frozen=True)
class Sample:
    """Features of some items, in the order of their ids."""

    labels: list[str]
    values: npt.NDArray[np.floating]


@dataclass(frozen=True)
class Results:
    """A finished run.

    Attributes:
        record: config, versions, entries, scores, comparisons.
        scores: (entry, set) → predictions.
        samples: (model, task) → labels and features of some items, for scatter plots.
    """

    record: ResultsRecord
    scores: dict[tuple[str, str], Score]
    samples: dict[tuple[str, str], Sample]


def run_suite(suite: Suite, *, report: Callable[[str], None] = lambda message: None) -> Results:
    """Score every entry on every task.

    Args:
        suite: what to run.
        report: called with what is being done, one line a step.

    Raises:
        InputError: nothing to score, two entries of one name, or whatever loading and scoring find wrong.
    """
    check_measures(suite.measures)
    own_tables = any(benchmark.only_profiles for benchmark, _ in suite.tasks)
    if not (suite.models or suite.features or suite.baselines or own_tables):
        raise InputError("nothing to score: name a model, a feature table, or ask for baselines")
    if suite.redrawn and not suite.models:
        raise InputError("redrawn weights are of a network: name a model")
    if suite.fuse and len(suite.models) + len(suite.features) < 2:
        raise InputError("a fusion takes two models or feature tables: name another")
    tables = [(name, read_features(path, drop_nan=suite.drop_nan)) for name, path in _named_tables(suite)]
    scores: dict[tuple[str, str], Score] = {}
    samples: dict[tuple[str, str], Sample] = {}
    described: dict[str, EntryRecord] = {}
    summaries: list[ScoreRecord] = []
    rungs: list[LadderStep] = []
    with tempfile.TemporaryDirectory() as scratch:
        for benchmark, root in suite.tasks:
            seen: set[str] = set()
            if benchmark.only_profiles and (suite.models or suite.baselines):
                report(f"{benchmark.name} has ready features and no images: models and baselines are not run on it")
            if benchmark.needs_root:
                benchmark = replace(benchmark, score=partial(benchmark.score, root=root))
            steps = _steps(suite, benchmark, report)
            # Items are loaded once for all steps, controls among them where one of the steps starts from them.
            loading = replace(suite.recipe, postprocess=next((step for step in steps if step != "none"), "none"))
            for items, entries in _rounds(
                suite, benchmark, root, tables, suite.cache or Path(scratch), loading, report
            ):
                for entry in entries:
                    table = entry.build()
                    for step in steps:
                        name = entry.name if step == "none" else f"{entry.name} [{step}]"
                        if name in seen:
                            raise InputError(f"two entries are called {name!r}: name one, as in NAME={entry.name}")
                        seen.add(name)
                        report(f"{benchmark.name}: {name}")
                        about = entry.about | ({} if step == "none" else {"postprocess": step})
                        described.setdefault(name, EntryRecord(name, entry.kind, about))
                        unscored = [] if benchmark.unscored is None else benchmark.unscored(root, table, items)
                        made = postprocessed(
                            step, table, items, benchmark, epsilon=suite.sphere_epsilon, unscored=unscored
                        )
                        if entry.kind == "model":
                            samples[name, benchmark.name] = _sample(made, items, suite.seed)
                        measured = measured_scores(
                            benchmark,
                            made,
                            items,
                            recipe=replace(suite.recipe, postprocess=step),
                            seed=suite.seed,
                            measures=suite.measures,
                        )
                        for score in _with_sphering(measured, made):
                            scores[name, score.name] = score
                            summary = summarise_score(
                                score,
                                task=benchmark.name,
                                entry=name,
                                kind=entry.kind,
                                overlaps=overlaps(benchmark.name, entry.sources),
                                seed=suite.seed,
                            )
                            summaries.append(summary)
                if suite.nuisances:
                    rungs += _ladder(suite, benchmark, items, entries, report)
    record = ResultsRecord(
        _config(suite),
        installed_versions(_VERSIONED),
        tuple(described.values()),
        tuple(summaries),
        ladder=tuple(rungs),
    )
    return Results(with_comparisons(record, scores, seed=suite.seed, fuse=suite.fuse), scores, samples)


def _named_tables(suite: Suite) -> list[tuple[str, Path]]:
    """The caller's feature tables by the names they have in results."""
    pairs = [split_name(str(spec)) for spec in suite.features]
    return [(name or Path(place).name.split(".")[0], Path(place)) for name, place in pairs]


def _with_sphering(scores: Sequence[Score], table: FeatureTable) -> list[Score]:
    """The scores, which tell the epsilon of the sphering and how it was chosen, where there was one."""
    steps = table.about.get("steps", [])
    if not steps or steps[-1].get("step") != "sphere":
        return list(scores)
    last = steps[-1]
    facts = {name: last[name] for name in ("epsilon", "epsilon_chosen") if name in last}
    return [replace(score, details={**score.details, "sphere": facts}) for score in scores]


def _steps(suite: Suite, benchmark: Benchmark, report: Callable[[str], None]) -> list[Any]:
    """The post-processing steps of a task: those that start from controls are said and left out where there are none.

    Raises:
        InputError: an unknown step, one asked for twice, or none that this task can take.
    """
    unknown = [step for step in suite.postprocess if step not in ("none", *STEPS)]
    if unknown or not suite.postprocess or len(set(suite.postprocess)) < len(suite.postprocess):
        raise InputError(
            f"post-processing {', '.join(suite.postprocess)}: choose of none, {', '.join(STEPS)}, each once"
        )
    if benchmark.is_control is not None:
        return list(suite.postprocess)
    if "none" not in suite.postprocess:
        raise InputError(f"{benchmark.name} has no control wells, which post-processing starts from: add none")
    left_out = [step for step in suite.postprocess if step != "none"]
    if left_out:
        report(f"{benchmark.name} has no control wells: scored without {', '.join(left_out)}")
    return ["none"]


def _ladder(
    suite: Suite,
    benchmark: Benchmark,
    items: list[Image],
    entries: Sequence[Entry],
    report: Callable[[str], None],
) -> tuple[LadderStep, ...]:
    """The nuisance ladder of a round's models; what cannot be measured is said."""
    models = [entry for entry in entries if entry.kind == "model"]
    if not models:
        return ()
    if not all(item.planes for item in items):
        report(f"{benchmark.name}: no nuisance ladder, for there are no images to count cells in")
        return ()
    report(f"{benchmark.name}: nuisances")
    nuisances = nuisance_tables(items, workers=suite.settings.workers)
    if "position" not in nuisances:
        report(f"{benchmark.name}: the well of an image is not known, so its position on the plate is not a nuisance")
    try:
        tables = {entry.name: entry.build() for entry in models}
        return ladder(benchmark, tables, nuisances, items, recipe=suite.recipe, seed=suite.seed)
    except InputError as error:
        report(f"{benchmark.name}: no nuisance ladder: {error}")
        return ()


def with_comparisons(
    record: ResultsRecord, scores: dict[tuple[str, str], Score], *, seed: int, fuse: bool
) -> ResultsRecord:
    """The record with its paired comparisons, gains over the best baseline, and the note on fusions."""
    names = record.names("model", "fusion")
    options: dict[str, Any] = {"entries": names, "sets": record.sets, "seed": seed}
    compared = replace(
        record,
        training=training_gains(record.entries, scores, record.by_entry(), seed=seed),
        comparisons=compare_pairs(scores, **options),
        gains=compare_with_best(scores, baselines=record.names("baseline"), **options),
        controls_note=CONTROLS_NOTE if fuse else "",
    )
    return replace(compared, pooled=pool_record(compared))


def _rounds(
    suite: Suite,
    benchmark: Benchmark,
    root: Path,
    tables: list[tuple[str, FeatureTable]],
    cache: Path,
    recipe: BenchmarkRecipe,
    report: Callable[[str], None],
) -> Iterator[tuple[list[Image], list[Entry]]]:
    """Entries that share their items: first all that describe images, then profiles of wells."""
    profiles = [(name, table) for name, table in tables if benchmark.profile_items and _knows_wells(table)]
    by_id = [
        table_entry(name, table) for name, table in tables if not (benchmark.profile_items and _knows_wells(table))
    ]
    if benchmark.only_profiles:
        yield from _ready_rounds(benchmark, root, tables, recipe)
        return
    if suite.models or suite.baselines or by_id:
        # Every network and the baselines look at the same images; those of most benchmarks fit into memory.
        seen = bool(suite.models or suite.baselines or suite.nuisances)
        items = kept_in_memory(benchmark.load(root, recipe, images=seen))
        run = ModelRun(
            cache=cache, seed=suite.seed, methods=suite.methods, settings=suite.settings, options=suite.options
        )
        entries = model_entries(suite.models, items, run)
        if suite.fuse:
            entries += _fusions(suite, benchmark, items, entries, by_id, run)
        yield items, entries + by_id
        if suite.baselines:
            yield items, baseline_entries(items, run, random_nets=suite.random_nets)
        if suite.redrawn:
            yield items, redrawn_entries(suite.models, items, run, redrawn=suite.redrawn, report=report)
    # Profiles that are to be fused describe the same wells; else each has its own.
    together = [profiles] if suite.fuse and profiles else [[table] for table in profiles]
    for group in together:
        items = benchmark.profile_items(root, recipe, group[0][1])  # type: ignore[misc]
        entries = [table_entry(name, table) for name, table in group]
        yield items, entries + (_fusions(suite, benchmark, items, [], entries) if len(group) > 1 else [])


def _ready_rounds(
    benchmark: Benchmark, root: Path, tables: list[tuple[str, FeatureTable]], recipe: BenchmarkRecipe
) -> Iterator[tuple[list[Image], list[Entry]]]:
    """The caller's tables, else those that come with the download, one at a time.

    Raises:
        InputError: neither; no network can be run on a task without images.
    """
    named: dict[str, Callable[[], FeatureTable]] = {name: partial(_itself, table) for name, table in tables}
    if not named and benchmark.ready is not None:
        named = benchmark.ready(root)
    if not named:
        raise InputError(f"{benchmark.name} is scored from ready features, and {root} has none: {benchmark.where}")
    for name, make in named.items():
        table = make()
        if benchmark.profile_items is not None:
            items = benchmark.profile_items(root, recipe, table)
        else:
            items = benchmark.load(root, recipe, images=False)
        yield items, [table_entry(name, table)]


def _itself(table: FeatureTable) -> FeatureTable:
    return table


def _fusions(
    suite: Suite,
    benchmark: Benchmark,
    items: list[Image],
    models: list[Entry],
    tables: list[Entry],
    run: ModelRun | None = None,
) -> list[Entry]:
    """Fusions of models, whose random partner is an untrained net, and of tables, whose partner is noise."""
    shared: dict[str, Any] = {"recipe": suite.recipe, "seed": suite.seed}

    def random_net(entry: Entry) -> Entry | None:
        net = f"random net={suite.partner or f'random:{suite.seed + 1}'}"
        return model_entries([net], items, replace(run, methods=(entry.about["method"],)))[0] if run else None

    return fusion_entries(models, items, benchmark, noise=random_net, **shared) + fusion_entries(
        tables, items, benchmark, noise=lambda entry: noise_entry(entry, items, seed=suite.seed), **shared
    )


def _sample(table: FeatureTable, items: list[Image], seed: int) -> Sample:
    chosen = derive_rng(seed, "sample").permutation(len(items))[:_SAMPLE]
    some = [items[row] for row in sorted(chosen)]
    return Sample(column(some, "label").tolist(), table.rows(ids_of(some)).values)


def _knows_wells(table: FeatureTable) -> bool:
    return {"plate", "well"} <= set(table.metadata.columns)


def _config(suite: Suite) -> dict[str, Any]:
    simulated = [benchmark.name for benchmark, root in suite.tasks if is_simulated(root)]
    return {
        "tasks": [{"task": benchmark.name, "data": root.name} for benchmark, root in suite.tasks],
        "models": list(suite.models),
        "features": [{"name": name, "file": path.name, "sha256": _hash(path)} for name, path in _named_tables(suite)],
        "methods": list(suite.methods),
        "recipe": asdict(suite.recipe),
        "seed": suite.seed,
        "fuse": suite.fuse,
        "baselines": suite.baselines,
        "random_nets": suite.random_nets,
        "nuisances": suite.nuisances,
        "redrawn": suite.redrawn,
        "partner": suite.partner,
        "settings": suite.settings.record(),
        "options": suite.options.given(),
        "drop_nan": suite.drop_nan,
        "measures": list(suite.measures),
        "postprocess": list(suite.postprocess),
        "sphere_epsilon": suite.sphere_epsilon,
    } | ({"simulated": simulated} if simulated else {})


def _hash(path: Path) -> str:
    """Of a file, or of all shards of a folder."""
    if path.is_file():
        return file_sha256(path)
    return hashlib.sha256("".join(file_sha256(shard) for shard in sorted(path.glob(SHARDS))).encode()).hexdigest()
