"""The settings of the project as frozen dataclasses: types, choices and ranges are checked here and nowhere else.

A dataclass declares its fields with `setting` and calls `check_fields` in `__post_init__`; from then on it holds
checked values, whether it was made in Python, from YAML or JSON (`build`), or from a command line (`from_text`).

Why not pydantic, which some releases of typer bring along? Its lax mode takes `2.0` and `true` for whole numbers, its
strict mode refuses the `1e-3` that YAML 1.1 hands over as text, and both refuse `precision: no` and `subset: toy_20`;
each of our rules would be a validator beside it, and its messages (several lines, with a link) would be translated
for every reader. What is left for it to do is less than this file, and not worth a dependency of the core.
"""

import dataclasses
import difflib
import inspect
import math
import numbers
import reprlib
import types
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import yaml

from .errors import InputError, one_line
from .regular import require_regular

_LARGEST_FILE = 1 << 20  # bytes: a configuration is a page of text
_WORDS = {True: ("yes", "on", "true"), False: ("no", "off", "false")}  # what YAML 1.1 reads as a boolean
_Settings = TypeVar("_Settings")
Function = TypeVar("Function", bound=Callable[..., Any])


def setting(
    default: Any,
    help: str = "",
    *,
    choices: Iterable[str] = (),
    low: float | None = None,
    high: float | None = None,
    above: float | None = None,
    below: float | None = None,
    commas: bool = False,
    **more: Any,
) -> Any:
    """A field of a settings dataclass.

    Args:
        default: its default; a list or dictionary is copied for each instance.
        help: one line for `--help` and pages.
        choices: the texts it may be (a `Literal` hint says the same).
        low, high: range, both ends included; of a tuple, of each number in it.
        above, below: range, the end excluded.
        commas: text for a tuple is divided at commas (otherwise it is one item).
        more: what else a reader of the metadata wants to know. `parse`: a function from what a person writes to the
            value, which gives a value back as it is; it takes the place of the check of the type. `option`, `group`,
            `repeat`, `metavar` and `command` are of `cli.arguments`.

    Example:
        >>> @dataclasses.dataclass(frozen=True)
        ... class Oven:
        ...     degrees: float = setting(180.0, "temperature", low=0, high=300)
        ...     mode: Literal["air", "grill"] = "air"
        ...
        ...     def __post_init__(self) -> None:
        ...         check_fields(self, name="oven")
        >>> build(Oven, {"degrees": "2e2"}, name="oven")
        Oven(degrees=200.0, mode='air')
        >>> Oven(mode="steam")
        Traceback (most recent call last):
        cytoimagenet_hf.core.errors.InputError: oven: mode is 'steam'; choose one of air, grill
    """
    metadata = {"help": help, "choices": tuple(choices), "commas": commas, **more}
    metadata |= {"low": low, "high": high, "above": above, "below": below}
    if isinstance(default, (dict, list)):
        return dataclasses.field(default_factory=default.copy, metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def check_fields(instance: Any, *, name: str) -> None:
    """Check every field of a frozen dataclass and give it the type that it declares; for `__post_init__`.

    Args:
        instance: the dataclass.
        name: what messages call it: `recipe`, `training`.

    Raises:
        InputError: a value of another type, none of the choices, out of range, or not finite.
    """
    hints = get_type_hints(type(instance))
    for field in dataclasses.fields(instance):
        value = getattr(instance, field.name)
        if isinstance(value, numbers.Number) and hasattr(value, "item"):
            value = value.item()  # of numpy
        try:
            parse = field.metadata.get("parse")
            typed = _parsed(value, parse) if parse else _typed(value, hints[field.name], field.metadata)
            _check(typed, field.metadata)
        except _WrongTypeError as error:
            default = _plain(_default(field))
            example = "" if default is None else f"; write it like {field.name}={reprlib.repr(default)}"
            raise InputError(
                f"{name}: {field.name}={reprlib.repr(value)} has the wrong type: {error}{example}"
            ) from None
        except _WrongValueError as error:
            raise InputError(f"{name}: {field.name} is {reprlib.repr(value)}; {error}") from None
        object.__setattr__(instance, field.name, typed)


def build(kind: type[_Settings], values: Mapping[str, Any], *, name: str, base: _Settings | None = None) -> _Settings:
    """Make settings from plain values (YAML, JSON, options), on top of `base` if given.

    Raises:
        InputError: an unknown key, or what `check_fields` refuses.
    """
    if not (base is None or isinstance(base, kind)):
        raise InputError(
            f"{name}: {reprlib.repr(base)} is no {kind.__name__}: options are given by name, as option=value"
        )
    require_known(values, [field.name for field in dataclasses.fields(kind)], name=name)  # type: ignore[arg-type]
    return kind(**values) if base is None else dataclasses.replace(base, **values)  # type: ignore[type-var]


def require_known(keys: Iterable[str], names: Iterable[str], *, name: str) -> None:
    """Refuse a key that is not among the names, and suggest the nearest.

    Raises:
        InputError: such a key.
    """
    names = list(names)
    for key in keys:
        if key not in names:
            near = difflib.get_close_matches(str(key), names, n=1)
            meant = f". Did you mean {near[0]}?" if near else f"; fields are {', '.join(names)}"
            raise InputError(f"{name}: there is no field {key!r}{meant}")


def documented(kind: type[_Settings]) -> type[_Settings]:
    """A settings class whose docstring ends with its fields, each with the help of its option."""
    fields = [(field.name, field.metadata.get("help")) for field in dataclasses.fields(kind)]  # type: ignore[arg-type]
    lines = [f"    {name}: {help}" for name, help in fields if help]
    kind.__doc__ = "\n".join([inspect.cleandoc(kind.__doc__ or ""), "", "Attributes:", *lines])
    return kind


def shows_fields(kind: type[Any]) -> Callable[[Function], Function]:
    """For a function that takes `**fields` of a settings dataclass: `help` and notebooks show them by name.

    Example:
        >>> @dataclasses.dataclass(frozen=True, kw_only=True)
        ... class Oven:
        ...     degrees: float = setting(180.0, "temperature")
        >>> @shows_fields(Oven)
        ... def bake(bread: str, **fields: Any) -> float:
        ...     return Oven(**fields).degrees
        >>> str(inspect.signature(bake))
        '(bread: str, *, degrees: float = 180.0) -> float'
    """

    def decorate(function: Function) -> Function:
        signature = inspect.signature(function)
        named = {name: one for name, one in signature.parameters.items() if one.kind is not one.VAR_KEYWORD}
        fields = [one for one in inspect.signature(kind).parameters.values() if one.name not in named]
        function.__signature__ = signature.replace(parameters=[*named.values(), *fields])  # type: ignore[attr-defined]
        return function

    return decorate


def from_text(kind: type[Any], field: str, text: str, *, name: str) -> Any:
    """The plain value that a text on a command line stands for, spelled as in YAML; `check_fields` checks it.

    Raises:
        InputError: the text is not a YAML value.
    """
    hint = get_type_hints(kind).get(field)
    if hint is str or get_origin(hint) is Literal:
        return text  # in YAML, `no` would be a boolean and `1` a number
    if hint is int and text.lstrip("+-").isdecimal():
        return int(text)  # in YAML 1.1, `010` would be 8
    if not text:
        return () if get_origin(hint) is tuple else text
    if text.lower() not in ("null", "none") and str in get_args(hint) and get_origin(hint) is not dict:
        return text if not text.startswith("[") else _value(field, text, name)
    return _value(field, text, name)


def plain(settings: Any) -> dict[str, Any]:
    """Settings as values of YAML and JSON, in the order of the fields; `build` reads them back."""
    return {field.name: _plain(getattr(settings, field.name)) for field in dataclasses.fields(settings)}


def read_yaml(path: str | Path, *, name: str, as_text: bool = False) -> dict[str, Any]:
    """The `field: value` lines of a YAML (or JSON) file.

    Args:
        path: the file.
        name: what messages call it.
        as_text: values stay as they are written (`007`, `no`, `1e-3`); null alone is no text.

    Raises:
        InputError: no such file, not YAML, a field that occurs twice, or something else than fields.
    """
    require_regular(path)
    try:
        if Path(path).stat().st_size > _LARGEST_FILE:
            raise InputError(f"{name}: {path} has more than {_LARGEST_FILE:,} bytes: is it a configuration?")
        loader = _TextLoader if as_text else _Loader
        content = yaml.load(Path(path).read_text(encoding="utf-8-sig"), Loader=loader)
    except FileNotFoundError:
        raise InputError(f"{name}: {path}: no such file") from None
    except OSError as error:
        raise InputError(f"{name}: {path} cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{name}: {path} is not UTF-8 text: {error.reason} at byte {error.start + 1}") from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise InputError(f"{name}: {path} is not valid YAML: {one_line(error)}") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise InputError(f"{name}: {path} must be a mapping, `option: value` lines, not a {type(content).__name__}")
    return {str(key): value for key, value in content.items()}


class _WrongTypeError(Exception):
    """Which kind of value it should have been."""


class _WrongValueError(Exception):
    """Which values of that kind it may be."""


def _default(field: "dataclasses.Field[Any]") -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return "…" if field.default is dataclasses.MISSING else field.default


class _Loader(yaml.SafeLoader):
    """Refuses duplicate keys, of which YAML's own loader keeps the last."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        for key, _ in node.value:
            if key.tag == "tag:yaml.org,2002:bool":  # of YAML 1.1, where the name `on` is one
                key.tag = "tag:yaml.org,2002:str"
        if twice := sorted({key for key in keys if keys.count(key) > 1 and key != "<<"}):
            raise yaml.constructor.ConstructorError(None, None, f"{twice[0]} occurs twice", node.start_mark)
        made: dict[Any, Any] = super().construct_mapping(node, deep=deep)
        return made


class _TextLoader(_Loader):
    """Reads values as they are written."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - as PyYAML declares it
        first: [(tag, form) for tag, form in kinds if tag in ("tag:yaml.org,2002:null", "tag:yaml.org,2002:merge")]
        for first, kinds in _Loader.yaml_implicit_resolvers.items()
    }


