"""`cytoimagenet convert-keras`: the published Keras weights as a folder that transformers loads."""

from pathlib import Path
from typing import Annotated

import typer

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.files import json_text


def command(
    weights: Annotated[Path, typer.Argument(help="efficientnetb0_weights-notop.h5, or a file with a head.")],
    output: Annotated[Path, typer.Option(help="New or empty folder of the checkpoint.")],
    labels: Annotated[
        Path | None, typer.Option(help="Text file with the names of a head's classes, one per line, in order.")
    ] = None,
    scaling: Annotated[
        str | None, typer.Option(help="For ImageNet weights: inputs as keras-2.8 or keras-2.9 scaled them.")
    ] = None,
    trained_on: Annotated[
        str | None,
        typer.Option(help="What the weights were trained on, for marks of contamination: cytoimagenet or imagenet."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was written as JSON.")] = False,
) -> None:
    """Write safetensors, configuration, image processor and model card.

    Example: cytoimagenet convert-keras efficientnetb0_weights-notop.h5 --output cytoimagenet-efficientnet-b0
    """
    from cytoimagenet_hf.core.boundary import reading
    from cytoimagenet_hf.core.files import atomic_folder
    from cytoimagenet_hf.dataset.cards.facts import write_model_card
    from cytoimagenet_hf.networks.backbones import fingerprint
    from cytoimagenet_hf.networks.keras import convert_keras, keras_record, save_converted
    from cytoimagenet_hf.scoring.contamination import known_sources

    if output.is_dir() and any(output.iterdir()):
        raise InputError(f"{output} is not empty: choose a new or empty folder")
    if labels is not None and not labels.is_file():
        raise InputError(f"{labels} is not a file")
    with reading(labels or ""):
        names = labels.read_text(encoding="utf-8-sig").splitlines() if labels else None
    sources = None if trained_on is None else sorted(known_sources(trained_on))
    model = convert_keras(weights, labels=names)
    record = keras_record(weights, scaling=scaling)
    if sources is not None:
        model.config.training_sources = sources
    with atomic_folder(output) as aside:
        save_converted(model, record, aside, source=weights)
        write_model_card(aside, name=output.resolve().name)
        files = sorted(file.name for file in aside.iterdir())
    written = {
        "output": str(output),
        "architecture": type(model).__name__,
        "classes": model.config.num_labels if names or hasattr(model, "classifier") else 0,
        "fingerprint": fingerprint(model),
        "preprocessing": record,
        "files": files,
    }
    if as_json:
        typer.echo(json_text(written))
    else:
        typer.echo(f"{written['architecture']} ({written['fingerprint']}) in {output}: {', '.join(files)}")
