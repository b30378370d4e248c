# Everything a developer or a CI job runs. `make` alone lists the targets.
# Environments and builds are made when needed, and again when what they rest on has changed.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules

# The first Python that is new enough; set PYTHON to choose another.
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
  "$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$p" && exit; done; \
  echo python-3.11-or-newer-not-found)

# What to test: files or folders, and pytest's options.
TESTS ?= tests
PYTEST ?= -q --timeout=300
# Real programs for `make parity`: a folder of fetched repositories.
PROGRAMS ?=

SOURCES := $(shell find rushlight -name __pycache__ -prune -o \( -type d -o -name '*.py' \) -print) \
  rushlight/py.typed setup.py pyproject.toml

# Tests see only the installed package: never the source tree they lie in.
INSTALLED := PYTHONSAFEPATH=1 RUSHLIGHT_TEST_INSTALLED=1

.PHONY: help
help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 16

# ---- what users run --------------------------------------------------------------------------

.PHONY: demo
demo: .venv/.rushlight  ## train a small classifier on the built-in handwritten digits
	@echo "== demo: a classifier of handwritten digits, trained on 1,500 real images"
	PYTHONSAFEPATH=1 .venv/bin/rushlight demo

.PHONY: test
test: .venv/.rushlight  ## test both builds: the compiled core, and plain Python
	@failed=0; \
	if ls build/auto/*-none-any.whl >/dev/null 2>&1; then \
	  echo "== the core was not compiled (no C compiler, no Python headers, or RUSHLIGHT_BUILD=pure):"; \
	  echo "== only the build in plain Python is tested"; \
	else \
	  $(MAKE) --no-print-directory test-compiled || failed=1; \
	fi; \
	$(MAKE) --no-print-directory test-pure || failed=1; \
	exit $$failed

.PHONY: test-compiled
test-compiled: .venv/.rushlight  ## test the build with the compiled core
	@echo "== tests, compiled core"
	$(INSTALLED) RUSHLIGHT_TEST_BUILD=compiled .venv/bin/python -m pytest $(PYTEST) $(TESTS)

.PHONY: test-pure
test-pure: .venv-pure/.rushlight  ## test the build in plain Python
	@echo "== tests, plain Python"
	$(INSTALLED) RUSHLIGHT_TEST_BUILD=pure .venv-pure/bin/python -m pytest $(PYTEST) $(TESTS)

# ---- what developers run ---------------------------------------------------------------------

.PHONY: quick
quick: .venv/.requirements  ## test the source tree as it stands, without a build (TESTS=... chooses)
	PYTHONPATH=$(CURDIR) .venv/bin/python -m pytest $(PYTEST) $(TESTS)

.PHONY: check check-format check-lint check-types check-architecture
check: check-format check-lint check-types check-architecture  ## formatting, lint, types, layers

check-format: .venv/.requirements
	.venv/bin/ruff format --check .

check-lint: .venv/.requirements
	.venv/bin/ruff check .

check-types: .venv/.requirements
	.venv/bin/mypy

check-architecture: .venv/.requirements
	PYTHONPATH=$(CURDIR) .venv/bin/python -m pytest -q tests/test_architecture.py

.PHONY: format
format: .venv/.requirements  ## format the sources and mend what lint can mend
	.venv/bin/ruff format .
	.venv/bin/ruff check --fix .

.PHONY: parity
parity: .venv-parity/.rushlight  ## compare with PyTorch (PROGRAMS=folder adds fetched programs)
	@echo "== parity with PyTorch"
	$(INSTALLED) RUSHLIGHT_PROGRAMS="$(PROGRAMS)" \
	  .venv-parity/bin/python -m pytest $(PYTEST) tests/parity

.PHONY: parity-full
parity-full: .venv-parity/.rushlight  ## the same without the caps on samples
	@echo "== parity with PyTorch, every sample"
	$(INSTALLED) RUSHLIGHT_PARITY_FULL=1 RUSHLIGHT_PROGRAMS="$(PROGRAMS)" \
	  .venv-parity/bin/python -m pytest $(PYTEST) tests/parity

.PHONY: bench
bench: .venv-parity/.rushlight .venv-pure/.rushlight  ## time programs beside PyTorch (BENCH=names)
	@echo "== benchmarks: the same programs under PyTorch and under Rushlight, in turn"
	PYTHONSAFEPATH=1 .venv-parity/bin/python benchmarks/run.py \
	  --pure .venv-pure/bin/python --json build/bench.json $(BENCH)

.PHONY: build
build: build/auto/.built build/pure/.built  ## the wheels of both builds, in build/auto and build/pure

.PHONY: clean
clean:  ## remove environments, builds and caches
	rm -rf .venv .venv-pure .venv-parity build dist *.egg-info
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find rushlight tests benchmarks scripts -name __pycache__ -prune -exec rm -rf {} +
	find rushlight -name '*.so' -delete

# ---- environments and builds -----------------------------------------------------------------

# Which Python the rest was made with: written again only when another one is chosen.
build/.python: force
	@mkdir -p build
	@chosen=$$("$(PYTHON)" -c 'import sys; print(sys.executable, sys.version)'); \
	  test "$$chosen" = "$$(cat $@ 2>/dev/null)" || echo "$$chosen" > $@

.PHONY: force
force:

.venv/.requirements: pyproject.toml scripts/env.py build/.python
	@"$(PYTHON)" scripts/env.py .venv build check test

.venv-pure/.requirements: pyproject.toml scripts/env.py build/.python
	@"$(PYTHON)" scripts/env.py .venv-pure test

.venv-parity/.requirements: pyproject.toml scripts/env.py build/.python
	@"$(PYTHON)" scripts/env.py .venv-parity test parity

# Wheels are built with the tools of .venv, in folders that are kept: what has not changed is not
# compiled again.
build/auto/.built: RUSHLIGHT_BUILD ?= auto
build/pure/.built: RUSHLIGHT_BUILD = pure
build/%/.built: $(SOURCES) .venv/.requirements
	@mkdir -p $(@D) && rm -f $(@D)/*.whl
	@echo "== building rushlight ($(RUSHLIGHT_BUILD))"
	@RUSHLIGHT_BUILD=$(RUSHLIGHT_BUILD) .venv/bin/python -m pip --disable-pip-version-check wheel \
	  --quiet --no-deps --no-build-isolation --wheel-dir $(@D) . </dev/null
	@ls $(@D)/*.whl && touch $@

.venv/.rushlight: build/auto/.built .venv/.requirements
.venv-pure/.rushlight: build/pure/.built .venv-pure/.requirements
.venv-parity/.rushlight: build/auto/.built .venv-parity/.requirements
.venv/.rushlight .venv-pure/.rushlight .venv-parity/.rushlight:
	@$(@D)/bin/python -m pip --disable-pip-version-check install --quiet --no-deps \
	  --force-reinstall $(dir $<)*.whl </dev/null
	@touch $@
