"""Speed and memory, side by side in one run: ours, the alternatives, the floor.

    python scripts/bench.py select
    python scripts/bench.py --output /elsewhere select --rows 200000

Each benchmark is one module of `scripts/benches/` with one function `run(...)`: its options are the command's, its
docstring the command's help. It returns a dict whose `table` is a list of rows to print; all of it is written to
`docs/benchmarks/<name>.json` together with the machine it was measured on.
"""

import ast
import functools
import importlib
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from cytoimagenet_hf.core.boundary import DEBUG, run_app

ROOT = Path(__file__).resolve().parents[1]
BENCHES = {
    file.stem: (ast.get_docstring(ast.parse(text)) or "").partition("\n")[0]
    for file in sorted((ROOT / "scripts" / "benches").glob("*.py"))
    if "\ndef run(" in (text := file.read_text(encoding="utf-8"))
}
"""Name → its line in `--help`, the first of its module; the function is `benches.<name>.run`."""


def main() -> int:
    """Run one benchmark; only its module is imported."""
    sys.path.insert(0, str(ROOT))  # builder and tests are run from the checkout, not installed
    app = typer.Typer(
        add_completion=False,
        no_args_is_help=True,
        help=f"{(__doc__ or '').partition(chr(10))[0]}\n\n{DEBUG}\n\nExample: python scripts/bench.py knn --rows 6000",
    )
    folder = ROOT / "docs" / "benchmarks"

    @app.callback()
    def options(output: Annotated[Path, typer.Option(help="Folder of the JSON files.")] = folder) -> None:
        nonlocal folder
        folder = output

    for name, line in BENCHES.items():
        if name in sys.argv:
            run = importlib.import_module(f"benches.{name}").run
            app.command(name)(_reported(run, name, lambda: folder))
        else:
            app.command(name, help=line)(_listed)
    return run_app(lambda: app, program="scripts/bench.py", arguments=sys.argv[1:])


def _reported(run: Any, name: str, folder: Any) -> Any:
    """`run`, followed by its table on the screen and its JSON in the folder."""
    from benches import common

    @functools.wraps(run)
    def command(**options: Any) -> None:
        result = run(**options)
        common.show(result, title=f"bench {name}")
        file = result.pop("name", name)
        typer.echo(f"written to {common.write(result, folder() / f'{file}.json')}")

    return command


def _listed() -> None:
    """Stands in for a benchmark that is listed but not run."""


if __name__ == "__main__":
    sys.exit(main())
