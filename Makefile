# The front door: every target sets up what it needs in .venv.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
DEMO   := $(VENV)/.demo
# Where the CPU build of PyTorch comes from on machines without a GPU; empty: wherever pip looks.
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
LOW    := .venv-lowest
# Tests that need no extra and no tool of the development (an oracle, a validator, a browser).
CORE   := $(addprefix tests/,core features imaging networks tables) $(wildcard tests/dataset/test_*.py) \
          tests/scoring/test_knn.py tests/scoring/test_precision.py tests/images/test_find.py

.PHONY: help demo test lint coverage docs lowest bench clean
# What [classical] brings, without the bound of centrosome on Pillow, of which it uses nothing that was measured here.
CLASSICAL = cp-measure centrosome mahotas deprecation

help:            ## show this list
	@grep -E '^[a-z]+: .*##' $(MAKEFILE_LIST) | sed -E 's/:.*## */\t/' | expand -t 12

$(READY): pyproject.toml constraints.txt
	$(PYTHON) scripts/install.py $(VENV) --extras dev --torch-index "$(TORCH_INDEX)"
	$(BIN)/pip install --quiet --no-deps --constraint constraints.txt $(CLASSICAL)
	@touch $@ $(DEMO)

# The demo needs none of the developer's tools.
$(DEMO): pyproject.toml constraints.txt
	$(PYTHON) scripts/install.py $(VENV) --extras demo --torch-index "$(TORCH_INDEX)"
	@touch $@

demo: $(DEMO)    ## simulate, curate, load, train, extract and benchmark: writes demo/report.html
	$(BIN)/python scripts/demo.py --output demo

test: lint       ## ruff, mypy and every test
	$(BIN)/python -m pytest -n 2 --dist worksteal

lint: $(READY)   ## ruff and mypy (strict) alone
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

coverage: $(READY)  ## every test with its coverage; fails below the floor in pyproject.toml
	$(BIN)/python -m pytest -n 2 --dist worksteal --cov --cov-report=term

docs: $(READY)   ## the site of the documentation, into site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

# uv knows how to choose the lowest versions; torch comes from the index of its CPU builds, as above, in the version
# of the constraints: its own lower bound is not tried here.
lowest:          ## the lowest allowed versions of the dependencies, and the tests that need no extras
	$(PYTHON) -m venv $(LOW)
	$(LOW)/bin/pip install --quiet uv
	$(LOW)/bin/pip install --quiet --constraint constraints.txt torch
	$(LOW)/bin/uv pip compile --quiet pyproject.toml --extra images --resolution lowest-direct --no-header --no-annotate \
		--no-emit-package torch --no-emit-package triton --output-file $(LOW)/all.txt
	grep -v '^nvidia-' $(LOW)/all.txt > $(LOW)/lowest.txt
	$(LOW)/bin/uv pip install --quiet --python $(LOW)/bin/python --no-deps --requirements $(LOW)/lowest.txt
	$(LOW)/bin/pip install --quiet --no-deps --editable .
	$(LOW)/bin/pip install --quiet pytest hypothesis
	OMP_NUM_THREADS=1 $(LOW)/bin/python -m pytest $(CORE)

bench: $(READY)  ## speed tables, side by side in one run: see docs/benchmarks
	$(BIN)/python scripts/bench.py --help

clean:           ## remove the demo's output, the site and the environment
	rm -rf demo site $(VENV) $(LOW)
