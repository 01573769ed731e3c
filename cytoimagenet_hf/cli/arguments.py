"""The command line of a function that takes settings: each field of a settings class becomes an option.

What a field's `setting` says is what `--help` shows: its help, choices, range and default. Beside that:

- `option`: name of the option where it is not the field's; `group`: its heading in the help; `metavar`: what stands
  for its value; `repeat`: the option can be given several times; `commas`: its one text is a list, so that it is
  refused when it is given several times; `type`: how its text is read, where `parse` takes more than that;
  `command=False`: the field is for Python alone.

`--config FILE` reads any of the options from YAML, by their names with underscores; what is typed goes before it.
Settings with a `from_dict` make themselves of the file's values and of what is typed: their defaults depend on both.
"""

import dataclasses
import functools
import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import typer

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.settings import from_text, read_yaml, require_known


class Only:
    """The fields of a settings class that a command offers: `Annotated[Extraction, Only("batch_size")]`."""

    def __init__(self, *names: str) -> None:
        self.names = names

    def offers(self, name: str) -> bool:
        """Whether a field is among the options."""
        return name in self.names


class Without(Only):
    """The fields that a command does not offer."""

    def offers(self, name: str) -> bool:
        """Whether a field is among the options."""
        return name not in self.names


def takes_settings(command: Callable[..., None]) -> Callable[..., None]:
    """A command for typer, made from a function some of whose parameters are settings.

    Args:
        command: its parameters are `Annotated` for typer, or settings classes; in the help, options without a heading
            come first, the others in the order of the parameters.

    Example:
        >>> from cytoimagenet_hf.core.settings import check_fields, setting
        >>> @dataclasses.dataclass(frozen=True)
        ... class Oven:
        ...     degrees: int = setting(180, "Temperature.", low=0, high=300)
        ...
        ...     def __post_init__(self) -> None:
        ...         check_fields(self, name="oven")
        >>> @takes_settings
        ... def bake(oven: Oven) -> None:
        ...     print(oven)
        >>> app = typer.Typer()
        >>> _ = app.command()(bake)
        >>> app(["--degrees", "200"], standalone_mode=False)
        Oven(degrees=200)
    """
    hints = get_type_hints(command, include_extras=True)
    plain: list[inspect.Parameter] = [_CONTEXT]
    grouped: list[inspect.Parameter] = []
    fields: dict[str, tuple[Any, dict[str, str]]] = {}
    lists: set[str] = set()  # options whose one text is a list: the shell would keep the last of several
    for name, parameter in inspect.signature(command).parameters.items():
        kind, *marks = get_args(hints[name]) if get_origin(hints[name]) is Annotated else (hints[name],)
        if not dataclasses.is_dataclass(kind):
            headed = any(getattr(mark, "rich_help_panel", None) for mark in marks)
            made = parameter.replace(annotation=hints[name], kind=parameter.KEYWORD_ONLY)
            (grouped if headed else plain).append(made)
            continue
        offered = next((mark for mark in marks if isinstance(mark, Only)), Without())
        fields[name] = kind, {}
        for field in dataclasses.fields(kind):
            if field.metadata.get("command", True) and offered.offers(field.name):
                option = field.metadata.get("option", field.name)
                fields[name][1][field.name] = option
                if field.metadata["commas"] and not field.metadata.get("repeat"):
                    lists.add(option)
                made = _parameter(option, field, get_type_hints(kind)[field.name])
                (grouped if "group" in field.metadata else plain).append(made)

    @functools.wraps(command)
    def called(context: typer.Context, config: Path | None = None, **values: Any) -> None:
        for option in lists:
            if len(texts := values[option] or []) > 1:
                flag = f"--{option.replace('_', '-')}"
                raise InputError(f"{flag} is given {len(texts)} times: write all in one {flag}, separated by commas")
            values[option] = next(iter(texts), None)
        settings = {}
        for name, (kind, options) in fields.items():
            offered = {field: (values.pop(option), option) for field, option in options.items()}
            given = {field: value for field, (value, option) in offered.items() if _is_given(context, option, value)}
            settings[name] = _layered(kind, config, given) if hasattr(kind, "from_dict") else kind(**given)
        command(**settings, **values)

    as_typed = not any(hasattr(kind, "from_dict") for kind, _ in fields.values())
    signature = inspect.Signature([*plain, *([_config(lists, as_typed)] if fields else []), *grouped])
    called.__signature__ = signature  # type: ignore[attr-defined]
    called.__annotations__ = {name: parameter.annotation for name, parameter in signature.parameters.items()}
    return called


