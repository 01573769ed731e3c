"""Push a model, a fusion and a metric, and load them again by name with the real clients over HTTP."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from cytoimagenet_hf.dataset.cards import ModelFacts, model_card
from cytoimagenet_hf.dataset.cards.facts import write_model_card
from cytoimagenet_hf.dataset.hub import rename_card
from cytoimagenet_hf.metrics import METRICS, metric_path
from cytoimagenet_hf.networks import CytoFusionModel, MicroscopyImageProcessor, build_efficientnet
from tests.closeness import assert_same_outputs, assert_same_weights

TINY = {"width_coefficient": 0.25, "depth_coefficient": 0.25}
PIXELS = np.arange(3 * 32 * 32, dtype=np.float32).reshape(1, 3, 32, 32) % 251
RUN = """
import json, numpy as np, torch
from safetensors.torch import save_file
from transformers import AutoModel
model = AutoModel.from_pretrained({name!r}, **{options!r}).eval()
with torch.no_grad():
    features = model(pixel_values=torch.from_numpy(np.load("pixels.npy"))).pooler_output
np.save("features.npy", features.numpy())
save_file(model.state_dict(), "weights.safetensors")
"""


@pytest.fixture(autouse=True)
def pixels(tmp_path, monkeypatch):
    """Pixels of both sides in one file, and one thread each: two would only wait for each other."""
    np.save(tmp_path / "pixels.npy", PIXELS)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("HF_MODULES_CACHE", str(tmp_path / "modules"))


def features_of(model):
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.no_grad():
            return model.eval()(pixel_values=torch.from_numpy(PIXELS)).pooler_output.numpy()
    finally:
        torch.set_num_threads(threads)


def saved(model, processor, folder):
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    card = model_card(ModelFacts(folder.name, type(model).__name__, processor.record()))
    (folder / "README.md").write_text(card)
    return folder


def test_a_pushed_model_gives_the_same_features_and_brings_its_processor(hub, client, push, tmp_path):
    model = build_efficientnet(0, seed=3, **TINY)
    processor = MicroscopyImageProcessor(method="merge-norm", image_std=[0.5, 0.5, 0.5])
    folder = saved(model, processor, tmp_path / "b0")
    push("model", folder, "me/b0", "--tag", "v1")
    assert hub.repositories["models", "me/b0"].private
    assert {"config.json", "model.safetensors", "preprocessor_config.json", "README.md"} <= set(
        hub.files("models", "me/b0")
    )
    processors = """
from transformers import AutoImageProcessor
stock = AutoImageProcessor.from_pretrained("me/b0")
from cytoimagenet_hf.networks import MicroscopyImageProcessor
own = MicroscopyImageProcessor.from_pretrained("me/b0", revision="v1")
channels = [np.arange(64, dtype=np.uint16).reshape(8, 8) * 60, np.eye(8, dtype=np.uint16)]
values = own(channels, return_tensors="np")["pixel_values"]
print(json.dumps([type(stock).__name__, own.method, own.record()["image_std"], values.shape]))
"""
    printed = client(RUN.format(name="me/b0", options={}) + processors)
    stock, method, std, shape = json.loads(printed.splitlines()[-1])
    assert_same_outputs(np.load(tmp_path / "features.npy"), features_of(model))
    assert_same_weights(load_file(tmp_path / "weights.safetensors"), model.state_dict())
    assert stock.startswith("EfficientNetImageProcessor")
    assert (method, std) == ("merge-norm", [0.5] * 3)
    assert shape == [1, 3, 8, 8]


def test_a_pushed_fusion_loads_by_name_with_the_package_or_with_the_code_it_brings(client, push, tmp_path):
    fusion = CytoFusionModel.from_backbones([build_efficientnet(0, seed=seed, **TINY) for seed in (0, 1)])
    folder = saved(fusion, MicroscopyImageProcessor.for_model(fusion), tmp_path / "fusion")
    push("model", folder, "me/fusion")
    expected = features_of(fusion)
    assert expected.shape == (1, 640)
    client("import cytoimagenet_hf.networks\n" + RUN.format(name="me/fusion", options={}))
    assert_same_outputs(np.load(tmp_path / "features.npy"), expected)
    assert_same_weights(load_file(tmp_path / "weights.safetensors"), fusion.state_dict())
    (tmp_path / "features.npy").unlink()
    client(RUN.format(name="me/fusion", options={"trust_remote_code": True}))
    assert_same_outputs(np.load(tmp_path / "features.npy"), expected)
    assert_same_weights(load_file(tmp_path / "weights.safetensors"), fusion.state_dict())


def test_branch_message_and_pull_request_go_with_the_push_and_the_card_names_the_repository(
    hub, push, client, tmp_path
):
    model = build_efficientnet(0, seed=3, **TINY)
    folder = tmp_path / "one"
    model.save_pretrained(folder)
    MicroscopyImageProcessor().save_pretrained(folder)
    write_model_card(folder)
    edited = (folder / "README.md").read_text() + "\nA word of mine about one.\n"
    (folder / "README.md").write_text(edited)
    push("model", folder, "me/b0", "--revision", "dev", "--message", "First weights")
    repository = hub.repositories["models", "me/b0"]
    assert repository.revisions["main"] == {}
    assert repository.messages == ["First weights"]
    sent = repository.revisions["dev"]["README.md"].decode()
    assert {"LICENSE.md", "model.safetensors"} <= repository.revisions["dev"].keys()
    assert sent == (folder / "README.md").read_text() == rename_card(edited, "me/b0")
    assert '"one"' not in sent
    assert "\n# me/b0\n" in sent
    assert sent.endswith("A word of mine about one.\n")
    push("model", folder, "you/b1", "--pr")
    assert hub.repositories["models", "you/b1"].revisions["main"] == {}
    assert 'from_pretrained("you/b1")' in hub.files("models", "you/b1", "refs/pr/1")["README.md"].decode()
    code, errors = client("cytoimagenet_hf", "push", "model", folder, "me/b0", "--pr", "--tag", "v1", check=False)
    assert code == 2
    assert "leave out --tag or --pr" in errors


def test_a_refused_push_leaves_the_card_as_it_was(hub, client, tmp_path):
    folder = saved(build_efficientnet(0, seed=3, **TINY), MicroscopyImageProcessor(), tmp_path / "b0")
    before = (folder / "README.md").read_bytes()
    hub.faults.stale = True
    code, errors = client("cytoimagenet_hf", "push", "model", folder, "me/b0", check=False)
    assert (code, "push again" in errors) == (2, True)
    assert (folder / "README.md").read_bytes() == before


def test_pushed_metrics_load_by_name_and_score(hub, client, push):
    for name in METRICS:
        push("metric", metric_path(name), f"me/{name}")
        assert hub.repositories["spaces", f"me/{name}"].private
        assert set(hub.files("spaces", f"me/{name}")) == {f"{name}.py", "app.py", "README.md", "requirements.txt"}
    printed = client(
        "import evaluate\n"
        f"print(*[evaluate.load('me/' + name).name for name in {METRICS}])\n"
        "metric = evaluate.load('me/knn_transfer')\n"
        "print(metric.compute(predictions=[1, 1, 0, 0], references=[1, 0, 0, 0])['accuracy'])"
    )
    *names, accuracy = printed.split()[-len(METRICS) - 1 :]
    assert tuple(names) == METRICS
    assert float(accuracy) == 0.75
