"""One command line, run in this process; what it said, and whether it kept the rules."""

import contextlib
import importlib
import io
import re
import resource
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

PROGRAMS = {
    "cytoimagenet": "cytoimagenet_hf.cli",
    "builder": "builder.__main__",
    "train": "scripts.train",
}
SECONDS, MEGABYTES = 30, 1500
"""No command on these tiny inputs may take longer, or make the process grow by more."""


@dataclass(frozen=True)
class Outcome:
    """How a command ended."""

    code: int
    said: str  # standard error
    shown: str  # standard output
    seconds: float  # of this process's work: a busy machine is not a fault
    grown: float  # megabytes


def call(program: str, *arguments: object) -> Outcome:
    """Run `cytoimagenet`, `builder` or `train` with arguments as a shell would hand them over."""
    module = importlib.import_module(PROGRAMS[program])
    out, err = io.StringIO(), io.StringIO()
    before, started, peak = sys.argv, time.process_time(), _peak()
    sys.argv = [program, *map(str, arguments)]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = module.main()
    except SystemExit as ended:
        code = ended.code
    except BaseException:
        traceback.print_exc(file=err)
        code = 99
    finally:
        sys.argv = before
    said, shown = (stream.getvalue().encode("utf-8", "backslashreplace").decode() for stream in (err, out))
    return Outcome(int(code or 0), said, shown, time.process_time() - started, _peak() - peak)


def training_call(*words: str) -> tuple[Any, dict[str, Any]]:
    """What `scripts/train.py` makes of its arguments: the configuration, and the options of this call alone."""
    script = importlib.import_module(PROGRAMS["train"])
    with mock.patch.object(script, "_train", return_value=0) as train:
        script.app(script.one_each(words), standalone_mode=False)
    return train.call_args.args[0], train.call_args.kwargs


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def bounded(outcome: Outcome) -> None:
    """No traceback, no endless work."""
    everything = outcome.said + outcome.shown
    assert "Traceback" not in everything, everything[-3000:]
    assert outcome.code in (0, 1, 2), everything[-3000:]
    assert outcome.seconds < SECONDS, f"{outcome.seconds:.1f} s"
    assert outcome.grown < MEGABYTES, f"{outcome.grown:.0f} MB"


def refused(outcome: Outcome, *names: str) -> None:
    """Exit 2 with one line that says what is wrong and names `names`."""
    bounded(outcome)
    assert outcome.code == 2, f"exit {outcome.code}: {outcome.said[-500:]}{outcome.shown[-500:]}"
    (line,) = [line for line in _plain(outcome.said).splitlines() if "error:" in line]
    for name in names:
        assert name in line, line


def refused_or_recorded(outcome: Outcome, name: str) -> None:
    """Exit 2 that names it, or 0 or 1 with a line that does: it was left out, and said so."""
    bounded(outcome)
    if outcome.code == 2:
        refused(outcome, name)
    else:
        assert name in _plain(outcome.said + outcome.shown), outcome.said[-500:] + outcome.shown[-500:]


def _plain(text: str) -> str:
    return re.sub(r"\033\[[0-9;]*m", "", text)


def unchanged(before: Mapping[str, Any], after: Mapping[str, Any], *, but: Sequence[str] = ()) -> None:
    """A refused command has left every file as it was, and no new one behind except `but`."""
    new = [name for name in after if name not in before and Path(name).name not in but]
    assert new == [], new
    assert [name for name in before if after.get(name) != before[name]] == []
