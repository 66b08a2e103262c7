# Two commands do everything: `make demo` and `make test`. Both set up .venv first; uv is used where it is present.
.PHONY: demo test lint types contracts tests wheel format clean
SHELL := /bin/bash
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
READY := .venv/.ready
# Tests start commands: each would compile everything anew.
unexport PYTHONDONTWRITEBYTECODE

$(READY): pyproject.toml
	@if command -v uv >/dev/null 2>&1; then \
	  uv venv --quiet --allow-existing --python $(PYTHON) .venv && uv pip install --quiet --python $(BIN)/python -e . --group dev; \
	else \
	  $(PYTHON) -m venv .venv && $(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1' \
	  && $(BIN)/python -m pip install --quiet -e . --group dev; \
	fi
	@touch $@

demo: $(READY)  ## the referral contest, simulated end to end, into demo-out/
	$(BIN)/manyarm demo --out demo-out

test: lint contracts  ## everything the gate runs; mypy, on one core, beside the tests, and what it says after them
	@said=$$(mktemp); $(BIN)/mypy >$$said 2>&1 & types=$$!; status=0; \
	$(MAKE) --no-print-directory tests || status=1; \
	wait $$types || status=1; cat $$said; rm $$said; exit $$status

lint: $(READY)  ## format and lint, security rules included
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(READY)  ## mypy --strict
	$(BIN)/mypy

contracts: $(READY)  ## import directions and cycles
	$(BIN)/lint-imports

tests: $(READY)  ## tests, docstrings, README and docs, on two cores
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

format: $(READY)  ## rewrite files in the house format
	$(BIN)/ruff format . && $(BIN)/ruff check --fix .

clean:  ## remove what was built, never a database
	rm -rf .venv dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis demo-out
