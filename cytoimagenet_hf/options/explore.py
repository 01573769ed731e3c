"""What is shown of a dataset, and where the window opens: the options of `explore`."""

from dataclasses import dataclass
from pathlib import Path

from cytoimagenet_hf.core.settings import check_fields, setting


@dataclass(frozen=True, kw_only=True)
class Shown:
    """What of a dataset is shown, and the network that compares its images."""

    model: str | None = setting(None, "Model for neighbours and the map; browsing needs none.")
    limit: int = setting(5000, "Show a sample of at most this many images.", low=1)
    seed: int = setting(0, "Seed of the sample.")
    cache: Path | None = setting(None, "Folder of extracted features; by default among the caches of the Hub.")

    def __post_init__(self) -> None:
        check_fields(self, name="explore")


@dataclass(frozen=True, kw_only=True)
class Window:
    """Where the explorer listens."""

    host: str = setting("127.0.0.1", "Address to listen on.")
    port: int | None = setting(None, "Port; by default a free one from 7860 on.", low=1, high=65535)
    browser: bool | None = setting(None, "Open the page in a browser; by default when started at a terminal here.")

    def __post_init__(self) -> None:
        check_fields(self, name="explore")
