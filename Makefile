# One command each; `make` alone lists them. Needs make, git, Python 3.11 to 3.13 with pip, and the apt line of README.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup setup-dev run test check lock clean

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check
# Tests that need more than a bare machine, or more than a few seconds: `make check` leaves them out, `make test` runs all.
LONG   := slow or data or broker or rtsp or gpu

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /  make \1|/p' $(MAKEFILE_LIST) | column -t -s '|' 2>/dev/null \
	  || sed -n 's/^\([a-z]*\):.*## /  make \1: /p' $(MAKEFILE_LIST)

setup: $(VENV)/.installed ## install into .venv and fetch the pose weights; quick when nothing changed
	@$(BIN)/har models pull blazepose

run: setup ## run the service on sample_clips/, or on SOURCE=file, folder, rtsp://..., webcam:0
	@$(BIN)/har run --source "$(or $(SOURCE),sample_clips)" $(ARGS)

test: setup-dev ## every test that this machine can run (ONLY=long: those that `check` leaves out); skips are listed with their reason
	$(BIN)/pytest $(if $(filter long,$(ONLY)),-m "$(LONG)") $(ARGS)

check: setup-dev ## format, lint, types, import order and the quick tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest -m "not ($(LONG))" $(ARGS)

lock: setup-dev ## pin all dependencies anew in constraints.txt
	$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --fork-strategy fewest --all-extras \
	  --no-emit-index-url --no-annotate --custom-compile-command "make lock" pyproject.toml -o constraints.txt

clean: ## delete the environment and all that tools left behind
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

setup-dev: setup $(VENV)/.installed-dev

# The folder stands in the stamp: an environment that was moved with its folder points to nowhere and is made anew.
$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -I har/cli/system.py
	@if [ -d $(VENV) ] && [ "$$(cat $(VENV)/.folder 2>/dev/null || pwd)" != "$$(pwd)" ]; then rm -rf $(VENV); fi
	@if [ ! -x $(BIN)/python ]; then \
	  if $(PYTHON) -c 'import ensurepip' 2>/dev/null; then $(PYTHON) -m venv $(VENV); \
	  else $(PYTHON) -m venv --without-pip $(VENV) && $(PYTHON) -m pip --python $(BIN)/python install --quiet pip; fi; fi
	@pwd > $(VENV)/.folder
	$(PIP) install --quiet -c constraints.txt -e .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(PIP) install --quiet -c constraints.txt -e ".[dev]"
	$(PIP) check
	@touch $@
