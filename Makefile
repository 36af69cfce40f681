# `make demo` runs every lesson, `make test` the quick tests, `make test-all` all of them: each makes .venv
# when it is needed. `make docs` builds the web gallery; after it, `make test-all` looks at it in a browser, where there is
# one. `make bench` times the lessons beside other ways of doing the same, in an environment of its own; `make bench
# EXTRAS=bench,torch` adds PyTorch.
PYTHON ?= python3
EXTRAS ?= bench
PARALLEL ?= -n auto --dist worksteal
QUICK := -m "not slow"
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: demo test test-all docs lint bench oldest newest verified clean
.DELETE_ON_ERROR:

demo: .venv/installed
	$(BIN)/python -m tf_backprop
	@echo "Next, one lesson by itself: $(BIN)/python scripts/01_regression.py --explain"

test: .venv/installed-test
	$(BIN)/python -m pytest $(PARALLEL) $(QUICK)

test-all: .venv/installed-test
	$(BIN)/python -m pytest $(PARALLEL)

docs: .venv/installed-docs docs/_build/wheel/made
	$(BIN)/sphinx-build -W --keep-going --quiet docs docs/_build/html
	$(BIN)/sphinx-build -W --keep-going --quiet -D language=zh_CN docs docs/_build/html/zh
	$(BIN)/python docs/check_site.py

lint: .venv/installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/codespell

bench: .venv-bench/installed-$(EXTRAS)
	.venv-bench/bin/python -m benchmarks

# Where the package is not installed, a notebook of the gallery takes it from this file.
docs/_build/wheel/made: pyproject.toml $(wildcard tf_backprop/*.py tf_backprop/*/*.py tf_backprop/*/*/*.py tf_backprop/*/*/*/*/*.mo scripts/*.py) .venv/installed-docs
	@rm -rf $(@D) build
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation --wheel-dir $(@D) .
	@rm -rf build
	@touch $@

# The quick tests on the lowest versions that pyproject.toml allows, and on the newest that there are, without
# constraints.txt: each on a Python of its own, as in `make oldest PYTHON=python3.10`.
oldest: .venv-oldest/installed
	.venv-oldest/bin/python -m pytest $(PARALLEL) $(QUICK)

newest: .venv-newest/installed
	.venv-newest/bin/python -m pytest $(PARALLEL) $(QUICK)

# Both, and then docs/running.md's table of their versions and of how their results differ.
verified: oldest newest
	.venv-oldest/bin/python -m tools.versions --save .venv-oldest/results.npz
	.venv-newest/bin/python -m tools.versions --save .venv-newest/results.npz
	.venv-newest/bin/python -m tools.versions --renew .venv-oldest/results.npz .venv-newest/results.npz

clean:
	rm -rf .venv .venv-bench .venv-oldest .venv-newest .venv-others-* docs/_build docs/gallery docs/_static/mathjax

$(BIN)/python .venv-bench/bin/python .venv-oldest/bin/python .venv-newest/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] < (3, 14))' || { \
	  echo "make: TensorFlow needs Python 3.10 to 3.13; name one: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	$(PYTHON) -m venv $(@D)/..

.venv/installed: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing TensorFlow and the rest into .venv (about a minute, once) ..."
	$(PIP) -e .
	@touch $@

.venv/installed-%: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing what '$*' needs into .venv ..."
	$(PIP) -e ".[$*]"
	@touch $@ .venv/installed $(if $(filter dev,$*),.venv/installed-test)

.venv-bench/installed-%: pyproject.toml constraints.txt | .venv-bench/bin/python
	@echo "Installing what '$*' needs into .venv-bench ..."
	.venv-bench/$(PIP:.venv/%=%) -e ".[$*]"
	@touch $@

.venv-oldest/installed: pyproject.toml | .venv-oldest/bin/python
	grep -o '"[a-z-]*>=[0-9.]*"' pyproject.toml | tr -d '"' | sed 's/>=/==/' > .venv-oldest/lowest.txt
	.venv-oldest/bin/python -m pip install --quiet --disable-pip-version-check -c .venv-oldest/lowest.txt -e ".[test]"
	@touch $@

.venv-newest/installed: pyproject.toml | .venv-newest/bin/python
	.venv-newest/bin/python -m pip install --quiet --disable-pip-version-check --upgrade -e ".[test]"
	@touch $@
