"""Run by `test_two_processes.py` under `accelerate launch`: whole, stopped and resumed runs on two processes.

The processes are started once: they import for longer than they train.
"""

import dataclasses
import json
import os
import signal
import sys
import warnings
from pathlib import Path

import torch

from cytoimagenet_hf.training import TrainConfig, train
from cytoimagenet_hf.training.loop import EpochMeter


def main(places: list[Path]) -> None:
    """The runs of each folder, by the configuration in it."""
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    for place in places:
        train_stop_and_resume(place)


def train_stop_and_resume(place: Path) -> None:
    """Train whole, stop in the middle, resume; leave what each process was given."""
    base = json.loads((place / "config.json").read_text())
    rank = int(os.environ["RANK"])

    def config(name: str) -> TrainConfig:
        return TrainConfig.from_dict(base | {"output": str(place / name)})

    whole = train(config("whole"))
    honest = EpochMeter.check
    steps = []

    def preempted(self: EpochMeter, parameters: object) -> None:
        """Only the second process gets the signal; the first must stop after the same step."""
        steps.append(1)
        if rank == 1 and len(steps) == 4:
            os.kill(os.getpid(), signal.SIGTERM)

    EpochMeter.check = preempted
    stopped = train(config("stopped"))
    EpochMeter.check = honest
    resumed = train(config("stopped"), resume=True)
    frozen = {}
    if base["objective"] == "labels":
        # Without re-estimation each process has statistics of its own images until they are made the same.
        frozen = train(dataclasses.replace(config("frozen"), bn_batches=0, ema=0.0, epochs=1))
    (place / f"rank{rank}.json").write_text(
        json.dumps({"whole": whole, "stopped": stopped, "resumed": resumed, "frozen": frozen})
    )


if __name__ == "__main__":
    main([Path(place) for place in sys.argv[1:]])
