"""What accelerate's launcher says in the environment decides what the configuration leaves open."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from accelerate.state import AcceleratorState

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.training import TrainConfig, train
from cytoimagenet_hf.training.setup import as_launched, missing_processes


@pytest.mark.parametrize(
    ("typed", "launched", "runs"),
    [
        ({}, {}, "no"),
        ({}, {"ACCELERATE_MIXED_PRECISION": "bf16"}, "bf16"),
        ({"precision": "no"}, {"ACCELERATE_MIXED_PRECISION": "bf16"}, "no"),
        ({"precision": "bf16"}, {"ACCELERATE_MIXED_PRECISION": "no"}, "bf16"),
        ({"recipe": "modern"}, {"ACCELERATE_MIXED_PRECISION": "bf16"}, "bf16"),
    ],
)
def test_precision_is_the_launchers_unless_it_is_typed(typed: dict, launched: dict, runs: str) -> None:
    assert as_launched(TrainConfig.from_dict(typed), launched).precision == runs


def test_accumulation_is_the_launchers_unless_it_is_typed() -> None:
    launched = {"ACCELERATE_GRADIENT_ACCUMULATION_STEPS": "4"}
    assert as_launched(TrainConfig(), launched).passes == 4
    assert as_launched(TrainConfig(accumulate=2), launched).passes == 2
    assert as_launched(TrainConfig(), {}).accumulate == 1
    with pytest.raises(InputError, match="'auto' accumulation steps"):
        as_launched(TrainConfig(), {"ACCELERATE_GRADIENT_ACCUMULATION_STEPS": "auto"})


@pytest.fixture
def fresh_state() -> Iterator[None]:
    """One process has one precision for all of its accelerators."""
    AcceleratorState._reset_state()
    yield
    AcceleratorState._reset_state()


@pytest.mark.usefixtures("fresh_state")
def test_the_record_says_what_ran(config, monkeypatch) -> None:
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "bf16")
    monkeypatch.setenv("ACCELERATE_GRADIENT_ACCUMULATION_STEPS", "2")
    settings = config()
    train(settings)
    recorded = yaml.safe_load(Path(settings.output, "config.yaml").read_text())
    assert (recorded["precision"], recorded["accumulate"]) == ("bf16", 2)
    AcceleratorState._reset_state()
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "no")
    with pytest.raises(InputError, match="precision: 'bf16' → 'no'"):
        train(config(epochs=2), resume=True)


@pytest.mark.parametrize(
    ("variable", "name"), [("FSDP", "FSDP"), ("DEEPSPEED", "DeepSpeed"), ("MEGATRON_LM", "Megatron-LM")]
)
def test_what_the_loop_cannot_do_is_refused_before_anything_is_written(
    config, tmp_path, monkeypatch, variable: str, name: str
) -> None:
    monkeypatch.setenv(f"ACCELERATE_USE_{variable}", "true")
    with pytest.raises(InputError, match=f"^{name} is asked for by the launcher"):
        train(config())
    assert not (tmp_path / "run").exists()


def test_precisions_that_cannot_run_are_refused() -> None:
    with pytest.raises(InputError, match="fp8 of the launcher: choose one of no, bf16, fp16"):
        as_launched(TrainConfig(), {"ACCELERATE_MIXED_PRECISION": "fp8"})
    with pytest.raises(InputError, match="fp16 needs a GPU"):
        as_launched(TrainConfig(precision="fp16"), {})


def test_one_process_instead_of_several_is_said() -> None:
    launched = {"ACCELERATE_USE_CPU": "True", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"}
    assert "torchrun --nproc_per_node 2" in str(missing_processes(launched))
    assert missing_processes(launched | {"WORLD_SIZE": "2"}) is None
    assert missing_processes({"ACCELERATE_USE_CPU": "True"}) is None
