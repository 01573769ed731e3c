"""A whole build: the same bytes twice, and nothing changed on disk by a build that is refused."""

import hashlib
import json
import re
import shutil
from pathlib import Path

import pytest

from builder import recipe as recipes
from builder.build import build
from builder.publish import publish
from builder.select import select
from builder.sources.filter import SourceFilter
from builder.stage import claimed
from cytoimagenet_hf.core.errors import InputError
from scripts.simulate import simulate_archive

SMALL = {"min_fields": "4", "min_images": "4", "max_fields": "8", "max_images": "12"}
RECIPE = recipes.load("corrected", SMALL)


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    folder = tmp_path_factory.mktemp("archive") / "raw"
    sources = ["bbbc006", "bbbc013", "bbbc022", "cil_kinome", "kag_hpa", "kag_leukemia", "rec_rxrx1"]
    simulate_archive(folder, size="tiny", seed=0, sources=sources)
    return folder


@pytest.fixture(scope="module")
def built(raw, tmp_path_factory):
    output = tmp_path_factory.mktemp("build") / "cytoimagenet"
    build(raw, output, recipe=RECIPE, seed=0, workers=1, sources=SourceFilter(only=["bbbc013", "kag_hpa"]))
    return output


def tree(folder: Path) -> dict[str, str]:
    """Every file with the hash of its bytes; how long stages took, today's date and the times of files apart."""
    hashes = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        content = path.read_bytes()
        if path.name.endswith(".summary.json"):
            content = json.dumps(json.loads(content) | {"seconds": 0}).encode()
        if path.name.startswith("seal-"):
            content = json.dumps(json.loads(content) | {"stamp": None}).encode()
        if path.name in ("plan.seal.json", "publish.seal.json"):
            continue
        if path.name == "croissant.json":
            content = re.sub(rb'"datePublished": "[^"]*"', b"", content)
        hashes[str(path.relative_to(folder))] = hashlib.sha256(content).hexdigest()
    return hashes


def test_two_builds_give_the_same_tree(raw, built, tmp_path):
    again = tmp_path / "cytoimagenet"
    build(raw, again, recipe=RECIPE, seed=0, workers=1, sources=SourceFilter(only=["bbbc013", "kag_hpa"]))
    assert tree(again) == tree(built)


def test_the_manifest_of_many_sources_is_in_one_order(raw, tmp_path):
    output = tmp_path / "cytoimagenet"
    few = recipes.load("corrected", SMALL | {"min_fields": "2", "min_images": "2"})
    build(raw, output, recipe=few, seed=0, workers=1)
    first = (output / "manifest.json").read_bytes()
    names = [source["dir_name"] for source in json.loads(first)["sources"]]
    assert len(names) > 5
    assert names == sorted(names)


@pytest.mark.parametrize(
    ("sources", "changed", "seed"),
    [
        (["rec_rxrx1", "bbbc022"], {}, 0),
        (["bbbc013"], {}, 0),
        (["bbbc013", "kag_hpa"], {"low": "0.5"}, 0),
        (["bbbc013", "kag_hpa"], {"min_fields": "900"}, 0),
        (["bbbc013", "kag_hpa"], {}, 1),
    ],
)
def test_a_refused_build_changes_nothing(raw, built, sources, changed, seed):
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in built.rglob("*") if path.is_file()}
    with pytest.raises(InputError) as refused:
        build(
            raw,
            built,
            recipe=recipes.load("corrected", SMALL | changed),
            seed=seed,
            workers=1,
            sources=SourceFilter(only=sources),
        )
    after = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in built.rglob("*") if path.is_file()}
    assert after == before
    assert ".tables.tmp" not in str(refused.value)


def test_a_build_that_is_refused_at_once_leaves_no_folder(raw, tmp_path):
    output = tmp_path / "new" / "cytoimagenet"
    with pytest.raises(InputError, match="benchmark"):
        build(raw, output, recipe=RECIPE, seed=0, sources=SourceFilter(only=["bbbc021"]))
    assert not (tmp_path / "new").exists()


def test_a_mixture_of_two_builds_is_not_published(raw, built, tmp_path):
    other = tmp_path / "other"
    build(raw, other, recipe=RECIPE, seed=0, workers=1, sources=SourceFilter(only=["bbbc013", "rec_rxrx1"]))
    for names in (("annotations.parquet",), ("selection.parquet",), ("annotations.parquet", "selection.parquet")):
        mixed = tmp_path / f"mixed {len(names)} {names[0]}"
        shutil.copytree(built, mixed)
        for name in names:
            shutil.copy(other / name, mixed / name)
        before = tree(mixed)
        with pytest.raises(InputError):
            publish(mixed, recipe=RECIPE, seed=0)
        assert tree(mixed) == before
    mixed = tmp_path / "shards of another"
    shutil.copytree(built, mixed)
    shutil.copytree(other / "shards", mixed / "shards", dirs_exist_ok=True)
    with pytest.raises(InputError):
        publish(mixed, recipe=RECIPE, seed=0)


def test_publishing_by_other_render_rules_is_refused(built):
    with pytest.raises(InputError, match=r"low: 0\.1 there, 0\.01 asked for"):
        publish(built, recipe=recipes.load("published", SMALL), seed=0)


def test_a_file_in_the_way_and_a_missing_stage_are_said(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match="cannot be built into"), claimed(tmp_path / "file"):
        pass
    with pytest.raises(InputError, match="annotate"), claimed(tmp_path / "out"):
        select(tmp_path / "out", recipe=RECIPE, seed=0)
    assert not (tmp_path / "out").exists()
