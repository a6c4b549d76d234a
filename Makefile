# All targets need only Python 3.11 or newer.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# pyenv keeps its versions where no command finds them.
NEWEST = $(shell for v in 3.14 3.13 3.12; do for p in python$$v $(HOME)/.pyenv/versions/$$v.*/bin/python; do $$p --version >/dev/null 2>&1 && echo $$p && exit; done; done)
PYTEST := $(BIN)/python -m pytest -n 2 --dist loadscope --no-loadscope-reorder

.DEFAULT_GOAL := help
.PHONY: help setup demo notebooks test test-all test-newest newest test-long docs lint format types check clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-11s %s\n", $$1, $$2}'

setup: $(VENV)/ready ## create the virtual environment .venv with the locked versions

$(VENV)/ready: pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "tfmr needs Python 3.11 or newer: make PYTHON=python3.12 ..."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet --requirement requirements.lock
	$(BIN)/pip install --quiet --no-deps --editable .
	@touch $@

demo: $(VENV)/ready ## train, evaluate, translate and plot a small model in runs/demo (about 8 minutes on 2 cores)
	$(BIN)/python train.py configs/demo.py
	$(BIN)/tfmr evaluate runs/demo --output runs/demo/test.translations.txt
	@echo; echo "Held-out sentences, their translations, and the references:"
	@paste -d '\n' runs/demo/evaluation/test.source.txt runs/demo/test.translations.txt runs/demo/evaluation/test.target.txt /dev/null | head -32
	@echo "The four best translations of a sentence, with their scores:"
	@echo "A small cat sleeps." | $(BIN)/tfmr translate runs/demo --n-best 4
	$(BIN)/tfmr plot runs/demo

notebooks: $(VENV)/ready ## run the notebooks and save their outputs (up to 2 CPU minutes each)
	$(BIN)/python tests/executed_notebooks.py

test: $(VENV)/ready ## run the tests (under 10 minutes on 2 cores)
	$(PYTEST) -m "not slow"

test-all: docs ## run all tests, also notebooks, documented commands, the page in a browser and long multi-process tests (half an hour)
	$(PYTEST)

test-newest: ## run the tests, or TESTS="FILES", with the newest Python that is installed, and the newest packages
	@test -n "$(NEWEST)" || { echo "no Python 3.12 or newer is installed"; exit 1; }
	$(NEWEST) -m venv $(VENV)-newest
	$(VENV)-newest/bin/pip install --quiet --upgrade --editable ".[dev]"
	$(VENV)-newest/bin/python -m pytest -n 2 --dist loadscope --no-loadscope-reorder -m "not slow" $(TESTS)

newest: # print the newest Python that is installed; nothing if it is older than 3.12
	@echo $(NEWEST)

test-long: $(VENV)/ready ## kill a training run 20 times, 2000 wrong commands and damaged files, 10000 wrong requests, corpora of 10 million pairs (2 hours)
	$(BIN)/python -m pytest -s tests/long/kills.py tests/long/fuzz.py tests/long/fuzz_server.py tests/long/large_corpora.py

docs: $(VENV)/ready ## build the documentation in build/docs and check its links (1 minute)
	rm -rf build/docs build/doctrees
	$(BIN)/sphinx-build --quiet -W --keep-going -d build/doctrees docs build/docs
	$(BIN)/python docs/check_site.py build/docs

lint: $(VENV)/ready ## check the style
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

format: $(VENV)/ready ## apply the style
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

types: $(VENV)/ready ## check the types (1 minute)
	$(BIN)/pyright --pythonpath $(BIN)/python

check: lint types test-all ## run lint, types and test-all, as CI does

clean: ## remove the environment and the caches, but keep all runs
	rm -rf $(VENV) $(VENV)-newest .pytest_cache .ruff_cache .hypothesis build *.egg-info
