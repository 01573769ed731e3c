"""Extraction by parts: any order, at the same time, killed and started again, the folder is that of one call."""

import concurrent.futures
import os
from dataclasses import replace

import pytest

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.seeding import derive_rng
from cytoimagenet_hf.features.folder import extract_to_folder
from cytoimagenet_hf.options.extraction import Extraction
from cytoimagenet_hf.shards.shard import Part
from tests.features.plates import all_bytes, interrupted, plate_images, write_plate
from tests.tiny_encoder import tiny_encoder

SETTINGS = Extraction(shard_size=1, batch_size=4, workers=0)


def extract(images, output, **options):
    return extract_to_folder(tiny_encoder(), images, output, settings=replace(SETTINGS, **options))


@pytest.fixture
def images(tmp_path):
    plate = write_plate(tmp_path / "plate")
    (plate / "p1_B02_s1_er.tif").write_bytes(b"damaged")
    return plate_images(plate)


def test_parts_in_any_order_killed_and_at_the_same_time_give_the_bytes_of_one_call(images, tmp_path):
    whole = extract(images, tmp_path / "whole")
    output = tmp_path / "parts"
    rng = derive_rng(0, "parts", "order")
    count = 5
    order = [int(number) for number in rng.permutation(count) + 1]
    for number in order[:2]:  # these die at their first image and are not started again: others do their work
        with pytest.raises(KeyboardInterrupt):
            extract(interrupted(images, at=number - 1, every=count), output, part=Part(number, count))
    with concurrent.futures.ThreadPoolExecutor(4) as commands:
        runs = [
            commands.submit(extract, images, output, part=Part(number, count)) for number in [*order[2:], order[2]]
        ]
        summaries = [run.result() for run in runs]
    assert {summary.part for summary in summaries} == {f"{number}/5" for number in order[2:]}
    assert sum(summary.shards_made_now for summary in summaries) >= 4
    assert not (output / "_rejected.json").exists()  # a part completes nothing
    done = extract(images, output)
    assert (
        (done.images, done.kept, done.rejected) == (whole.images, whole.kept, whole.rejected) == (8, 7, done.rejected)
    )
    assert all_bytes(output) == all_bytes(tmp_path / "whole")


def test_a_part_of_another_extraction_is_refused_and_nothing_is_taken_back(images, tmp_path):
    output = tmp_path / "out"
    extract(images, output, part=Part(1, 2))
    before = {file.name: file.read_bytes() for file in output.iterdir() if file.is_file()}
    with pytest.raises(InputError, match="model_fingerprint"):
        extract_to_folder(tiny_encoder(factor=2), images, output, settings=replace(SETTINGS, part=Part(2, 2)))
    assert {file.name: file.read_bytes() for file in output.iterdir() if file.is_file()} == before
    assert extract(images, output).shards == 8


def test_what_is_removed_or_dated_wrongly_while_others_work_is_made_or_looked_at_again(images, tmp_path):
    whole, output = tmp_path / "whole", tmp_path / "parts"
    extract(images, whole)
    for number in (2, 3, 1):
        extract(images, output, part=Part(number, 3))
        shards = sorted(output.glob("*.parquet"))
        if number == 2:
            shards[0].unlink()  # its record stays
        os.utime(shards[-1], (4e9, 4e9))  # the clock of another machine
    again = extract(images, output)
    assert again.shards_made_now == 1
    assert all_bytes(output) == all_bytes(whole)
    assert extract(images, output).shards_made_now == 0


def test_two_calls_at_once_make_each_shard_once(images, tmp_path):
    whole, output = tmp_path / "whole", tmp_path / "twice"
    extract(images, whole)
    with concurrent.futures.ThreadPoolExecutor(2) as commands:
        runs = [commands.submit(extract, images, output) for _ in range(2)]
        problems = [run.exception() for run in runs]
    refused = [str(problem) for problem in problems if problem is not None]
    assert len(refused) <= 1, refused
    assert all("\n" not in text for text in refused)
    assert all_bytes(output) == all_bytes(whole)
