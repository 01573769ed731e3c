"""Shards made by several commands in one folder: each once, under its own lock, whatever those that died left."""

import threading
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.files import atomic_path, held
from cytoimagenet_hf.shards.engine import planning, run_shards, without_locks_after
from cytoimagenet_hf.shards.shard import LOCKS, Part, Shard, parse_part


@dataclass(frozen=True)
class Square(Shard):
    """A shard that holds the square of its number."""

    folder: Path

    @property
    def path(self) -> Path:
        return self.folder / f"square-{self.number}.txt"

    @property
    def record(self) -> Path:
        return self.folder / f"_square-{self.number}.json"

    def finished(self) -> int | None:
        return int(self.path.read_text()) if self.record.exists() else None


def squares(folder, count=6):
    return [Square(number, 1, folder) for number in range(count)]


def make(shard, made=None):
    with atomic_path(shard.record) as record:
        record.write_text("{}")
        with atomic_path(shard.path) as path:
            path.write_text(str(shard.number**2))
    if made is not None:
        made.append(shard.number)
    return shard.number**2


@pytest.mark.parametrize("text", ["0/4", "5/4", "4", "a/b", "1/", "/4", "-1/4", "1.0/4", "1/9999999999", "", "²/3"])
def test_a_part_that_is_none_is_refused_in_one_line(text):
    with pytest.raises(InputError, match=r"write i/N") as refused:
        parse_part(text)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_parts_share_out_every_shard_once_and_evenly(tmp_path, count):
    shards = squares(tmp_path, 6)
    parts = [Part(number, count).of(shards) for number in range(1, count + 1)]
    assert sorted(shard.number for part in parts for shard in part) == [0, 1, 2, 3, 4, 5]
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_a_shard_that_is_finished_is_taken_over(tmp_path):
    shards, made = squares(tmp_path), []
    make(shards[2])
    assert sorted(run_shards(partial(make, made=made), shards, workers=1)) == [0, 1, 4, 9, 16, 25]
    assert sorted(made) == [0, 1, 3, 4, 5]


def test_a_shard_that_another_command_makes_is_left_to_it_and_looked_at_in_the_end(tmp_path):
    shards, made = squares(tmp_path), []
    (tmp_path / LOCKS).mkdir()
    others_done, first_pass = threading.Event(), threading.Event()

    def other_command():
        with held(shards[0].lock):
            others_done.set()
            first_pass.wait(timeout=60)
            make(shards[0])

    def ours(shard):
        if shard.number == 5:
            first_pass.set()
        return make(shard, made)

    thread = threading.Thread(target=other_command)
    thread.start()
    others_done.wait(timeout=60)
    reports = list(run_shards(ours, shards, workers=1))
    thread.join()
    assert reports == [1, 4, 9, 16, 25, 0]
    assert made == [1, 2, 3, 4, 5]


def test_what_a_killed_command_left_is_removed_unless_somebody_is_making_it(tmp_path):
    shards = squares(tmp_path)
    left = [tmp_path / f".{name}.0123456789ab.tmp" for name in ("square-1.txt", "_square-1.json", "square-2.txt")]
    foreign = tmp_path / ".notes.txt.0123456789ab.tmp"
    for file in (*left, foreign):
        file.write_text("half")
    (tmp_path / LOCKS).mkdir()
    with held(shards[2].lock):
        assert list(run_shards(make, [shards[1]], workers=1)) == [1]
        assert list(run_shards(make, [shards[3]], workers=1)) == [9]
    assert [file.exists() for file in left] == [False, False, True]
    assert foreign.exists()


def test_a_plan_is_written_by_one_command_at_a_time_and_a_refusal_leaves_no_folder(tmp_path):
    with pytest.raises(InputError), planning(tmp_path / "new", "plan.parquet"):
        raise InputError("refused")
    assert not (tmp_path / "new").exists()
    half = tmp_path / ".plan.parquet.0123456789ab.tmp"
    half.write_text("half")
    with planning(tmp_path, "plan.parquet"):
        assert not half.exists()
    with without_locks_after(tmp_path, Part(1, 2)):
        assert (tmp_path / LOCKS).is_dir()
    assert (tmp_path / LOCKS).is_dir()  # other parts may be at work
    with without_locks_after(tmp_path, None):
        pass
    assert not (tmp_path / LOCKS).exists()
