"""The published archive becomes the same dataset repository: bytes and metadata kept, trouble recorded."""

import hashlib
import io
import multiprocessing
import os
import signal
import struct
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import PIL.Image
import pyarrow.parquet as pq
import pytest
from datasets import load_dataset

from builder.kaggle import AS_PUBLISHED, import_kaggle
from builder.publish import publish
from builder.sources.filter import SourceFilter
from builder.verify import verify
from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.dataset.schema import dataset_features
from cytoimagenet_hf.imaging import merge_channels
from tests.builder.tiny_builds import cells, stated
from tests.imaging.files import png


def kaggle_archive(root: Path, *, images: int = 40) -> tuple[Path, pd.DataFrame]:
    """A folder per label and metadata.csv in the layout of the published archive."""
    rows = []
    for number in range(images):
        label, field = ("kinase", "rna synthesis inhibitor")[number % 2], number // 4
        folder = label.replace(" ", "_")
        (root / folder).mkdir(parents=True, exist_ok=True)
        name = f"{folder}-{number // 2:06b}.png"
        PIL.Image.fromarray(merge_channels(cells(number, side=90))).save(root / folder / name, compress_level=1)
        row = {
            "label": label,
            "category": "phenotype",
            "database": "Recursion",
            "name": "RxRx1",
            "dir_name": "rec_rxrx1",
        }
        row |= {"path": f"/cytoimagenet/{folder}", "filename": name, "idx": f"rec_rxrx1-{field}-{number % 2}"}
        row |= {"organism": "human", "microscopy": "fluorescence", "channels": "f_nucleus|f_actin", "gene": ""}
        row |= {
            "crop": str(number % 2 == 0),
            "scaling": "0.5" if number % 2 == 0 else "",
            "x_min": "70.0" if number % 2 == 0 else "",
        }
        row |= {"dset": "val" if number % 10 == 3 else "train"}
        rows.append(row)
    table = pd.DataFrame(rows)
    table.to_csv(root / "metadata.csv", index=True)
    return root, table


def imported_rows(output: Path) -> dict[str, dict]:
    rows = [row for path in output.glob("data/*") for row in pq.read_table(path).to_pylist()]
    return {row["filename"]: row for row in rows}


def test_every_row_and_every_byte_is_kept(tmp_path):
    archive, table = kaggle_archive(tmp_path / "archive")
    output = tmp_path / "cytoimagenet"
    summary = import_kaggle(archive, output, workers=1)
    assert (summary.rows_in, summary.kept, summary.rejected) == (40, 40, {})
    imported = imported_rows(output)
    names = sorted(set(table["label"]))
    for row in table.to_dict("records"):
        ours = imported[row["filename"]]
        content = (archive / Path(row["path"]).name / row["filename"]).read_bytes()
        assert ours["image"] == {"bytes": content, "path": row["filename"]}
        for name in ("category", "database", "dir_name", "path", "idx", "organism", "channels"):
            assert ours[name] == row[name]
        assert names[ours["label"]] == row["label"]
        assert ours["crop"] is (row["crop"] == "True")
        assert ours["x_min"] == (70 if row["x_min"] else None)
        assert ours["gene"] is None
        pixels = np.asarray(PIL.Image.open(io.BytesIO(content)))
        assert ours["sha256"] == hashlib.sha256(pixels.tobytes()).hexdigest()
        assert ours["image_id"] == row["filename"].removesuffix(".png")
    assert verify(output).intact


def test_it_loads_under_both_splits(tmp_path):
    archive, table = kaggle_archive(tmp_path / "archive")
    output = tmp_path / "cytoimagenet"
    summary = import_kaggle(archive, output, workers=1)
    loaded = load_dataset(str(output), cache_dir=str(tmp_path / "cache"))
    assert loaded["train"].features == dataset_features(["kinase", "rna synthesis inhibitor"])
    published = load_dataset(str(output), "published", cache_dir=str(tmp_path / "cache"))
    stated = set(table["filename"][table["dset"] == "val"])
    assert set(published["validation"]["filename"]) == stated
    assert summary.details["leaks"]["groups_on_both_sides"] == 0
    assert summary.details["leaks_of_the_published_split"]["groups_on_both_sides"] == 4


def test_missing_unreadable_and_odd_rows_are_recorded(tmp_path):
    archive, table = kaggle_archive(tmp_path / "archive")
    (tmp_path / "secret.png").write_bytes((archive / "kinase" / "kinase-000000.png").read_bytes())
    (archive / "kinase" / "kinase-000001.png").unlink()
    broken = archive / "kinase" / "kinase-000010.png"
    broken.write_bytes(broken.read_bytes()[:300])
    table.loc[6, "filename"] = "../../secret.png"
    table.loc[8, "x_min"] = "left"
    table.to_csv(archive / "metadata.csv", index=False)
    output = tmp_path / "output"
    summary = import_kaggle(archive, output, workers=1)
    assert summary.rejected == {"bad_value": 1, "missing_file": 1, "outside_root": 1, "unreadable": 1}
    assert summary.by_source == {"rec_rxrx1": {"in": 40, "kept": 36} | summary.rejected}
    rejected = {row["reason"]: row for row in pq.read_table(output / "rejected.parquet").to_pylist()}
    assert rejected["missing_file"]["detail"] == "kinase/kinase-000001.png"
    assert "kinase-000010.png" in rejected["unreadable"]["detail"]
    assert str(tmp_path) not in rejected["outside_root"]["detail"]
    assert len(imported_rows(output)) == 36


