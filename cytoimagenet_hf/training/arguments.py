"""The command line of `scripts/train.py`, made from the fields of `TrainConfig`: recipe < YAML file < option."""

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import yaml

from cytoimagenet_hf.core.errors import InputError, one_line
from cytoimagenet_hf.core.settings import from_text, read_yaml, require_known

from .config import RECIPES, TrainConfig

_EXAMPLE = """example:
  accelerate launch scripts/train.py --dataset cytoimagenet --output runs/toy --subset toy_20 --cache disk
  accelerate launch scripts/train.py --config runs/toy/config.yaml --resume --epochs 40
  accelerate launch scripts/train.py --dataset own/ --output runs/own --pretrained --backbone runs/toy/model"""


def parse(arguments: Sequence[str] | None = None) -> tuple[TrainConfig, argparse.Namespace]:
    """Read a command line.

    Returns:
        The configuration, and the options that are about this call only: `resume`, `json`.

    Raises:
        InputError: an unknown option, a missing dataset or output, an unreadable YAML file, or a value out of range.

    Example:
        >>> parse(["--dataset", "d", "--output", "o", "--recipe", "modern", "--epochs", "3"])[0].optimizer
        'adamw'
    """
    written = sys.argv[1:] if arguments is None else arguments
    given = vars(_parser().parse_args([_with_hyphens(argument) for argument in written]))
    call = argparse.Namespace(resume=given.pop("resume", False), json=given.pop("json", False))
    file = given.pop("config", None)
    typed = {
        name: from_text(TrainConfig, name, v, name="training") if isinstance(v, str) else v
        for name, v in given.items()
    }
    written_in_file = {} if file is None else read_yaml(file, name="--config")
    require_known(written_in_file, [spec.name for spec in dataclasses.fields(TrainConfig)], name=f"--config {file}")
    config = TrainConfig.from_dict({**written_in_file, **typed})
    for name in ("dataset", "output"):
        if not getattr(config, name):
            raise InputError(f"--{name} is missing (or `{name}:` in the --config file)")
    return config, call


def _with_hyphens(argument: str) -> str:
    """An option as it is written here; scripts of HuggingFace write --batch_size.

    Example:
        >>> _with_hyphens("--batch_size=4"), _with_hyphens("toy_20"), _with_hyphens("--no_flip")
        ('--batch-size=4', 'toy_20', '--no-flip')
    """
    name, equals, value = argument.partition("=")
    return f"{name.replace('_', '-')}{equals}{value}" if name.startswith("--") else argument


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, without the list of all options."""

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{one_line(message)} (see scripts/train.py --help)")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        description="Pretrain or fine-tune a network on CytoImageNet or on your own images, with or without labels.",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS,  # so that only what was typed overrides the recipe and the YAML file
    )
    parser.add_argument("--config", metavar="YAML", help="options from a file, such as a run's own config.yaml")
    parser.add_argument("--resume", action="store_true", help="go on from the newest checkpoint, or start if none")
    parser.add_argument("--json", action="store_true", help="print the final metrics as JSON")
    for spec in dataclasses.fields(TrainConfig):
        default = {} if spec.default is dataclasses.MISSING else spec.default
        text = f"{spec.metadata['help']} ({_describe(spec.name, default)})".replace("%", "%%")
        parser.add_argument(f"--{spec.name.replace('_', '-')}", **_kind(default, spec), help=text)
    return parser


def _kind(default: Any, spec: "dataclasses.Field[Any]") -> dict[str, Any]:
    """How argparse reads a field, from the type of its default."""
    if isinstance(default, bool):
        return {"action": argparse.BooleanOptionalAction}
    if isinstance(default, tuple):
        return {"nargs": "*", "metavar": "NAME"}
    if isinstance(default, dict):
        return {"nargs": "*", "metavar": "KEY=VALUE", "action": _KeyValues}
    if spec.metadata["choices"]:
        return {"choices": spec.metadata["choices"]}
    return {"metavar": "TEXT" if default is None else type(default).__name__.upper()}  # `check_fields` reads it


class _KeyValues(argparse.Action):
    """`width_coefficient=0.5 image_size=64` → a dict, values read as YAML scalars."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        pairs = [str(item).partition("=") for item in values or ()]
        if bad := [key for key, equals, _ in pairs if not equals]:
            parser.error(f"{option_string} takes KEY=VALUE, not {bad[0]!r}")
        try:
            setattr(namespace, self.dest, {key: yaml.safe_load(value) for key, _, value in pairs})
        except yaml.YAMLError as error:
            parser.error(f"{option_string}: {one_line(error)}")


def _describe(name: str, default: Any) -> str:
    """The default, and what each recipe makes of it."""
    shown = " ".join(default) if isinstance(default, tuple) else default
    others = [f"{recipe}: {values[name]}" for recipe, values in RECIPES.items() if name in values]
    return "; ".join([f"default: {'none' if shown in (None, {}, '') else shown}", *others])
