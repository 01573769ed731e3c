"""Our own networks as encoders: features equal to those of the processor and the network, whatever the record says."""

import numpy as np
import pytest
import torch

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.features import extract_features
from cytoimagenet_hf.networks import METHODS, Encoder, MicroscopyImageProcessor, build_efficientnet, load_encoder
from cytoimagenet_hf.networks.pooling import EXTRACTION, image_features
from tests.networks.stand_ins import IMAGENET, TINY, settled

RNG = np.random.default_rng(11)
PLANES = RNG.gamma(2.0, 300, (2, 3, 61, 83)).clip(0, 4095).astype(np.uint16)  # two images of three channels


def saved(folder, **processor):
    model = settled(build_efficientnet(3, seed=0, **TINY))
    model.save_pretrained(folder)
    MicroscopyImageProcessor(**processor).save_pretrained(folder)
    return model.base_model


def by_processor(network, image, **options) -> np.ndarray:
    """What the image processor and the network give, without encoders."""
    processor = MicroscopyImageProcessor(**options)
    values = processor(list(image), return_tensors="pt")["pixel_values"]
    with torch.inference_mode():
        return image_features(network, values).numpy().ravel()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("record", [{}, IMAGENET], ids=["ours", "imagenet"])
@pytest.mark.parametrize(
    "more",
    [
        {},
        {"full_scale": 4095.0},
        {"do_resize": True, "size": {"height": 40, "width": 56}, "percentile_low": 1.0, "percentile_high": 98.0},
        {"do_normalize": False, "rescale_factor": 1 / 127.5},
    ],
    ids=["plain", "full scale", "resized", "no mean"],
)
def test_features_are_those_of_the_processor(tmp_path, method, record, more) -> None:
    network = saved(tmp_path, method=method, **record, **more)
    encoder = load_encoder(tmp_path)
    processor = MicroscopyImageProcessor(method=method, **record, **more)
    given = processor(list(PLANES[0]), return_tensors="pt")["pixel_values"].flatten(0, -4)  # (C, 3, H, W)
    taken = []
    encoder.network.inner.register_forward_pre_hook(lambda _, arguments: taken.append(arguments[0]))
    features = encoder.encode(PLANES)
    torch.testing.assert_close(taken[0][: len(given)], given, rtol=1e-6, atol=1e-6)
    expected = np.stack([by_processor(network, image, method=method, **record, **more) for image in PLANES])
    assert np.abs(expected).max() > 0.1
    # What a random network makes of a difference in the last bit of a pixel.
    np.testing.assert_allclose(features, expected, atol=1e-4 * np.abs(expected).max())
    assert expected.shape[1] == encoder.facts.dim * (1 if method.startswith("merge") else 3)


def test_method_and_full_scale_can_be_asked_for(tmp_path) -> None:
    network = saved(tmp_path)
    features = load_encoder(tmp_path, method="merge-raw", full_scale=4095.0).encode(PLANES[:1])
    expected = by_processor(network, PLANES[0], method="merge-raw", full_scale=4095.0)
    np.testing.assert_allclose(features[0], expected, atol=1e-4 * np.abs(expected).max())
    unscaled = load_encoder(tmp_path, normalize="none", full_scale=4095.0)
    expected = by_processor(network, PLANES[0], method="concat-raw", full_scale=4095.0)
    np.testing.assert_allclose(unscaled.encode(PLANES[:1])[0], expected, atol=1e-4 * np.abs(expected).max())


def test_ranges_of_a_plate_replace_the_percentiles_of_each_image(tmp_path) -> None:
    network = saved(tmp_path)
    encoder = load_encoder(tmp_path, normalize="plate")
    ranges = {"dna": (100.0, 1100.0), "er": (0.0, 4095.0), "actin": (50.0, 51.0)}
    units = encoder.units(list(PLANES[0]), stains=["dna", "er", "actin"], ranges=ranges)
    bounds = np.array([ranges[stain] for stain in ("dna", "er", "actin")])[:, :, None, None]
    expected = np.clip((PLANES[0] - bounds[:, 0]) / (bounds[:, 1] - bounds[:, 0]), 0, 1)
    np.testing.assert_allclose(np.concatenate(units), expected, atol=1e-6)
    with torch.inference_mode():
        whole = image_features(network, torch.from_numpy(expected).float()[:, None].expand(-1, 3, -1, -1)).numpy()
        vectors = encoder.network(torch.from_numpy(np.stack(units))).numpy()
    np.testing.assert_allclose(vectors, whole, atol=1e-4 * np.abs(whole).max())
    with pytest.raises(InputError, match="needs the pixel ranges"):
        encoder.units(list(PLANES[0]), stains=["dna", "er", "actin"])
    with pytest.raises(InputError, match="no range for the stain rna"):
        encoder.units(list(PLANES[0]), stains=["dna", "er", "rna"], ranges=ranges)


