import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.training import TrainConfig, checkpoint
from cytoimagenet_hf.training.checkpoint import RunState
from cytoimagenet_hf.training.setup import build_average, build_optimizer, learning_rate, update_average
from tests.closeness import assert_same_training, assert_same_weights


def trained(seed: int = 0) -> tuple[nn.Module, torch.optim.Optimizer]:
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 2))
    model = model.to(memory_format=torch.channels_last)
    optimizer = build_optimizer(model, TrainConfig(optimizer="adamw", weight_decay=0.1))
    for _ in range(3):
        step(model, optimizer)
    return model, optimizer


def step(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    model(torch.ones(2, 3, 3, 3) * torch.arange(1, 3)[:, None, None, None]).square().sum().backward()
    optimizer.step()
    optimizer.zero_grad()


def state(config: TrainConfig | None = None, **changed: Any) -> RunState:
    facts: dict[str, Any] = {"fingerprint": "aaa", "versions": {}, "processes": 1, "classes": ("a",), "legs": (24,)}
    return RunState(config=(config or TrainConfig()).to_dict(), **facts | changed)


STATE = state(global_step=3)


def test_a_loaded_run_goes_on_as_the_saved_one(tmp_path) -> None:
    model, optimizer = trained()
    path = checkpoint.save(tmp_path, STATE, model=model, optimizer=optimizer, average=build_average(model, 0.9))
    again, other = trained(seed=1)
    checkpoint.load_weights(path, again)
    checkpoint.load_optimizer(path, other)
    assert_same_weights(again.state_dict(), model.state_dict())
    for _ in range(2):
        step(model, optimizer)
        step(again, other)
    assert_same_training(again.state_dict(), model.state_dict())


def test_an_optimizer_state_survives_json_and_tensors() -> None:
    _, optimizer = trained()
    tensors, rest = checkpoint.flatten_optimizer(optimizer.state_dict())
    again = checkpoint.unflatten_optimizer(tensors, json.loads(json.dumps(rest)))
    before = optimizer.state_dict()
    assert again["state"].keys() == before["state"].keys()
    assert all(torch.equal(again["state"][i][k], v) for i, of in before["state"].items() for k, v in of.items())
    assert again["param_groups"][0]["weight_decay"] == 0.1


def test_a_folder_appears_whole_and_no_file_is_a_pickle(tmp_path) -> None:
    model, optimizer = trained()
    path = checkpoint.save(tmp_path, STATE, model=model, optimizer=optimizer)
    assert sorted(p.name for p in path.iterdir()) == ["model.safetensors", "optimizer.safetensors", "state.json"]
    assert [p.name for p in tmp_path.iterdir()] == ["step-00000003"]
    (tmp_path / "step-00000009").mkdir()  # without a state it is not a checkpoint
    assert checkpoint.newest(tmp_path) == path
    assert checkpoint.newest(tmp_path / "none") is None


def test_the_newest_and_the_best_are_kept(tmp_path) -> None:
    for number in (1, 2, 3, 4, 5):
        (tmp_path / f"step-{number:08d}").mkdir()
    checkpoint.prune(tmp_path, keep=2, best=2)
    assert sorted(int(path.name[5:]) for path in tmp_path.iterdir()) == [2, 4, 5]


def test_another_run_is_refused_with_every_difference(tmp_path) -> None:
    before, now = state(TrainConfig(seed=1, flip=True)), state(fingerprint="bbb")
    with pytest.raises(InputError, match=r"(?s)seed: 1 → 2.*flip|flip: True → False.*seed: 1 → 2.*aaa → bbb"):
        checkpoint.compare(before, now, TrainConfig(seed=2), tmp_path)


def test_options_that_are_no_more_are_refused(tmp_path) -> None:
    recorded = state(TrainConfig())
    recorded = dataclasses.replace(recorded, config={**recorded.config, "pairs": "field"})
    with pytest.raises(InputError, match=r"earlier version, which had further options \(pairs: 'field'\)"):
        checkpoint.compare(recorded, state(), TrainConfig(), tmp_path)


def test_other_versions_and_processes_are_remarked(tmp_path) -> None:
    before, now = state(versions={"torch": "1"}), state(versions={"torch": "2"}, processes=4)
    assert checkpoint.compare(before, now, TrainConfig(), tmp_path) == ["torch 1 → 2", "processes 1 → 4"]


def test_warm_up_then_cosine_to_zero() -> None:
    config = TrainConfig(schedule="cosine", warmup=0.2, learning_rate=1.0)
    rates = [learning_rate(config, number, [10]) for number in range(10)]
    assert rates[:3] == [0.5, 1.0, 1.0]
    assert rates[6] == pytest.approx(0.5)
    assert rates[2:] == sorted(rates[2:], reverse=True)
    assert rates[-1] < 0.05


def test_an_extended_run_has_a_leg_of_its_own_for_the_added_steps() -> None:
    config = TrainConfig(schedule="cosine", warmup=0.2, learning_rate=1.0)
    planned = [learning_rate(config, number, [10]) for number in range(10)]
    extended = [learning_rate(config, number, [10, 15]) for number in range(15)]
    assert extended[:10] == planned
    assert extended[10:] == [learning_rate(config, number, [5]) for number in range(5)]


def test_more_epochs_extend_a_run_and_fewer_are_another() -> None:
    recorded = state(TrainConfig(epochs=24), epoch=3, step=1)
    longer, shorter = TrainConfig(epochs=40), TrainConfig(epochs=10)
    assert checkpoint.compare(recorded, state(longer), longer, Path("run")) == []
    went_on = checkpoint.go_on(recorded, state(longer, legs=(40,)))
    assert (went_on.legs, went_on.epoch, went_on.step) == ((24, 40), 3, 1)
    assert checkpoint.go_on(went_on, state(longer, legs=(40,))).legs == (24, 40)
    with pytest.raises(InputError, match="epochs: 24 → 10"):
        checkpoint.compare(recorded, state(shorter), shorter, Path("run"))
    with pytest.raises(InputError, match="objective: 'labels' → 'views'"):
        checkpoint.compare(recorded, state(), TrainConfig(objective="views"), Path("run"))


def test_norms_and_biases_are_not_decayed() -> None:
    _, optimizer = trained()
    decayed, kept = optimizer.param_groups
    assert {p.ndim for p in decayed["params"]} == {2, 4}
    assert {p.ndim for p in kept["params"]} == {1}
    assert kept["weight_decay"] == 0


def test_the_running_average_follows_its_formula() -> None:
    model = nn.Linear(1, 1, bias=False)
    model.weight.data.fill_(0.0)
    average = build_average(model, 0.5)
    assert average is not None
    expected = 0.0
    for number, value in enumerate([1.0, 2.0, 3.0]):
        model.weight.data.fill_(value)
        update_average(average, model, decay=0.5, step=number)
        decay = min(0.5, (1 + number) / (10 + number))
        expected = decay * expected + (1 - decay) * value
        assert average.weight.item() == pytest.approx(expected)
    assert build_average(model, 0.0) is None


def test_a_state_of_an_earlier_version_is_refused_in_one_line(tmp_path) -> None:
    model, optimizer = trained()
    path = checkpoint.save(tmp_path, STATE, model=model, optimizer=optimizer)
    assert checkpoint.read_state(path).global_step == 3
    content = json.loads((path / "state.json").read_text())
    earlier = {"tally" if name == "meter" else name: value for name, value in content.items()}
    (path / "state.json").write_text(json.dumps(earlier))
    with pytest.raises(
        InputError, match=r"earlier version \(state\.json: there is no field 'tally'.*: delete that"
    ) as message:
        checkpoint.read_state(path)
    assert "\n" not in str(message.value)
