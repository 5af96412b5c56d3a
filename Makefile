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

# A known-good set of versions for each Python: constraints/python3.11.txt and so on.
PIP_INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check \
	-c $$($(BIN)/python -c 'import sys; print("constraints/python{}.{}.txt".format(*sys.version_info))')

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

$(VENV)/.core: pyproject.toml $(wildcard constraints/*.txt)
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