def test_an_encoder_knows_itself(tmp_path) -> None:
    saved(tmp_path)
    first, same, other = load_encoder(tmp_path), load_encoder(tmp_path), load_encoder(tmp_path, full_scale=4095.0)
    assert first.fingerprint == same.fingerprint != other.fingerprint
    assert first.fingerprint != load_encoder("random:1").fingerprint
    assert first.facts.dim == 320
    assert not first.network.training
    as_protocol: Encoder = first
    assert as_protocol.training_sources is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"full_scale": 0.0}, "full_scale is 0"),
        ({"method": "concat"}, "method is .*choose one of concat-norm"),
        ({"nosuch": 1}, "no field 'nosuch'"),
        ({"normalize": "both"}, "choose one of image, plate, gain, none"),
        ({"pooling": "max"}, "choose last, blocks"),
        ({"size": 0}, "from 1 to 8192"),
    ],
)
def test_wrong_options_are_refused(options, message) -> None:
    with pytest.raises(InputError, match=message):
        load_encoder("random:0", **options)


def test_pooling_of_stages(tmp_path) -> None:
    network = saved(tmp_path)
    plane = PLANES[:1, :1]
    values = torch.from_numpy(MicroscopyImageProcessor()(list(plane[0]), return_tensors="np")["pixel_values"])
    with torch.inference_mode():
        output = network(pixel_values=values, output_hidden_states=True)
    blocks = load_encoder(tmp_path, pooling="blocks")
    widths = []
    for state in output.hidden_states:
        if not widths or widths[-1] != state.shape[1]:
            widths.append(state.shape[1])
    assert blocks.facts.dim == 2 * sum(widths)
    last = output.hidden_states[-1]
    np.testing.assert_allclose(
        blocks.encode(plane)[0, -2 * widths[-1] : -widths[-1]], last.mean((2, 3))[0].numpy(), rtol=1e-4, atol=1e-6
    )


def test_weights_say_how_their_features_are_taken_and_the_caller_may_choose(tmp_path):
    model = settled(build_efficientnet(0, seed=0, **TINY))
    model.config.extraction = dict(EXTRACTION)
    model.save_pretrained(tmp_path)
    MicroscopyImageProcessor().save_pretrained(tmp_path)
    default, plain = load_encoder(tmp_path), load_encoder(tmp_path, pooling="last", pixels=False)
    assert (default.facts.pixels, plain.facts.pixels) == (True, False)
    assert (default.facts.scale, plain.facts.scale) == ("gain", "percentile")
    assert load_encoder(tmp_path, normalize="image").facts.scale == "percentile"
    assert load_encoder(tmp_path, method="concat-raw").facts.scale == "dtype"
    assert load_encoder(tmp_path, pooling="blocks", pixels=False).fingerprint != plain.fingerprint
    assert 0 < default.facts.dim < plain.facts.dim
    with torch.inference_mode():
        maps = model(pixel_values=torch.ones(1, 3, 32, 32), output_hidden_states=True).hidden_states
    assert default.facts.dim == 2 * maps[1].shape[1]  # behind the stem
    features = default.encode(PLANES)
    assert features.shape == (2, 3 * default.facts.dim + 3 * 24 + 3 * 16)
    by_network = extract_features(load_encoder(tmp_path), list(PLANES), ids=["a", "b"])
    np.testing.assert_allclose(by_network.values, features, rtol=1e-4, atol=1e-5)
    by_model = extract_features(model, list(PLANES), ids=["a", "b"], processor=MicroscopyImageProcessor())
    np.testing.assert_allclose(by_model.values, features, rtol=1e-4, atol=1e-5)
