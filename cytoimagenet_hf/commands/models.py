"""`cytoimagenet models`: the networks that extract and benchmark take by name, what they eat and what they need."""

from typing import Annotated

import typer


def command(
    as_json: Annotated[bool, typer.Option("--json", help="Print all facts as JSON.")] = False,
) -> None:
    """List the kinds of networks that can be loaded by name.

    A kind that says `no` under `run` was written from published facts: its weights or its code could not be had when
    this package was made. Anything else that transformers or timm loads can be named, too.

    Example: cytoimagenet models
    """
    import json
    from dataclasses import asdict

    from rich.console import Console
    from rich.table import Table

    from cytoimagenet_hf.encoders import ENCODERS

    if as_json:
        typer.echo(json.dumps({name: asdict(facts) for name, facts in ENCODERS.items()}, indent=2))
        return
    table = Table("name", "takes", "input", "D", "needs", "run", "licence", box=None, pad_edge=False)
    for column in ("name", "input", "D", "run"):
        next(one for one in table.columns if one.header == column).no_wrap = True
    for name, facts in ENCODERS.items():
        roles = ", ".join("any other" if role == ("*",) else role[0] for role in facts.stains)
        source = facts.source
        needs = [
            *(["access on request"] if source.gated else []),
            *(["--trust-remote-code", "--revision"] if source.remote_code else []),
            *source.packages,
        ]
        table.add_row(
            name,
            f"{facts.channels}: {roles}" if roles else facts.channels,
            "native" if facts.size is None else f"{facts.fit} {facts.size[0]}",
            str(facts.dim or "?"),
            ", ".join(needs),
            "yes" if facts.verified else "no",
            source.licence or "",
        )
    Console().print(table)
