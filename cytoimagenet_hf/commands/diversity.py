"""`cytoimagenet diversity`: a dataset seen through features."""

from pathlib import Path
from typing import Annotated

import typer


def command(
    dataset: Annotated[str, typer.Argument(help="A built folder, or a dataset repository.")],
    model: Annotated[str, typer.Option(help="Checkpoint folder, Hub or timm name, Keras .h5, random or random:SEED.")],
    output: Annotated[Path | None, typer.Option(help="Folder for the table, the subset and the figures.")] = None,
    per_label: Annotated[int, typer.Option(help="Images drawn of each label.", min=1)] = 100,
    threshold: Annotated[
        float, typer.Option(help="Labels with a larger inter-class distance form the subset.", min=0, max=2)
    ] = 0.8,
    split: Annotated[str, typer.Option(help="train or validation.")] = "train",
    seed: Annotated[int, typer.Option(help="Of the draw and the projection.")] = 0,
    batch_size: Annotated[int, typer.Option(help="Planes per step of extraction.", min=1)] = 64,
    cache: Annotated[
        Path | None, typer.Option(help="Folder of extracted features; by default among the caches of the Hub.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print distances and subset as JSON.")] = False,
) -> None:
    """Mean cosine distance within and between labels; the labels that stand apart, ready for subset=.

    Example: cytoimagenet diversity cytoimagenet --model runs/b0/model --output diversity
    """
    import json
    from dataclasses import asdict

    from cytoimagenet_hf.benchmarks import diversity
    from cytoimagenet_hf.benchmarks.extraction import load_model
    from cytoimagenet_hf.benchmarks.table import Table, to_rich
    from cytoimagenet_hf.data import load_cytoimagenet, require_columns
    from cytoimagenet_hf.features.folder import cached_features
    from cytoimagenet_hf.features.store import Settings
    from cytoimagenet_hf.files import atomic_path, require_folder, write_json
    from cytoimagenet_hf.images.rows import row_image
    from cytoimagenet_hf.terminal import Terminal

    if output is not None:
        require_folder(output)
    images = load_cytoimagenet(dataset, split=split)
    require_columns(images, ("image", "label", "image_id"), dataset)
    about = images.remove_columns("image").to_pandas()
    about["label"] = [images.features["label"].names[code] for code in about["label"]]
    rows = diversity.sample_per_label(about["label"], about["image_id"], per_label=per_label, seed=seed)
    chosen = [row_image(dataset, split=split, row=int(row), id=str(about["image_id"].iloc[row])) for row in rows]
    loaded = load_model(model, method="merge-norm", seed=seed)
    table, rejected = cached_features(loaded.encoder, chosen, cache=cache, settings=Settings(batch_size=batch_size))
    about = about.set_index("image_id", drop=False).loc[table.ids].reset_index(drop=True)
    features = table.values
    distances = diversity.label_distances(features, about["label"])
    distances = distances.merge(about.groupby("label")["category"].first().reset_index(), on="label")
    subset = diversity.distant_labels(distances, threshold=threshold)
    record = {
        "dataset": dataset,
        "model": loaded.name,
        "weights": loaded.encoder.fingerprint,
        "seed": seed,
        "per_label": per_label,
        "threshold": threshold,
        "labels": distances.astype(object).where(distances.notna(), None).to_dict("records"),
        "subset": subset,
        "rejected": [asdict(rejection) for rejection in rejected],
    }
    if output is not None:
        write_json(output / "diversity.json", record)
        write_json(output / "subset.json", subset)
        with atomic_path(output / "distances.csv") as temporary:
            distances.to_csv(temporary, index=False)
        figure = diversity.distance_scatter(distances, threshold=threshold)
        diversity.save_figure(figure, output / "distances.png")
        diversity.save_figure(diversity.crop_figure(features, about, seed=seed), output / "crops.png")
    for rejection in rejected:
        typer.secho(f"left out {rejection.id}: {rejection.reason}", err=True, fg="yellow")
    if as_json:
        typer.echo(json.dumps(record, indent=2))
        return
    summary = tuple(
        (str(name), f"{len(group)}", f"{group['intra'].mean():.3f}", f"{group['inter'].mean():.3f}")
        for name, group in distances.groupby("category")
    )
    note = f"{len(subset)} of {len(distances)} labels are farther than {threshold} from the others."
    title = f"Mean cosine distances, {loaded.name}"
    Terminal().print(to_rich(Table(title, ("category", "labels", "within", "between"), summary, note)))
