"""The image processor for raw microscopy: channels of any bit depth in, `pixel_values` out (paper §2.2).

Four methods: channels are concatenated (each one a gray image of its own, features side by side) or merged (their
mean), with or without percentile normalisation. What follows — the factor, mean and deviation that the weights were
trained with — comes from the weights' own `preprocessor_config.json`. The file it writes is at the same time a stock
configuration, so that plain `AutoImageProcessor` gives the right numbers for 8-bit pictures without this package.
"""

import math
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import PIL.Image
import torch
from transformers import BatchFeature, PreTrainedModel
from transformers.image_processing_backends import PilBackend
from transformers.image_utils import PILImageResampling, SizeDict
from transformers.processing_utils import ImagesKwargs

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.imaging import normalize, to_gray

from .channels import as_channels, split_batch
from .lite import LITE_RECORD, is_lite
from .loading import input_errors
from .records import flag, read_processor, record_from, record_of

METHODS = ("concat-norm", "concat-raw", "merge-norm", "merge-raw")
"""{concatenate, merge} x {percentile-normalise each channel, not}; the paper's best is the first."""

Plane = npt.NDArray[np.float32]

_REMOTE = "remote_processor"
_OWN = (
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
    percentile_low: float | None
    percentile_high: float | None
    full_scale: float | None
    axes: str | None


class MicroscopyImageProcessor(PilBackend):
    """Channels of any dtype to `pixel_values`, at native size unless `do_resize`.

    An image is a list of (H, W) channels, a (C, H, W) or (H, W, C) array, a PIL image or the path of a file whose
    metadata say which of its planes are channels (`axes="C"` where they do not); a list of images is a batch. Under
    `concat-*` every channel is one input of the network: C channels give `pixel_values` of (C, 3, H, W), and
    `join_channels` puts the features of a batch side by side.

    Args:
        method: one of `METHODS`.
        **kwargs: the other options: `percentile_low`, `percentile_high`, `full_scale`, `do_resize` with `size`
            (bilinear, as trained), and `rescale_factor`, `image_mean`, `image_std` of the weights.

    Raises:
        InputError: an unknown method, or an image that cannot be used.

    Example:
        >>> processor = MicroscopyImageProcessor(method="concat-norm")
        >>> dna = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64)
        >>> processor([dna, 4095 - dna], return_tensors="pt")["pixel_values"].shape
        torch.Size([2, 3, 64, 64])
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
        _check_own(self.record())

    def planes(self, image: Any, **options: Any) -> list[Plane]:
        """The inputs of the network for one image, before the weights' own scaling.

        Args:
            image: see the class.
            **options: override the processor's own for this call (`method`, `full_scale`, `do_resize`, …).

        Returns:
            One float32 (H, W) in [0, 255] per channel, or a single one when channels are merged.
        """
        option = {name: options.get(name, getattr(self, name)) for name in self._valid_kwargs_names}
        how, scaling = _checked_method(option["method"]).split("-")
        channels = as_channels(image, channels_axis=option["input_data_format"], axes=option["axes"])
        if scaling == "norm":
            low, high = option["percentile_low"], option["percentile_high"]
            unit = [normalize(to_gray(channel), low, high) for channel in channels]
        else:
            unit = [_by_full_scale(channel, option["full_scale"]) for channel in channels]
        if how == "merge":
            unit = [np.asarray(np.mean(unit, axis=0, dtype=np.float64), dtype=np.float32)]
        planes = [plane * np.float32(255) for plane in unit]
        if option["do_resize"]:
            planes = [_resize(plane, option["size"], option["resample"]) for plane in planes]
        return planes

    def to_pixel_values(self, planes: torch.Tensor, **options: Any) -> torch.Tensor:
        """Gray planes (N, H, W) in [0, 255] as the weights want them: (N, 3, H, W) float32, on the planes' device."""
        option = {name: options.get(name, getattr(self, name)) for name in self._valid_kwargs_names}
        values = planes[:, None].float()  # (N, 1, H, W)
        if option["do_rescale"]:
            values = values * option["rescale_factor"]
        if option["do_normalize"]:
            mean, std = (_per_colour(option[name], values.device) for name in ("image_mean", "image_std"))
            return (values - mean) / std
        return values.repeat(1, 3, 1, 1)

    def join_channels(self, features: torch.Tensor, channels: int) -> torch.Tensor:
        """Features of the planes of a batch, (B * C, D), as one row per image, (B, C * D), in channel order."""
        if features.shape[0] % channels:
            raise InputError(f"{features.shape[0]} rows of features are not a multiple of {channels} channels")
        return features.reshape(features.shape[0] // channels, channels * features.shape[1])

    def record(self) -> dict[str, Any]:
        """The options that decide a pixel's value, as JSON values."""
        own = {name: value for name, value in super().to_dict().items() if name in _OWN}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in own.items()}

    def _preprocess_image_like_inputs(self, images: Any, *args: Any, **kwargs: Any) -> BatchFeature:
        planes = [plane for image in split_batch(images) for plane in self.planes(image, **kwargs)]
        values = [self.to_pixel_values(torch.from_numpy(plane)[None], **kwargs)[0].numpy() for plane in planes]
        shapes = {value.shape[1:] for value in values}
        if kwargs.get("return_tensors") and len(shapes) > 1:
            raise InputError(
                f"images of sizes {sorted(shapes)} do not stack: pass one at a time, set do_resize=True, or use "
                "features.extract_features, which batches equal sizes together"
            )
        return BatchFeature({"pixel_values": values}, tensor_type=kwargs.get("return_tensors"))

    @classmethod
    def from_dict(cls, image_processor_dict: dict[str, Any], **kwargs: Any) -> Any:
        """From the content of a `preprocessor_config.json`: this package's, or a stock one's record of the weights."""
        if "method" in image_processor_dict:
            own = {name: image_processor_dict[name] for name in _OWN if name in image_processor_dict}
        else:
            with input_errors():
                own = record_from(image_processor_dict)
            trained = image_processor_dict.get("size")
            if isinstance(trained, Mapping) and {"height", "width"} <= trained.keys():
                own["size"] = dict(trained)  # used by whoever sets do_resize
        return super().from_dict(own, **kwargs)

    @classmethod
    def get_image_processor_dict(
        cls, pretrained_model_name_or_path: str | Path, **kwargs: Any
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """What the file beside a model says; a damaged one is an `InputError` that names it."""
        with input_errors(pretrained_model_name_or_path):
            found = read_processor(pretrained_model_name_or_path, revision=kwargs.get("revision"))
            if found is not None:
                cls.from_dict(found)
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
        with input_errors(place):
            found = read_processor(place, revision=revision) if place else None
            if found is not None:
                return cls.from_dict(found, **options)
            if isinstance(model, str | Path):
                raise InputError(f"{place} has no image processor (preprocessor_config.json)")
            return cls(**record_of(model, revision=revision), **options)

    def save_pretrained(self, save_directory: str | Path, push_to_hub: bool = False, **kwargs: Any) -> list[str]:
        """Write `preprocessor_config.json`, and the module that `trust_remote_code=True` loads."""
        Path(save_directory).mkdir(parents=True, exist_ok=True)
        module = shutil.copy(Path(__file__).with_name(f"{_REMOTE}.py"), save_directory)
        return [*super().save_pretrained(save_directory, push_to_hub=push_to_hub, **kwargs), module]

    def to_dict(self) -> dict[str, Any]:
        """This processor as a configuration that the stock EfficientNet processor reads too.

        The stock reader takes the names it knows. `do_convert_rgb` lets gray pictures in, `include_top` would divide
        by the deviation once more, and bilinear is what the weights were trained with where its own default differs.
        """
        own = super().to_dict()
        own["auto_map"] = {"AutoImageProcessor": f"{_REMOTE}.MicroscopyImageProcessor"}
        return own | {
            "image_processor_type": "EfficientNetImageProcessorPil",
            "do_convert_rgb": True,
            "include_top": False,
            "rescale_offset": False,
        }


def _checked_method(method: str) -> str:
    if method not in METHODS:
        raise InputError(f"unknown method {method!r}: choose one of {', '.join(METHODS)}")
    return method


def _check_own(record: dict[str, Any]) -> None:
    """Refuse options that give no pixels: wherever a processor comes from, a file, a call or another processor."""
    with input_errors():
        record_from(record)
        resized = flag(record, "do_resize", False)
    low: Any = record.get("percentile_low")
    high: Any = record.get("percentile_high")
    white: Any = record.get("full_scale")
    if not all(_is_number(value) for value in (low, high)) or not 0 <= low < high <= 100:
        raise InputError(f"percentiles {low!r} and {high!r}: need 0 <= low < high <= 100")
    if white is not None and not (_is_number(white) and white > 0):
        raise InputError(f"full_scale is {white!r}: pass the pixel value that is white, such as 4095")
    size = record.get("size")
    sides = [size.get(name) for name in ("height", "width")] if isinstance(size, Mapping) else [None]
    if resized and not all(isinstance(side, int) and not isinstance(side, bool) and side > 0 for side in sides):
        raise InputError(f"size is {size!r}: height and width in pixels, 1 or more")
    resample = record.get("resample")
    if not isinstance(resample, int) or isinstance(resample, bool) or not 0 <= resample <= 5:
        raise InputError(f"resample is {resample!r}: 0 to 5, as Pillow numbers its filters")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _by_full_scale(channel: npt.NDArray[Any], full_scale: float | None) -> Plane:
    """[0, 1] by the range of the dtype, or of what the caller knows about the camera."""
    if full_scale is None:
        full_scale = float(np.iinfo(channel.dtype).max) if channel.dtype.kind in "ui" else 1.0
    unit = (to_gray(channel).astype(np.float64) / full_scale).astype(np.float32)
    if unit.min() < 0 or unit.max() > 1:
        raise InputError(
            f"pixels from {channel.min()} to {channel.max()} leave 0 … {full_scale:g}: pass full_scale=, "
            "or use a method that normalises"
        )
    return unit


def _resize(plane: Plane, size: SizeDict | dict[str, int], resample: int) -> Plane:
    """Through Pillow's float mode: the stock filter without its detour over 8 bits."""
    height, width = size["height"], size["width"]
    resized = PIL.Image.fromarray(plane, mode="F").resize((width, height), PIL.Image.Resampling(int(resample)))
    return np.array(resized)


def _per_colour(values: float | Sequence[float], device: torch.device) -> torch.Tensor:
    given = torch.as_tensor(values, dtype=torch.float32, device=device).reshape(-1)
    return given.expand(3)[:, None, None]  # (3, 1, 1)
