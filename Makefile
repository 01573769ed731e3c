# The front door: every target sets up what it needs in .venv.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready

.PHONY: help demo test lint bench clean
help:            ## show this list
	@grep -E '^[a-z]+: .*##' $(MAKEFILE_LIST) | sed -E 's/:.*## */\t/' | expand -t 12

# The CPU build of torch comes first: resolved later, a dependency would pull several GB of CUDA packages.
$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet --constraint constraints.txt torch
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: $(READY)   ## simulate, curate, load, train, extract and benchmark: writes demo/report.html
	$(BIN)/python scripts/demo.py --output demo

test: lint       ## ruff, mypy and every test
	$(BIN)/python -m pytest -n 2 --dist worksteal

lint: $(READY)   ## ruff and mypy (strict) alone
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(READY)  ## speed tables, side by side in one run: see docs/benchmarks
	$(BIN)/python scripts/bench.py --help

clean:           ## remove the demo's output and the environment
	rm -rf demo $(VENV)
