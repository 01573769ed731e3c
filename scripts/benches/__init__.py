"""One module per benchmark: `run(...) -> dict`, see `scripts/bench.py`."""
