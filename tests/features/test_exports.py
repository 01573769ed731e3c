"""Exports are kept, found again, and made again when they are damaged."""

import json

import pytest
import torch
from torch import nn

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.files import held
from cytoimagenet_hf.features import runtimes
from cytoimagenet_hf.features.exports import export_key, find_export, keep_export
from cytoimagenet_hf.features.runtimes import Runtime, make_runner

UNITS = torch.rand((3, 1, 12, 12), generator=torch.Generator().manual_seed(0))


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    folder = tmp_path / "exports"
    folder.mkdir()
    monkeypatch.setattr("cytoimagenet_hf.features.exports._place", lambda: folder)
    return folder


def net(factor: float = 1.0) -> nn.Module:
    network = nn.Sequential(nn.Conv2d(1, 3, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()
    for weight in network.parameters():
        nn.init.constant_(weight, factor)
    return network


def numbered_runtime(monkeypatch, *, add: float = 0.0) -> list[str]:
    """A runtime that keeps the weights in a file of its own; the list counts what it writes and loads."""
    done: list[str] = []

    def write(network, example, fixed_size, folder):
        done.append(f"write {tuple(example.shape)}")
        content = {"weight": network[0].weight.tolist(), "bias": network[0].bias.tolist()}
        (folder / "model.json").write_text(json.dumps(content))

    def load(folder):
        done.append("load")
        kept = {name: torch.tensor(value) for name, value in json.loads((folder / "model.json").read_text()).items()}
        return lambda units: nn.functional.conv2d(units, kept["weight"], kept["bias"]).mean((2, 3)) + add

    monkeypatch.setitem(runtimes.RUNTIMES, "openvino", lambda precision: Runtime("openvino", write, load, ("numpy",)))
    return done


def test_the_second_run_loads_what_the_first_exported(monkeypatch, cache):
    done = numbered_runtime(monkeypatch)
    expected = net()(UNITS).detach()
    for _ in range(2):
        torch.testing.assert_close(make_runner(net(), "openvino")(UNITS), expected)
    assert done == ["write (2, 1, 12, 12)", "load", "load"]
    torch.testing.assert_close(make_runner(net(2), "openvino")(UNITS), 2 * expected)
    assert len([entry for entry in cache.iterdir() if entry.is_dir()]) == 2


def test_large_units_are_exported_at_a_small_size(monkeypatch):
    done = numbered_runtime(monkeypatch)
    make_runner(net(), "openvino", multiple=50)(torch.rand(1, 1, 300, 600))
    assert done[0] == "write (2, 1, 200, 200)"


@pytest.mark.parametrize("damage", [lambda file: file.write_bytes(b"{"), lambda file: file.unlink()])
def test_a_damaged_export_is_made_again(monkeypatch, cache, damage):
    done = numbered_runtime(monkeypatch)
    make_runner(net(), "openvino")(UNITS)
    (folder,) = (entry for entry in cache.iterdir() if entry.is_dir())
    damage(folder / "model.json")
    assert find_export(folder.name) is None
    torch.testing.assert_close(make_runner(net(), "openvino")(UNITS), net()(UNITS).detach())
    assert sum(step.startswith("write") for step in done) == 2
    assert find_export(folder.name) == folder


def test_an_export_of_other_weights_under_the_same_key_is_made_again(monkeypatch, cache):
    numbered_runtime(monkeypatch)
    make_runner(net(), "openvino")(UNITS)
    (folder,) = (entry for entry in cache.iterdir() if entry.is_dir())
    keep_export(folder.name, lambda made: (made / "model.json").write_text('{"weight": [[[[5.0]]]], "bias": [0]}'), {})
    torch.testing.assert_close(make_runner(net(), "openvino")(UNITS), net()(UNITS).detach())


def test_what_a_killed_run_left_goes_and_what_is_being_made_stays(cache):
    dead, alive = cache / ".dead.0123456789ab.tmp", cache / ".alive.0123456789ab.tmp"
    for folder in (dead, alive):
        folder.mkdir()
        (folder / "model.onnx").write_bytes(b"half")
    with held(cache / ".alive.lock", refusal=""):
        keep_export("other", lambda made: (made / "model.json").write_text("{}"), {})
    assert not dead.exists()
    assert alive.exists()
    assert find_export("other") == cache / "other"


def test_an_export_that_another_process_made_meanwhile_is_taken(monkeypatch, cache):
    keep_export("ab", lambda made: (made / "model.json").write_text("old"), {})
    times = iter([None, 1])  # not there before the lock was free, there afterwards
    monkeypatch.setattr("cytoimagenet_hf.features.exports._made_at", lambda folder: next(times))
    keep_export("ab", lambda made: (made / "model.json").write_text("new"), {})
    assert (cache / "ab" / "model.json").read_text() == "old"


def test_features_that_differ_are_refused(monkeypatch):
    numbered_runtime(monkeypatch, add=0.01)
    with pytest.raises(InputError, match=r"openvino.*differ from torch's by 0.001"):
        make_runner(net(), "openvino")(UNITS)


def test_a_key_knows_layers_settings_weights_and_options():
    pooled = nn.Sequential(net(), nn.Identity())
    keys = {
        export_key(net(), {}),
        export_key(net(2), {}),
        export_key(pooled, {}),
        export_key(net(), {"versions": {"torch": "1"}}),
    }
    other = net()
    other[1].output_size = 2
    keys.add(export_key(other, {}))
    assert len(keys) == 5
    assert export_key(net().train(), {}) == export_key(net(), {})


def test_a_cache_that_cannot_be_written_says_where(monkeypatch, cache):
    cache.rmdir()
    cache.write_text("a file")
    with pytest.raises(InputError, match="HF_ASSETS_CACHE"):
        keep_export("ab", lambda folder: None, {})
