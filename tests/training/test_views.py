import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional
from transformers import AutoModel, AutoModelForImageClassification

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.networks import MicroscopyImageProcessor, build_efficientnet
from cytoimagenet_hf.training import train
from cytoimagenet_hf.training.views import build_learner, gather_rows, simclr, view_loss
from tests.training.conftest import ROWS, write_shapes

ALONE: Any = SimpleNamespace(num_processes=1, process_index=0)


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape).astype(np.float32))


def process(rank: int, calls: list[list[torch.Tensor]]) -> Any:
    """One of several processes; of each call to gather it is known what every process brings."""
    expected = iter(calls)

    def gather(rows: torch.Tensor) -> torch.Tensor:
        nonlocal parts
        if rows.ndim == 1:  # the counts come first
            parts = next(expected)
            return torch.tensor([len(part) for part in parts])
        padded = [functional.pad(part.detach(), (0, 0, 0, len(rows) - len(part))) for part in parts]
        assert torch.equal(rows, padded[rank])
        return torch.cat(padded)

    parts = calls[0]
    return SimpleNamespace(num_processes=len(parts), process_index=rank, gather=gather)


def test_nt_xent_agrees_with_its_formula() -> None:
    first, second = drawn(5, 3), drawn(5, 3, seed=1)
    rows = np.concatenate([first, second]).astype(np.float64)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    losses = []
    for query in range(10):
        partner = (query + 5) % 10
        others = [other for other in range(10) if other != query]
        weights = np.exp(rows[others] @ rows[query] / 0.2)
        losses.append(-np.log(np.exp(rows[partner] @ rows[query] / 0.2) / weights.sum()))
    assert float(simclr(first, second)) == pytest.approx(np.mean(losses), rel=1e-5)


def test_the_loss_prefers_views_that_belong_together() -> None:
    first, other = drawn(32, 8), drawn(32, 8, seed=1)
    assert simclr(first, first + 0.01 * other) < simclr(first, other)
    assert simclr(first, first) < simclr(torch.ones(32, 8), torch.ones(32, 8))  # collapsed


@pytest.mark.parametrize("counts", [(3, 3), (4, 2), (6, 0)])
def test_processes_have_the_loss_and_the_gradient_of_the_whole_batch(counts: tuple[int, int]) -> None:
    whole = drawn(2, 6, 4).requires_grad_()  # views, images, dimensions
    expected = view_loss(whole.flatten(0, 1), accelerator=ALONE)
    expected.backward()
    gradients = []
    halves = [list(view.split(counts)) for view in whole.detach()]  # gathered first, the first views, then the second
    for rank, start in ((0, 0), (1, counts[0])):
        views = whole.detach()[:, start : start + counts[rank]].clone().requires_grad_()

        loss = view_loss(views.flatten(0, 1), accelerator=process(rank, halves))
        assert float(loss.detach()) == pytest.approx(float(expected.detach()), rel=1e-5)
        loss.backward()
        gradients.append(views.grad if views.grad is not None else torch.zeros_like(views))
    assert whole.grad is not None
    torch.testing.assert_close(torch.cat(gradients, dim=1), whole.grad, rtol=1e-4, atol=1e-6)


def test_gathered_rows_are_those_of_all_in_order() -> None:
    parts = [drawn(2, 3), drawn(0, 3), drawn(3, 3, seed=1)]
    for rank in range(3):
        torch.testing.assert_close(gather_rows(parts[rank], process(rank, [parts])), torch.cat(parts))
    assert gather_rows(parts[0], ALONE) is parts[0]


def test_one_image_has_nothing_to_be_told_from() -> None:
    alone = drawn(2, 4).requires_grad_()
    loss = view_loss(alone, accelerator=ALONE)
    loss.backward()
    assert loss.item() == 0
    assert alone.grad is not None
    assert not alone.grad.any()


