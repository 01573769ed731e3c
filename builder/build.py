"""All stages in one go, under one claim on the output folder."""

from pathlib import Path
from typing import Any

from cytoimagenet_hf.dataset.fields import FIELD

from .annotate import annotate
from .publish import publish, require_split
from .recipe import Recipe
from .render import render
from .render.plan import require_plan_fits
from .select import select
from .settings import EVERYTHING, Rendering
from .sources.filter import ALL_SOURCES, SourceFilter
from .stage import StageSummary, claimed, tables_aside


def build(
    raw: Path,
    output: Path,
    how: Rendering = EVERYTHING,
    *,
    recipe: Recipe,
    seed: int,
    sources: SourceFilter = ALL_SOURCES,
    split_scheme: str | None = None,
    group: str = FIELD,
    **fields: Any,
) -> list[StageSummary]:
    """Annotate, select, render and publish.

    Args:
        raw: folder with one folder per source.
        output: new, empty or an earlier build; a stopped build continues, a refused one changes nothing.
        how: where shards are rendered, and whether their planes are kept; see `render`.
        recipe: the rules.
        seed: of everything sampled.
        sources: which take part.
        split_scheme, group: how train and validation are divided; see `publish`.
        **fields: of `settings.Rendering`, in place of or on top of `how`.

    Returns:
        The summary of each stage.

    Raises:
        InputError: nothing to build from, or a folder that cannot be built into.
    """
    require_split(split_scheme, group)
    with claimed(output):
        # The tables are made aside and come into their place when the plan that follows from them has been accepted: a
        # build that is refused has changed nothing.
        with tables_aside(output) as tables:
            summaries = [
                annotate(raw, tables, sources=sources),
                select(tables, recipe=recipe, seed=seed),
            ]
            require_plan_fits(output, tables=tables, recipe=recipe, seed=seed)
        return [
            *summaries,
            render(raw, output, how, recipe=recipe, seed=seed, **fields),
            publish(output, recipe=recipe, seed=seed, split_scheme=split_scheme, group=group),
        ]
