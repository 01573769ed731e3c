"""All tasks on all models or feature tables: one call, one results record, resumable.

Features that the cache holds are not extracted again. The record names the configuration, versions and hashes that
made it; scores keep their predictions, so that any two entries can be compared item by item.
"""

import hashlib
import tempfile
from collections.abc import Callable, Iterable, Sequence
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
from cytoimagenet_hf.dataset.images import parse_name
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
from .compare import compare_pairs, compare_with_best, pool_record, summarise_score
from .entries import CONTROLS_NOTE, Entry, baseline_entries, fusion_entries, model_entries, noise_entry, table_entry
from .extraction import ModelRun, split_name
from .measures import measured_scores, require_measures
from .nuisances import ladder, nuisance_tables
from .postprocess import STEPS, postprocessed
from .recipes import RECIPES, BenchmarkRecipe
from .redrawn import redrawn_entries, training_gains

_SAMPLE = 2000  # items of a scatter plot
_VERSIONED = ("numpy", "scipy", "scikit-learn", "torch", "transformers", "pandas", "pyarrow")
Tables = Sequence[tuple[str, FeatureTable]]
Report = Callable[[str], None]
Round = tuple[list[Image], list[Entry]]
"""Entries that share their items."""


@dataclass(frozen=True, kw_only=True)
class Suite(SuiteOptions):
    """What to run, `tasks` being benchmarks, each with the folder of its files; `run_suite` runs it."""

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


@dataclass(frozen=True)
class _Task:
    """A task whose files and networks are there, so that what is left can be computed."""

    benchmark: Benchmark
    root: Path
    steps: Sequence[Any]
    rounds: Iterable[Round]


def run_suite(suite: Suite, *, report: Report = lambda message: None) -> Results:
    """Score every entry on every task.

    Args:
        suite: what to run.
        report: called with what is being done, one line a step.

    Raises:
        InputError: nothing to score, two entries of one name, or whatever loading and scoring find wrong.
    """
    ready_features = any(benchmark.ready for benchmark, _ in suite.tasks)
    if not (suite.models or suite.features or suite.baselines or ready_features):
        raise InputError("nothing to score: name a model, a feature table, or ask for baselines")
    if suite.redrawn and not suite.models:
        raise InputError("redrawn weights are of a network: name a model")
    if suite.fuse and len(suite.models) + len(suite.features) < 2:
        raise InputError("a fusion takes two models or feature tables: name another")
    require_measures(suite.measures)
    names = [benchmark.name for benchmark, _ in suite.tasks]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise InputError(f"task {twice} is given twice, and their results would have one name: run each on its own")
    tables = [(name, read_features(path, drop_nan=suite.drop_nan)) for name, path in _named_tables(suite)]
    scores: dict[tuple[str, str], Score] = {}
    samples: dict[tuple[str, str], Sample] = {}
    described: dict[str, EntryRecord] = {}
    summaries: list[ScoreRecord] = []
    rungs: list[LadderStep] = []
    with tempfile.TemporaryDirectory() as scratch:
        run = ModelRun(
            cache=suite.cache or Path(scratch),
            seed=suite.seed,
            methods=suite.methods,
            settings=suite.settings,
            options=suite.options,
        )
        # What is missing of any task is noticed before anything is computed for the first.
        tasks = [_prepare(suite, benchmark, root, tables, run, report) for benchmark, root in suite.tasks]
        while tasks:
            task = tasks.pop(0)  # the planes that it keeps in memory go with it
            for items, entries in task.rounds:
                for entry in entries:
                    table = entry.build()
                    for step in task.steps:
                        name = entry.name if step == "none" else f"{entry.name} [{step}]"
                        report(f"{task.benchmark.name}: {name}")
                        about = entry.about | ({} if step == "none" else {"postprocess": step})
                        described.setdefault(name, EntryRecord(name, entry.kind, about))
                        made = _postprocessed(suite, task, step, table, items)
                        if entry.kind == "model":
                            samples[name, task.benchmark.name] = _sample(made, items, suite.seed)
                        for score in _measured(suite, task, step, made, items):
                            scores[name, score.name] = score
                            summary = summarise_score(
                                score,
                                task=task.benchmark.name,
                                entry=name,
                                kind=entry.kind,
                                overlaps=overlaps(task.benchmark.name, entry.sources),
                                seed=suite.seed,
                            )
                            summaries.append(summary)
                if suite.nuisances:
                    rungs += _ladder(suite, task.benchmark, items, entries, report)
    record = ResultsRecord(
        _config(suite),
        installed_versions(_VERSIONED),
        tuple(described.values()),
        tuple(summaries),
        ladder=tuple(rungs),
    )
    return Results(_with_comparisons(record, scores, suite), scores, samples)


def _named_tables(suite: Suite) -> list[tuple[str, Path]]:
    """The caller's feature tables by the names they have in results."""
    pairs = [split_name(str(spec)) for spec in suite.features]
    return [(name or Path(place).name.split(".")[0], Path(place)) for name, place in pairs]


def _prepare(suite: Suite, benchmark: Benchmark, root: Path, tables: Tables, run: ModelRun, report: Report) -> _Task:
    """Load a task's items and the networks; what is missing, and two entries of one name, are refused."""
    if benchmark.ready is not None and (suite.models or suite.baselines):
        report(f"{benchmark.name} has ready features and no images: models and baselines are not run on it")
    if benchmark.needs_root:
        benchmark = replace(benchmark, score=partial(benchmark.score, root=root))
    steps = _steps(suite, benchmark, report)
    # Items are loaded once for all steps, controls among them where one of the steps starts from them.
    recipe = replace(suite.recipe, postprocess=next((step for step in steps if step != "none"), "none"))
    if benchmark.ready is not None:
        ready = {} if tables else benchmark.ready(root)
        names, rounds = [name for name, _ in tables], _ready_rounds(benchmark, root, tables, ready, recipe)
    else:
        rounds = _rounds(suite, benchmark, root, tables, run, recipe, report)
        names = [entry.name for _, entries in rounds for entry in entries]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise InputError(f"two entries are called {twice!r}: name one, as in NAME={twice}")
    return _Task(benchmark, root, steps, rounds)


