import subprocess
import sys

import numpy as np
import pytest
import torch
from transformers import AutoModel, ResNetConfig, ResNetModel, pipeline

from cytoimagenet_hf.networks import CytoFusionModel, MicroscopyImageProcessor, build_efficientnet
from cytoimagenet_hf.networks.records import record_of
from tests.closeness import assert_same_outputs, assert_same_weights

TINY = {"width_coefficient": 0.25, "depth_coefficient": 0.5}
IMAGENET = {"rescale_factor": 1 / 255, "image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
PIXELS = torch.rand(2, 3, 45, 52, generator=torch.Generator().manual_seed(0)) * 255


@pytest.fixture
def folders(tmp_path):
    """Two saved networks with different preprocessing: one of ours, one with ImageNet's."""
    first = build_efficientnet(3, seed=0, **TINY)
    first.save_pretrained(tmp_path / "cyto")
    MicroscopyImageProcessor().save_pretrained(tmp_path / "cyto")
    torch.manual_seed(0)
    second = ResNetModel(ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1])).eval()
    second.save_pretrained(tmp_path / "imagenet")
    MicroscopyImageProcessor(**IMAGENET).save_pretrained(tmp_path / "imagenet")
    return first.eval(), second, tmp_path / "cyto", tmp_path / "imagenet"


def test_each_backbone_gets_its_own_normalisation_and_outputs_stand_side_by_side(folders) -> None:
    first, second, *paths = folders
    fusion = CytoFusionModel.from_backbones(paths)
    mean, std = (torch.tensor(IMAGENET[name])[:, None, None] for name in ("image_mean", "image_std"))
    with torch.inference_mode():
        features = fusion(PIXELS).pooler_output
        expected = first.base_model(PIXELS / 255).pooler_output
        other = second((PIXELS / 255 - mean) / std).pooler_output.flatten(1)
    assert features.shape == (2, 320 + 16)
    torch.testing.assert_close(features[:, :320], expected)
    torch.testing.assert_close(features[:, 320:], other)
    assert record_of(fusion)["rescale_factor"] == 1.0


def test_one_from_pretrained(folders, tmp_path) -> None:
    fusion = CytoFusionModel.from_backbones(folders[2:])
    fusion.save_pretrained(tmp_path / "fusion")
    loaded = AutoModel.from_pretrained(tmp_path / "fusion")
    assert type(loaded) is CytoFusionModel
    assert_same_weights(loaded.state_dict(), fusion.state_dict())
    with torch.inference_mode():
        assert_same_outputs(loaded.eval()(PIXELS).pooler_output, fusion(PIXELS).pooler_output)


def test_loads_with_trusted_code_where_the_package_is_absent(folders, tmp_path) -> None:
    fusion = CytoFusionModel.from_backbones(folders[2:])
    fusion.save_pretrained(tmp_path / "fusion")
    np.save(tmp_path / "pixels.npy", PIXELS.numpy())
    code = """
import sys, numpy as np, torch
from transformers import AutoModel
model = AutoModel.from_pretrained(f"{sys.argv[1]}/fusion", trust_remote_code=True).eval()
with torch.inference_mode():
    features = model(torch.from_numpy(np.load(f"{sys.argv[1]}/pixels.npy"))).pooler_output
np.save(f"{sys.argv[1]}/features.npy", features.numpy())
assert not any(module.startswith("cytoimagenet_hf") for module in sys.modules)
"""
    environment = {"HF_HOME": str(tmp_path / "home"), "PATH": "", "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, capture_output=True, env=environment)
    with torch.inference_mode():
        assert_same_outputs(np.load(tmp_path / "features.npy"), fusion(PIXELS).pooler_output)


def test_fusions_without_a_known_preprocessing_are_refused() -> None:
    torch.manual_seed(0)
    resnet = ResNetModel(ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1]))
    with pytest.raises(ValueError, match="preprocessing"):
        CytoFusionModel.from_backbones([build_efficientnet(0, seed=0, **TINY), resnet])
    with pytest.raises(ValueError, match="at least one backbone"):
        CytoFusionModel.from_backbones([])


def test_pipeline_keeps_sixteen_bits(folders) -> None:
    first, _, path, _ = folders
    extract = pipeline("microscopy-feature-extraction", model=str(path))
    sixteen = np.random.default_rng(0).gamma(2.0, 300, (64, 80)).clip(0, 4095).astype(np.uint16)
    low, high = np.percentile(sixteen.astype(float), [0.1, 99.9])
    unit = np.clip((sixteen - low) / (high - low), 0, 1)
    with torch.inference_mode():
        expected = first.base_model(torch.tensor(unit, dtype=torch.float32).expand(1, 3, -1, -1)).pooler_output
    values = extract.preprocess([sixteen])["pixel_values"][0, 0].numpy()
    assert np.abs(values - unit).max() < 1e-3
    assert len(np.unique(values)) > 1000  # 8 bits would leave 256
    torch.testing.assert_close(extract([sixteen], return_tensors=True), expected, rtol=1e-4, atol=1e-7)
    two = extract([[sixteen, sixteen], [sixteen, sixteen]])
    assert [len(row) for row in two] == [640, 640]
    assert two[0][:320] == pytest.approx(expected[0].tolist(), rel=1e-3, abs=1e-7)
    assert len(extract(sixteen, method="merge-raw")) == 320
