"""docs/api.md: the public names of both packages with their docstrings, read from the source without importing it."""

import ast
import re
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SECTIONS = {
    "Load": ("cytoimagenet_hf.dataset.load", "cytoimagenet_hf.dataset.splits", "cytoimagenet_hf.dataset.schema"),
    "Images as arrays": ("cytoimagenet_hf.imaging",),
    "Images of plates and folders": ("cytoimagenet_hf.images",),
    "Models": ("cytoimagenet_hf.networks", "cytoimagenet_hf.networks.backbones", "cytoimagenet_hf.networks.keras"),
    "Encoders": ("cytoimagenet_hf.networks",),
    "Features": ("cytoimagenet_hf.features",),
    "Profiles of wells": (
        *("cytoimagenet_hf.profiles.profile", "cytoimagenet_hf.profiles.well_facts"),
        *("cytoimagenet_hf.profiles.screening", "cytoimagenet_hf.profiles.screens", "cytoimagenet_hf.profiles.report"),
    ),
    "Neighbours and statistics": (
        *(
            "cytoimagenet_hf.scoring.knn",
            "cytoimagenet_hf.scoring.stats",
            "cytoimagenet_hf.scoring.precision",
            "cytoimagenet_hf.metrics",
        ),
    ),
    "Benchmarks": (
        *("cytoimagenet_hf.benchmarks", "cytoimagenet_hf.benchmarks.suite", "cytoimagenet_hf.benchmarks.compare"),
        "cytoimagenet_hf.scoring.contamination",
    ),
    "Training": ("cytoimagenet_hf.training",),
    "The Hub and cards": (
        *("cytoimagenet_hf.dataset.hub", "cytoimagenet_hf.dataset.cards", "cytoimagenet_hf.dataset.cards.facts"),
        "cytoimagenet_hf.dataset.cards.croissant",
    ),
    "Simulated data": ("scripts.simulate",),
    "Building the dataset": (
        *("builder.build", "builder.recipe", "builder.annotate", "builder.select", "builder.render"),
        *("builder.publish", "builder.kaggle", "builder.verify", "builder.doctor", "builder.sources.base"),
    ),
}
_HEAD = """# API reference

Made from the docstrings by `python scripts/docs.py`. The [command line](quickstart.md) wraps these calls.

"""
_Documented = ast.FunctionDef | ast.ClassDef


def page() -> str:
    """The whole page."""
    contents = [
        f"- [{section}](#{anchor(section)}): {', '.join(f'`{name}`' for name in names)}"
        for section, names in SECTIONS.items()
    ]
    sections = [f"## {section}\n\n" + "\n".join(map(_module, names)) for section, names in SECTIONS.items()]
    return _HEAD + "\n".join(contents) + "\n\n" + "\n".join(sections)


def anchor(heading: str) -> str:
    """The fragment that Markdown viewers give a heading."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def _module(name: str) -> str:
    tree = _tree(name)
    parts = [f"### {name}", ast.get_docstring(tree) or ""]
    for public, value in _constants(tree):
        parts.append(f"**`{public}`** {_line(value)}")
    parts += [_entry(node) for node in _public(name, tree)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _tree(name: str) -> ast.Module:
    return ast.parse(_file(name).read_text(encoding="utf-8"))


def _file(name: str) -> Path:
    path = ROOT.joinpath(*name.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _constants(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Public assignments that a string literal below them documents."""
    for node, following in zip(tree.body, tree.body[1:], strict=False):
        target = (
            node.target
            if isinstance(node, ast.AnnAssign)
            else node.targets[0]
            if isinstance(node, ast.Assign)
            else None
        )
        documented = isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant)
        if isinstance(target, ast.Name | ast.Tuple) and documented and not ast.unparse(target).startswith("_"):
            yield ast.unparse(target).strip("()"), str(following.value.value)  # type: ignore[attr-defined]


def _public(name: str, tree: ast.Module) -> list[_Documented]:
    """Functions and classes that a module offers: those of `__all__`, followed to where they are, or its own."""
    own = {node.name: node for node in tree.body if isinstance(node, _Documented)}
    listed = _listed(tree)
    if listed is None:
        return [node for node in own.values() if not node.name.startswith("_")]
    found = []
    for public in listed:
        node = own.get(public) or _imported(name, tree, public)
        if node is not None:
            found.append(node)
    return found


