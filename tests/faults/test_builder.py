"""The builder on damaged tables, recipes, images and places."""

import json
import os

import pandas as pd
import pyarrow.parquet as pq
import pytest

from tests.faults.configs import RECIPES
from tests.faults.files import FILES
from tests.faults.folders import DATASETS, snapshot
from tests.faults.tables import TABLES
from tests.running import bounded, call, refused, unchanged

MARKER, LOCK = ".cytoimagenet-build.json", ".cytoimagenet-build.lock"
OVERRIDES = {
    "no_value": "min_fields",
    "unknown": "min_feilds=3",
    "empty": "min_fields=",
    "text": "min_fields=few",
    "half": "min_fields=2.5",
    "negative": "min_fields=-1",
    "nan": "low=nan",
    "huge": "low=1e400",
    "choice": "rgb=average",
    "brackets": "strata=[",
    "column": "strata=colour",
    "no_utf_8": "name=\udcff",
}
SOUND_HERE = {"text_in_tags", "one_pixel_png", "one_pixel_tif", "thin_tif", "half_nan_tif", "many_pages_tif"}
IMAGES = [name for name, (suffix, _) in FILES.items() if suffix in (".png", ".tif") and name not in SOUND_HERE]
SCRIPTS = {
    "no_raw": ("annotate", "--raw", "{tmp}/none", "--output", "{tmp}/out"),
    "raw_is_empty_text": ("annotate", "--raw", "", "--output", "{tmp}/out"),
    "verify_empty_text": ("verify", ""),
    "raw_is_a_file": ("annotate", "--raw", "{sound}/images.csv", "--output", "{tmp}/out"),
    "empty_raw": ("annotate", "--raw", "{tmp}/empty", "--output", "{tmp}/out"),
    "unknown_source": ("annotate", "--raw", "{sound}", "--output", "{tmp}/out", "--sources", "nope"),
    "unknown_licence": ("annotate", "--raw", "{sound}", "--output", "{tmp}/out", "--licences", "nope"),
    "output_is_a_file": ("annotate", "--raw", "{sound}", "--output", "{tmp}/file"),
    "output_below_a_file": ("annotate", "--raw", "{sound}", "--output", "{tmp}/file/out"),
    "output_is_taken": ("annotate", "--raw", "{sound}", "--output", "{tmp}/taken"),
    "output_too_long": ("annotate", "--raw", "{sound}", "--output", "{tmp}/" + "n" * 300),
    "output_is_a_device": ("annotate", "--raw", "{sound}", "--output", "/dev/null"),
    "output_below_proc": ("annotate", "--raw", "{sound}", "--output", "/proc/out"),
    "select_before_annotate": ("select", "--output", "{tmp}/out"),
    "render_before_select": ("render", "--raw", "{sound}", "--output", "{tmp}/out"),
    "publish_before_render": ("publish", "--output", "{tmp}/out"),
    "verify_nothing": ("verify", "{tmp}/none"),
    "verify_a_file": ("verify", "{tmp}/file"),
    "verify_empty": ("verify", "{tmp}/empty"),
    "no_archive": ("import-kaggle", "--archive", "{tmp}/none", "--output", "{tmp}/out"),
    "archive_is_a_file": ("import-kaggle", "--archive", "{tmp}/file", "--output", "{tmp}/out"),
    "no_workers": ("import-kaggle", "--archive", "{sound}/kaggle", "--output", "{tmp}/out", "--workers", "0"),
    "seed_text": ("select", "--output", "{tmp}/out", "--seed", "x"),
    "scheme": ("publish", "--output", "{tmp}/out", "--split-scheme", "random"),
    "dask_nowhere": ("render", "--raw", "{sound}", "--output", "{tmp}/out", "--dask", "nonsense"),
    "unknown_command": ("anotate",),
    "unknown_option": ("annotate", "--rav", "x"),
    "missing_option": ("annotate",),
    "doctor_nowhere": ("doctor", "--raw", "{tmp}/none"),
    "sources_nowhere": ("sources", "--raw", "{tmp}/none"),
}
MANIFESTS = {
    "empty": b"",
    "text": b"not JSON",
    "list": b"[]",
    "number": b"5",
    "no_files": b'{"files": 3}',
    "half": b"{",
    "no_facts": b'{"files": {"data/a": {}}}',
    "files_of_text": b'{"files": {"data/train-0.parquet": "x"}}',
    "facts_of_other_kinds": b'{"files": {"a": {"bytes": "3", "rows": null, "sha256": 5}}}',
    "channels_of_text": b'{"files": {}, "channels": "x"}',
    "outside": json.dumps({"files": {"../../etc/passwd": {"sha256": "0", "bytes": 1}}}).encode(),
    "latin_1": b'{"files": {"M\xfcller": 1}}',
    "nul": bytes(50),
}


