# Every target sets up what it needs from a fresh clone, given python3 (3.11 or later), make and
# the package registries. `make run ARGS="--listen 127.0.0.1:9000"` hands arguments on.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
COMPILED_VENV := .venv-compiled
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --editable
SOURCES := $(wildcard uaitools tests bench examples)

.DEFAULT_GOAL := help
.PHONY: help run test test-slow bench bench-micro compiled test-compiled lint format clean

help:
	@echo "make run     the gateway on 127.0.0.1:8081 with two sample upstreams; COMPILED=1"
	@echo "make test    lint, types and the tests"
	@echo "make test-slow  proofs that take minutes: a Redis that is away for half a minute, all of Autobahn"
	@echo "make bench   CPU and memory beside nginx, HAProxy and Caddy (bench/README.md)"
	@echo "make bench-micro  the parts of a request, one by one"
	@echo "make compiled     the data plane compiled, in an environment of its own"
	@echo "make test-compiled  the data plane's tests against that"
	@echo "make lint    ruff and mypy --strict"
	@echo "make format  rewrite the sources in the house format"
	@echo "make clean   remove the environment and the caches"

ifdef COMPILED
run: $(COMPILED_VENV)/.installed
	$(COMPILED_VENV)/bin/python -P -m uaitools.proxy --demo $(ARGS)
else
run: $(VENV)/.installed
	$(BIN)/python -m uaitools.proxy --demo $(ARGS)
endif

test: lint
	scripts/install-programs nginx curl redis-server openssl chromium \
		--optional postgresql-15=/usr/lib/postgresql/15/bin/postgres
	$(BIN)/python -m pytest -n auto --dist worksteal $(ARGS)

test-slow: $(VENV)/.installed
	scripts/install-programs redis-server
	$(BIN)/python -m pytest -m slow -n 2 $(ARGS)

bench: $(VENV)/.installed-bench
	scripts/install-programs nginx wrk --optional haproxy caddy
	$(BIN)/python -m bench.peers $(ARGS)
	$(BIN)/python -m bench.connections
	$(BIN)/python -m bench.registry
	$(BIN)/python -m bench.hub

bench-micro: $(VENV)/.installed-dev
	$(BIN)/python -m pytest bench/micro --benchmark-enable -p no:xdist $(ARGS)

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/mypy $(SOURCES)

format: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix-only $(SOURCES)
	$(BIN)/ruff format $(SOURCES)

clean:
	rm -rf $(VENV) $(COMPILED_VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis .benchmarks
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

# The compiled build never touches the checkout: a source archive is compiled where pip unpacks it
# and installed apart, because a compiled module beside its source would win over later edits.
# Use it with `python -P`, or the working directory brings in the sources.
compiled: $(COMPILED_VENV)/.installed

$(COMPILED_VENV)/.installed: pyproject.toml $(shell find uaitools -name '*.py') | $(BIN)/python
	@$(BIN)/python -c 'import os, sys, sysconfig; sys.exit(not os.path.exists( \
		os.path.join(sysconfig.get_path("include"), "Python.h")))' && \
		command -v "$${CC:-cc}" >/dev/null || \
		{ echo "compiling needs a C compiler and Python's headers" \
			"(Debian, Ubuntu: apt-get install gcc python3-dev)" >&2; exit 1; }
	test -x $(COMPILED_VENV)/bin/python || $(BIN)/python -m venv $(COMPILED_VENV)
	rm -rf build/source
	$(COMPILED_VENV)/bin/python -m pip install --quiet --disable-pip-version-check hatchling
	$(COMPILED_VENV)/bin/python -m hatchling build --target sdist --directory build/source
	$(COMPILED_VENV)/bin/python -m pip uninstall --quiet --yes uaitools
	@echo "compiling, which takes a minute"
	HATCH_BUILD_HOOK_ENABLE_MYPYC=1 $(COMPILED_VENV)/bin/python -m pip install --quiet \
		--disable-pip-version-check build/source/uaitools-*.tar.gz
	@touch $@

# From a folder without the sources, which the tests would import instead.
test-compiled: $(COMPILED_VENV)/.installed
	$(COMPILED_VENV)/bin/python -m pip install --quiet --disable-pip-version-check "uaitools[dev]"
	rm -rf build/tests && mkdir -p build/tests && cp -r tests pyproject.toml build/tests
	cd build/tests && TEST_COMPILED=1 ../../$(COMPILED_VENV)/bin/python -P -m pytest \
		tests/test_compiled.py $(wildcard tests/traffic tests/proxy tests/security tests/e2e) $(ARGS)
