# Every target sets itself up: a virtual environment in .venv, filled from the hashed pins in requirements*.lock.
# Needs Python >= 3.11 (PYTHON=python3.12 make ... picks another) and nothing else.
PYTHON ?= python3
BIN := .venv/bin
DISTRIBUTIONS := shared vendors/shopify servers/customer servers/billing servers/platform
EDITABLE := $(addprefix -e ,$(DISTRIBUTIONS))
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input -q
MANIFESTS := $(addsuffix /pyproject.toml,$(DISTRIBUTIONS))

.DEFAULT_GOAL := help
.PHONY: help up test check snapshot bench soak lock clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.venv/.up: requirements.lock $(MANIFESTS)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Backoffice needs Python 3.11 or later; this is %s. Try: make PYTHON=python3.12 ..." % sys.version.split()[0])'
	@echo "Setting up .venv (about a minute, once) ..."
	@$(PYTHON) -m venv .venv
	@$(PIP) install --require-hashes -r requirements.lock
	@$(PIP) install --no-deps --no-build-isolation $(EDITABLE)
	@touch $@

.venv/.dev: requirements-dev.lock .venv/.up
	@echo "Adding what the tests need ..."
	@$(PIP) install --require-hashes -r requirements-dev.lock
	@touch $@

up: .venv/.up ## start everything in sandbox mode and say where to connect
	@$(BIN)/backoffice up --sandbox

test: .venv/.dev ## run the tests
	@$(BIN)/python -m pytest -n auto $(ARGS)

soak: .venv/.dev ## run the whole of what the tests take a sample of
	@$(BIN)/python -m pytest --soak -s --durations=10 $(ARGS)

check: .venv/.dev ## lint, types, import contracts, lock
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/pyright --pythonpath $(BIN)/python
	@$(BIN)/lint-imports --no-cache
	@$(BIN)/python tests/lock.py

snapshot: .venv/.dev ## rewrite the committed snapshot of every tool as a model sees it
	@$(BIN)/python -m pytest tests/test_tool_snapshot.py tests/test_readmes.py --snapshot-update

bench: .venv/.dev ## measure, and rewrite the tables of docs/performance.md
	@$(BIN)/python -m bench

lock: .venv/.dev ## resolve the dependencies anew into requirements*.lock
	@$(BIN)/python tests/lock.py --write

clean: ## remove the virtual environment
	@rm -rf .venv
