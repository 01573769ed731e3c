"""The house as DESIGN describes it: floors without circles, imports in sight, each wing on its own side."""

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WINGS = ("builder", "cytoimagenet_hf")

FILES = (".json", ".md", ".parquet", ".png", ".py", ".tex", ".toml", ".txt", ".yml")
LATE = {
    "cytoimagenet_hf/__init__.py",
    "cytoimagenet_hf/features/__init__.py",
    "cytoimagenet_hf/training/__init__.py",
    "cytoimagenet_hf/images/formats/dataset.py",
    "cytoimagenet_hf/images/stores/dataset.py",
    "cytoimagenet_hf/networks/fusion.py",
    "builder/__main__.py",
}
"""Beside the commands, the modules that import their own kind inside functions: torch and `datasets` are seconds that
most callers need not wait."""


@functools.cache
def parsed(file: Path) -> ast.Module:
    """A module's syntax, parsed once for all tests."""
    return ast.parse(file.read_text(encoding="utf-8"))


def modules() -> dict[str, Path]:
    """Dotted name → file."""
    files = {}
    for wing in WINGS:
        for file in sorted((ROOT / wing).rglob("*.py")):
            parts = file.relative_to(ROOT).with_suffix("").parts
            files[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return files


def imports(name: str, file: Path, known: dict[str, Path]) -> Iterator[tuple[str, bool]]:
    """The modules of the two wings that a module imports, each with whether it does so inside a function."""
    package = name if file.name == "__init__.py" else name.rpartition(".")[0]

    def visit(node: ast.AST, late: bool) -> Iterator[tuple[str, bool]]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                yield from ((alias.name, late) for alias in child.names if alias.name in known)
            elif isinstance(child, ast.ImportFrom):
                above = package.split(".")[: len(package.split(".")) - child.level + 1] if child.level else []
                base = ".".join([*above, *([child.module] if child.module else [])])
                for alias in child.names:
                    target = f"{base}.{alias.name}" if f"{base}.{alias.name}" in known else base
                    if target in known:
                        yield target, late
            else:
                yield from visit(child, late or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef))

    return visit(parsed(file), False)


def test_no_circle_not_even_inside_functions() -> None:
    known = modules()
    below = {name: {target for target, _ in imports(name, file, known)} - {name} for name, file in known.items()}
    assert len(below) > 300
    assert sum(map(len, below.values())) > 1000  # the imports were read
    while ready := [name for name, targets in below.items() if not targets]:
        for name in ready:
            del below[name]
        for targets in below.values():
            targets.difference_update(ready)
    assert not below, f"in circles, or above one: {sorted(below)[:12]}"


def test_what_docstrings_and_pages_point_at_is_there() -> None:
    """`networks.pooling.POOLINGS` in a sentence: a module, and a name of its top level or one that it imports."""
    known = modules()
    names = {name: set(_names(parsed(file))) for name, file in known.items()}
    pages = [*known.values(), *ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    rooms = {part for name in known for part in name.split(".")}
    pointed, lost = 0, []
    for page in pages:
        for reference in re.findall(r"`((?:[a-z_]+\.)+\w+)(?:\([^`]*\))?`", page.read_text(encoding="utf-8")):
            parts = reference.split(".")
            if parts[0] not in rooms or reference.endswith(FILES) or parts[0] == "config":
                continue
            pointed += 1
            places = [".".join(parts[:end]) for end in range(1, len(parts) + 1)]
            if not any(
                f".{name}".endswith(f".{place}") and (end == len(parts) or parts[end] in names[name])
                for end, place in enumerate(places, 1)
                for name in known
            ):
                lost.append(f"{page.relative_to(ROOT)}: {reference}")
    assert pointed > 100
    assert not lost


def _names(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Import | ast.ImportFrom):
            yield from (alias.asname or alias.name for alias in node.names)


def test_the_library_never_imports_the_builder() -> None:
    known = modules()
    upward = {
        (name, target)
        for name, file in known.items()
        if name.startswith("cytoimagenet_hf")
        for target, _ in imports(name, file, known)
        if target.startswith("builder")
    }
    assert not upward


def test_imports_inside_functions_are_those_that_save_seconds() -> None:
    known = modules()
    late = {
        file.relative_to(ROOT).as_posix()
        for name, file in known.items()
        if any(inside for _, inside in imports(name, file, known))
    }
    assert {name for name in late if not name.startswith("cytoimagenet_hf/cli/")} == LATE


MOST_PARAMETERS = 8
LONGER = {
    "cytoimagenet_hf/features/extract.py": {"extract_features"},  # public: its keywords are those of callers
    "cytoimagenet_hf/metrics/knn_transfer/knn_transfer.py": {"compute"},  # what `evaluate` hands over
    "cytoimagenet_hf/tables/tabular.py": {"read_table"},
}
"""File → its functions of more parameters, with the reason."""


def test_options_that_travel_together_are_a_settings_class() -> None:
    longer: dict[str, set[str]] = {}
    for file in modules().values():
        for node in ast.walk(parsed(file)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                arguments = node.args
                if len(arguments.posonlyargs + arguments.args + arguments.kwonlyargs) > MOST_PARAMETERS:
                    longer.setdefault(file.relative_to(ROOT).as_posix(), set()).add(node.name)
    assert longer == LONGER
