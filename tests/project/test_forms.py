"""Workflows, forms and the hooks of pre-commit are YAML with the keys that their readers ask for.

No validator of GitHub's can run here; what is checked is what GitHub refuses or ignores in silence.
"""

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.y*ml"))
FORMS = sorted(path for path in (ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.y*ml") if path.stem != "config")
KINDS = {"markdown", "textarea", "input", "dropdown", "checkboxes"}


def read(path):
    return yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)  # BaseLoader: `on` stays a word


def names(paths):
    return [path.stem for path in paths]


def test_there_is_something_to_check():
    assert names(WORKFLOWS) == ["hub", "test"]
    assert {"bug", "source", "encoder"} <= set(names(FORMS))


@pytest.mark.parametrize("path", WORKFLOWS, ids=names(WORKFLOWS))
def test_a_workflow_can_run(path):
    flow = read(path)
    assert {"name", "on", "jobs"} <= set(flow)
    assert set(flow) <= {"name", "on", "jobs", "permissions", "env", "concurrency", "defaults", "run-name"}
    for name, job in flow["jobs"].items():
        assert re.fullmatch(r"[A-Za-z_][\w-]*", name)
        assert {"runs-on", "steps"} <= set(job), name
        assert int(job["timeout-minutes"]) <= 120, f"{name}: GitHub's own limit is six hours"
        assert set(job.get("needs", []) if isinstance(job.get("needs"), list) else []) <= set(flow["jobs"])
        for step in job["steps"]:
            assert ("uses" in step) != ("run" in step), f"{name}: a step either uses an action or runs a command"
            if "uses" in step:
                assert re.fullmatch(r"[\w.-]+/[\w./-]+@[0-9a-f]{40}", step["uses"]), f"{step['uses']}: pin a commit"
        for text in re.findall(r"\$\{\{\s*matrix\.(\w+)", str(job)):
            assert text in job["strategy"]["matrix"], f"{name}: matrix has no {text}"


@pytest.mark.parametrize("path", WORKFLOWS, ids=names(WORKFLOWS))
def test_a_pinned_commit_names_its_version(path):
    """Dependabot raises both, and a reader knows what runs."""
    pinned = re.findall(r"uses: \S+@[0-9a-f]{40}(.*)", path.read_text(encoding="utf-8"))
    assert pinned
    assert all(re.fullmatch(r"  # v\d+\.\d+\.\d+", rest) for rest in pinned)
    updates = read(ROOT / ".github" / "dependabot.yml")["updates"]
    assert [one["package-ecosystem"] for one in updates] == ["github-actions"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=names(WORKFLOWS))
def test_what_a_workflow_runs_is_there(path):
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    checked = 0
    for job in read(path)["jobs"].values():
        for command in (step["run"] for step in job["steps"] if "run" in step):
            for target in re.findall(r"\bmake ([a-z]+)", command):
                assert target in targets, command
                checked += 1
            for word in re.findall(r'(?<=[\s"])(?:tests|scripts|cytoimagenet_hf)/[\w./-]+', command):
                assert (ROOT / word).exists(), command
                checked += 1
    assert checked


@pytest.mark.parametrize("path", FORMS, ids=names(FORMS))
def test_a_form_has_what_github_asks_for(path):
    form = read(path)
    assert {"name", "description", "body"} <= set(form)
    assert set(form) <= {"name", "description", "title", "labels", "assignees", "projects", "type", "body"}
    ids = [field["id"] for field in form["body"] if field["type"] != "markdown"]
    assert len(set(ids)) == len(ids)
    assert any(field["type"] != "markdown" for field in form["body"])
    for field in form["body"]:
        assert field["type"] in KINDS
        assert set(field) <= {"type", "id", "attributes", "validations"}
        needed = {"markdown": "value", "dropdown": "options", "checkboxes": "options"}.get(field["type"], "label")
        assert field["attributes"].get(needed), f"{field}: no {needed}"


def test_the_hooks_of_pre_commit_are_pinned_and_run_what_make_lint_runs():
    repositories = read(ROOT / ".pre-commit-config.yaml")["repos"]
    entries = set()
    for repository in repositories:
        if repository["repo"] == "local":
            entries |= {" ".join(hook["entry"].split()[:2]) for hook in repository["hooks"]}
            assert all({"id", "name", "entry", "language"} <= set(hook) for hook in repository["hooks"])
        else:
            assert re.fullmatch(r"v?\d+\.\d+\.\d+|[0-9a-f]{40}", repository["rev"])
    assert entries == {".venv/bin/ruff check", ".venv/bin/ruff format", ".venv/bin/mypy"}
