"""A build ends with the same bytes however it was stopped, and says what a second run may not change."""

import concurrent.futures
import dataclasses
import errno
import hashlib
import json
import multiprocessing
import os
import shutil
import signal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tifffile

import builder.render.reader
from builder.publish import publish
from builder.recipe import RECIPES, Recipe
from builder.render import render
from builder.render.plan import make_plan
from builder.stage import MARKER, claimed
from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.imaging import ImageReadError
from tests.builder.tiny_builds import rendered_images, tiny_build, write_tables

CORRECTED = RECIPES["corrected"]


def rule(**changes) -> Recipe:
    return dataclasses.replace(CORRECTED, **changes)


def shard_hashes(output: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in output.glob("shards/shard-*.parquet")}


def test_workers_executors_and_restarts_give_the_same_bytes(tmp_path):
    raw, output = tiny_build(tmp_path, fields=20)
    render(raw, output, recipe=CORRECTED, seed=1, workers=1)
    expected = shard_hashes(output)
    assert len(expected) == 3
    for path in output.glob("shards/shard-*"):
        path.unlink()
    render(raw, output, recipe=CORRECTED, seed=1, workers=2)
    assert shard_hashes(output) == expected
    (output / "shards/shard-00001.parquet").unlink()
    (output / "shards/shard-00000.parquet").write_bytes(b"damaged")
    (output / "shards/.shard-00001.parquet.77.tmp").write_bytes(b"left by a killed worker")
    (output / "shards/.plan.seal.json.77.tmp").write_bytes(b"left by a killed build")
    with concurrent.futures.ThreadPoolExecutor(2) as executor:
        summary = render(raw, output, recipe=CORRECTED, seed=1, executor=executor)
    assert shard_hashes(output) == expected
    assert (summary.rows_in, summary.kept, summary.details["images"]) == (20, 20, 80)
    assert not list(output.glob("shards/.*"))


def test_a_shard_depends_on_the_seed_and_its_rows_alone(tmp_path):
    raw, output = tiny_build(tmp_path, fields=8, side=300)
    render(raw, output, recipe=CORRECTED, seed=1, workers=1)
    first = rendered_images(output)
    other = tmp_path / "other"
    tables = [pq.read_table(output / "annotations.parquet").to_pylist(), pq.read_table(output / "selection.parquet")]
    labels = {row["idx"]: row["label"] for row in tables[1].to_pylist()}
    write_tables(other, tables[0][::-1], dict(list(labels.items())[:4]))
    render(raw, other, recipe=CORRECTED, seed=1, workers=1)
    assert all(first[image_id] == row for image_id, row in rendered_images(other).items())
    third = tmp_path / "third"
    write_tables(third, tables[0], labels)
    render(raw, third, recipe=CORRECTED, seed=2, workers=1)
    assert rendered_images(third) != first


def _render_claimed(raw, output, workers):
    with claimed(output):
        render(raw, output, recipe=CORRECTED, seed=1, workers=workers)


def _killed_after(seconds: float, *arguments) -> bool:
    """Start a build in a process of its own and kill it; whether it was still at work."""
    process = multiprocessing.get_context("fork").Process(target=_render_claimed, args=arguments)
    process.start()
    process.join(seconds)
    alive = process.is_alive()
    if alive:
        os.kill(process.pid, signal.SIGKILL)
    process.join()
    return alive


def test_killed_at_ten_moments_a_build_ends_with_the_same_bytes(tmp_path):
    raw, expected_output = tiny_build(tmp_path, fields=60)
    output = tmp_path / "killed"
    output.mkdir()
    for name in ("annotations.parquet", "selection.parquet"):
        (output / name).write_bytes((expected_output / name).read_bytes())
    (output / MARKER).write_text("{}")
    render(raw, expected_output, recipe=CORRECTED, seed=1, workers=1)
    expected = shard_hashes(expected_output)
    moments = np.random.default_rng(0).uniform(0.02, 0.12, 10)
    killed = sum(_killed_after(moment, raw, output, 1) for moment in moments)
    assert killed >= 5  # the build was truly interrupted, and went on from where it was
    _render_claimed(raw, output, 1)
    assert shard_hashes(output) == expected
    assert not list(output.glob("shards/.*"))
    ours, theirs = (json.loads((folder / "render.summary.json").read_text()) for folder in (output, expected_output))
    for content in (ours, theirs):
        content.pop("seconds")
    assert ours == theirs


