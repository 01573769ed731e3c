import errno
import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import typer
import yaml
from datasets.exceptions import DatasetGenerationError
from safetensors import SafetensorError

import cytoimagenet_hf
from cytoimagenet_hf.core.boundary import explain, reading, run, run_app
from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.versions import installed_versions


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (InputError("a: b"), "a: b"),
        (OSError(errno.ENOSPC, "x", "/d/f"), "/d/f: the disk is full"),
        (OSError(errno.EROFS, "x", "/d/f"), "read-only"),
        (FileExistsError(errno.EEXIST, "x", "/d"), "in the way"),
        (NotADirectoryError(errno.ENOTDIR, "x", "/d/f"), "a file is in the way"),
        (OSError(errno.ELOOP, "x", b"/d/\xff"), "circle"),
        (FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp']"), "TMPDIR"),
        (OSError("something else"), "something else"),
        (pa.ArrowInvalid("not a Parquet file"), "a table cannot be read"),
        (yaml.YAMLError("bad"), "YAML"),
        (json.JSONDecodeError("bad", "{", 0), "JSON"),
        (zipfile.BadZipFile("bad"), "zip"),
        (SafetensorError("invalid header"), "weights"),
        (httpx.ConnectError("no route"), "network"),
        (ConnectionResetError("reset"), "network"),
        (ModuleNotFoundError("No module named 'zarr'", name="zarr.core"), r"pip install 'cytoimagenet-hf\[plates\]'"),
        (MemoryError(), "--batch-size"),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"), "UTF-8"),
    ],
)
def test_errors_of_the_outside_world_are_explained(error: Exception, says: str) -> None:
    import re

    message = explain(error)
    assert message is not None
    assert re.search(says, message)
    assert "\n" not in message


def test_of_an_error_of_datasets_the_cause_is_explained() -> None:
    error = DatasetGenerationError("An error occurred while generating the dataset")
    assert "An error occurred" in str(explain(error))
    error.__cause__ = OSError(errno.ENOSPC, "x", "/d/f")
    assert str(explain(error)).startswith("/d/f: the disk is full")


@pytest.mark.parametrize("error", [KeyError("x"), TypeError("x"), ValueError("x"), ModuleNotFoundError("x", name="x")])
def test_errors_of_a_program_are_not(error: Exception) -> None:
    assert explain(error) is None


def test_reading_names_the_file_and_lets_faults_pass(tmp_path: Path) -> None:
    with (
        pytest.raises(InputError, match=r"a\.parquet cannot be read as features: .*damaged"),
        reading("a.parquet", kind="features"),
    ):
        pq.read_table(io.BytesIO(b"PAR1"))
    with pytest.raises(InputError, match="as it was"), reading("x"):
        raise InputError("as it was")
    with pytest.raises(KeyError), reading("x"):
        raise KeyError("y")
    missing = tmp_path / "none"
    with pytest.raises(InputError) as caught, reading(missing):
        missing.open()
    assert str(caught.value).count(str(missing)) == 1


def ended(error: BaseException | int | None, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    def command() -> int | None:
        if isinstance(error, BaseException):
            raise error
        return error

    code = run(command, program="tool", arguments=arguments)
    return code, capsys.readouterr().err


def test_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    assert ended(None, capsys) == (0, "")
    assert ended(1, capsys) == (1, "")
    assert ended(InputError("wrong"), capsys) == (2, "error: wrong\n")
    code, message = ended(KeyboardInterrupt(), capsys)
    assert code == 130
    assert message.startswith("tool: stopped by Ctrl-C")


def test_a_fault_is_owned_kept_and_reportable(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    code, message = ended(KeyError("x"), capsys, "do", "it")
    assert code == 70
    assert message.count("\n") == 1
    (report,) = tmp_path.iterdir()
    assert str(report) in message
    text = report.read_text()
    assert "tool do it" in text
    assert "KeyError: 'x'" in text
    assert "Traceback" in text
    assert "Traceback" not in message
    code, message = ended(KeyError("x"), capsys, "--debug")
    assert code == 70
    assert "Traceback" in message
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "none"))
    code, message = ended(KeyError("x"), capsys)
    assert "--debug" in message


def app() -> typer.Typer:
    made = typer.Typer()

    @made.command()
    def work(size: int = typer.Option(3, min=1)) -> None:
        if size == 7:
            raise typer.Exit(1)
        if size == 8:
            raise typer.Abort

    return made


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        ([], 0, ""),
        (["--debug"], 0, ""),
        (["--size", "7"], 1, ""),
        (["--size", "8"], 130, "stopped"),
        (["--size", "0"], 2, "--size"),
        (["--size", "x"], 2, "--size"),
        (["--sise", "1"], 2, "--sise"),
        (["extra"], 2, "extra"),
    ],
)
def test_usage_errors_are_one_line(
    arguments: list[str], code: int, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_app(app, program="tool", arguments=arguments) == code
    message = capsys.readouterr().err
    assert says in message
    assert message.count("\n") == (1 if code == 2 or code == 130 else 0)


def test_the_version_is_one_everywhere() -> None:
    version = cytoimagenet_hf.__version__
    assert installed_versions([])["cytoimagenet-hf"] == version
    for command in (["-m", "cytoimagenet_hf"], ["-m", "builder"]):
        done = subprocess.run([sys.executable, *command, "--version"], capture_output=True, text=True)
        assert (done.returncode, done.stdout.strip()) == (0, f"cytoimagenet-hf {version}")


def test_a_reader_that_has_seen_enough_and_a_full_disk() -> None:
    call = [sys.executable, "-m", "builder", "sources"]
    done = subprocess.run(["/bin/sh", "-c", f"{' '.join(call)} | head -1"], capture_output=True, text=True)
    assert done.stderr == ""
    if Path("/dev/full").exists():
        with open("/dev/full", "w") as full:
            ended = subprocess.run(call, stdout=full, stderr=subprocess.PIPE, text=True)
        assert ended.returncode == 2
        assert "the disk is full" in ended.stderr
        assert "Traceback" not in ended.stderr