def test_colour_files_keep_their_bytes_and_are_hashed_as_they_load(tmp_path):
    archive, _ = kaggle_archive(tmp_path / "archive")
    colour = archive / "kinase" / "kinase-000000.png"
    PIL.Image.fromarray(np.dstack([np.asarray(PIL.Image.open(colour))] * 3)).save(colour)
    import_kaggle(archive, tmp_path / "output", workers=1)
    loaded = load_dataset(str(tmp_path / "output"), split="train+validation", cache_dir=str(tmp_path / "cache"))
    row = next(row for row in loaded if row["filename"] == "kinase-000000.png")
    assert row["sha256"] == hashlib.sha256(np.asarray(row["image"]).tobytes()).hexdigest()


def test_killed_it_continues_and_ends_with_the_same_bytes(tmp_path, monkeypatch):
    archive, _ = kaggle_archive(tmp_path / "archive", images=64)
    import_kaggle(archive, tmp_path / "whole", workers=1)
    expected = {path.name: path.read_bytes() for path in (tmp_path / "whole").glob("data/*")}
    output = tmp_path / "killed"
    for place, shards in (
        ("builder.kaggle._image_id", 0),
        ("builder.shard_files._GroupWriter._flush", 0),
        ("builder.kaggle.write_rejections", 8),
        ("builder.publish.data_files._replace_folder", 8),
    ):
        with monkeypatch.context() as patched:
            patched.setattr(place, lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL))
            process = multiprocessing.get_context("fork").Process(
                target=import_kaggle, args=(archive, output), kwargs={"workers": 1}
            )
            process.start()
            process.join()
        assert process.exitcode == -signal.SIGKILL, place
        assert len(list(output.glob("shards/seal-*.json"))) == shards, place
    summary = import_kaggle(archive, output, workers=2)
    assert {path.name: path.read_bytes() for path in output.glob("data/*")} == expected
    assert summary.kept == 64


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda table: table.drop(columns="idx"), "no column"),
        (lambda table: table.assign(dset="test"), "dset holds"),
        (lambda table: table.assign(label=""), "have no label"),
        (lambda table: table.assign(path="/elsewhere/nothing"), "none of the 40 images"),
        (
            lambda table: table.assign(crop="perhaps"),
            r"bad_value 40, for example crop is 'perhaps', not true or false",
        ),
    ],
)
def test_unusable_metadata_is_said(tmp_path, change, message):
    archive, table = kaggle_archive(tmp_path / "archive")
    change(table).to_csv(archive / "metadata.csv", index=False)
    with pytest.raises(InputError, match=message):
        import_kaggle(archive, tmp_path / "output", workers=1)
    assert not (tmp_path / "output" / "data").exists()


def test_no_metadata(tmp_path):
    with pytest.raises(InputError, match=r"metadata\.csv is not there"):
        import_kaggle(tmp_path, tmp_path / "output")


def test_a_repeated_row_is_one_recorded_rejection(tmp_path):
    archive, table = kaggle_archive(tmp_path / "archive")
    pd.concat([table, table.iloc[[0, 7, 7]]]).to_csv(archive / "metadata.csv", index=False)
    output = tmp_path / "output"
    summary = import_kaggle(archive, output, workers=1)
    assert (summary.rows_in, summary.kept, summary.rejected) == (43, 40, {"repeated_row": 3})
    assert summary.by_source == {"rec_rxrx1": {"in": 43, "kept": 40, "repeated_row": 3}}
    rejected = pq.read_table(output / "rejected.parquet").to_pylist()
    assert sorted(row["detail"] for row in rejected) == sorted(table["filename"].iloc[[0, 7, 7]])


@pytest.mark.parametrize(
    "spelled", [("1.0", "0.0"), ("1", "0"), ("yes", "no"), ("TRUE", "FALSE"), ("Y", "n"), ("true ", " False")]
)
def test_truth_in_every_common_spelling(tmp_path, spelled):
    archive, table = kaggle_archive(tmp_path / "archive", images=12)
    table.assign(crop=[spelled[number % 2] for number in range(12)]).to_csv(archive / "metadata.csv", index=False)
    assert import_kaggle(archive, tmp_path / "output", workers=1).rejected == {}
    crops = {name: row["crop"] for name, row in imported_rows(tmp_path / "output").items()}
    assert crops == {name: number % 2 == 0 for number, name in enumerate(table["filename"])}


