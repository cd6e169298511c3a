# Every target stands on .venv, which is made from the lock file: nothing is to be installed by hand.
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.waypost-installed

# Dozens of tests start processes of ours: without bytecode each would compile all of it again.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup check lint types floors policy test unit integration demo faults failover bench generated lock audit clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

$(STAMP): requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-build-isolation --no-deps -e .
	@touch $@

setup: $(STAMP) ## a virtual environment with all that is needed, from the lock file

check: lint types floors policy test ## exactly what CI runs

lint: $(STAMP) ## ruff: style and mistakes
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP) ## mypy --strict
	$(BIN)/mypy

floors: $(STAMP) ## import-linter: import downward only
	$(BIN)/lint-imports

policy: $(STAMP) ## the Rego tests, in both evaluators of the embedded engine
	$(BIN)/waypost policy test policies

test: unit integration ## all tests, warnings are errors

unit: $(STAMP) ## the tests that start no stack, several at a time: many wait
	$(BIN)/python -m pytest -n auto --dist worksteal --ignore tests/integration

integration: $(STAMP) ## the tests on real processes, one at a time: they measure
	$(BIN)/python -m pytest tests/integration

demo: $(STAMP) ## submit a real backup, lose a region, end complete
	$(BIN)/python examples/demo.py

faults: $(STAMP) ## ten rounds of each fault on real processes, with measurements
	$(BIN)/python -m pytest tests/integration -s --rounds 10 --timeout 1800

failover: $(STAMP) ## detection and hand-over times of ten killed and ten silent regions
	$(BIN)/python bench/failover.py

bench: $(STAMP) ## speed, in ratios: submissions beside the floor, cluster (needs wrk and ../shared/floor)
	$(BIN)/python bench/submissions.py
	$(BIN)/python bench/cluster.py

generated: $(STAMP) ## write the parts of docs/ that come from the code
	$(BIN)/python -m docs.generate

lock: ## resolve pyproject.toml again into requirements.lock
	$(BIN)/uv pip compile -q --generate-hashes --no-emit-index-url --extra dev --python-version 3.11 -o requirements.lock pyproject.toml

audit: $(STAMP) ## known vulnerabilities of what is locked
	$(BIN)/pip-audit --require-hashes -r requirements.lock

clean: ## remove what was made
	rm -rf .venv .waypost bench/out
