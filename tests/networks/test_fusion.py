import re
import subprocess
import sys

import datasets
import numpy as np
import PIL.Image
import pytest
import tifffile
import torch
from transformers import AutoImageProcessor, AutoModel, ResNetConfig, ResNetModel, pipeline

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.networks import CytoFusionModel, MicroscopyImageProcessor, build_efficientnet
from cytoimagenet_hf.networks.records import record_of
from scripts.simulate.object_server import ObjectServer
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


def test_saved_fusions_bring_processor_card_and_code_and_name_no_folder(folders, tmp_path) -> None:
    fusion = CytoFusionModel.from_backbones(folders[2:])
    saved = tmp_path / "fusion"
    fusion.save_pretrained(saved)
    code = ["modeling_cyto_fusion.py"]
    assert [file.name for file in sorted(saved.glob("*.py"))] == code
    assert not re.search(r"^\s*(from|import) (cytoimagenet_hf|\.)", (saved / code[0]).read_text(), re.MULTILINE)
    for file in (*saved.glob("*.json"), saved / "README.md"):
        assert str(tmp_path) not in file.read_text(), file.name
    processor = AutoImageProcessor.from_pretrained(saved)
    values = processor(PIL.Image.fromarray(np.full((32, 32), 200, np.uint8)), return_tensors="pt")["pixel_values"]
    assert float(values.min()) == float(values.max()) == 200
    with torch.inference_mode():
        expected = fusion(values).pooler_output[0].tolist()
    stock = pipeline("image-feature-extraction", model=str(saved))
    assert stock(PIL.Image.fromarray(np.full((32, 32), 200, np.uint8)))[0] == pytest.approx(expected, abs=1e-4)
    (saved / "README.md").write_text("mine")
    MicroscopyImageProcessor(method="merge-norm", rescale_factor=1.0).save_pretrained(saved)
    fusion.save_pretrained(saved)
    assert (saved / "README.md").read_text() == "mine"
    assert MicroscopyImageProcessor.from_pretrained(saved).method == "merge-norm"


def test_the_stock_pipeline_gives_features_of_eight_bit_pictures(folders) -> None:
    first, _, path, _ = folders
    gray = np.random.default_rng(3).integers(0, 255, (40, 40), dtype=np.uint8)
    features = pipeline("image-feature-extraction", model=str(path), pool=True)(PIL.Image.fromarray(gray))
    with torch.inference_mode():
        expected = first.base_model(torch.tensor(gray / 255, dtype=torch.float32).expand(1, 3, -1, -1)).pooler_output
    assert features[0] == pytest.approx(expected[0].tolist(), abs=1e-5)


def test_any_batch_size_gives_a_row_per_image_whatever_the_sizes_and_channels(folders, tmp_path) -> None:
    extract = pipeline("microscopy-feature-extraction", model=str(folders[2]))
    rng = np.random.default_rng(1)
    shapes = [(1, 40, 40), (2, 40, 40), (1, 40, 40), (1, 36, 44), (2, 40, 40)]
    images = [rng.integers(0, 4000, shape).astype(np.uint16) for shape in shapes]
    single = [extract(image) for image in images]
    assert [len(row) for row in single] == [320, 640, 320, 320, 640]
    tifffile.imwrite(tmp_path / "one.tif", images[0][0])
    images[0] = str(tmp_path / "one.tif")
    for size in (1, 2, 5, 8):
        for given in (images, (image for image in images)):
            rows = list(extract(given, batch_size=size))
            assert [len(row) for row in rows] == [320, 640, 320, 320, 640]
            for row, expected in zip(rows, single, strict=True):
                assert row == pytest.approx(expected, abs=1e-4)


def test_a_column_of_a_dataset_gives_a_row_per_image(folders) -> None:
    extract = pipeline("microscopy-feature-extraction", model=str(folders[2]))
    gray = [PIL.Image.fromarray(np.full((40, 40), 9, np.uint8))] * 3
    rows = datasets.Dataset.from_dict({"image": gray}, features=datasets.Features({"image": datasets.Image()}))
    assert np.shape(extract(rows["image"])) == (3, 320)


def test_an_address_is_fetched_at_native_depth(tmp_path) -> None:
    sixteen = np.random.default_rng(2).integers(0, 60000, (2, 24, 24)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", sixteen, imagej=True)
    with ObjectServer.of_folder(tmp_path, "files") as server:
        values = MicroscopyImageProcessor()(f"{server.url}/files/a.tif", return_tensors="np")["pixel_values"]
        with pytest.raises(InputError, match=r"http://.*/b\.tif cannot be fetched: .*404"):
            MicroscopyImageProcessor()(f"{server.url}/files/b.tif")
    np.testing.assert_array_equal(values, MicroscopyImageProcessor()([sixteen], return_tensors="np")["pixel_values"])


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
    values = extract.preprocess([sixteen])["pixel_values"][0, 0].numpy()  # (1, 3, H, W)
    assert np.abs(values - unit).max() < 1e-3
    assert len(np.unique(values)) > 1000  # 8 bits would leave 256
    torch.testing.assert_close(extract([sixteen], return_tensors=True), expected, rtol=1e-4, atol=1e-7)
    two = extract([[sixteen, sixteen], [sixteen, sixteen]])
    assert [len(row) for row in two] == [640, 640]
    assert two[0][:320] == pytest.approx(expected[0].tolist(), rel=1e-3, abs=1e-7)
    assert len(extract(sixteen, method="merge-raw")) == 320
