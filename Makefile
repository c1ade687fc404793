# Two commands matter: `make demo` and `make test`. Both install what is missing into .venv first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
EXTRAS ?= ros,viz,fast,train,dev

.PHONY: help setup demo test test-slow fuzz lint bench clean

help:  ## what can be made
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

setup: $(STAMP)  ## .venv with everything pinned in constraints.txt (idempotent)

$(STAMP): setup.py constraints.txt $(wildcard models/*/csrc/*)
	@$(PYTHON) scripts/bootstrap.py --venv $(VENV) --extras $(EXTRAS)
	@touch $(STAMP)

demo: $(STAMP)  ## replay a held-out drive (LiDAR, six cameras) over DDS through every node; results/latest/report.html
	@$(BIN)/perception demo

test: $(STAMP)  ## lint, types and every fast test
	@$(MAKE) --no-print-directory lint
	@$(BIN)/python -m pytest -m "not slow" --durations=10

test-slow: $(STAMP)  ## the tests that train or measure for minutes
	@$(BIN)/python -m pytest -m slow --timeout=3600

fuzz: $(STAMP)  ## the fuzz tests with a hundred times as many examples (minutes)
	@PERCEPTION_FUZZ=$${PERCEPTION_FUZZ:-100} $(BIN)/python -m pytest -m fuzz --durations=10

lint: $(STAMP)  ## ruff and mypy
	@$(BIN)/ruff check .
	@$(BIN)/python -m mypy perception_nodes models

bench: $(STAMP)  ## side by side with peers; JSON into results/
	@$(BIN)/python -m pip install -q -c constraints.txt -e ".[bench]" --no-build-isolation
	@mkdir -p results
	@$(BIN)/python -m benchmarks.sparse --json results/bench_sparse.json
	@$(BIN)/python -m benchmarks.node --json results/bench_node.json

clean:  ## remove build products, keep .venv and results
	rm -rf build install log *.egg-info models/*/*.so
