"""How a push is recorded on the Hub, and which scores go with a model: the options of `push`."""

from dataclasses import dataclass
from pathlib import Path

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.settings import check_fields, setting


@dataclass(frozen=True)
class Upload:
    """How a push is recorded in the repository; without a message it is "Upload" and the kind.

    Raises:
        InputError: a tag of what is only proposed.
    """

    revision: str = setting("main", "Branch to push to; created if missing.")
    message: str | None = setting(None, "Message of the commit.")
    pull_request: bool = setting(False, "Open a pull request instead of changing the branch.", option="pr")
    tag: str | None = setting(None, "Name the pushed revision, e.g. v1.0.")

    def __post_init__(self) -> None:
        check_fields(self, name="push")
        if self.pull_request and self.tag is not None:
            raise InputError("a pull request is not merged yet, so its result has no tag: leave out --tag or --pr")


@dataclass(frozen=True, kw_only=True)
class Scores:
    """Results of a benchmark that go onto a model's card."""

    results: Path | None = setting(None, "results.json of `cytoimagenet benchmark`: scores for the model's card.")
    benchmark_dataset: str | None = setting(
        None, "With --results: the benchmark's dataset, owner/name; scores become .eval_results too."
    )
    entry: str | None = setting(None, "The model's name in the results, if they hold several.")

    def __post_init__(self) -> None:
        check_fields(self, name="push")
