"""`cytoimagenet models`: the networks that extract and benchmark take by name: inputs, outputs, weights."""

from dataclasses import asdict
from typing import Annotated

import typer


def command(
    as_json: Annotated[bool, typer.Option("--json", help="Print all facts as JSON.")] = False,
) -> None:
    """List the kinds of networks that can be loaded by name.

    A kind that says `no` under `run` was written from published facts: its weights or its code could not be had when
    this package was made. `access` must be asked for on the Hub; `remote code` runs with --trust-remote-code and a
    --revision. Anything else that transformers or timm loads can be named, too.

    Example: cytoimagenet models
    """
    from rich.table import Table

    from cytoimagenet_hf.core.files import json_text
    from cytoimagenet_hf.core.terminal import Terminal
    from cytoimagenet_hf.networks import ENCODERS

    if as_json:
        typer.echo(json_text({name: asdict(facts) for name, facts in ENCODERS.items()}))
        return
    table = Table("name", "takes", "input", "D", "needs", "run", "licence", box=None, pad_edge=False)
    for name, facts in ENCODERS.items():
        roles = ", ".join("any other" if role == ("*",) else role[0] for role in facts.stains)
        source = facts.source
        needs = [
            *(["access"] if source.gated else []),
            *(["remote code"] if source.remote_code else []),
            *source.packages,
        ]
        table.add_row(
            name,
            f"{facts.channels}: {roles}" if roles else facts.channels,
            "native" if facts.size is None else f"{facts.fit} {facts.size[0]}",
            str(facts.dim or "–"),
            ", ".join(needs),
            "yes" if facts.verified else "no",
            source.licence or "",
        )
    Terminal().print(table)