def test_feather_alone_and_folders_further_down_are_recognised(tmp_path):
    archive, table = kaggle_archive(tmp_path / "archive" / "cytoimagenet")
    import_kaggle(archive, tmp_path / "csv", workers=1)
    (archive / "metadata.csv").unlink()
    stated = table.assign(
        crop=table["crop"] == "True",
        scaling=pd.to_numeric(table["scaling"]),
        x_min=pd.to_numeric(table["x_min"]),
        label=table["label"].astype("category"),
    )
    stated.to_feather(archive / "metadata.ftr")
    import_kaggle(tmp_path / "archive", tmp_path / "feather", workers=1)
    assert imported_rows(tmp_path / "feather") == imported_rows(tmp_path / "csv")
    kaggle_archive(tmp_path / "archive" / "second")
    with pytest.raises(InputError, match="several archives"):
        import_kaggle(tmp_path / "archive", tmp_path / "neither", workers=1)


def test_ten_classes_of_twelve_images_give_some_to_validation(tmp_path):
    rows = []
    for number in range(120):
        label, field = f"class {number // 12}", number // 4
        folder, name = label.replace(" ", "_"), f"{number:03d}.png"
        (tmp_path / "archive" / folder).mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 255, (12, 12), dtype=np.uint8)
        PIL.Image.fromarray(pixels).save(tmp_path / "archive" / folder / name)
        rows.append({"label": label, "path": folder, "filename": name, "idx": f"tiny-{field}"})
    pd.DataFrame(rows).to_csv(tmp_path / "archive" / "metadata.csv", index=False)
    summary = import_kaggle(tmp_path / "archive", tmp_path / "output", workers=1)
    assert summary.details["splits"] == {"train": 108, "validation": 12}
    assert summary.details["leaks"]["groups_on_both_sides"] == 0


def test_an_imported_archive_is_published_again_like_any_build(tmp_path):
    archive, _ = kaggle_archive(tmp_path / "archive")
    output = tmp_path / "output"
    import_kaggle(archive, output, workers=1)
    before = imported_rows(output)
    summary = publish(output, recipe=AS_PUBLISHED, seed=3, sources=SourceFilter(licences=["cc-by-nc-sa"]))
    assert summary.kept == 40
    assert imported_rows(output).keys() == before.keys()


def test_an_import_of_what_is_there_reads_neither_metadata_nor_images(tmp_path, monkeypatch):
    archive, table = kaggle_archive(tmp_path / "archive")
    output = tmp_path / "cytoimagenet"
    summary = import_kaggle(archive, output, workers=1)
    with monkeypatch.context() as patched:
        for name in ("read_metadata", "run_with_progress"):
            patched.setattr(f"builder.kaggle.{name}", None)
        patched.setattr("builder.publish.run.write_dataset", None)
        patched.setattr("builder.shard_files.file_sha256", None)
        again = import_kaggle(archive, output, workers=1)
    assert stated(again) == stated(summary)
    table.iloc[:20].to_csv(archive / "metadata.csv")
    with pytest.raises(InputError, match="shards made otherwise"):
        import_kaggle(archive, output, workers=1)


def test_a_changed_image_is_noticed(tmp_path):
    archive, _ = kaggle_archive(tmp_path / "archive", images=12)
    output = tmp_path / "output"
    import_kaggle(archive, output, workers=1)
    changed = archive / "kinase" / "kinase-000000.png"
    PIL.Image.fromarray(np.arange(8100, dtype=np.uint8).reshape(90, 90)).save(changed)
    import_kaggle(archive, output, workers=1)
    assert imported_rows(output)["kinase-000000.png"]["image"]["bytes"] == changed.read_bytes()
    assert verify(output).intact


def test_a_png_whose_bytes_spell_another_signature_is_a_png(tmp_path):
    archive, _ = kaggle_archive(tmp_path / "archive", images=12)
    # Bytes 96 and 97 are the mark of DeltaVision files: 31 of 890,737 sound images were refused for them.
    odd = archive / "kinase" / "kinase-000000.png"
    content = odd.read_bytes()
    comment = b"Comment\0" + bytes(96 - 33 - 8 - 8) + b"\xa0\xc0" + bytes(20)
    chunk = b"tEXt" + comment
    odd.write_bytes(
        content[:33] + struct.pack(">I", len(comment)) + chunk + struct.pack(">I", zlib.crc32(chunk)) + content[33:]
    )
    assert odd.read_bytes()[96:98] == b"\xa0\xc0"
    assert import_kaggle(archive, tmp_path / "output", workers=1).rejected == {}


def test_an_image_that_claims_too_much_is_one_rejection(tmp_path):
    archive, _ = kaggle_archive(tmp_path / "archive", images=12)
    (archive / "kinase" / "kinase-000000.png").write_bytes(png(20_000, 20_000))
    (archive / "kinase" / "kinase-000001.png").unlink()
    (archive / "kinase" / "kinase-000001.png").symlink_to("kinase-000001.png")
    summary = import_kaggle(archive, tmp_path / "output", workers=1)
    assert summary.rejected == {"outside_root": 1, "too_large": 1}
