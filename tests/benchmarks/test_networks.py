"""Networks of several families, tiny and untrained, through every task with images: names in, one record out."""

import pytest
import torch
from transformers import ViTConfig, ViTModel

from cytoimagenet_hf.options.networks import EncoderOptions
from tests.networks.stand_ins import make

FAMILIES = ("own", "dinov2-small", "timm")


@pytest.mark.parametrize("family", [*FAMILIES, "vit"])
def test_a_random_network_runs_through_all_simulated_tasks(record_of, tmp_path, family):
    if family == "timm":
        pytest.importorskip("timm", reason="needs timm, and torchvision, which it imports", exc_type=ImportError)
    if family == "vit":
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            config = ViTConfig(hidden_size=24, num_hidden_layers=1, num_attention_heads=2, image_size=32, patch_size=8)
            ViTModel(config, add_pooling_layer=False).save_pretrained(tmp_path / "vit")
        (tmp_path / "vit" / "preprocessor_config.json").write_text(
            '{"image_processor_type": "ViTImageProcessor", "size": {"height": 32, "width": 32}, "do_normalize": true, '
            '"rescale_factor": 0.00392156862745098, "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}'
        )
        spec = str(tmp_path / "vit")
    else:
        spec, _ = make(family, tmp_path / "network")
    options = EncoderOptions(full_scale=65535.0 if family == "own" else None)
    record = record_of("bbbc021", "coos7", "cyclops", models=(f"net={spec}",), options=options)
    assert [score.set for score in record.scores] == [
        *("bbbc021", "coos7/test1", "coos7/test2", "coos7/test3", "coos7/test4", "cyclops")
    ]
    assert {score.entry for score in record.scores} == {"net"}
    assert all(0 <= score.value <= 1 for score in record.scores)
    assert record.entries[0].about["options"] == options.given()
    assert record.scores[0].details["published_scaler"]["scaler"] == "all"
