# make run    the main job; make run ARGS="learner=reptile seeds=[0,1]" passes overrides
# make test   all tests but the slow ones; make test-slow those
# make check  lint, format, types
# make paper  tables and figures of experiments/ from their committed results, into paper/
# make wheel  dist/recmeta-*.whl
# Each does its own set-up in .venv, once; it needs Python 3.11 to 3.13 with venv, and a package index.

PYTHON ?= python3
VENV   ?= .venv
ARGS   ?=
BIN    := $(VENV)/bin

# The constraints are a known-good set for Python 3.11 only: elsewhere, other versions are current.
PIP_INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check \
	$$($(BIN)/python -c 'import sys; print("-c constraints.txt" if sys.version_info[:2] == (3, 11) else "")')

.PHONY: run test test-slow check paper wheel clean

run: $(VENV)/.core
	$(BIN)/python -m recmeta $(ARGS)

test: $(VENV)/.dev
	$(BIN)/python -m pytest $(ARGS)

test-slow: $(VENV)/.dev
	$(BIN)/python -m pytest -m slow $(ARGS)

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/basedpyright --pythonpath $(BIN)/python

paper: $(VENV)/.core
	$(BIN)/python experiments/paper.py $(ARGS)

wheel: $(VENV)/.dev
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation --wheel-dir dist .
	@ls dist/*.whl

clean:
	rm -rf $(VENV) dist paper .pytest_cache .ruff_cache

$(VENV)/.core: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null || \
		{ echo "recmeta needs Python 3.11 to 3.13, and $(PYTHON) is $$($(PYTHON) --version 2>/dev/null || echo missing): make PYTHON=python3.12" >&2; exit 1; }
	@echo "installing recmeta into $(VENV): some minutes, once"
	@$(PYTHON) -m venv $(VENV)
	@$(PIP_INSTALL) -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.core
	@echo "installing what tests and checks need"
	@$(PIP_INSTALL) -e '.[dev]'
	@touch $@