@pytest.mark.parametrize("name", TABLES)
def test_a_bad_table_of_a_source_is_refused(name, copied, tmp_path):
    (tmp_path / "raw").mkdir()
    folder = copied("bbbc013").rename(tmp_path / "raw" / "bbbc013")
    table = folder / "BBBC013_platemap_long_nM.csv"
    table.write_bytes(TABLES[name](table.read_bytes()))
    outcome = call("builder", "annotate", "--raw", tmp_path / "raw", "--output", tmp_path / "out")
    if name in ("latin_1", "short_row"):  # tables of published archives are known to be like this
        bounded(outcome)
        return
    bounded(outcome)
    assert outcome.code in (1, 2)
    kept = pd.read_parquet(tmp_path / "out" / "annotations.parquet") if outcome.code == 1 else []
    assert len(kept) == 0
    assert "BBBC013_platemap" in "".join((outcome.said + outcome.shown).split())


@pytest.mark.parametrize("name", TABLES)
def test_a_bad_table_of_the_published_archive_is_refused(name, copied, tmp_path):
    archive = copied("kaggle")
    table = archive / "metadata.csv"
    table.write_bytes(TABLES[name](table.read_bytes()))
    outcome = call("builder", "import-kaggle", "--archive", archive, "--output", tmp_path / "out", "--workers", "1")
    refused(outcome, "metadata.csv")
    assert set(snapshot(tmp_path / "out")) <= {MARKER, LOCK}


@pytest.mark.parametrize("name", RECIPES)
def test_a_bad_recipe_is_refused(name, tmp_path):
    content, word = RECIPES[name]
    (tmp_path / "mine.yaml").write_bytes(content)
    outcome = call("builder", "select", "--output", tmp_path / "out", "--recipe", tmp_path / "mine.yaml")
    refused(outcome, word)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", OVERRIDES)
def test_a_bad_override_is_refused(name, tmp_path):
    outcome = call("builder", "select", "--output", tmp_path / "out", "--set", OVERRIDES[name])
    refused(outcome)
    assert set(snapshot(tmp_path / "out")) <= {MARKER, LOCK}


@pytest.fixture(scope="module")
def imported(sound, tmp_path_factory):
    """The published archive with every damaged image in it, imported once: row by file name."""
    import shutil

    root = tmp_path_factory.mktemp("imported")
    archive = shutil.copytree(sound / "kaggle", root / "kaggle")
    table = pd.read_csv(archive / "metadata.csv", dtype=str)
    rows = []
    for number, name in enumerate(IMAGES):
        suffix, make = FILES[name]
        (archive / "kinase" / f"{name}{suffix}").write_bytes(make())
        rows.append(table.iloc[0].to_dict() | {"filename": f"{name}{suffix}", "idx": f"rec_rxrx1-{100 + number}"})
    pd.concat([table, pd.DataFrame(rows)]).to_csv(archive / "metadata.csv", index=False)
    outcome = call("builder", "import-kaggle", "--archive", archive, "--output", root / "out", "--workers", "1")
    return outcome, root / "out"


@pytest.mark.parametrize("name", IMAGES)
def test_one_bad_image_is_one_recorded_rejection(name, imported):
    outcome, output = imported
    bounded(outcome)
    assert outcome.code == 0, outcome.said
    rejected = pq.read_table(output / "rejected.parquet").to_pandas()
    ours = rejected[rejected["idx"] == f"rec_rxrx1-{100 + IMAGES.index(name)}"]
    assert len(ours) == 1, rejected
    assert ours["reason"].iloc[0]


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_wrong_call_is_refused(name, sound, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("a file\n")
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "holiday.txt").write_text("mine\n")
    before = snapshot(tmp_path)
    arguments = [text.format(tmp=tmp_path, sound=sound) for text in SCRIPTS[name]]
    refused(call("builder", *arguments))
    unchanged(before, snapshot(tmp_path), but=(MARKER, LOCK))


@pytest.mark.parametrize("name", MANIFESTS)
def test_a_bad_manifest_is_no_approval(name, copied):
    folder = copied("dataset")
    (folder / "manifest.json").write_bytes(MANIFESTS[name])
    refused(call("builder", "verify", folder), "" if name == "outside" else "manifest.json is damaged")


@pytest.mark.parametrize("name", DATASETS)
def test_a_damaged_dataset_is_not_approved(name, copied):
    from cytoimagenet_hf.core.files import file_sha256

    folder = copied("dataset")
    files = [path for path in (*folder.glob("data/*"), folder / "README.md") if path.is_file()]
    facts = {os.path.relpath(p, folder): {"sha256": file_sha256(p), "bytes": p.stat().st_size} for p in files}
    content = {"files": facts, "labels": [], "class_counts": {}, "statistics": {}, "sources": {}}
    (folder / "manifest.json").write_text(json.dumps(content))
    DATASETS[name](folder)
    outcome = call("builder", "verify", folder)
    bounded(outcome)
    assert outcome.code in (1, 2), outcome.shown
