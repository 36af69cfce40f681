# Two commands: `make demo` runs every lesson, `make test` runs the tests. Each makes .venv when it is needed.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: demo test lint clean
.DELETE_ON_ERROR:

demo: .venv/installed
	$(BIN)/python -m tf_backprop

test: .venv/installed-test
	$(BIN)/python -m pytest

lint: .venv/installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/codespell

clean:
	rm -rf .venv

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] < (3, 14))' || { \
	  echo "make: TensorFlow needs Python 3.10 to 3.13; name one: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	$(PYTHON) -m venv .venv

.venv/installed: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing TensorFlow and the rest into .venv (about a minute, once) ..."
	$(PIP) -e .
	@touch $@

.venv/installed-%: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing what '$*' needs into .venv ..."
	$(PIP) -e ".[$*]"
	@touch $@ .venv/installed
