# Two commands do all the set-up:
#   make demo   run the pipeline on the paintings that ship with the project
#   make test   run the whole test suite

PYTHON ?= python3
WORKERS ?= 2
ROOT ?= mray-data
DEMO ?=

BIN = .venv/bin

.PHONY: help demo test lint format isr bench environment clean
.DEFAULT_GOAL := help

help:
	@sed -n 's/^#   //p' Makefile
	@echo "make lint   ruff, types, the arrows between the modules"
	@echo "make bench  measure every path on this machine"
	@echo "make isr    the environment of the genuine ISR (--engine isr)"

environment:
	@$(PYTHON) tools/environment.py .venv --extra all --group dev

# DEMO="--kimg 0.5" makes it shorter.
demo: environment
	@$(BIN)/mray run pipeline examples/paintings --run demo --preset demo --root $(ROOT) $(DEMO)

test: environment
	$(BIN)/pytest -n $(WORKERS) --dist loadgroup $(TESTS)

lint: environment
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: environment
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# `pip install ISR` cannot resolve on today's Python: TensorFlow and what ISR really uses, then ISR.
isr:
	@$(PYTHON) tools/environment.py .venv-isr --extra isr \
		--requirements docker/isr-requirements.txt --no-deps ISR==2.2.0

bench: environment
	@for script in bench/*.py; do $(BIN)/python $$script || exit 1; done

clean:
	rm -rf .venv .venv-isr .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
