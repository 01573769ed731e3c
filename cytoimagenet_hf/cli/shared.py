"""Options that several commands share: what can be chosen for a network, written and checked once."""

from typing import Annotated, Any

import typer

Normalize = Annotated[
    str | None,
    typer.Option(
        help="Which pixel values become 0 and 1: percentiles of each image, of its plate, or none (the range of "
        "the dtype); gain: the logarithm of the pixel by the mean of its channel. By default as the model's "
        "record says."
    ),
]
Pooling = Annotated[
    str | None,
    typer.Option(
        help="What is taken of the network: last (what it pools itself), blocks (every stage), early (the first "
        "stage), or one stage as stage:N, such as stage:3; stage:0 is the stem. By default as the weights say, else "
        "last."
    ),
]
Scale = Annotated[
    float | None,
    typer.Option(help="Enlarge what the network sees this many times, bilinear: 2 doubles height and width."),
]
Pixels = Annotated[
    bool | None,
    typer.Option(
        "--pixels/--no-pixels",
        help="Intensities of the channels and correlations between them beside the network's features, or not.",
    ),
]
Views = Annotated[
    int | None, typer.Option(help="Average over 8 orientations, at eight times the price; 1: as it lies.")
]
Scaling = Annotated[str | None, typer.Option(help="ImageNet inputs as Keras scaled them: keras-2.8 or keras-2.9.")]
Size = Annotated[
    int | None, typer.Option(help="Resize to this side, bilinear; by default the native size.", min=1, max=8192)
]
FullScale = Annotated[
    float | None, typer.Option(help="White where nothing is normalised: 4095 for 12-bit data in 16-bit files.")
]
Revision = Annotated[str | None, typer.Option(help="Of a Hub repository: a 40-hex commit.")]
TrustRemoteCode = Annotated[
    bool, typer.Option("--trust-remote-code", help="Run the repository's own code; needs --revision.")
]
ImageColumn = Annotated[
    str | None, typer.Option(help="Column of images in a dataset; by default image, or the one that holds images.")
]
LabelColumn = Annotated[
    str | None, typer.Option(help="Column of classes in a dataset; by default label, or the one of type ClassLabel.")
]
IdColumn = Annotated[
    str | None, typer.Option(help="Column of ids; by default id, image_id or idx, and without one rows are numbered.")
]
Backend = Annotated[
    str,
    typer.Option(
        help="What runs the network: auto (on a CPU the fastest that is installed and agrees with torch), torch, "
        "openvino, onnxruntime, or compile (GPU)."
    ),
]
Dtype = Annotated[
    str | None, typer.Option(help="float32 or bfloat16; by default bfloat16 on a GPU, float32 on a CPU.")
]


def given(**choices: Any) -> dict[str, Any]:
    """The options that were given: what is None keeps the default of the network.

    Example:
        >>> given(size=224, pooling=None)
        {'size': 224}
    """
    return {name: value for name, value in choices.items() if value is not None}
