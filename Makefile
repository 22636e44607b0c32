# Everything runs in .venv, which is made here. 'make' alone lists the targets.

PYTHON := $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$python; break; }; done)
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
SOURCES := app.py dsl runner ui tests benchmarks

.DEFAULT_GOAL := help
.PHONY: help install ui demo test lint bench clean

help:  ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 10

install: .venv/installed  ## make .venv and install the package in it

ui: .venv/ui/built  ## build the app's better editor (needs npm; without it a plain one serves)

demo: .venv/installed  ## run recipes/legal.json: data, model, training, evaluation, report
	$(BIN)/recipe run recipes/legal.json

test: .venv/installed-dev  ## run the tests
	$(BIN)/python -m pytest

lint: .venv/installed-dev  ## ruff and mypy
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/mypy

bench: .venv/installed-dev  ## measure the command line and the speed of training
	$(BIN)/python benchmarks/command_line.py recipes/legal.json
	$(BIN)/python benchmarks/training_speed.py recipes/legal.json

clean:  ## remove .venv and caches; runs and downloaded models stay
	rm -rf .venv ui/editor/bundle .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist *.egg-info

.venv/bin/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed, with its venv module"; exit 1; }
	$(PYTHON) -m venv .venv

# pip runs only when pyproject.toml or constraints.txt is newer than the stamp.
# torch goes first, by its exact version: a CPU build that pip finds locally is then taken.
.venv/installed: pyproject.toml constraints.txt | .venv/bin/python
	$(PIP) install "$$(head -n 1 constraints.txt)"
	$(PIP) install -c constraints.txt -e .
	@touch $@

.venv/installed-dev: .venv/installed
	$(PIP) install -c constraints.txt -e '.[dev]'
	@touch $@

# npm's packages stay in .venv; only the bundle goes into the tree, where git does not look.
EDITOR := ui/editor
.venv/ui/built: $(wildcard $(EDITOR)/src/*.js $(EDITOR)/*.json $(EDITOR)/build.mjs) schemas/recipe.schema.json
	@command -v npm >/dev/null || { echo "npm is needed, of Node.js 20 or newer"; exit 1; }
	mkdir -p .venv/ui
	cp $(EDITOR)/package.json $(EDITOR)/package-lock.json .venv/ui
	cd .venv/ui && npm ci --ignore-scripts --no-audit --no-fund
	node $(EDITOR)/build.mjs .venv/ui/node_modules
	@touch $@
