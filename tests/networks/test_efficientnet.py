import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from transformers import AutoModel, AutoModelForImageClassification, EfficientNetConfig
from transformers import EfficientNetForImageClassification as Stock

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.networks import build_efficientnet, prepare_for_training, reestimate_batch_norm
from cytoimagenet_hf.networks.efficientnet import StochasticDepth
from tests.closeness import assert_same_outputs, assert_same_weights
from tests.networks.stand_ins import TINY

LESS_STRIDE = {"strides": [1, 2, 2, 1, 1, 1, 1]}  # 32 px images keep a 4 x 4 map at the end, as 128 px ones would


def four_classes(count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Stripes across, stripes down, one blob, noise: 32 x 32 gray images in [0, 1], (N, 3, 32, 32)."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:32, :32]
    images, labels = [], []
    for item in range(count):
        label = item % 4
        phase, period = rng.uniform(0, 6), rng.uniform(4, 7)
        centre = rng.uniform(10, 22, 2)
        drawn = [
            np.sin(2 * np.pi * rows / period + phase),
            np.sin(2 * np.pi * columns / period + phase),
            3 * np.exp(-((rows - centre[0]) ** 2 + (columns - centre[1]) ** 2) / 40) - 1,
            rng.normal(size=(32, 32)),
        ][label]
        images.append(0.5 + 0.25 * drawn + 0.05 * rng.normal(size=(32, 32)))
        labels.append(label)
    stacked = torch.tensor(np.stack(images), dtype=torch.float32)[:, None].repeat(1, 3, 1, 1)
    return stacked, torch.tensor(labels)


def fit_and_score(model: Stock) -> float:
    """Train for 80 steps, re-estimate the statistics, and return the accuracy on new images in evaluation mode."""
    images, labels = four_classes(256, seed=1)
    optimiser = torch.optim.Adam(model.parameters(), lr=5e-3)
    schedule = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.0, total_iters=80)
    generator = torch.Generator().manual_seed(0)
    model.train()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for _ in range(80):
            rows = torch.randint(len(images), (32,), generator=generator)
            optimiser.zero_grad()
            model(pixel_values=images[rows], labels=labels[rows]).loss.backward()
            optimiser.step()
            schedule.step()
    reestimate_batch_norm(model, images.split(64))
    model.eval()
    unseen, truth = four_classes(128, seed=2)
    with torch.no_grad():
        return float((model(pixel_values=unseen).logits.argmax(1) == truth).float().mean())


def test_fits_a_toy_set_in_evaluation_mode_where_the_stock_initialisation_stays_at_chance() -> None:
    ours = build_efficientnet(4, seed=0, **TINY, **LESS_STRIDE)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        stock = Stock(EfficientNetConfig(**(ours.config.to_diff_dict() | {"batch_norm_momentum": 0.99})))
    assert fit_and_score(ours) > 0.9
    assert fit_and_score(stock) < 0.35  # chance is 0.25; 128 images: ±0.08


def test_initial_weights_have_the_variances_of_keras() -> None:
    model = build_efficientnet(894, seed=3)
    convolutions = [module for module in model.modules() if isinstance(module, nn.Conv2d)]
    assert len(convolutions) == 81
    large = [module for module in convolutions if module.weight.numel() > 20_000]
    assert len(large) > 30
    for module in large:
        fan_out = module.out_channels * module.kernel_size[0] * module.kernel_size[1] // module.groups
        assert module.weight.var().item() == pytest.approx(2 / fan_out, rel=0.05)
        assert module.weight.abs().max().item() <= 2 * (2 / fan_out) ** 0.5 / 0.8796 + 1e-6
    assert model.classifier.weight.var().item() == pytest.approx(1 / (3 * 894), rel=0.02)
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    assert len(norms) == 49
    assert all((norm.weight == 1).all() and (norm.bias == 0).all() for norm in norms)


def test_every_batch_norm_has_the_right_momentum_and_every_branch_drops_whole_images() -> None:
    model = build_efficientnet(2, seed=0)
    assert {module.momentum for module in model.modules() if isinstance(module, _BatchNorm)} == {0.01}
    assert len([name for name, _ in model.named_modules() if name.endswith("expand_bn")]) == 15
    rates = [block.projection.dropout.p for block in model.efficientnet.encoder.blocks]
    assert rates == pytest.approx([0.2 * block / 16 for block in range(16)])


