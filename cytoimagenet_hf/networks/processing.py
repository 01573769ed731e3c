"""The image processor for raw microscopy: channels of any bit depth in, `pixel_values` out (paper §2.2).

Four methods: channels are concatenated (each one a gray image of its own, features side by side) or merged (their
mean), with or without percentile normalisation. What follows — the factor, mean and deviation that the weights were
trained with — comes from the weights' own `preprocessor_config.json`. The file it writes is at the same time a stock
configuration, so that plain `AutoImageProcessor` gives the right numbers for 8-bit pictures without this package.

This is the HuggingFace side of one path: options become `EncoderFacts`, and `make_units` does the work, as it does for
every other network.
"""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import PIL.Image
import torch
from transformers import BatchFeature, PreTrainedModel
from transformers.image_processing_backends import PilBackend
from transformers.image_utils import PILImageResampling
from transformers.processing_utils import ImagesKwargs

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.options.networks import METHODS

from .base import Unit
from .channels import as_channels, split_batch
from .facts import EncoderFacts, Fit, Interpolation, WeightSource
from .lite import LITE_RECORD, is_lite
from .network import feed
from .prepare import make_units
from .records import flag, read_processor, record_from, record_of

OWN = EncoderFacts(
    name="own",
    title="EfficientNet of this project, or any transformers network with its image processor",
    channels="each",
    scale="percentile",
    dim=0,
    source=WeightSource("a folder, a Hub name, a Keras .h5 file, or random:SEED"),
    repeat=3,
    note="method, percentiles, mean and deviation are those of the preprocessor_config.json beside the weights",
)
"""Facts of a network whose image processor says what it takes; `MicroscopyImageProcessor.facts` fills them in."""

_OPTIONS = (
    *("method", "percentile_low", "percentile_high", "full_scale", "do_resize", "size", "resample"),
    *("do_rescale", "rescale_factor", "do_normalize", "image_mean", "image_std"),
)


class MicroscopyKwargs(ImagesKwargs, total=False):  # type: ignore[call-arg]
    """Options of `MicroscopyImageProcessor` beyond those every image processor has.

    Attributes:
        method (`str`): one of `METHODS`.
        percentile_low (`float`): lower percentile of the normalisation, 0.1 in the paper.
        percentile_high (`float`): upper percentile, 99.9 in the paper.
        full_scale (`float`): the value that becomes white under the `-raw` methods; by default the largest of an
            integer dtype and 1.0 for floats. 4095 for 12-bit data in 16-bit files.
        axes (`str`): what the planes of a file are where it does not say: `"C"` for channels. See
            `imaging.describe_stack`.
    """

    method: str | None
    percentile_low: float | int | None
    percentile_high: float | int | None
    full_scale: float | int | None
    axes: str | None


