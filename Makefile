# Everything a fresh machine needs is python3.11 (or newer), make and pip.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: sweep test test-long test-benchmarks test-all lint types clean

sweep: $(READY)  ## run the quickstart sweep on the embedded digits
	$(BIN)/python -m search run quickstart

test: lint types  ## lint, types and tests
	$(BIN)/python -m pytest -n auto -m "not ray and not cluster and not faults and not benchmark"
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "ray and not cluster and not faults and not benchmark"

test-long: $(READY)  ## the fault matrix, and clusters of several nodes
	$(BIN)/python -m pytest -m "cluster or faults"

test-benchmarks: $(READY)  ## every benchmark, on the smallest task that it takes
	$(BIN)/python -m pytest -m benchmark

test-all: test test-long test-benchmarks

lint: $(READY)
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(READY)
	$(BIN)/mypy

# Set up once, and again whenever the dependencies change.
$(READY): pyproject.toml
	@echo "Setting up $(VENV) with torch, Ray and what else pyproject.toml names. With torch for GPUs"
	@echo "it takes 6.7 GB and, on a usual connection, 5 to 10 minutes; README.md says how to have"
	@echo "torch for CPUs alone, without the 4 GB of CUDA libraries. pip names what it downloads, and"
	@echo "says nothing while it installs, for a few minutes."
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --disable-pip-version-check --editable '.[dev]'
	touch $(READY)
	@echo "$(VENV) is set up."

clean:
	rm -rf $(VENV) results .pytest_cache .mypy_cache .ruff_cache