def test_a_killed_parent_takes_its_workers_along_and_frees_the_folder(tmp_path):
    raw, output = tiny_build(tmp_path, fields=150, side=300)
    (output / MARKER).write_text("{}")
    process = multiprocessing.get_context("fork").Process(target=_render_claimed, args=(raw, output, 2))
    process.start()
    while process.is_alive() and not list(output.glob("shards/shard-*")):
        process.join(0.02)
    assert process.is_alive(), "the build ended before it could be killed"
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    _render_claimed(raw, output, 1)  # refused if a worker still held the lock
    assert len(rendered_images(output)) == 600


def test_other_rules_or_another_seed_in_the_same_folder_are_refused_with_the_difference(tmp_path):
    raw, output = tiny_build(tmp_path, fields=4, side=80)
    render(raw, output, recipe=CORRECTED, seed=1, workers=1)
    before = shard_hashes(output)
    with pytest.raises(InputError, match=r"low: 0\.1 there, 0\.5 asked for; seed: 1 there, 2 asked for"):
        render(raw, output, recipe=rule(low=0.5), seed=2, workers=1)
    table = pq.read_table(output / "selection.parquet").to_pylist()
    write_tables(output, pq.read_table(output / "annotations.parquet").to_pylist(), {r["idx"]: "other" for r in table})
    with pytest.raises(InputError, match="another selection"):
        render(raw, output, recipe=CORRECTED, seed=1, workers=1)
    assert shard_hashes(output) == before
    unrelated = rule(split_scheme="published", min_images=1, name="mine")
    write_tables(
        output, pq.read_table(output / "annotations.parquet").to_pylist(), {r["idx"]: r["label"] for r in table}
    )
    render(raw, output, recipe=unrelated, seed=1, workers=1)
    assert shard_hashes(output) == before


def test_retry_tries_only_the_fields_rejected_for_that_reason(tmp_path, monkeypatch):
    raw, output = tiny_build(tmp_path, fields=10)
    reads = builder.render.reader.read_image

    def stumbling(path, **options):
        if path.name == "tiny-0003_w0.tif":
            raise ImageReadError(f"cannot open {path}: Input/output error")
        return reads(path, **options)

    monkeypatch.setattr(builder.render.reader, "read_image", stumbling)
    tifffile.imwrite(raw / "tiny" / "tiny-0005_w0.tif", np.zeros((150, 150), np.uint16))
    tifffile.imwrite(raw / "tiny" / "tiny-0005_w1.tif", np.zeros((150, 150), np.uint16))
    assert render(raw, output, recipe=CORRECTED, seed=1, workers=1).rejected == {"uniform": 1, "unreadable": 1}
    before = rendered_images(output)
    monkeypatch.undo()
    for path in raw.glob("tiny/*"):  # the other fields must not be needed again
        if path.name[:9] not in ("tiny-0003",):
            path.unlink()
    assert render(raw, output, recipe=CORRECTED, seed=1, workers=1).rejected == {"uniform": 1, "unreadable": 1}
    summary = render(raw, output, recipe=CORRECTED, seed=1, workers=1, retry_rejected=["unreadable"])
    assert summary.rejected == {"uniform": 1}
    after = rendered_images(output)
    assert {image_id: row for image_id, row in after.items() if row["idx"] != "tiny-0003"} == before
    assert len(after) == len(before) + 4
    order = [row["idx"] for path in sorted(output.glob("shards/shard-*")) for row in pq.read_table(path).to_pylist()]
    plan = pa.ipc.open_file(str(output / "shards/plan.arrow")).read_all()["idx"].to_pylist()
    assert list(dict.fromkeys(order)) == [idx for idx in plan if idx != "tiny-0005"]
    with pytest.raises(InputError, match="unreadible"):
        render(raw, output, recipe=CORRECTED, seed=1, workers=1, retry_rejected=["unreadible"])


def test_an_unfinished_setup_is_said(tmp_path):
    raw, output = tiny_build(tmp_path, fields=2, side=80)
    with pytest.raises(InputError, match="not a folder"):
        render(tmp_path / "nowhere", output, recipe=CORRECTED, seed=0)
    with pytest.raises(InputError, match="workers is 0"):
        render(raw, output, recipe=CORRECTED, seed=0, workers=0)
    rows = pq.read_table(output / "annotations.parquet").to_pylist()
    write_tables(output, rows[:1], {"tiny-0000": "a", "tiny-0001": "a"})
    with pytest.raises(InputError, match="tiny-0001"):
        render(raw, output, recipe=CORRECTED, seed=0, workers=1)
    write_tables(output, [*rows, rows[0]], {"tiny-0000": "a"})
    with pytest.raises(InputError, match="idx twice"):
        render(raw, output, recipe=CORRECTED, seed=0, workers=1)
    write_tables(output, rows, {})
    with pytest.raises(InputError, match="no field"):
        render(raw, output, recipe=CORRECTED, seed=0, workers=1)
    (output / "selection.parquet").unlink()
    with pytest.raises(InputError, match="select"):
        render(raw, output, recipe=CORRECTED, seed=0, workers=1)


