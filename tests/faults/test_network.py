"""No network: names are judged at once, the Hub is asked once and briefly, a dry run needs it for nothing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

CALLS = {
    "no_repository": (("leaks", "nope"), 2, "OWNER/NAME"),
    "no_answer": (("leaks", "me/nope"), 2, "does not answer within 5 s"),
    "no_answer_push": (("push", "model", "{sound}/model", "me/model"), 2, "does not answer within 5 s"),
    "dry_run": (("push", "model", "{sound}/model", "me/model", "--dry-run"), 0, "without comparing"),
}


@pytest.mark.parametrize("name", CALLS)
def test_no_network(name: str, sound: Path, tmp_path: Path) -> None:
    arguments, code, says = CALLS[name]
    nowhere = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "0", "NO_PROXY": "*"}
    done = subprocess.run(
        [sys.executable, "-m", "cytoimagenet_hf", *(text.format(sound=sound) for text in arguments)],
        env=os.environ | nowhere,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == code, done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert "Retrying" not in done.stderr  # the client's own patience is 25 seconds