def _postprocessed(suite: Suite, task: _Task, step: str, table: FeatureTable, items: list[Image]) -> FeatureTable:
    if step == "none":
        return table
    unscored = [] if task.benchmark.unscored is None else task.benchmark.unscored(task.root, table, items)
    return postprocessed(step, table, items, task.benchmark, epsilon=suite.sphere_epsilon, unscored=unscored)


def _measured(suite: Suite, task: _Task, step: Any, table: FeatureTable, items: list[Image]) -> list[Score]:
    """The scores, which tell the epsilon of the sphering and how it was chosen, where there was one."""
    recipe = replace(suite.recipe, postprocess=step)
    scores = measured_scores(task.benchmark, table, items, recipe=recipe, seed=suite.seed, measures=suite.measures)
    last = (table.about.get("steps") or [{}])[-1]
    if last.get("step") != "sphere":
        return scores
    facts = {name: last[name] for name in ("epsilon", "epsilon_chosen") if name in last}
    return [replace(score, details={**score.details, "sphere": facts}) for score in scores]


def _steps(suite: Suite, benchmark: Benchmark, report: Report) -> list[Any]:
    """The post-processing steps of a task; where it has no control wells, those that start from them are left out."""
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
    suite: Suite, benchmark: Benchmark, items: list[Image], entries: Sequence[Entry], report: Report
) -> tuple[LadderStep, ...]:
    """The nuisance ladder of a round's models; what cannot be measured is reported."""
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


def _with_comparisons(record: ResultsRecord, scores: dict[tuple[str, str], Score], suite: Suite) -> ResultsRecord:
    """The record with its paired comparisons, gains over the best baseline, and the note on fusions."""
    options: dict[str, Any] = {"entries": record.names("model", "fusion"), "sets": record.sets, "seed": suite.seed}
    compared = replace(
        record,
        training=training_gains(record.entries, scores, record.by_entry(), seed=suite.seed),
        comparisons=compare_pairs(scores, **options),
        gains=compare_with_best(scores, baselines=record.names("baseline"), **options),
        controls_note=CONTROLS_NOTE if suite.fuse else "",
    )
    return replace(compared, pooled=pool_record(compared))


def _rounds(
    suite: Suite,
    benchmark: Benchmark,
    root: Path,
    tables: Tables,
    run: ModelRun,
    recipe: BenchmarkRecipe,
    report: Report,
) -> list[Round]:
    """First all entries that describe images, then profiles of wells."""
    of_wells = [benchmark.profile_items is not None and _knows_wells(table) for _, table in tables]
    profiles = [pair for pair, wells in zip(tables, of_wells, strict=True) if wells]
    by_id = [table_entry(*pair) for pair, wells in zip(tables, of_wells, strict=True) if not wells]
    rounds: list[Round] = []
    if suite.models or suite.baselines or by_id:
        # Every network and the baselines look at the same images; those of most benchmarks fit into memory.
        needs_images = bool(suite.models or suite.baselines or suite.nuisances)
        items = kept_in_memory(benchmark.load(root, recipe, images=needs_images))
        by_id = [_complete(entry, items) for entry in by_id]
        entries = model_entries(suite.models, items, run)
        if suite.fuse:
            entries += _fusions(suite, benchmark, items, entries, by_id, run)
        rounds.append((items, entries + by_id))
        if suite.baselines:
            rounds.append((items, baseline_entries(items, run, random_nets=suite.random_nets)))
        if suite.redrawn:
            rounds.append((items, redrawn_entries(suite.models, items, run, redrawn=suite.redrawn, report=report)))
    # Profiles that are to be fused describe the same wells; else each has its own.
    together = [profiles] if suite.fuse and profiles else [[pair] for pair in profiles]
    for group in together:
        wells = benchmark.profile_items(root, recipe, group[0][1])  # type: ignore[misc]
        entries = [_complete(table_entry(*pair), wells) for pair in group]
        rounds.append((wells, entries + (_fusions(suite, benchmark, wells, [], entries) if len(group) > 1 else [])))
    return rounds


def _ready_rounds(
    benchmark: Benchmark,
    root: Path,
    tables: Tables,
    ready: dict[str, Callable[[], FeatureTable]],
    recipe: BenchmarkRecipe,
) -> Iterable[Round]:
    """The caller's tables, else those that come with the download, read one at a time."""
    if not tables and not ready:
        raise InputError(f"{benchmark.name} is scored from ready features, and {root} has none: {benchmark.where}")
    items = [] if benchmark.profile_items else benchmark.load(root, recipe, images=False)

    def describe(name: str, table: FeatureTable) -> Round:
        of = benchmark.profile_items(root, recipe, table) if benchmark.profile_items else items
        return of, [_complete(table_entry(name, table), of)]

    if tables:
        return [describe(name, table) for name, table in tables]
    return (describe(name, read()) for name, read in ready.items())


def _complete(entry: Entry, items: list[Image]) -> Entry:
    """The entry of a feature table, which must have the features of all items."""
    table, ids = entry.build(), ids_of(items)
    if not set(ids) <= set(table.ids):
        table.rows(ids)  # refuses, and names what is missing
    return entry


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
    simulated = [benchmark.name for benchmark, root in suite.tasks if is_simulated(parse_name(str(root)).path)]
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
