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
from typing import Annotated

import typer

from cytoimagenet_hf.cli.arguments import takes_settings
from cytoimagenet_hf.core.boundary import run_app
from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.training import TrainConfig

app = typer.Typer(add_completion=False)
_SEVERAL = ("--subset", "--trackers", "--model-config")  # take several words, or none


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    words = one_each(sys.argv[1:] if arguments is None else arguments)
    return run_app(lambda: app, program="scripts/train.py", arguments=words)


def one_each(arguments: Sequence[str]) -> list[str]:
    """`--subset actin yeast` as `--subset= --subset=actin --subset=yeast`: typer reads one word an option."""
    words, option = [], ""
    for word in arguments:
        if word.startswith("--"):
            name = word.replace("_", "-")
            option = name if name in _SEVERAL else ""
            words.append(f"{option}=" if option else word)
        else:
            words.append(f"{option}={word}" if option else word)
    return words


# Scripts of HuggingFace write --batch_size.
@app.command(context_settings={"token_normalize_func": lambda name: name.replace("_", "-")})
@takes_settings
def command(
    run: TrainConfig,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the newest checkpoint, or start if there is none.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the final metrics as JSON.")] = False,
) -> None:
    """Pretrain or fine-tune a network on CytoImageNet or on your own images, with or without labels.

    A recipe is a set of defaults: recipe < --config file < option.

    Example: accelerate launch scripts/train.py --dataset cytoimagenet --output runs/toy --subset toy_20 --cache disk
    """
    for name in ("dataset", "output"):
        if not getattr(run, name):
            raise InputError(f"--{name} is missing (or `{name}:` in the --config file)")
    raise typer.Exit(_train(run, resume=resume, as_json=as_json))


def _train(config: TrainConfig, *, resume: bool, as_json: bool) -> int:
    from accelerate import PartialState

    from cytoimagenet_hf.training import train

    with contextlib.redirect_stdout(sys.stderr) if as_json else contextlib.nullcontext():
        result = train(config, resume=resume)
    PartialState().destroy_process_group()
    if "stopped" in result:
        return 128 + int(signal.Signals[result["stopped"]])
    if int(os.environ.get("RANK", "0")) == 0:
        model = f"{config.output}/model"
        share = "" if config.push_to_hub else f"; to share it: cytoimagenet push model {model} OWNER/NAME"
        print(f"model in {model}{share}", file=sys.stderr)
        if as_json:
            print(json.dumps(result))
    return 1 if "push_refused" in result else 0


if __name__ == "__main__":
    sys.exit(main())
