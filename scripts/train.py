"""Pretrain or fine-tune on CytoImageNet.

accelerate launch scripts/train.py --dataset cytoimagenet --output runs/b0 --cache disk
accelerate launch scripts/train.py --dataset cytoimagenet --output runs/toy --subset toy_20 --image-size 64 --epochs 5
accelerate launch scripts/train.py --config runs/b0/config.yaml --resume
accelerate launch scripts/train.py --dataset own/ --output runs/own --pretrained --backbone runs/b0/model
accelerate launch scripts/train.py --dataset own/ --output runs/lite --pretrained --backbone imagenet-lite0
accelerate launch scripts/train.py --dataset own/ --output runs/views --objective views --crop 0.6
accelerate launch scripts/train.py --dataset hf:me/beans --output runs/beans --pretrained --backbone runs/b0/model

Precision, processes and accumulation are those of the launcher unless an option says otherwise. Two processes on CPU:
torchrun --nproc_per_node 2 scripts/train.py … Options take hyphens and underscores.
Exit codes: 0 done, 1 done but the Hub refused the model, 2 the call or the data was wrong, 70 a fault of this program
(--debug shows the traceback), 128 + n stopped by signal n with a checkpoint written.
"""

import contextlib
import json
import os
import signal
import sys
from collections.abc import Sequence

from cytoimagenet_hf.core.boundary import COMMON, run
from cytoimagenet_hf.training.arguments import parse


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    given = [argument for argument in arguments if argument not in COMMON]
    return run(lambda: _train(given), program="scripts/train.py", arguments=arguments)


def _train(arguments: Sequence[str]) -> int:
    config, call = parse(arguments)
    from accelerate import PartialState

    from cytoimagenet_hf.training import train

    with contextlib.redirect_stdout(sys.stderr) if call.json else contextlib.nullcontext():
        result = train(config, resume=call.resume)
    PartialState().destroy_process_group()
    if "stopped" in result:
        return 128 + int(signal.Signals[result["stopped"]])
    if int(os.environ.get("RANK", "0")) == 0:
        model = f"{config.output}/model"
        share = "" if config.push_to_hub else f"; to share it: cytoimagenet push model {model} OWNER/NAME"
        print(f"model in {model}{share}", file=sys.stderr)
        if call.json:
            print(json.dumps(result))
    return 1 if "push_refused" in result else 0


if __name__ == "__main__":
    sys.exit(main())