def test_a_full_disk_is_said_and_leaves_nothing_half_written(tmp_path, monkeypatch):
    raw, output = tiny_build(tmp_path, fields=2, side=80)

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    for planned in (False, True):
        if planned:
            make_plan(output, recipe=CORRECTED, seed=0)
        with monkeypatch.context() as patched:
            patched.setattr(pq.ParquetWriter, "write_table", full)
            with pytest.raises(InputError, match=r"full.*continues"):
                render(raw, output, recipe=CORRECTED, seed=0, workers=1)
        assert sorted(path.name for path in output.glob("shards/*")) == ["plan.arrow", "plan.seal.json"]
    with monkeypatch.context() as patched:
        patched.setattr(shutil, "disk_usage", lambda _: type("Usage", (), {"free": 10})())
        with pytest.raises(InputError, match="GB free"):
            render(raw, output, recipe=CORRECTED, seed=0, workers=1)
    assert render(raw, output, recipe=CORRECTED, seed=0, workers=1).kept == 2


def _flipped(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    for place in range(at, min(at + 8, len(content))):
        content[place] ^= 0xFF
    path.write_bytes(content)


def test_damage_anywhere_inside_a_shard_is_refused_by_name_and_mended_by_the_next_run(tmp_path):
    raw, output = tiny_build(tmp_path, fields=6, side=80)
    recipe = rule(min_images=1)
    render(raw, output, recipe=recipe, seed=1, workers=1)
    expected = shard_hashes(output)
    shard = output / "shards" / "shard-00000.parquet"
    whole = shard.read_bytes()
    places = np.random.default_rng(0).integers(0, len(whole) - 8, 40)
    for place in (4, len(whole) // 2, len(whole) - 8, *places.tolist()):
        shard.write_bytes(whole)
        _flipped(shard, place)
        with pytest.raises(InputError, match=r"shard-00000\.parquet is damaged"):
            publish(output, recipe=recipe, seed=1)
    assert not (output / "data").exists()
    render(raw, output, recipe=recipe, seed=1, workers=1)
    assert shard_hashes(output) == expected
    _flipped(output / "shards" / "seal-00000.json", 15)
    render(raw, output, recipe=recipe, seed=1, workers=1)
    assert shard_hashes(output) == expected
    assert publish(output, recipe=recipe, seed=1).kept == 6


def test_a_changed_raw_file_is_noticed_and_only_its_field_is_made_again(tmp_path):
    raw, output = tiny_build(tmp_path, fields=10, side=100)
    changed = raw / "tiny" / "tiny-0003_w0.tif"
    late = raw / "tiny" / "tiny-0005_w1.tif"
    content = late.read_bytes()
    late.unlink()
    render(raw, output, recipe=CORRECTED, seed=1, workers=1)
    before = rendered_images(output)
    assert before["tiny-0005"]["channels_missing"] == "actin"
    tifffile.imwrite(changed, np.asarray(tifffile.imread(changed))[::-1])
    os.utime(changed, ns=(1, 1))
    late.write_bytes(content)
    for path in raw.glob("tiny/tiny-0008*"):  # archives are deleted to make room: what was made of them stays
        path.unlink()
    summary = render(raw, output, recipe=CORRECTED, seed=1, workers=1)
    after = rendered_images(output)
    assert {name for name in before if before[name] != after[name]} == {"tiny-0003", "tiny-0005"}
    assert after["tiny-0005"]["channels_missing"] is None
    assert (summary.rows_in, summary.kept, list(after)) == (10, 10, list(before))
    stamps = {path.name: path.stat().st_mtime_ns for path in output.glob("shards/shard-*")}
    render(raw, output, recipe=CORRECTED, seed=1, workers=1)
    assert {path.name: path.stat().st_mtime_ns for path in output.glob("shards/shard-*")} == stamps


def test_a_copied_archive_with_other_times_gives_the_same_shards(tmp_path):
    raw, output = tiny_build(tmp_path, fields=6, side=80)
    render(raw, output, recipe=CORRECTED, seed=1, workers=1)
    expected = shard_hashes(output)
    for path in raw.glob("tiny/*"):
        os.utime(path, ns=(10**18, 10**18))
    render(raw, output, recipe=CORRECTED, seed=1, workers=1)
    assert shard_hashes(output) == expected
