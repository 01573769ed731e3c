"""The examples of the pages: read from the text, and run in the order of the page, in a fresh folder for each page.

    python -m tests.docs.examples DEMO SCRATCH RECORD.json README.md docs/quickstart.md …

A page is run as printed: commands word by word, Python with the names of the blocks above it. All pages run in one
process, since importing torch takes longer than most examples. A comment before a block says what is not run, or what
is added to make it small, and why:

    <!-- not run: it takes hours -->
    <!-- not run `pip install`: it would change the environment of the tests -->
    <!-- run `accelerate launch` with `--epochs 1`: one epoch is enough to see that it works -->
    <!-- run `cytoimagenet extract` with exit code 1: some rows lack a channel -->
"""

import contextlib
import io
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PAGES = (
    "README.md",
    "SKILL.md",
    "docs/quickstart.md",
    "docs/faq.md",
    "docs/journeys/load.md",
    "docs/journeys/extract.md",
    "docs/journeys/profile.md",
    "docs/journeys/cluster.md",
    "docs/journeys/curate.md",
    "docs/journeys/pretrain.md",
    "docs/journeys/benchmark.md",
)
_MARKER = re.compile(
    r"<!-- (?:not run(?: `(?P<skipped>[^`]+)`)?"
    r"|run `(?P<prefix>[^`]+)` with (?:`(?P<options>[^`]+)`|exit code (?P<code>\d))): (?P<why>.+?) -->"
)
_BLOCK = re.compile(
    r"(?P<markers>(?:^[ ]*<!-- (?:not run|run `)[^\n]* -->\n)*)"
    r"^(?P<indent>[ ]*)```(?P<language>bash|python)\n(?P<text>.*?)^[ ]*```\n"
    r"(?:\n^[ ]*```text\n(?P<expected>.*?)^[ ]*```\n)?",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Marker:
    """What a comment says of lines that begin with `prefix`, and why.

    They are not run (`skipped`), or run with more options, or end with another exit code than 0.
    """

    prefix: str
    why: str
    skipped: bool = False
    options: str = ""
    code: int = 0


@dataclass(frozen=True)
class Example:
    """One block of a page."""

    page: str
    line: int
    language: str
    text: str
    expected: str
    markers: tuple[Marker, ...]


@dataclass(frozen=True)
class Ran:
    """What became of a line of a shell block, or of a Python block."""

    page: str
    line: int
    text: str
    outcome: str  # ran, skipped, failed
    printed: str
    seconds: float


def examples(page: str, text: str) -> list[Example]:
    """The blocks of a page.

    Example:
        >>> examples("a.md", "x\\n<!-- not run: hours -->\\n```bash\\nmake\\n```\\n")[0].markers
        (Marker(prefix='', why='hours', skipped=True, options='', code=0),)
    """
    blocks = []
    for match in _BLOCK.finditer(text):
        markers = tuple(
            Marker(
                one["skipped"] or one["prefix"] or "",
                one["why"],
                skipped=one["prefix"] is None,
                options=one["options"] or "",
                code=int(one["code"] or 0),
            )
            for one in _MARKER.finditer(match["markers"])
        )
        if len(markers) != match["markers"].count("<!--"):
            raise ValueError(f"{page}: a comment that no rule reads: {match['markers'].strip()}")
        indent = match["indent"]
        code = "".join(line.removeprefix(indent) for line in match["text"].splitlines(keepends=True))
        line = text.count("\n", 0, match.start("language")) + 1
        blocks.append(Example(page, line, match["language"], code, match["expected"] or "", markers))
    return blocks


def commands(block: str) -> list[str]:
    """The commands of a shell block, one a line, without comments.

    Example:
        >>> commands("a --b \\\\\\n    c   # why\\n\\n# alone\\nd\\n")
        ['a --b c', 'd']
    """
    lines = (shlex.split(line, comments=True) for line in block.replace("\\\n", " ").splitlines())
    return [shlex.join(words) for words in lines if words]


def missing_lines(expected: str, printed: str) -> list[str]:
    """Lines of the expected output that were not printed, in their order; `…` stands for anything.

    Example:
        >>> missing_lines("… of 3 images\\ndone\\n", "2 of 3 images\\nended\\n")
        ['done']
    """
    lines = [" ".join(line.split()) for line in printed.splitlines()]
    missing, position = [], 0
    for wanted in (" ".join(line.split()) for line in expected.splitlines()):
        pattern = re.compile(".*".join(re.escape(part.strip()) for part in wanted.split("…")))
        match = next((number for number in range(position, len(lines)) if pattern.fullmatch(lines[number])), None)
        if match is None:
            missing.append(wanted)
        else:
            position = match + 1
    return missing


def run_page(page: str, text: str, folder: Path) -> Iterator[Ran]:
    """Run a page's blocks in a folder, and compare what they print with the block of text that follows."""
    names: dict[str, Any] = {"__name__": "__main__"}
    with contextlib.chdir(folder):
        for example in examples(page, text):
            lines = commands(example.text) if example.language == "bash" else [example.text]
            ran = [_run_line(example, line, names) for line in lines]
            yield from ran
            if example.expected and all(one.outcome == "ran" for one in ran):
                printed = "".join(one.printed for one in ran)
                if missing := missing_lines(example.expected, printed):
                    printed = f"not printed: {missing}\n{printed}"
                    yield Ran(page, example.line, "the expected output", "failed", printed, 0.0)


def _run_line(example: Example, line: str, names: dict[str, Any]) -> Ran:
    markers = [marker for marker in example.markers if line.startswith(shlex.join(shlex.split(marker.prefix)))]
    started = time.process_time()
    printed = io.StringIO()
    outcome = "ran"
    if skipped := [marker.why for marker in markers if marker.skipped]:
        return Ran(example.page, example.line, line, "skipped", skipped[0], 0.0)
    line = " ".join([line, *(marker.options for marker in markers if marker.options)])
    expected = max((marker.code for marker in markers), default=0)
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        try:
            if example.language == "python":
                exec(compile(line, "<example>", "exec"), names)
            elif (code := _run_words(shlex.split(line))) != expected:
                outcome = "failed"
                print(f"exit code {code}, not {expected}")
        except BaseException:
            outcome = "failed"
            traceback.print_exc()
    seconds = round(time.process_time() - started, 2)
    return Ran(example.page, example.line, line, outcome, printed.getvalue(), seconds)


def _run_words(words: list[str]) -> int:
    """Run a command; programs of this project in this process."""
    if words[0] == "cytoimagenet":
        from cytoimagenet_hf.cli import main

        return main(words[1:])
    if words[:3] == ["python", "-m", "builder"]:
        from builder.__main__ import main

        return main([*words[3:], *(_alone(words, "1") if words[3] == "build" else [])])
    if "scripts/train.py" in words[:3]:
        return _train([*words[words.index("scripts/train.py") + 1 :], *_alone(words, "0")])
    if words[0] == "python" and words[1].startswith("scripts/"):
        done = subprocess.run(
            [sys.executable, ROOT / words[1], *words[2:]], capture_output=True, text=True, env=os.environ
        )
        print(done.stdout, done.stderr)
        return done.returncode
    raise ValueError(f"{words[0]}: the tests cannot run this command; say why it is not run")


def _alone(words: list[str], workers: str) -> list[str]:
    """No worker processes: each imports for longer than it works here."""
    return [] if "--workers" in words or words[-1] == "--help" else ["--workers", workers]


def _train(words: list[str]) -> int:
    """`scripts/train.py` as a launcher of one process starts it."""
    from accelerate.state import AcceleratorState, GradientState

    from scripts.train import main

    AcceleratorState._reset_state(reset_partial_state=True)
    GradientState._reset_state()
    try:
        return main(words)
    finally:
        AcceleratorState._reset_state(reset_partial_state=True)


# What the pages take for granted, by the names that they use.


def _link(demo: Path, folder: Path, source: str, name: str) -> None:
    place = folder / name
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(demo / source)


def _wells(demo: Path, place: Path, name: Callable[[str, str, str], str], wells: int = 4) -> None:
    """The first wells of the simulated plate, their files under other names."""
    place.mkdir(parents=True)
    pattern = re.compile(r"(.+)_([A-P]\d\d)_s1_w(\d)(?!_thumb)")
    matches = [(pattern.match(file.name), file) for file in sorted((demo / "plate" / "imagexpress").rglob("*.tif"))]
    named = [(match.groups(), file) for match, file in matches if match]
    first = sorted({well for (_, well, _), _ in named})[:wells]
    for (plate, well, channel), file in named:
        if well in first:
            shutil.copy(file, place / name(plate, well, channel))


def _classes(demo: Path, place: Path, *, per_class: int = 20) -> tuple[list[str], list[str]]:
    """Folders of two classes; the lines of a table of files and classes, and of one of files and plates."""
    import datasets

    rows = datasets.load_dataset("parquet", data_files=str(demo / "cytoimagenet" / "data" / "train-*.parquet"))[
        "train"
    ]
    lines, metadata = ["path,drug"], ["file_name,plate"]
    for code in range(2):
        of_class = [number for number, label in enumerate(rows["label"]) if label == code][:per_class]
        (place / "ab"[code]).mkdir(parents=True)
        for place_in_class, number in enumerate(of_class):
            name = f"{'ab'[code]}/{number}.png"
            rows[number]["image"].save(place / name)
            lines.append(f"{name},{'ab'[code]}")
            metadata.append(f"{name},P{place_in_class % 2}")
    return lines, metadata


def _own(demo: Path, folder: Path) -> None:
    lines, _ = _classes(demo, folder / "own")
    (folder / "own" / "cells.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _cells(demo: Path, folder: Path) -> None:
    _, metadata = _classes(demo, folder / "cells")
    (folder / "cells" / "metadata.csv").write_text("\n".join(metadata) + "\n", encoding="utf-8")


def _nuclei(demo: Path, folder: Path) -> None:
    """Two centres a well, in the columns of CellProfiler."""
    wells = [line.split(",")[:2] for line in (demo / "plate" / "platemap.csv").read_text().splitlines()[1:]]
    lines = ["Metadata_Plate,Metadata_Well,Metadata_Site,Location_Center_X,Location_Center_Y"]
    lines += [f"{plate},{well},1,{x},40" for plate, well in wells for x in (30, 60)]
    (folder / "Nuclei.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _image_files(demo: Path, folder: Path) -> None:
    _wells(demo, folder / "one", lambda plate, well, channel: f"{well}{channel}.tif", wells=1)
    for channel, name in (("1", "dapi.tif"), ("2", "actin.tif")):
        (folder / "one" / f"A01{channel}.tif").rename(folder / name)


def _well_table(demo: Path, folder: Path) -> None:
    _wells(demo, folder / "data", lambda plate, well, channel: f"{well}_w{channel}.tif")
    names = sorted(path.name for path in (folder / "data").iterdir() if "_w1" in path.name)
    lines = ["id,path", *(f"{name[:3]},{name}" for name in names)]
    (folder / "wells.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


PROVIDED: Mapping[str, Callable[[Path, Path], None]] = {
    "demo": lambda demo, folder: _link(demo, folder, ".", "demo"),
    "plate": lambda demo, folder: _link(demo, folder, "plate/imagexpress", "plate"),
    "platemap.csv": lambda demo, folder: _link(demo, folder, "plate/platemap.csv", "platemap.csv"),
    "archives": lambda demo, folder: _link(demo, folder, "raw", "archives"),
    "benchmarks": lambda demo, folder: _link(demo, folder, "benchmarks", "benchmarks"),
    "cytoimagenet": lambda demo, folder: shutil.copytree(demo / "cytoimagenet", folder / "cytoimagenet") and None,
    "runs/b0/model": lambda demo, folder: _link(demo, folder, "model", "runs/b0/model"),
    "plates": lambda demo, folder: _wells(demo, folder / "plates", lambda *named: "{}_{}_w{}.tif".format(*named)),
    "images": lambda demo, folder: _wells(demo, folder / "images", lambda *named: "{}_{}_s1_w{}.tif".format(*named)),
    "own": _own,
    "cells": _cells,
    "Nuclei.csv": _nuclei,
    "dapi.tif": _image_files,
    "wells.csv": _well_table,
}
"""Name on a page → how it comes to be in the page's folder, from the demo."""

NEEDS: Mapping[str, tuple[str, ...]] = {
    "README.md": ("demo", "plate", "platemap.csv", "archives", "benchmarks", "own"),
    "SKILL.md": ("demo", "plate", "platemap.csv"),
    "docs/quickstart.md": ("demo", "dapi.tif"),
    "docs/faq.md": ("plates", "cells", "runs/b0/model"),
    "docs/journeys/load.md": ("cytoimagenet",),
    "docs/journeys/extract.md": ("plate", "images", "wells.csv", "dapi.tif", "Nuclei.csv"),
    "docs/journeys/profile.md": ("plate", "platemap.csv"),
    "docs/journeys/cluster.md": ("plate", "runs/b0/model"),
    "docs/journeys/curate.md": ("archives", "runs/b0/model"),
    "docs/journeys/pretrain.md": ("cytoimagenet", "own"),
    "docs/journeys/benchmark.md": ("benchmarks", "runs/b0/model"),
}
"""Page → what its reader has already. `me/…` and `google/…` are repositories of a Hub on the loopback interface."""


def main(demo: str, scratch: str, record: str, *pages: str) -> None:
    """Run the pages, each in a folder of its own, and write down what became of each line."""
    ran: list[Ran] = []
    for page in pages:
        folder = Path(scratch) / page.replace("/", "-")
        folder.mkdir()
        for name in NEEDS[page]:
            PROVIDED[name](Path(demo), folder)
        ran += run_page(page, (ROOT / page).read_text(encoding="utf-8"), folder)
        Path(record).write_text(json.dumps([asdict(one) for one in ran], indent=1), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
