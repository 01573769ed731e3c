"""`auto` takes what is fastest of what agrees, says why, and keeps to it when a run continues."""

import time
from dataclasses import replace

import numpy as np
import pytest
import torch

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.features import choosing, extract_features
from cytoimagenet_hf.features.choosing import choose_runner, runner_of
from cytoimagenet_hf.features.folder import cached_features, extract_to_folder
from cytoimagenet_hf.features.runtimes import Runner
from cytoimagenet_hf.options.extraction import Extraction
from cytoimagenet_hf.tables import read_features
from tests.features.plates import all_bytes, plate_images, write_plate
from tests.tiny_encoder import tiny_encoder

UNITS = [np.full((1, 12, 12), value, np.float32) for value in (0.25, 0.5)]
SETTINGS = Extraction(shard_size=3, batch_size=4, workers=0)


def runner(name: str, *, seconds: float = 0.0, add: float = 0.0) -> Runner:
    def run(units):
        end = time.process_time() + seconds
        while time.process_time() < end:
            pass
        return units.mean((2, 3)) + add

    return Runner(name, run)


@pytest.fixture
def both_installed(monkeypatch):
    monkeypatch.setattr(choosing.importlib.util, "find_spec", lambda name: name)
    monkeypatch.setattr(choosing, "_SECONDS_TO_EXPORT", {"openvino": 0.001, "onnxruntime": 0.001})
    monkeypatch.setattr(choosing, "_SECONDS_TO_LOAD", 0.0)


def choose(makers, *, images=100_000, units=UNITS, **options) -> Runner:
    return choose_runner(lambda name: makers[name](), lambda: units, images=images, **{"device": "cpu"} | options)


def test_the_fastest_that_agrees_is_taken_and_the_measurement_kept(both_installed) -> None:
    chosen = choose(
        {
            "torch": lambda: runner("torch", seconds=0.02),
            "openvino": lambda: runner("openvino", add=0.1),
            "onnxruntime": lambda: runner("onnxruntime", seconds=0.001, add=1e-5),
        }
    )
    assert chosen.name == "onnxruntime"
    assert chosen.choice["agreement"] == {"onnxruntime": 2e-5}
    assert "differ from torch's by 0.2" in chosen.choice["left_out"]["openvino"]
    assert chosen.choice["units_per_second"].keys() == {"torch", "onnxruntime"}


def test_a_runtime_that_fails_leaves_torch_and_says_so(both_installed, caplog) -> None:
    def broken():
        raise InputError("backend openvino: no such instruction")

    makers = {"openvino": broken, "onnxruntime": lambda: runner("onnxruntime", seconds=0.02)}
    chosen = choose({"torch": lambda: runner("torch", seconds=0.001)} | makers)
    assert chosen.name == "torch"
    assert chosen.choice["left_out"] == {"openvino": "backend openvino: no such instruction"}
    assert "openvino is left out" in caplog.text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"images": 3}, "few images"),
        ({"images": None}, "few images"),
        ({"dtype": torch.bfloat16}, "bfloat16"),
        ({"units": None}, "none of the first"),
        ({"device": "meta"}, "this is meta"),
    ],
)
def test_where_nothing_can_be_gained_torch_is_taken_with_the_reason(both_installed, options, message) -> None:
    chosen = choose({"torch": lambda: runner("torch")}, **options)
    assert chosen.name == "torch"
    assert message in chosen.choice["reason"]


def test_nothing_installed_names_the_extra(monkeypatch) -> None:
    monkeypatch.setattr(choosing.importlib.util, "find_spec", lambda name: None)
    assert "cytoimagenet-hf[runtimes]" in choose({"torch": lambda: runner("torch")}).choice["reason"]


def test_a_short_extraction_exports_nothing(monkeypatch) -> None:
    monkeypatch.setattr(choosing.importlib.util, "find_spec", lambda name: name)
    names = ("torch", "openvino", "onnxruntime")
    chosen = choose({name: lambda name=name: runner(name) for name in names}, images=20)
    assert chosen.name == "torch"
    assert chosen.choice["left_out"].keys() == {"openvino", "onnxruntime"}