def _is_given(context: typer.Context, option: str, value: Any) -> bool:
    source = context.get_parameter_source(option)
    return value not in (None, []) and source is not None and source.name != "DEFAULT"


def _layered(kind: Any, file: Path | None, given: Mapping[str, Any]) -> Any:
    """Settings of the values of a file and, before them, the texts that were typed; an empty text is no item."""
    values = {} if file is None else read_yaml(file, name="--config")
    require_known(values, [field.name for field in dataclasses.fields(kind)], name=f"--config {file}")
    for field, value in given.items():
        if isinstance(value, str):
            values[field] = from_text(kind, field, value, name="options")
        else:
            values[field] = [text for text in value if text] if isinstance(value, list) else value
    return kind.from_dict(values)


def _parameter(name: str, field: "dataclasses.Field[Any]", hint: Any) -> inspect.Parameter:
    """The option of a field, as typer reads it."""
    about: Mapping[str, Any] = field.metadata
    kinds = [kind for kind in get_args(hint) if kind is not type(None)] if type(None) in get_args(hint) else [hint]
    choices = get_args(kinds[0]) if get_origin(kinds[0]) is Literal else about["choices"]
    kind: Any = type(choices[0]) if choices else kinds[0]
    default = None if field.default in ((), dataclasses.MISSING) or about.get("repeat") else field.default
    flag = f"--{name.replace('_', '-')}"
    if about.get("repeat"):
        kind = list[str]
    elif "type" in about:
        kind = about["type"]
    elif about["commas"]:
        kind, default = list[str], [",".join(default)] if default else None
    elif "parse" in about or kind not in (bool, int, float, str, Path):
        kind = str
    option = typer.Option(
        f"{flag}/--no-{flag[2:]}" if kind is bool else flag,
        help=about["help"],
        min=about["low"] if kind in (int, float) else None,
        max=about["high"] if kind in (int, float) else None,
        metavar=about.get("metavar") or "|".join(map(str, choices)) or ("A,B,…" if about["commas"] else None),
        rich_help_panel=about.get("group"),
        show_default=default is not None and default is not False,
    )
    annotation: Any = Annotated[kind if default is not None else kind | None, option]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _config(lists: set[str], as_typed: bool) -> inspect.Parameter:
    """The option `--config`, whose values are read as if they were typed; otherwise `_layered` reads them."""

    def read(context: typer.Context, file: Path | None) -> Path | None:
        if file is not None and as_typed:
            context.default_map = _read_config(context, file, lists)
        return file

    about = typer.Option(help="Options from a YAML file, one a line.", callback=read, is_eager=True)
    kind = inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter("config", kind, default=None, annotation=Annotated[Path | None, about])


def _read_config(context: typer.Context, file: Path, lists: set[str]) -> dict[str, Any]:
    """Defaults of a command from a file, by the names of options; they are read as if they were typed."""
    options = {one.opts[0].lstrip("-").replace("-", "_"): one for one in context.command.params}
    written: dict[str, Any] = {}
    for key, value in read_yaml(file, name="--config", as_text=True).items():
        option = key.replace("-", "_")
        require_known([option], [name for name in options if name not in ("config", "help")], name=f"--config {file}")
        if option in written:
            raise InputError(f"--config {file}: {option} occurs twice")
        typed: Any = _as_typed(value, f"--config {file}: {option}")
        if option in lists or not getattr(options[option], "multiple", False):
            quoted = (f'"{item}"' if "," in item else item for item in typed)
            typed = value if isinstance(value, str) else ",".join(quoted)
        written[option] = [typed] if typed and option in lists else typed or None
    return {str(options[name].name): value for name, value in written.items()}


def _as_typed(value: Any, where: str) -> list[str]:
    """What would be typed for a value of YAML, item by item; of names with a value (`w1: dna`), `w1=dna`."""
    if isinstance(value, dict):
        items = [f"{key}={one}" if isinstance(one, str) else one for key, one in value.items()]
    else:
        items = value if isinstance(value, list) else [] if value is None else [value]
    if not all(isinstance(item, str) and item for item in items):
        raise InputError(f"{where} is not a value, a list of values, or names with a value each: {value!r}")
    return items


_CONTEXT = inspect.Parameter("context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)
