# Person re-identification from scratch. Needs Python 3.11 or 3.12 and make; everything else is put into .venv.
PROFILE ?= quick
VENV    ?= .venv
WORKERS ?= 2
PYTHON  ?= $(shell for p in python3.11 python3.12 python3; do \
             $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)

BIN   := $(VENV)/bin
READY := $(VENV)/.ready
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help setup study test lint book clean

help:   ## list the targets
	@echo "make TARGET [PROFILE=$(PROFILE)] [VENV=$(VENV)] [WORKERS=$(WORKERS)]"
	@sed -n 's/^\([a-z]*\):[^#]*## /  \1\t/p' Makefile

setup: $(READY)   ## create .venv and install the exact versions of requirements.lock

study: $(READY)   ## train, execute every chapter and build the book from them (PROFILE=smoke, quick, laptop, gpu)
	@$(BIN)/reid study --profile $(PROFILE)

test: $(READY)   ## run all the tests
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile

lint: $(READY)   ## check the style and the directions of the imports
	@$(BIN)/ruff check . && $(BIN)/lint-imports

book: $(READY)   ## build the published book to _build/html
	@$(BIN)/jupyter-book build book

clean:   ## remove what was built; .venv, data and runs stay
	rm -rf _build .pytest_cache .ruff_cache .hypothesis .import_linter_cache

$(READY): requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed; name it with make PYTHON=/path/to/python"; exit 1; }
	@$(PYTHON) -m venv $(VENV)
	@echo "Installing into $(VENV): a minute or two, about 5 GB with torch"
	@$(BIN)/python -m pip install -r requirements.lock
	@PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	@touch $(READY)