class MicroscopyImageProcessor(PilBackend):
    """Channels of any dtype to `pixel_values`, at native size unless `do_resize`.

    An image is a list of (H, W) channels, a (C, H, W) or (H, W, C) array, a PIL image, or the path or address of a
    file whose metadata say which of its planes are channels (`axes="C"` where they do not). A list of images is a
    batch; a list of (H, W) arrays is one image, so gray arrays of a batch are (1, H, W) each.

    The first axis of `pixel_values` is the image: (B, C, 3, H, W) for images of C channels under `concat-*`, and
    (B, 3, H, W) for gray or merged ones. `networks.image_features` takes either:
    `features = image_features(model, pixel_values)`, (B, C * D).

    Args:
        method: one of `METHODS`.
        **kwargs: the other options: `percentile_low`, `percentile_high`, `full_scale`, `do_resize` with `size`
            (`height` and `width`, or `shortest_edge`, which keeps the ratio of the sides; bilinear, as trained), and
            `rescale_factor`, `image_mean`, `image_std` of the weights.

    Raises:
        InputError: an unknown method, or an image that cannot be used.

    Example:
        >>> processor = MicroscopyImageProcessor(method="concat-norm")
        >>> dna = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64)
        >>> processor([dna, 4095 - dna], return_tensors="pt")["pixel_values"].shape  # one image of two channels
        torch.Size([1, 2, 3, 64, 64])
    """

    valid_kwargs = MicroscopyKwargs

    method = "concat-norm"
    percentile_low = 0.1
    percentile_high = 99.9
    full_scale = None
    axes = None
    do_resize = False
    size = {"height": 224, "width": 224}  # noqa: RUF012 - the declaration style of every transformers processor
    resample = PILImageResampling.BILINEAR
    do_rescale = True
    rescale_factor = 1 / 255
    do_normalize = True
    image_mean = (0.0, 0.0, 0.0)
    image_std = (1.0, 1.0, 1.0)

    def __init__(self, method: str = "concat-norm", **kwargs: Any) -> None:
        super().__init__(method=_checked_method(method), **kwargs)
        _check_options(self.record())

    def facts(self, **options: Any) -> EncoderFacts:
        """What a network that this processor belongs to takes, as every encoder of the library says it.

        Args:
            **options: override the processor's own (`method`, `full_scale`, `do_resize`, …); None leaves it.

        Raises:
            InputError: an option that gives no pixels.

        Example:
            >>> facts = MicroscopyImageProcessor("merge-raw", full_scale=4095).facts()
            >>> facts.channels, facts.scale, facts.full_scale, round(facts.factor, 6)
            ('merged', 'dtype', 4095.0, 1.0)
        """
        record = self.record()
        if given := {name: options[name] for name in _OPTIONS if options.get(name) is not None}:
            record |= given
            _checked_method(record["method"])
            _check_options(record)
        how, _, scaling = record["method"].partition("-")
        size, fit = _fit(record["size"]) if record["do_resize"] else (None, "native")
        white = record.get("full_scale")
        normalised = record["do_normalize"]
        return replace(
            OWN,
            channels="merged" if how == "merge" else "each",
            scale="percentile" if scaling == "norm" else "dtype",
            low=record["percentile_low"],
            high=record["percentile_high"],
            full_scale=None if white is None else float(white),
            factor=255.0 * (record["rescale_factor"] if record["do_rescale"] else 1.0),
            mean=_numbers(record["image_mean"]) if normalised else (0.0,),
            sd=_numbers(record["image_std"]) if normalised else (1.0,),
            size=size,
            fit=cast(Fit, fit),
            interpolation=cast(Interpolation, PIL.Image.Resampling(int(record["resample"])).name.lower()),
        )

    def units(self, image: Any, **options: Any) -> list[Unit]:
        """The inputs of the network for one image, before the weights' own scaling.

        Args:
            image: see the class.
            **options: override the processor's own for this call.

        Returns:
            One float32 (1, H, W) in [0, 1] per channel, or a single one when channels are merged.
        """
        channels = as_channels(
            image, channels_axis=options.get("input_data_format"), axes=options.get("axes", self.axes)
        )
        return make_units(self.facts(**options), channels, stains=())

    def record(self) -> dict[str, Any]:
        """The options that decide a pixel's value, as JSON values."""
        options = {name: value for name, value in super().to_dict().items() if name in _OPTIONS}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in options.items()}

    def _preprocess_image_like_inputs(self, images: Any, *args: Any, **kwargs: Any) -> BatchFeature:
        facts = self.facts(**kwargs)
        mean, sd = (torch.tensor(numbers)[:, None, None] for numbers in (facts.mean, facts.sd))
        values = []
        for image in split_batch(images):
            units = torch.from_numpy(np.stack(self.units(image, **kwargs)))  # (C, 1, H, W)
            channels = feed(units, facts.factor, mean, sd, facts.repeat)
            values.append((channels if len(channels) > 1 else channels[0]).numpy())  # (C, 3, H, W) or (3, H, W)
        shapes = {value.shape for value in values}
        if kwargs.get("return_tensors") and len(shapes) > 1:
            raise InputError(
                f"images of shapes {sorted(shapes)} do not stack: pass images of one size and as many channels each, "
                "set do_resize=True, or use features.extract_features, which batches equal sizes together"
            )
        return BatchFeature({"pixel_values": values}, tensor_type=kwargs.get("return_tensors"))

    @classmethod
    def from_dict(cls, image_processor_dict: dict[str, Any], **kwargs: Any) -> Any:
        """From the content of a `preprocessor_config.json`: this package's, or a stock one's record of the weights."""
        if "method" in image_processor_dict:
            options = {name: image_processor_dict[name] for name in _OPTIONS if name in image_processor_dict}
        else:
            options = record_from(image_processor_dict)
            trained = image_processor_dict.get("size")
            if isinstance(trained, Mapping) and any(names <= trained.keys() for names in _SIZES):
                options["size"] = dict(trained)  # used by whoever sets do_resize
        return super().from_dict(options, **kwargs)

    @classmethod
    def get_image_processor_dict(
        cls, pretrained_model_name_or_path: str | Path, **kwargs: Any
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """What the file beside a model says; a damaged one is an `InputError` that names it."""
        with _naming(pretrained_model_name_or_path):
            content = read_processor(pretrained_model_name_or_path, revision=kwargs.get("revision"))
            if content is not None:
                cls.from_dict(content)
        return super().get_image_processor_dict(pretrained_model_name_or_path, **kwargs)

    @classmethod
    def for_model(
        cls, model: PreTrainedModel | str | Path, *, revision: str | None = None, **options: Any
    ) -> "MicroscopyImageProcessor":
        """The processor of a model, folder, Hub name, or `imagenet-lite0` and its sisters.

        What the folder says about method, percentiles and size is kept; a stock processor there gives the numbers of
        the weights. `options` override.

        Raises:
            InputError: the file is damaged or impossible; or there is none, and what the weights were trained with is
                not known.
        """
        if isinstance(model, str | Path) and is_lite(str(model)):
            return cls(**record_from(LITE_RECORD), **options)
        place = str(model) if isinstance(model, str | Path) else model.name_or_path
        with _naming(place):
            content = read_processor(place, revision=revision) if place else None
            if content is not None:
                return cls.from_dict(content, **options)
            if isinstance(model, str | Path):
                raise InputError(f"{place} has no image processor (preprocessor_config.json)")
            return cls(**record_of(model, revision=revision), **options)

    def to_dict(self) -> dict[str, Any]:
        """This processor as a configuration that the stock EfficientNet processor reads too.

        The stock reader takes the names it knows. `do_convert_rgb` lets gray pictures in, `include_top` would divide
        by the deviation once more, and bilinear is what the weights were trained with where its own default differs.
        """
        return super().to_dict() | {
            "image_processor_type": "EfficientNetImageProcessorPil",
            "do_convert_rgb": True,
            "include_top": False,
            "rescale_offset": False,
        }


@contextmanager
def _naming(place: str | Path) -> Iterator[None]:
    """Errors whose message begins with the model's folder or name, unless it is in it already."""
    try:
        yield
    except ValueError as error:
        if isinstance(error, InputError) and str(place) in str(error):
            raise
        raise InputError(str(error) if str(place) in str(error) else f"{place}: {error}") from error


def _checked_method(method: str) -> str:
    if method not in METHODS:
        raise InputError(f"unknown method {method!r}: choose one of {', '.join(METHODS)}")
    return method


def _check_options(record: dict[str, Any]) -> None:
    """Refuse options that give no pixels: wherever a processor comes from, a file, a call or another processor."""
    record_from(record)
    resized = flag(record, "do_resize", False)
    low: Any = record.get("percentile_low")
    high: Any = record.get("percentile_high")
    white: Any = record.get("full_scale")
    if not all(_is_number(value) for value in (low, high)) or not 0 <= low < high <= 100:
        raise InputError(f"percentiles {low!r} and {high!r}: need 0 <= low < high <= 100")
    if white is not None and not (_is_number(white) and white > 0):
        raise InputError(f"full_scale is {white!r}: pass the pixel value that is white, such as 4095")
    if resized:
        _fit(record.get("size"))
    resample = record.get("resample")
    if not isinstance(resample, int) or isinstance(resample, bool) or not 0 <= resample <= 5:
        raise InputError(f"resample is {resample!r}: 0 to 5, as Pillow numbers its filters")


_SIZES = ({"height", "width"}, {"shortest_edge"})


def _fit(size: Any) -> tuple[tuple[int, int], str]:
    """Height and width, and how an image is brought to them."""
    given = dict(size) if isinstance(size, Mapping) or hasattr(size, "shortest_edge") else {}
    sides = {name: side for name, side in given.items() if side is not None}
    whole = all(isinstance(side, int) and not isinstance(side, bool) and side > 0 for side in sides.values())
    if whole and sides.keys() == {"shortest_edge"}:
        return (sides["shortest_edge"],) * 2, "shortest"
    if whole and sides.keys() == {"height", "width"}:
        return (sides["height"], sides["width"]), "resize"
    raise InputError(
        f"size is {size!r}: height and width in pixels, 1 or more; or shortest_edge, which keeps the sides' ratio"
    )


def _numbers(value: Any) -> tuple[float, ...]:
    return tuple(map(float, value)) if isinstance(value, list | tuple) else (float(value),)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
