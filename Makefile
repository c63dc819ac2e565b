# Everything runs from .venv, which `make` builds itself from uv.lock.
PYTHON ?= python3
UV_VERSION := 0.13.9
BIN := .venv/bin
DEMO := var/demo
DATA ?=
DATABASE ?=
ENCRYPT ?=
EQUALITY ?=
SHARED ?= ../shared/data

# compiled once at installation, so that each of the many commands starts fast
unexport PYTHONDONTWRITEBYTECODE
export UV_COMPILE_BYTECODE := 1

.PHONY: help install install-dev servers demo serve test test-long lint walkthroughs bench-fields bench-mass bench-api bench-console bench-external check-real-data migration clean

help:
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 20

$(BIN)/uv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Keystead needs Python 3.11 or newer; give one with PYTHON=..." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "Python has no venv module; on Debian: apt-get install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

.venv/demo.stamp: $(BIN)/uv uv.lock pyproject.toml
	$(BIN)/uv sync --quiet --locked --inexact --group demo
	@touch $@

.venv/dev.stamp: $(BIN)/uv uv.lock pyproject.toml
	$(BIN)/uv sync --quiet --locked --inexact --group dev
	@touch $@ .venv/demo.stamp

install: .venv/demo.stamp ## install what the demo needs into .venv
install-dev: .venv/dev.stamp ## install what tests, lint and benchmarks need

demo: install ## run the main job to its end; DATA=file ENCRYPT=col,col EQUALITY=col for your own; DATABASE=postgresql|mariadb
	@$(BIN)/python -m demo --folder $(DEMO) $(if $(DATABASE),--database $(DATABASE)) $(if $(DATA),--data "$(DATA)") $(if $(ENCRYPT),--encrypt "$(ENCRYPT)") $(if $(EQUALITY),--equality "$(EQUALITY)")

serve: install ## serve the demo's two instances for browsing, and print where and how to log in
	@[ -f $(DEMO)/report.json ] || $(MAKE) demo
	@$(BIN)/python -m demo.browse --folder $(DEMO)

# the servers, the browser and the software HSM that some tests use; who may not install them skips those tests
servers:
	@command -v mariadbd >/dev/null && ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 && \
	  command -v chromium >/dev/null && command -v softhsm2-util >/dev/null || \
	  { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && { apt-get update -qq || true; } && \
	    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq postgresql mariadb-server chromium softhsm2 >/dev/null; } || \
	  echo "PostgreSQL, MariaDB, Chromium or SoftHSM2 is not installed; tests on it are skipped." >&2

test: install-dev servers ## run the tests
	$(BIN)/python -m pytest -n 3 --dist worksteal --durations=30

test-long: install-dev servers ## run the tests that take minutes: many writers and kills, on each database
	$(BIN)/python -m pytest -m long -n 2 --dist worksteal

walkthroughs: install-dev ## carry out the seed documents' procedures
	$(BIN)/python -m pytest tests/walkthroughs

lint: install-dev ## ruff, mypy strict, import-linter
	$(BIN)/ruff check src tests bench demo tools
	$(BIN)/ruff format --check src tests bench demo tools
	$(BIN)/mypy
	$(BIN)/lint-imports

bench-fields: install-dev ## speed of field encryption against bare calls and Tink
	$(BIN)/python -m bench.fields

bench-mass: install-dev servers ## speed of a mass rekeying on PostgreSQL and MariaDB against their own UPDATE
	$(BIN)/python -m bench.mass

bench-api: install-dev ## speed of the Table API against a bare route
	$(BIN)/python -m bench.api

bench-console: install-dev ## speed of the console's lists and of a page of the Table API against bare routes
	$(BIN)/python -m bench.console

bench-external: install-dev ## cost of an external key, alive and dead
	$(BIN)/python -m bench.external

check-real-data: install-dev ## the demo on real data sets, each checked from outside
	$(BIN)/python -m tests.outside.real_data --data $(SHARED)

migration: install-dev ## write the migration script for changed tables; NAME=what_changed
	@test -n "$(NAME)" || { echo "Give it a name: make migration NAME=what_changed" >&2; exit 1; }
	$(BIN)/python tools/migration.py "$(NAME)"
	$(BIN)/ruff check --quiet --fix src/keystead/database/migrations
	$(BIN)/ruff format --quiet src/keystead/database/migrations

clean: ## remove what was made here, but not .venv
	rm -rf var dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
