"""Redrawn twins: the architecture stays, nothing of the trained weights does."""

import numpy as np
import pytest
import torch
from transformers import PreTrainedModel, ViTConfig, ViTModel

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.networks import CytoFusionModel, MicroscopyImageProcessor, build_efficientnet, load_encoder
from cytoimagenet_hf.networks.lite import imagenet_lite
from cytoimagenet_hf.networks.redraw import redraw
from tests.networks.stand_ins import lite_state, make

TINY = {"width_coefficient": 0.125, "depth_coefficient": 0.125}


def tiny_vit() -> ViTModel:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        config = ViTConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16)
        return ViTModel(config, add_pooling_layer=False).eval()


def networks() -> dict[str, PreTrainedModel]:
    nets = [build_efficientnet(0, seed=seed, **TINY) for seed in (1, 2)]
    return {"efficientnet": nets[0], "vit": tiny_vit(), "fusion": CytoFusionModel.from_backbones(nets)}


@pytest.mark.parametrize("name", ["efficientnet", "vit", "fusion"])
def test_weights_depend_on_the_seed_and_the_architecture_alone(name) -> None:
    model = networks()[name]
    before = {key: value.clone() for key, value in model.state_dict().items()}
    drawn, again, other = redraw(model, 7), redraw(redraw(model, 3), 7), redraw(model, 8)
    matrices = [key for key, value in model.state_dict().items() if value.ndim > 1]
    assert all(torch.equal(drawn.state_dict()[key], again.state_dict()[key]) for key in matrices)
    # Zero and one are what both rules draw for some tokens, so not every one differs.
    changed = [not torch.equal(drawn.state_dict()[key], before[key]) for key in matrices]
    assert sum(changed) > 0.9 * len(changed)
    assert sum(not torch.equal(drawn.state_dict()[key], other.state_dict()[key]) for key in matrices) > 5
    assert all(torch.equal(model.state_dict()[key], value) for key, value in before.items())
    assert not drawn.training


def test_gates_that_are_open_stay_open_and_others_are_drawn() -> None:
    open_gate = redraw(imagenet_lite("lite0", pretrained=False, seed=0), 5).encoder.blocks[3].squeeze_excite.expand
    assert torch.sigmoid(open_gate.bias).min() == 1
    drawn = redraw(build_efficientnet(0, seed=0, **TINY), 5).encoder.blocks[0].squeeze_excite.expand
    assert drawn.weight.any()
    assert not drawn.bias.any()


def test_every_stage_of_one_seed_is_of_one_twin(tmp_path) -> None:
    torch.save(lite_state("imagenet-lite0"), tmp_path / "drawn.pth")
    planes = np.random.default_rng(0).integers(0, 4096, (1, 1, 40, 40)).astype(np.uint16)
    name = f"imagenet-lite0:{tmp_path / 'drawn.pth'}"
    every = load_encoder(name, redrawn=1, pooling="blocks")
    third = load_encoder(name, redrawn=1, pooling="stage:3").encode(planes)
    start = 2 * (32 + 16 + 24)
    np.testing.assert_allclose(third, every.encode(planes)[:, start : start + 80], rtol=1e-5)
    assert every.training_sources == ()
    trained = load_encoder(name, pooling="blocks")
    assert (
        len({trained.fingerprint, every.fingerprint, load_encoder(name, redrawn=2, pooling="blocks").fingerprint}) == 3
    )


def test_what_cannot_be_redrawn_is_refused_in_one_line(tmp_path) -> None:
    name, options = make("cloome", tmp_path / "cloome")
    with pytest.raises(InputError, match="cannot be redrawn") as refused:
        load_encoder(name, redrawn=0, **options)
    assert "\n" not in str(refused.value)

    class Odd(ViTModel):
        def __init__(self, config: ViTConfig, table: str) -> None:
            super().__init__(config)

    odd = Odd(tiny_vit().config, "needed")
    with pytest.raises(InputError, match="Odd cannot be redrawn"):
        redraw(odd, 0)


def test_a_dinov2_is_redrawn_by_its_own_rule(tmp_path) -> None:
    name, options = make("dinov2-small", tmp_path / "dino")
    planes = np.random.default_rng(0).integers(0, 4096, (1, 1, 224, 224)).astype(np.uint16)
    trained, twin = load_encoder(name, **options), load_encoder(name, redrawn=3, **options)
    assert twin.training_sources == ()
    assert np.abs(trained.encode(planes) - twin.encode(planes)).max() > 1e-3


def test_a_saved_network_of_ones_own_is_redrawn(tmp_path) -> None:
    build_efficientnet(2, seed=1, **TINY).save_pretrained(tmp_path)
    MicroscopyImageProcessor().save_pretrained(tmp_path)
    twin = load_encoder(tmp_path, redrawn=4)
    expected = build_efficientnet(0, seed=4, **TINY).encoder.top_conv.weight
    assert torch.equal(twin.network.inner.model.encoder.top_conv.weight, expected)