def test_stochastic_depth_drops_images_and_keeps_the_mean() -> None:
    drop = StochasticDepth(0.25).train()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        out = drop(torch.ones(4000, 2, 3, 3))
    per_image = out.flatten(1)
    assert (per_image == per_image[:, :1]).all()
    assert {round(value, 4) for value in per_image[:, 0].unique().tolist()} == {0.0, 1.3333}
    assert out.mean().item() == pytest.approx(1.0, abs=0.03)
    assert torch.equal(drop.eval()(out), out)


def test_checkpoint_is_stock_and_a_loaded_one_can_be_prepared_again(tmp_path) -> None:
    model = build_efficientnet(3, seed=5, labels=["actin", "dmso", "yeast"], **TINY).eval()
    model.save_pretrained(tmp_path)
    assert not list(tmp_path.glob("*.py"))
    pixels = torch.rand(2, 3, 45, 51, generator=torch.Generator().manual_seed(0))
    loaded = AutoModelForImageClassification.from_pretrained(tmp_path, trust_remote_code=False).eval()
    backbone = AutoModel.from_pretrained(tmp_path, trust_remote_code=False).eval()
    with torch.no_grad():
        assert_same_outputs(loaded(pixels).logits, model(pixels).logits)
        assert_same_outputs(backbone(pixels).pooler_output, model.efficientnet(pixels).pooler_output)
    assert_same_weights(loaded.state_dict(), model.state_dict())
    assert_same_weights(backbone.state_dict(), model.efficientnet.state_dict())
    assert loaded.config.label2id == {"actin": 0, "dmso": 1, "yeast": 2}
    prepare_for_training(loaded)
    prepare_for_training(loaded)
    assert {module.momentum for module in loaded.modules() if isinstance(module, _BatchNorm)} == {0.01}
    assert all(isinstance(b.projection.dropout, StochasticDepth) for b in loaded.efficientnet.encoder.blocks)


def test_seed_decides_the_weights_and_the_global_generator_is_left_alone() -> None:
    before = torch.random.get_rng_state()
    first, same, other = (build_efficientnet(2, seed=seed, **TINY).state_dict() for seed in (1, 1, 2))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(torch.equal(first[name], same[name]) for name in first)
    assert not torch.equal(first["classifier.weight"], other["classifier.weight"])
    headless = build_efficientnet(0, seed=1, **TINY).state_dict()
    assert all(torch.equal(headless[name], first[f"efficientnet.{name}"]) for name in headless)


def test_reestimated_statistics_are_those_of_the_data_and_modes_come_back() -> None:
    model = build_efficientnet(2, seed=0, **TINY)
    model.efficientnet.encoder.blocks[1].eval()
    modes = [module.training for module in model.modules()]
    images = torch.rand(48, 3, 32, 32, generator=torch.Generator().manual_seed(0)) + 5
    assert reestimate_batch_norm(model, [{"pixel_values": part} for part in images.split(16)]) == 3
    assert [module.training for module in model.modules()] == modes
    assert {module.momentum for module in model.modules() if isinstance(module, _BatchNorm)} == {0.01}
    stem = model.efficientnet.embeddings
    with torch.no_grad():
        expected = stem.convolution(stem.padding(images)).mean((0, 2, 3))
    torch.testing.assert_close(stem.batchnorm.running_mean, expected, rtol=1e-4, atol=1e-4)


def test_reestimating_from_nothing_is_refused_and_changes_nothing() -> None:
    model = build_efficientnet(2, seed=0, **TINY)
    model.efficientnet.embeddings.batchnorm.running_mean.fill_(3.0)
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(InputError, match="no batch"):
        reestimate_batch_norm(model, [])
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize(
    ("num_labels", "labels"), [(-1, None), (2, ["a"]), (2, ["a", "a"])], ids=["negative", "too few", "twice"]
)
def test_wrong_labels_are_refused(num_labels, labels) -> None:
    with pytest.raises(InputError):
        build_efficientnet(num_labels, seed=0, labels=labels, **TINY)


def test_wider_and_deeper_configurations_build() -> None:
    b1 = build_efficientnet(0, seed=0, depth_coefficient=1.1)
    assert len(b1.encoder.blocks) == 23
    b2 = build_efficientnet(0, seed=0, width_coefficient=1.1, depth_coefficient=1.2)
    assert b2.config.hidden_dim == 1408
