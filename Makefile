# Everything sets itself up: the virtual environment, the Python packages, the system packages.
#
#   make run     serve on http://127.0.0.1:8522
#   make fast    the same, with the hot modules compiled (mypyc); takes a minute or two the first time
#   make test    run every test (make coverage: and say which lines none of them runs)
#   make lint    ruff, mypy --strict, import contracts; prettier and tsc --strict for the page's modules
#   make bench   micro benchmarks and a load run; rewrites benchmarks/RESULTS.md and its plots
#                (ARGS=faults: what becomes of it when things go wrong; benchmarks/FAULTS.md)
#   make cluster a whole cluster on this machine, broken part by part while it works; takes a minute
#   make docs    rewrite the generated pages of docs/
#   make clean   remove what the above made

SHELL := /bin/sh
VENV  := .venv
BIN   := $(VENV)/bin
FAST  := .venv-fast
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
PYTHON_FILES := $(shell find gateway protocol -name '*.py')

.PHONY: help run fast test coverage lint format bench cluster docs clean

help:
	@sed -n 's/^#   //p' Makefile

# A stamp is newer than pyproject.toml when the environment has what that file asks for.
$(VENV)/run.stamp: pyproject.toml scripts/venv.sh scripts/system-packages.sh
	@scripts/system-packages.sh run
	@scripts/venv.sh run

$(VENV)/dev.stamp: pyproject.toml scripts/venv.sh scripts/system-packages.sh
	@scripts/system-packages.sh test
	@scripts/venv.sh dev

# What is compiled is a copy, made anew when a source is newer.
$(FAST)/run.stamp: $(PYTHON_FILES) pyproject.toml scripts/venv.sh scripts/wheel.sh scripts/system-packages.sh
	@scripts/system-packages.sh fast
	@scripts/venv.sh fast

$(FAST)/test.stamp: $(FAST)/run.stamp
	@scripts/venv.sh fast-test

run: $(VENV)/run.stamp
	@exec $(BIN)/undertone serve

fast: $(FAST)/run.stamp
	@exec $(FAST)/bin/undertone serve

# Where nothing can be compiled, the tests that want it skip, or fail where CI is set (tests/needs.py).
# Two files at a time: most tests wait for real time to pass. For one test, $(BIN)/pytest itself is quicker.
test: $(VENV)/dev.stamp
	@scripts/peers.sh
	@scripts/web.sh
	-@$(MAKE) --no-print-directory $(FAST)/test.stamp
	$(BIN)/pytest -n 2 --dist loadfile $(ARGS)

# The tests that are busy rather than waiting take two thirds longer so.
coverage:
	@$(MAKE) --no-print-directory test ARGS="--cov --cov-report=term:skip-covered $(ARGS)"

lint: $(VENV)/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	@scripts/web.sh
	$(BIN)/python -m scripts.web lint types

format: $(VENV)/dev.stamp
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	@scripts/web.sh
	$(BIN)/python -m scripts.web format

# Both builds are measured; without a compiler one of them.
bench: $(VENV)/dev.stamp
	-@$(MAKE) --no-print-directory $(FAST)/run.stamp
	$(BIN)/python -m benchmarks $(ARGS)

cluster: $(VENV)/dev.stamp
	$(BIN)/python -m scripts.cluster $(ARGS)

docs: $(VENV)/dev.stamp
	$(BIN)/python -m scripts.docs

clean:
	rm -rf $(VENV) $(FAST) .venv-peers tests/gateway/web/node_modules .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .coverage htmlcov dist build
