# Everything here works on a machine with Python 3.11 or newer and nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help setup demo notebooks test test-long docs lint format types check clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-9s %s\n", $$1, $$2}'

setup: $(VENV)/ready ## make the virtual environment .venv with the locked versions

$(VENV)/ready: pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "tfmr needs Python 3.11 or newer: make PYTHON=python3.12 ..."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet --requirement requirements.lock
	$(BIN)/pip install --quiet --no-deps --editable .
	@touch $@

demo: $(VENV)/ready ## train on the built-in corpus, evaluate, translate, draw: runs/demo (minutes on 2 cores)
	$(BIN)/python train.py configs/demo.py
	$(BIN)/tfmr evaluate runs/demo --output runs/demo/test.translations.txt
	@echo; echo "Held-out sentences, their translations, and the references:"
	@paste -d '\n' runs/demo/evaluation/test.source.txt runs/demo/test.translations.txt runs/demo/evaluation/test.target.txt /dev/null | head -32
	$(BIN)/tfmr plot runs/demo

notebooks: $(VENV)/ready ## run the notebooks again and write what they show into them (minutes)
	$(BIN)/python tests/executed_notebooks.py

test: $(VENV)/ready ## run the tests
	$(BIN)/python -m pytest -n 2 --dist loadscope --no-loadscope-reorder

test-long: $(VENV)/ready ## kill a training run 20 times at random moments: it must end the same (5-10 minutes)
	$(BIN)/python -m pytest -s tests/long/kills.py

docs: $(VENV)/ready ## build the documentation into build/docs, and look for dead links in it
	rm -rf build/docs build/doctrees
	$(BIN)/sphinx-build --quiet -W --keep-going -d build/doctrees docs build/docs
	$(BIN)/python docs/check_site.py build/docs

lint: $(VENV)/ready ## check style
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

format: $(VENV)/ready ## apply the style
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

types: $(VENV)/ready ## check types
	$(BIN)/pyright --pythonpath $(BIN)/python

check: lint types test docs ## all of the above

clean: ## remove the environment and the caches, but no run
	rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis build *.egg-info
