"""Where errors from outside end: a full disk, a damaged file, no network: one line, one exit code.

`run` stands around every command line of the project. `explain` knows the errors of the operating system and of the
libraries that read what others wrote; `reading` puts them into an `InputError` with the file's name, where a library
function opens one. Any other error is a fault of this program: its details go to a file, which the line names.

Exit codes: 0 done, 1 finished but something asked for was refused, 2 the call or its input was wrong, 70 a fault of
this program, 130 stopped by Ctrl-C.
"""

import contextlib
import errno
import logging
import os
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from .errors import InputError, one_line
from .versions import installed_versions

OK, REFUSED, WRONG, FAULT, STOPPED = 0, 1, 2, 70, 130
DEBUG = "Every command takes --debug (the traceback of an error) and --verbose (what the libraries report)."
"""For the help of an application."""

COMMON = ("--debug", "--verbose", "--quiet")
"""Options of every command, taken out before a command reads its own."""

_ERRNO = {
    errno.ENOSPC: "the disk is full: free some space, or write elsewhere",
    errno.EFBIG: "the file is too large for this disk, or for a limit of the system (ulimit -f): write elsewhere",
    errno.EDQUOT: "the disk quota is used up: free some space, or write elsewhere",
    errno.EROFS: "this place is read-only: write elsewhere",
    errno.EACCES: "no permission: change the rights of the file or folder, or choose another",
    errno.EPERM: "not permitted: change the rights of the file or folder, or choose another",
    errno.EEXIST: "something of that name is in the way: remove it, or choose another name",
    errno.ENOTDIR: "a file is in the way where a folder should be: remove it, or choose another name",
    errno.EISDIR: "a folder is in the way where a file should be: remove it, or choose another name",
    errno.ENOTEMPTY: "a folder is in the way and not empty: remove it, or choose another name",
    errno.ENOENT: "there is no such file or folder: check the name",
    errno.ENAMETOOLONG: "the name is too long: choose a shorter one",
    errno.ELOOP: "the links lead in a circle: remove them",
    errno.EMFILE: "too many open files: raise the limit (ulimit -n), or use fewer --workers",
    errno.EIO: "the disk answers with an error: copy the file again, or check the disk",
    errno.ENOMEM: "not enough memory: use fewer --workers or a smaller --batch-size",
    errno.ESTALE: "the network drive lost it: mount the drive again",
    errno.EADDRINUSE: "the address is taken: choose another --port",
    errno.EADDRNOTAVAIL: "this machine has no such address: choose another --host",
}
_NETWORK = {"httpx", "httpx2", "requests", "urllib3", "huggingface_hub", "aiohttp", "socket"}
_FILES = {
    "pyarrow": "a table",
    "pandas": "a table",
    "python_calamine": "a workbook",
    "datasets": "a dataset",
    "safetensors": "weights",
    "h5py": "an HDF5 file",
    "yaml": "YAML",
    "json": "JSON",
    "zipfile": "a zip file",
    "zlib": "a packed file",
    "tarfile": "an archive",
    "lzma": "a packed file",
    "PIL": "an image",
    "tifffile": "an image",
    "imagecodecs": "an image",
}
"""Library whose errors are about a file → what kind of file."""
EXTRAS = {
    "cv2": "images",
    "h5py": "images",
    "matplotlib": "bench",
    "sklearn": "bench",
    "accelerate": "train",
    "tensorboard": "train",
    "gradio": "explore",
    "distributed": "dask",
    "dask": "dask",
    "onnxruntime": "runtimes",
    "openvino": "runtimes",
    "onnxscript": "runtimes",
    "zarr": "plates",
    "nd2": "plates",
    "liffile": "plates",
    "pylibCZIrw": "czi",
    "obstore": "remote",
    "evaluate": "bench",
    "pycytominer": "profiles",
}
"""Package that is not part of the core → the extra that brings it."""


def explain(error: BaseException) -> str | None:
    """What an error from outside means and what to do next; None for an error of a program.

    Example:
        >>> explain(OSError(28, "No space left on device", "/data/x"))
        '/data/x: the disk is full: free some space, or write elsewhere'
        >>> explain(KeyError("x")) is None
        True
    """
    if isinstance(error, InputError):
        return str(error)
    if type(error).__name__ == "DatasetGenerationError" and (cause := error.__cause__) and (reason := explain(cause)):
        return reason  # `datasets` itself says only that an error occurred
    if isinstance(error, ModuleNotFoundError) and (extra := EXTRAS.get((error.name or "").partition(".")[0])):
        return f"{error.name} is not installed: pip install 'cytoimagenet-hf[{extra}]'"
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError" or "can't allocate" in str(error):
        return f"not enough memory: use a smaller --batch-size or fewer --workers ({one_line(error)})"
    roots = {kind.__module__.partition(".")[0] for kind in type(error).__mro__}
    if roots & _NETWORK or isinstance(error, (ConnectionError, TimeoutError)):
        return f"no answer from the network, or a refusal: {one_line(error)}. Check the name and the connection"
    if isinstance(error, OSError) and not roots & _FILES.keys():
        return _system(error)
    for root in sorted(roots & _FILES.keys()):
        return f"{_FILES[root]} cannot be read: {one_line(error)}. Is it damaged or of another kind?"
    if isinstance(error, ValueError) and str(error) == "Invalid IPv6 URL":  # of urllib, without the address
        return "an address lacks a bracket, as in http://[::1]:8080: look at the names given, HF_ENDPOINT and proxies"
    if isinstance(error, UnicodeError):
        return f"text that is not UTF-8: {one_line(error)}. Convert the file, or rename it"
    return None


