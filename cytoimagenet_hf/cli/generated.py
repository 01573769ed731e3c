"""Commands whose options are the fields of settings classes, so that a command line, YAML and Python read the same.

A command names settings classes as the types of its parameters. `with_options` turns each of them into one option per
field, in a group of its own, with the field's help, choices and default; the command is called with the settings made
and checked.
"""

import dataclasses
import functools
import inspect
import types
from collections.abc import Callable
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import typer

from cytoimagenet_hf.core.settings import build, from_text

_NUMBERS = (int, float)


def with_options(command: Callable[..., None]) -> Callable[..., None]:
    """A command for typer from one that takes settings.

    Args:
        command: a function; each parameter whose type is a settings class with a `title` becomes the options of its
            fields.

    Example:
        >>> from dataclasses import dataclass
        >>> from cytoimagenet_hf.core.settings import check_fields, setting
        >>> @dataclass(frozen=True)
        ... class Oven:
        ...     title = "Of the oven"
        ...     degrees: float = setting(180.0, "temperature", low=0, high=300)
        ...
        ...     def __post_init__(self) -> None:
        ...         check_fields(self, name="oven")
        >>> def bake(cake: str, oven: Oven) -> None:
        ...     print(cake, oven.degrees)
        >>> command = with_options(bake)
        >>> list(inspect.signature(command).parameters)
        ['cake', 'degrees']
        >>> command(cake="plum", degrees="200")
        plum 200.0
    """
    hints = get_type_hints(command, include_extras=True)
    kinds = {name: kind for name, kind in hints.items() if dataclasses.is_dataclass(kind) and isinstance(kind, type)}
    parameters: list[inspect.Parameter] = []
    for name, parameter in inspect.signature(command).parameters.items():
        if name in kinds:
            parameters += [_option(field, kinds[name]) for field in dataclasses.fields(kinds[name])]
        else:
            parameters.append(parameter.replace(annotation=hints[name]))

    @functools.wraps(command)
    def run(**given: Any) -> None:
        made = {}
        for name, kind in kinds.items():
            values = {field.name: given.pop(field.name) for field in dataclasses.fields(kind) if field.name in given}
            typed = {
                key: from_text(kind, key, value, name=f"--{key.replace('_', '-')}")
                if isinstance(value, str)
                else value
                for key, value in values.items()
                if value is not None
            }
            made[name] = build(kind, typed, name=getattr(kind, "title", name))
        command(**given, **made)

    run.__signature__ = inspect.Signature(sorted(parameters, key=lambda p: p.default is not p.empty))  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run


def _option(field: "dataclasses.Field[Any]", kind: type[Any]) -> inspect.Parameter:
    """The option of a field: a switch where it is true or false, text otherwise, which the settings check."""
    hint = get_type_hints(kind)[field.name]
    is_optional = get_origin(hint) in (Union, types.UnionType)
    plain = next(part for part in get_args(hint) if part is not type(None)) if is_optional else hint
    default = field.default if field.default is not dataclasses.MISSING else None
    names = [f"--{field.name.replace('_', '-')}"]
    if plain is bool:
        option = typer.Option(
            "/".join([*names, f"--no-{names[0][2:]}"]), help=_help(field), rich_help_panel=kind.title
        )
        return _parameter(field.name, Annotated[bool | None, option], default)
    metavar = "|".join(field.metadata.get("choices", ())) or _metavar(plain)
    option = typer.Option(*names, help=_help(field), metavar=metavar, rich_help_panel=kind.title, show_default=False)
    return _parameter(field.name, Annotated[str | None, option], None)


def _parameter(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _metavar(kind: Any) -> str:
    return {int: "INTEGER", float: "NUMBER"}.get(kind, "A,B" if get_origin(kind) is tuple else "TEXT")


def _help(field: "dataclasses.Field[Any]") -> str:
    """The field's line, with its default."""
    text = str(field.metadata.get("help", ""))
    if field.default in (None, "", (), dataclasses.MISSING):
        return text
    shown = ",".join(map(str, field.default)) if isinstance(field.default, tuple) else field.default
    return f"{text} [default: {shown}]"