def test_what_was_measured_is_remembered_for_a_short_extraction(both_installed, monkeypatch) -> None:
    monkeypatch.setattr(choosing, "has_export", lambda runner, units: True)
    monkeypatch.setattr(choosing, "_PROBE_PIXELS", 288)
    monkeypatch.setattr(choosing, "_SECONDS_TO_LOAD", 0.3)
    monkeypatch.setattr(choosing, "_SECONDS_TO_EXPORT", {"openvino": 0.1, "onnxruntime": 0.1})
    rates: dict[str, dict[str, float]] = {}
    monkeypatch.setattr(choosing, "keep_rates", rates.__setitem__)
    monkeypatch.setattr(choosing, "read_rates", lambda key: dict(rates.get(key, {})))
    runs = []

    def counted(name: str, seconds: float) -> Runner:
        whole = runner(name, seconds=seconds)
        return replace(whole, run=lambda units: runs.append((name, len(units))) or whole.run(units))

    makers = {
        "torch": lambda: counted("torch", 0.01),
        "openvino": lambda: counted("openvino", 0.001),
        "onnxruntime": lambda: counted("onnxruntime", 0.004),
    }
    network = torch.nn.Linear(2, 2)
    assert choose(makers, images=20, network=network).name == "torch"  # less than a second: nothing pays
    assert len(runs) == 2
    assert rates == {}
    assert choose(makers, network=network).name == "openvino"
    runs.clear()
    assert choose(makers, images=60, network=network).name == "openvino"
    assert runs == [("openvino", 1)]
    assert choose(makers, images=16, network=network).name == "torch"  # loading takes longer than it saves
    other = torch.nn.Linear(2, 2)
    assert choose(makers, images=60, network=other).name == "torch"


def test_a_runtime_that_was_not_measured_before_is_remembered_beside_the_others(both_installed, monkeypatch) -> None:
    rates = {"key": {"torch": 100.0, "openvino": 110.0}}
    monkeypatch.setattr(choosing, "export_key", lambda network, conditions: "key")
    monkeypatch.setattr(choosing, "keep_rates", rates.__setitem__)
    monkeypatch.setattr(choosing, "read_rates", lambda key: dict(rates[key]))
    makers = {name: lambda name=name: runner(name) for name in ("torch", "openvino", "onnxruntime")}
    assert choose(makers, network=torch.nn.Linear(2, 2)).name == "onnxruntime"
    assert rates["key"].keys() == {"torch", "openvino", "onnxruntime"}


def test_the_table_tells_what_was_chosen() -> None:
    pytest.importorskip("openvino")
    table = extract_features(tiny_encoder(), [np.eye(12)], ids=["a"], device="cpu")
    assert table.about["backend"] == "torch"
    assert "few images" in table.about["backend_choice"]["reason"]


def test_a_folder_continues_with_the_backend_of_its_record(tmp_path, monkeypatch) -> None:
    images = plate_images(write_plate(tmp_path / "plate"))
    taken = []

    named: list[str] = []

    def by_name(encoder, backend="torch", **options):
        named.append(backend)
        return replace(runner_of(encoder, "torch", device="cpu"), name=backend)

    def chosen(encoder, sources, **options):
        taken.append("chosen")
        return replace(by_name(encoder, "openvino"), choice={"reason": "measured"})

    monkeypatch.setattr("cytoimagenet_hf.features.folder.runner_of", by_name)
    monkeypatch.setattr("cytoimagenet_hf.features.folder.auto_runner", chosen)
    extract_to_folder(tiny_encoder(), images, tmp_path / "out", settings=SETTINGS)
    before = all_bytes(tmp_path / "out")
    (tmp_path / "out" / "features-00001-of-00003.parquet").unlink()
    taken.clear()
    named.clear()
    assert extract_to_folder(tiny_encoder(), images, tmp_path / "out", settings=SETTINGS).shards_made_now == 1
    assert (taken, named) == ([], ["openvino"])
    assert all_bytes(tmp_path / "out") == before
    about = read_features(tmp_path / "out").about
    assert (about["backend"], about["backend_choice"]) == ("openvino", {"reason": "measured"})
    with pytest.raises(InputError, match="differs in backend"):
        extract_to_folder(tiny_encoder(), images, tmp_path / "out", settings=replace(SETTINGS, backend="torch"))


def test_a_cache_entry_is_found_by_what_was_asked_for(tmp_path, monkeypatch) -> None:
    pytest.importorskip("openvino")
    images = plate_images(write_plate(tmp_path / "plate"))
    for name in ("openvino", "torch"):
        monkeypatch.setattr(
            "cytoimagenet_hf.features.folder.auto_runner",
            lambda encoder, sources, name=name, **options: replace(runner_of(encoder, "torch"), name=name),
        )
        cached_features(tiny_encoder(), images, cache=tmp_path / "cache")
    assert len(list((tmp_path / "cache").iterdir())) == 1
