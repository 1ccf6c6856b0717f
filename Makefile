# Everything a newcomer runs. Needs Python 3.11 or newer and make; the rest is installed into .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
SOURCES := metamodel featurizers trainers tests benchmarks
PYTEST_WORKERS ?= 2

.PHONY: help quickstart test check format clean

help: ## Show what can be made
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/'

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed: make PYTHON=python3.11 ..." if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)

# torch first and alone: its exact version decides what the others may bring along.
$(VENV)/.installed: pyproject.toml constraints.txt | $(BIN)/python
	$(INSTALL) torch
	$(INSTALL) --editable .
	@touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	$(INSTALL) --editable '.[test]'
	@touch $@

$(VENV)/.installed-check: $(VENV)/.installed-test
	$(INSTALL) --editable '.[test,check]'
	@touch $@

quickstart: $(VENV)/.installed ## Install and run configs/quickstart.yaml
	$(BIN)/metamodel run configs/quickstart.yaml

test: $(VENV)/.installed-test ## Install with the test extra and run the whole suite, with coverage
	$(BIN)/python -m pytest --numprocesses $(PYTEST_WORKERS) --dist loadgroup --cov --cov-report=term:skip-covered --cov-fail-under=90

check: $(VENV)/.installed-check ## Lint, formatting and types: what CI runs before the tests
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/mypy

format: $(VENV)/.installed-check ## Format and mend what the linter can
	$(BIN)/ruff check --fix $(SOURCES)
	$(BIN)/ruff format $(SOURCES)

clean: ## Remove the environment and every cache; runs/ stays
	rm -f trainers/native/*.so
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage build dist *.egg-info
