"""Every example of the front pages runs as printed, or says on the page why it does not."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.demo import next_commands
from tests.datasets import foreign, write_dataset
from tests.docs.examples import NEEDS, PAGES, ROOT, commands, examples
from tests.hub.loopback import TOKEN, Hub, Repository, serve

_RAN, _SKIPPED = 72, 32  # lines of shell blocks and Python blocks; raise and lower them with the pages


def _repository(hub: Hub, kind: str, name: str, folder: Path) -> None:
    """Put a folder on the Hub, with a tag."""
    files = {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith(".")
    }
    repository = Repository(private=False, revisions={"main": files, "v1.0": files})
    repository.lfs_paths.update(name for name in files if name.endswith((".parquet", ".safetensors")))
    repository.revisions[repository.commit_id("main")] = files
    hub.repositories[kind, name] = repository


def _datasets(root: Path) -> dict[str, Path]:
    """Datasets of a few rows, by name: one as this project publishes, one without a card, one with a configuration."""
    codes = {"train": [0, 0, 1, 1], "validation": [0, 1]}
    plants = foreign(root / "plants", label="species")
    (plants / "README.md").write_text(
        "---\nconfigs:\n- config_name: leaves\n  data_files:\n"
        "  - {split: train, path: data/train-*}\n  - {split: validation, path: data/validation-*}\n---\n"
    )
    return {
        "me/cytoimagenet": write_dataset(root / "cytoimagenet", ["actin", "yeast"], codes),
        "me/beans": foreign(root / "beans"),
        "me/plants": plants,
    }


def run_pages(demo: Path, scratch: Path, pages: tuple[str, ...]) -> list[dict[str, object]]:
    """Run pages as a user of a Hub on the loopback interface; what became of each line."""
    with serve() as hub:
        for name, folder in _datasets(scratch / "hub").items():
            _repository(hub, "datasets", name, folder)
        _repository(hub, "models", "me/cytoimagenet-b0", demo / "model")
        _repository(hub, "models", "google/efficientnet-b0", demo / "random-1")
        environment = os.environ | {
            "HF_ENDPOINT": hub.url,
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_OFFLINE": "0",
            "HF_HOME": str(scratch / "home"),
            "HF_TOKEN": TOKEN,
            "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
            "PYTHONPATH": str(ROOT),
        }
        command = [sys.executable, "-m", "tests.docs.examples", str(demo), str(scratch), str(scratch / "record.json")]
        done = subprocess.run([*command, *pages], cwd=ROOT, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    record: list[dict[str, object]] = json.loads((scratch / "record.json").read_text())
    return record


def test_every_example_of_the_pages_runs(demo, tmp_path):
    record = run_pages(demo, tmp_path, PAGES)
    failed = [
        f"{one['page']}:{one['line']}: {one['text']}\n{one['printed'][-3000:]}"
        for one in record
        if one["outcome"] == "failed"
    ]
    assert not failed, "\n\n".join(failed)
    outcomes = [one["outcome"] for one in record]
    assert (outcomes.count("ran"), outcomes.count("skipped")) == (_RAN, _SKIPPED)


def test_the_five_tasks_of_the_skill_say_what_they_print():
    blocks = examples("SKILL.md", (ROOT / "SKILL.md").read_text(encoding="utf-8"))
    assert sum(bool(one.expected) for one in blocks) == len(blocks) == 6
    assert not any(one.markers for one in blocks)


def test_what_is_not_run_says_why():
    for page in PAGES:
        for example in examples(page, (ROOT / page).read_text(encoding="utf-8")):
            assert all(len(marker.why.split()) >= 3 for marker in example.markers), f"{page}:{example.line}"


@pytest.mark.parametrize("page", ["README.md", "docs/quickstart.md"])
def test_the_demo_ends_with_the_commands_of_the_page(page):
    blocks = [commands(one.text) for one in examples(page, (ROOT / page).read_text(encoding="utf-8"))]
    assert list(next_commands(Path("demo"))) in blocks


def test_each_page_says_what_its_reader_has():
    assert set(NEEDS) == set(PAGES)


@pytest.mark.parametrize("comment", ["<!-- not run -->", "<!-- run `make` with --fast: sooner -->"])
def test_a_comment_without_a_reason_is_refused(comment):
    with pytest.raises(ValueError, match="no rule reads"):
        examples("a.md", f"{comment}\n```bash\nmake\n```\n")
