"""Tasks run on processes and on a Dask cluster, whose workers may die."""

import hashlib
import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest

from builder.recipe import RECIPES
from builder.render import render
from builder.render.plan import make_plan
from builder.render.shard import SHARD_SCHEMA, RenderTask
from builder.shard_files import write_shard
from builder.shards import list_tasks, run_with_progress
from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.shards.executors import run_tasks
from tests.builder.tiny_builds import tiny_build


def shard_hashes(output: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in output.glob("shards/shard-*.parquet")}


def _die_once(task):
    if task == "fatal" and not Path("died").exists():
        Path("died").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return task


def test_a_killed_worker_is_replaced(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert sorted(run_tasks(_die_once, ["a", "fatal", "b", "c"], workers=2)) == ["a", "b", "c", "fatal"]
    assert Path("died").exists()


def _die(task):
    os.kill(os.getpid(), signal.SIGKILL)


def test_workers_that_always_die_end_in_advice():
    with pytest.raises(InputError, match="fewer --workers"):
        list(run_tasks(_die, ["a", "b"], workers=2))


def test_a_dask_cluster_survives_the_death_of_a_worker(tmp_path):
    distributed = pytest.importorskip("distributed")
    raw, output = tiny_build(tmp_path, fields=48, side=200)
    render(raw, output, recipe=RECIPES["corrected"], seed=1, workers=1)
    expected = shard_hashes(output)
    for path in output.glob("shards/shard-*"):
        path.unlink()
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, host="127.0.0.1"
    ) as cluster:
        victim = (
            next(iter(cluster.workers.values())).pid if hasattr(next(iter(cluster.workers.values())), "pid") else None
        )
        victim = victim or next(iter(cluster.workers.values())).process.pid
        killer = _kill_when(victim, output)
        summary = render(raw, output, recipe=RECIPES["corrected"], seed=1, dask=cluster.scheduler_address)
        killer.join()
    assert killer.exitcode == 0, "no worker was killed while the build ran"
    assert shard_hashes(output) == expected
    assert summary.kept == 48


def _kill_when(pid: int, output: Path):
    process = multiprocessing.get_context("fork").Process(target=_kill_after_first_shard, args=(pid, output))
    process.start()
    return process


def _kill_after_first_shard(pid: int, output: Path):
    while not list(output.glob("shards/shard-*")):
        time.sleep(0.005)
    finished = len(list(output.glob("shards/shard-*")))
    os.kill(pid, signal.SIGKILL)
    raise SystemExit(0 if finished < 6 else 1)


def test_no_cluster_at_the_address(monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr("cytoimagenet_hf.shards.executors.DASK_TIMEOUT", "0.5s")
    with pytest.raises(InputError, match="no Dask scheduler"):
        list(run_tasks(str, ["a"], dask="tcp://127.0.0.1:1"))


def test_nothing_to_do_starts_nothing():
    assert list(run_tasks(_die, [], workers=2)) == []


def _killed_at_the_third_field(row):
    if row["idx"] == "tiny-0003":
        os.kill(os.getpid(), signal.SIGKILL)  # as the kernel does when memory is short
    return [], []


def _dying_shard(task):
    return write_shard(task, _killed_at_the_third_field, SHARD_SCHEMA)


def test_workers_that_are_killed_say_at_which_file(tmp_path):
    raw, output = tiny_build(tmp_path, fields=20, side=80)
    plan = make_plan(output, recipe=RECIPES["corrected"], seed=0)
    tasks = [RenderTask(**vars(task), raw=raw, recipe=RECIPES["corrected"], seed=0) for task in list_tasks(plan)]
    with pytest.raises(InputError, match=r"at tiny-0003 \(.*tiny-0003_w0\.tif, .*_w1\.tif\): give fewer --workers"):
        list(run_with_progress(_dying_shard, tasks, unit="field", workers=2))