def _value(field: str, text: str, name: str) -> Any:
    try:
        return yaml.load(text, Loader=_Loader)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise InputError(f"{name}: cannot read {field}={reprlib.repr(text)} as a value: {one_line(error)}") from error


def _parsed(value: Any, parse: Callable[[Any], Any]) -> Any:
    try:
        return parse(value)
    except (AttributeError, TypeError):
        raise _WrongTypeError("it cannot be read") from None


def _typed(value: Any, hint: Any, metadata: Mapping[str, Any]) -> Any:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        if value is None:
            return None
        return _typed(value, next(kind for kind in arguments if kind is not type(None)), metadata)
    if origin is tuple:
        return _tuple(value, arguments, metadata)
    if origin is dict or hint is dict:
        if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
            return dict(value)
        raise _WrongTypeError("expected `key: value` pairs")
    if origin is Literal and not isinstance(arguments[0], str):
        if type(value) is not type(arguments[0]) or value not in arguments:
            raise _WrongValueError(f"choose one of {', '.join(map(str, arguments))}")
        return value
    if origin is Literal or hint is str:
        return _word(value, arguments or metadata.get("choices", ()))
    if dataclasses.is_dataclass(hint) and isinstance(value, hint):  # type: ignore[arg-type]
        return value
    if hint is Path and isinstance(value, (str, Path)):
        return Path(value)
    if hint is bool and isinstance(value, bool):
        return value
    if hint is int and isinstance(value, int) and not isinstance(value, bool):
        return value
    if hint is float:
        return _number(value)
    raise _WrongTypeError(f"expected {_EXPECTED.get(hint, hint)}")