def _system(error: OSError) -> str:
    """An error of the operating system, its files first."""
    names = [os.fsdecode(name) for name in (error.filename2, error.filename) if isinstance(name, (str, bytes))]
    where = f"{names[0]}: " if names else ""
    if "temporary directory" in str(error.strerror):  # `tempfile`, after it tried to write into each
        return "no temporary folder can be written to: free some space, or name another folder in TMPDIR"
    return where + _ERRNO.get(error.errno or 0, one_line(error.strerror or error))


@contextlib.contextmanager
def reading(path: str | Path, *, kind: str = "") -> Iterator[None]:
    """Errors from outside, raised in the block, become an `InputError` that names `path`.

    Args:
        path: the file or folder that the block reads.
        kind: what it should be: `weights`, `a checkpoint`.

    Example:
        >>> import json
        >>> with reading("state.json", kind="a state"):
        ...     json.loads("{")
        Traceback (most recent call last):
        cytoimagenet_hf.core.errors.InputError: state.json cannot be read as a state: JSON cannot be read: ...
    """
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        advice = explain(error)
        if advice is None:
            raise
        advice = advice.removeprefix(f"{path}: ")
        raise InputError(f"{path} cannot be read{f' as {kind}' if kind else ''}: {advice}") from error


def run(command: Callable[[], Any], *, program: str, arguments: Sequence[str]) -> int:
    """Run a command line to its exit code; every error ends in one line on standard error.

    Args:
        command: runs it; an int that it returns is the exit code.
        program: what messages call it.
        arguments: as typed, for the report of a fault; `--debug` among them also prints the traceback, without
            `--verbose` the libraries below keep their reports to themselves.
    """
    _set_verbosity("--verbose" in arguments)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # file names need not be text
    try:
        if "" in arguments:  # pathlib takes "" for the working folder
            raise InputError('an argument is empty (""): is a variable of the shell not set?')
        code = command()
        sys.stdout.flush()
        return code if isinstance(code, int) and not isinstance(code, bool) else OK
    except BrokenPipeError:  # `… | head`: the reader has seen enough
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except KeyboardInterrupt:
        _say(f"{program}: stopped by Ctrl-C; what was finished is kept, and the same call goes on where it can")
        return STOPPED
    except Exception as error:
        if "--debug" in arguments:
            traceback.print_exc()
        advice = explain(error)
        if advice is not None:
            _say(f"error: {advice}")
            return WRONG
        _say(_fault(error, program, arguments))
        return FAULT


def _set_verbosity(verbose: bool) -> None:
    """Load reports, warnings and the bars of libraries: all of them, or errors alone. Read when they are imported."""
    for name in ("TRANSFORMERS_VERBOSITY", "DATASETS_VERBOSITY", "HF_HUB_VERBOSITY"):
        os.environ.setdefault(name, "info" if verbose else "error")
    if verbose:
        return
    # What the exporter would register if torchvision were there: errors alone; torch sets its loggers' levels itself.
    os.environ.setdefault("TORCH_LOGS", "-onnx")
    logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # the rejection of a file says what is wrong with it
    if not sys.stderr.isatty():  # bars of a log file: a line per step
        os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")


def run_app(app: Callable[[], Any], *, program: str, arguments: Sequence[str]) -> int:
    """`run` for the Typer application that `app` makes; its usage errors become one line, too."""
    import typer

    usage_error: Any = typer.BadParameter.__mro__[1]  # click's, or typer's own copy of it

    def command() -> Any:
        given = [argument for argument in arguments if argument not in COMMON]
        try:
            application = app()
            _answer_short_help(application)
            if shutil.get_terminal_size().columns < _WIDE and any(not word.startswith("-") for word in given):
                application.rich_markup_mode = None  # a table of options cuts names and sentences where it is narrow
            return application(given, prog_name=program, standalone_mode=False)
        except typer.Abort:
            raise KeyboardInterrupt from None
        except usage_error as error:
            if not given or type(error).__name__ == "NoArgsIsHelpError":
                error.show()
                return WRONG
            place = error.ctx.command_path if error.ctx else program
            raise InputError(f"{one_line(error.format_message())} (see {place} --help)") from error

    return run(command, program=program, arguments=arguments)


def _answer_short_help(application: Any) -> None:
    """`-h` beside `--help`, for the application and each of its commands."""
    settings = {"help_option_names": ["-h", "--help"]}
    for one in (application.info, application.registered_callback, *application.registered_commands):
        if one is not None:
            one.context_settings = {**(one.context_settings or {}), **settings}


def _fault(error: Exception, program: str, arguments: Sequence[str]) -> str:
    """The line about a fault of this program, after its details were written to a file."""
    details = "\n".join(
        [
            f"{program} {' '.join(arguments)}",
            *(f"{name} {version}" for name, version in installed_versions(_ASKED).items()),
            f"{sys.platform}, {time.strftime('%Y-%m-%d %H:%M:%S')}, in {os.getcwd()}",
            "",
            "".join(traceback.format_exception(error)),
        ]
    )
    what = f"{program}: internal error: {type(error).__name__}: {one_line(error)}"
    try:
        handle, name = tempfile.mkstemp(prefix="cytoimagenet-fault-", suffix=".txt")
        with open(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(details)
    except OSError:  # no room even for that
        return f"{what}. To report it, call it again with --debug and send what it prints to the project's issues"
    return f"{what}. The details are in {name}: to report it, send that file to the project's issues"


_ASKED = ("numpy", "pandas", "pyarrow", "torch", "transformers", "datasets", "huggingface_hub", "pillow", "tifffile")
_WIDE = 110  # columns from which the options of a command are shown as a table


def _say(line: str) -> None:
    colour = sys.stderr.isatty()
    print(f"\033[31m{line}\033[0m" if colour else line, file=sys.stderr)
