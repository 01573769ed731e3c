import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from accelerate import Accelerator
from safetensors.torch import load_file
from transformers import AutoModelForImageClassification

from cytoimagenet_hf.training import TrainConfig
from cytoimagenet_hf.training.data import RowSource
from cytoimagenet_hf.training.evaluation import evaluate
from cytoimagenet_hf.training.network import Preprocessing
from cytoimagenet_hf.training.tables import load_tables
from tests.closeness import TRAINED, assert_same_training


def saved_loss(run: Path, settings: TrainConfig) -> float:
    """The loss of the exported weights on the validation rows, computed by one process."""
    source = RowSource(load_tables(settings), settings, caches=None, rank=0, processes=1)
    model = AutoModelForImageClassification.from_pretrained(run / "model").eval()
    rows = source.validation(64)
    preprocessing = Preprocessing(settings.image_size)
    scores = evaluate(model, rows, preprocessing, accelerator=Accelerator(cpu=True), classes=source.classes)
    return float(scores["loss"])


def test_two_processes_stop_together_and_resume_as_if_never_stopped(config, tmp_path: Path) -> None:
    settings = {}
    for objective in ("labels", "labels+views", "views"):
        epochs = 2 if objective == "labels" else 1
        settings[objective] = config(recipe="modern", epochs=epochs, accumulate=2, objective=objective)
        (tmp_path / objective).mkdir()
        (tmp_path / objective / "config.json").write_text(json.dumps(settings[objective].to_dict()))
    script = Path(__file__).with_name("two_processes.py")
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"]
    launch += ["--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0"]
    done = subprocess.run(
        [*launch, str(script), *(str(tmp_path / objective) for objective in settings)],
        env=os.environ | {"ACCELERATE_USE_CPU": "1", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=900,  # a busy machine is not a fault
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    for objective, trained in settings.items():
        check(tmp_path / objective, trained)


def check(place: Path, settings: TrainConfig) -> None:
    """Both processes stopped at one step, and what was resumed is what was trained at once."""
    first, second = (json.loads((place / f"rank{rank}.json").read_text()) for rank in (0, 1))
    assert first["stopped"] == second["stopped"] == {"stopped": "SIGTERM", "epoch": 0, "step": 4}
    assert first["whole"] == second["whole"]  # gathered, then computed twice from equal numbers
    views = settings.objective == "views"
    scores = ("view_loss", "knn_accuracy", "rows") if views else ("loss", "accuracy", "rows")
    assert [first["resumed"][name] for name in scores] == pytest.approx(
        [first["whole"][name] for name in scores], TRAINED
    )
    assert first["whole"]["rows"] == 23  # 12 rows on one process, 11 on the other, each scored once
    one, other = (load_file(place / name / "model" / "model.safetensors") for name in ("whole", "stopped"))
    assert_same_training(other, one)
    if settings.objective == "labels":
        assert saved_loss(place / "frozen", settings) == pytest.approx(first["frozen"]["loss"], TRAINED)
    history = json.loads((place / "stopped" / "history.json").read_text())
    images = [record["images"] for record in history]  # counted over both, before and after the stop
    assert images == [96] * settings.epochs