def _listed(tree: ast.Module) -> list[str] | None:
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return list(ast.literal_eval(node.value))
    return None


def _imported(name: str, tree: ast.Module, public: str) -> _Documented | None:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and public in {alias.name for alias in node.names}:
            package = name if _file(name).name == "__init__.py" else name.rpartition(".")[0]
            source = f"{package}.{node.module}" if node.level else str(node.module)
            inside = _tree(source)
            own = [part for part in inside.body if isinstance(part, _Documented) and part.name == public]
            return own[0] if own else _imported(source, inside, public)
    return None


def _entry(node: _Documented) -> str:
    parts = [f"#### `{node.name}`", f"```python\n{_signature(node)}\n```", _text(ast.get_docstring(node) or "")]
    if isinstance(node, ast.ClassDef):
        for method in node.body:
            documented = isinstance(method, ast.FunctionDef) and ast.get_docstring(method)
            if documented and not method.name.startswith("_"):
                parts.append(f"- `{_signature(method)}`: {_line(documented.split(chr(10) * 2)[0])}")
    return "\n\n".join(part for part in parts if part)


def _signature(node: _Documented) -> str:
    """The call as it is written, self left out, over several lines where it is long."""
    if isinstance(node, ast.ClassDef):
        name, arguments, returns = f"class {node.name}", _constructor(node), ""
    else:
        name, arguments = node.name, _arguments(node.args)
        returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    arguments = [part for part in arguments if part not in ("self", "cls")]
    line = f"{name}({', '.join(arguments)}){returns}"
    if len(line) <= 100:
        return line
    return f"{name}(\n" + "".join(f"    {argument},\n" for argument in arguments) + f"){returns}"


def _constructor(node: ast.ClassDef) -> list[str]:
    """What a class is called with: its own `__init__`, or the fields of a dataclass."""
    for method in node.body:
        if isinstance(method, ast.FunctionDef) and method.name == "__init__":
            return _arguments(method.args)
    if not any("dataclass" in ast.unparse(decorator) for decorator in node.decorator_list):
        return []
    fields = [part for part in node.body if isinstance(part, ast.AnnAssign)]
    return [f"{ast.unparse(part.target)}: {ast.unparse(part.annotation)}{_default(part.value)}" for part in fields]


def _default(value: ast.expr | None) -> str:
    if value is None:
        return ""
    return " = …" if isinstance(value, ast.Call) else f" = {ast.unparse(value)}"


def _arguments(arguments: ast.arguments) -> list[str]:
    """Each argument as written, `*` and `**` included."""
    positional = [*arguments.posonlyargs, *arguments.args]
    defaults: Sequence[ast.expr | None] = [None] * (len(positional) - len(arguments.defaults)) + arguments.defaults
    shown = [_argument(argument, default) for argument, default in zip(positional, defaults, strict=True)]
    if arguments.vararg:
        shown.append(f"*{ast.unparse(arguments.vararg)}")
    elif arguments.kwonlyargs:
        shown.append("*")
    shown += [
        _argument(argument, default)
        for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    ]
    return shown + ([f"**{ast.unparse(arguments.kwarg)}"] if arguments.kwarg else [])


def _argument(argument: ast.arg, default: ast.expr | None) -> str:
    return ast.unparse(argument) + (f" = {ast.unparse(default)}" if default is not None else "")


def _text(docstring: str) -> str:
    """A Google-style docstring as Markdown: items of Args and Raises as a list, examples as code."""
    parts = []
    for block in re.split(r"\n(?=[A-Z]\w+:\n)", docstring):
        head, _, body = block.partition("\n")
        body = textwrap.dedent(body).strip("\n")
        if not re.fullmatch(r"[A-Z]\w+:", head):
            parts.append(block.strip())
        elif head == "Example:":
            parts.append(f"```python\n{body}\n```")
        elif head == "Returns:" or head == "Yields:":
            parts.append(f"**{head[:-1]}** {_line(body)}")
        else:
            items = re.split(r"\n(?=\S)", body)
            parts.append(f"**{head[:-1]}**\n\n" + "\n".join(_item(item) for item in items))
    return "\n\n".join(parts)


def _item(text: str) -> str:
    name, colon, meaning = _line(text).partition(": ")
    return f"- `{name}`: {meaning}" if colon else f"- {name}"


def _line(text: str) -> str:
    return " ".join(text.split())