def test_a_head_and_a_projector_share_one_pass_through_the_backbone(config) -> None:
    settings = config(objective="labels+views")
    network = build_efficientnet(3, seed=0, image_size=32, **settings.model_config).eval()
    learner = build_learner(network, settings)
    calls = []
    network.base_model.register_forward_hook(lambda *_: calls.append(1))
    images = drawn(4, 3, 32, 32)
    logits, projections = learner(images)
    assert calls == [1]
    torch.testing.assert_close(logits, network(images).logits)
    assert learner.projector is not None
    torch.testing.assert_close(projections, learner.projector(network.base_model(images).pooler_output))
    assert build_learner(network, config()).projector is None
    again = build_learner(network, settings)
    assert all(torch.equal(one, other) for one, other in zip(learner.parameters(), again.parameters(), strict=True))


def test_views_alone_leave_a_stock_backbone_without_a_head(config) -> None:
    settings = config(objective="views", epochs=3, crop=0.6, gain=0.2, learning_rate=3e-3)
    metrics = train(settings)
    output = Path(settings.output)
    assert metrics["rows"] == ROWS["validation"]
    assert (metrics["knn_accuracy"] > 0.5, metrics["knn_images"]) == (True, 96)  # three drawn shapes; chance is 0.33
    history = json.loads((output / "history.json").read_text())
    assert history[-1]["view_loss"] < history[0]["view_loss"]
    assert history[-1]["train_view_loss"] < history[0]["train_view_loss"]
    assert "accuracy" not in history[-1]
    assert not (output / "predictions.png").exists()
    assert not (output / "model" / "categories.png").exists()

    model = AutoModel.from_pretrained(output / "model")
    assert type(model).__name__ == "EfficientNetModel"
    assert not any("projector" in name for name in load_file(output / "model" / "model.safetensors"))
    assert MicroscopyImageProcessor.for_model(str(output / "model")).rescale_factor == pytest.approx(1 / 255)
    card = (output / "model" / "README.md").read_text()
    assert "Trained without labels" in card
    assert "objective: views" in card


def test_views_need_no_labels(config, tmp_path: Path) -> None:
    hidden = write_shapes(tmp_path / "hidden", change=lambda row: row | {"label": None})
    with pytest.raises(InputError, match="label null, outside the map"):
        train(config(dataset=str(hidden)))
    with pytest.raises(InputError, match="96 rows have no label to sample by: --sampling uniform"):
        train(config(dataset=str(hidden), objective="views", sampling="class"))
    metrics = train(config(dataset=str(hidden), objective="views"))
    assert metrics["knn_accuracy"] is None
    assert np.isfinite(metrics["view_loss"])
    assert "knn" not in (Path(config().output) / "model" / "README.md").read_text()


def test_neighbours_of_one_class_say_nothing(config) -> None:
    assert train(config(objective="views", subset=["dots"]))["knn_accuracy"] is None


def test_a_network_without_a_head_is_tuned_on_labels(config, tmp_path: Path) -> None:
    first = config(objective="views")
    train(first)
    backbone = {"backbone": f"{first.output}/model", "pretrained": True, "model_config": {}}
    tuned = config(**backbone, learning_rate=1e-9, bn_batches=0, output=str(tmp_path / "tuned"))
    assert "accuracy" in train(tuned)
    before = load_file(Path(first.output) / "model" / "model.safetensors")
    model = AutoModelForImageClassification.from_pretrained(tmp_path / "tuned" / "model")
    after = model.base_model.state_dict()
    assert torch.allclose(before["encoder.top_conv.weight"], after["encoder.top_conv.weight"], atol=1e-5)


def test_views_of_a_stream(config) -> None:
    metrics = train(config(objective="views", streaming=True, cache="none"))
    assert metrics["rows"] == ROWS["validation"]
    assert metrics["knn_accuracy"] is not None


def test_equal_views_are_refused(config) -> None:
    with pytest.raises(InputError, match="two views of an image without any augmentation are equal"):
        config(objective="views", rotation=0)
    with pytest.raises(InputError, match="batch_size / accumulate must be 2 or more"):
        config(objective="views", batch_size=2, accumulate=2)