_EXPECTED = {bool: "true or false", int: "a whole number", float: "a number", str: "text", Path: "a file or folder"}


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise _WrongTypeError("expected a number")
    try:
        number = float(value)  # YAML 1.1 reads 1e-3 as text: its numbers have a point
    except (ValueError, OverflowError):
        raise _WrongTypeError("expected a number") from None
    if not math.isfinite(number):
        raise _WrongTypeError("expected a finite number")
    return number


def _word(value: Any, choices: Iterable[str]) -> Any:
    choices = tuple(choices)
    if isinstance(value, bool):  # an unquoted `no` in YAML
        meant = [word for word in _WORDS[value] if word in choices]
        if len(meant) == 1:
            return meant[0]
    if choices and value not in choices:
        raise _WrongValueError(f"choose one of {', '.join(choices)}")
    if not isinstance(value, str):
        raise _WrongTypeError("expected text: put it in quotes")
    return value


def _tuple(value: Any, arguments: tuple[Any, ...], metadata: Mapping[str, Any]) -> tuple[Any, ...]:
    if isinstance(value, str) and str in arguments:
        parts = [part.strip() for part in value.split(",")] if metadata.get("commas") else [value]
        value = [part for part in parts if part]
    if not isinstance(value, (list, tuple)):
        raise _WrongTypeError("expected a list")
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        return tuple(_typed(item, arguments[0], {}) for item in value)
    if len(value) != len(arguments):
        raise _WrongTypeError(f"expected {len(arguments)} values each")
    return tuple(_typed(item, kind, {}) for item, kind in zip(value, arguments, strict=True))


def _check(value: Any, metadata: Mapping[str, Any]) -> None:
    low, high, above, below = (metadata.get(end) for end in ("low", "high", "above", "below"))
    for number in value if isinstance(value, tuple) else [value]:
        if isinstance(number, bool) or not isinstance(number, (int, float)):
            continue
        within = (low is None or number >= low) and (high is None or number <= high)
        if not (within and (above is None or number > above) and (below is None or number < below)):
            raise _WrongValueError(f"it must {_range(low, high, above, below)}")


def _range(low: float | None, high: float | None, above: float | None, below: float | None) -> str:
    if high is None and below is None:
        return f"be at least {low:g}" if above is None else f"be above {above:g}"
    if low is not None and high is not None:
        return f"lie between {low:g} and {high:g}"
    first = "any" if low is None and above is None else f"{above if low is None else low:g}"
    last = f"{below if high is None else high:g}"
    return f"lie in {'[' if above is None else '('}{first}, {last}{']' if below is None else ')'}"


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    return [_plain(item) for item in value] if isinstance(value, tuple) else value
