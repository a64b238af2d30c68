# Every target sets up what it needs from a fresh clone, given python3 (3.11 or later), make and
# the package registries. `make run ARGS="--listen 127.0.0.1:9000"` hands arguments on.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --editable
SOURCES := $(wildcard uaitools tests bench examples)

.DEFAULT_GOAL := help
.PHONY: help run test bench lint format clean

help:
	@echo "make run     the gateway on 127.0.0.1:8081 with two sample upstreams"
	@echo "make test    lint, types and the tests"
	@echo "make bench   CPU and memory beside nginx, HAProxy and Caddy (bench/README.md)"
	@echo "make lint    ruff and mypy --strict"
	@echo "make format  rewrite the sources in the house format"
	@echo "make clean   remove the environment and the caches"

run: $(VENV)/.installed
	$(BIN)/python -m uaitools.proxy --demo $(ARGS)

test: lint
	scripts/install-programs nginx curl
	$(BIN)/python -m pytest -n auto --dist worksteal $(ARGS)

bench: $(VENV)/.installed-bench
	scripts/install-programs nginx wrk --optional haproxy caddy
	$(BIN)/python -m bench.peers $(ARGS)
	$(BIN)/python -m bench.connections

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/mypy $(SOURCES)

format: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix-only $(SOURCES)
	$(BIN)/ruff format $(SOURCES)

clean:
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis .benchmarks
	find $(SOURCES) -name __pycache__ -type d -prune -exec rm -rf {} +

# Debian packs the venv module apart from python3, hence the second message.
$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "$(PYTHON) is older than 3.11; say which to use: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
		{ rm -rf $(VENV); echo "$(PYTHON) cannot make an environment: install python3-venv" >&2; exit 1; }

# A stamp an extra: an environment is brought up to date when its dependencies change.
$(VENV)/.installed: pyproject.toml | $(BIN)/python
	$(INSTALL) .
	@touch $@

$(VENV)/.installed-%: pyproject.toml | $(BIN)/python
	$(INSTALL) ".[$*]"
	@touch $@
