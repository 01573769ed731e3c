"""`cytoimagenet push`: a dataset, model or metric to the Hub."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.options.push import Scores, Upload

from .arguments import takes_settings


@takes_settings
def command(
    kind: Annotated[str, typer.Argument(help="dataset, model or metric.")],
    folder: Annotated[Path, typer.Argument(help="What to push: a built dataset, a saved model, a metric folder.")],
    repo_id: Annotated[str, typer.Argument(help="Repository on the Hub, owner/name.")],
    upload: Upload,
    scores: Scores,
    public: Annotated[
        bool, typer.Option("--public", help="Make a new repository public; private by default.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List files and sizes; send nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the plan as JSON.")] = False,
) -> None:
    """Push what changed; call again to continue an interrupted push.

    Example: cytoimagenet push dataset cytoimagenet me/cytoimagenet --tag v1.0 --dry-run
    """
    from huggingface_hub import constants
    from rich.table import Table

    from cytoimagenet_hf.core.files import json_text
    from cytoimagenet_hf.core.terminal import Terminal
    from cytoimagenet_hf.dataset.cards.eval_results import write_eval_results
    from cytoimagenet_hf.dataset.cards.facts import add_scores, write_model_card
    from cytoimagenet_hf.dataset.hub import hub_answers, plan_push, push
    from cytoimagenet_hf.scoring.results import read_results

    if scores.results is not None:
        if kind != "model":
            raise InputError(f"--results belongs to models; a {kind} has no scores")
        add_scores(folder, scores.results, entry=scores.entry)
        if scores.benchmark_dataset is not None:
            record = read_results(scores.results)
            chosen = scores.entry or record.names("model")[0]
            write_eval_results(folder, record, entry=chosen, dataset_id=scores.benchmark_dataset)
        write_model_card(folder, name=repo_id)
    if dry_run:
        compare = hub_answers() and not constants.HF_HUB_OFFLINE
        if not compare:
            typer.echo("the Hub does not answer: the files are listed without comparing them", err=True)
        planned = plan_push(folder, repo_id, kind=kind, revision=upload.revision, compare=compare)
    else:
        pushed = push(folder, repo_id, kind=kind, private=not public, upload=upload)
        planned = pushed.files
        if pushed.pull_request is not None:
            typer.echo(f"pull request: {pushed.pull_request}", err=True)
    if as_json:
        typer.echo(json_text([asdict(file) for file in planned]))
        return
    table = Table("file", "bytes", "status", title=f"{'Would push' if dry_run else 'Pushed'} to {repo_id}")
    for file in planned:
        table.add_row(file.path, f"{file.size:,}", file.status)
    Terminal().print(table)
    sent = sum(file.size for file in planned if file.status in ("new", "changed", "not compared"))
    Terminal().print(f"{sent / 1e6:.1f} MB {'to send' if dry_run else 'sent'}")
