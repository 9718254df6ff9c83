SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory
# Commands and tests start many Pythons; each would compile all it imports anew.
unexport PYTHONDONTWRITEBYTECODE
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
NODE := .cache/node
ROOMS := app alerts indexer ledger solvency web

# Stamps: a step runs again only when its lock file changed.
RUNTIME := $(VENV)/runtime.stamp
DEV := $(VENV)/dev.stamp
NPM := $(NODE)/npm.stamp

# uv takes ten seconds for what takes pip a minute; pip steps in where uv cannot reach the package index.
UV := $(BIN)/uv
INSTALL = $(UV) pip install --quiet --python $(BIN)/python --require-hashes -r $(1) || \
	{ echo "uv could not install (its message is above); trying pip …"; \
	  $(BIN)/pip install --disable-pip-version-check --progress-bar off --require-hashes -r $(1); }
PROJECT = $(BIN)/pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation --editable .

.PHONY: help bench demo serve test check format record lock clean

help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(RUNTIME) ## Replay recorded crashes and open the site on http://127.0.0.1:8000 (ONCE=1: build/site, then stop)
	@$(BIN)/backstop demo $(if $(filter-out 0,$(ONCE)),--once)

serve: $(RUNTIME) ## Show the ledger as it is on http://127.0.0.1:8000
	@$(BIN)/backstop serve

test: $(DEV) $(NPM) ## All tests, on SQLite and a real Postgres (ARGS="-k words" for some, STRICT=1: no skips)
	@$(BIN)/python -m pytest $(WORKERS) $(ARGS)

# All tests: a worker for each core. A part of them, or whoever names a number, gets one process or that number.
WORKERS = $(if $(filter -k% -m% -n% --lf --ff --sw --pdb tests/%,$(ARGS)),,-n auto)

check: $(DEV) ## The one gate: format, lint, types, import contracts, migrations, then the tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m tests.rigs.schema_check
	@$(MAKE) test

bench: $(DEV) ## Measure calculator, alerts, site and indexer beside ceilings and peers (SIZE=200000 ROUNDS=1: a quick look; docs/benchmarks.md)
	@missed=0; \
	for part in solvency flapping alerts site; do $(BIN)/python -m benchmarks.$$part || missed=1; done; \
	$(BIN)/python -m benchmarks $(if $(SIZE),--size $(SIZE)) $(if $(ROUNDS),--rounds $(ROUNDS)) $(ARGS) || missed=1; \
	exit $$missed

format: $(DEV) ## Put the code into house style
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

record: $(DEV) $(NPM) ## Play the simulated crash anew on real contract code and record it (3 minutes; needs npm)
	@$(BIN)/python -m indexer.replay.scenario --anvil $(NODE)/node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil \
		--node-modules $(NODE)/node_modules --record indexer/replay/recordings/crash-2021-05-simulated.jsonl.zst

lock: | $(UV) ## Pin the newest allowed versions anew
	$(call COMPILE,requirements.lock,--extra build)
	$(call COMPILE,requirements-dev.lock,--extra build --extra operators --extra dev)

COMPILE = $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --upgrade \
	$(2) --output-file $(1) pyproject.toml

clean: ## Remove what was built; the installation and the ledger in .cache/backstop stay
	rm -rf build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find $(ROOMS) tests -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/pip:
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) is missing: install Python 3.11 or newer."; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "$$($(PYTHON) --version) is too old: Backstop needs 3.11 or newer (make PYTHON=python3.12 …)."; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
		echo "Python's venv module does not work: install it (Debian, Ubuntu: python3-venv)."; exit 1; }

$(UV): | $(BIN)/pip
	@awk '/^[^ #]/ { mine = /^uv==/ } mine' requirements-dev.lock > $(VENV)/uv.txt
	@$(BIN)/pip install --disable-pip-version-check --quiet --require-hashes -r $(VENV)/uv.txt || \
		{ echo "The package index cannot be reached (the message is above): the first run needs it once."; exit 1; }

$(RUNTIME): requirements.lock pyproject.toml | $(UV)
	@echo "Installing $$(grep -c '==' $<) packages that Backstop runs on, pinned and hashed (once) …"
	@$(call INSTALL,$<)
	@$(PROJECT)
	@# Python compiles what it imports for the first time; done here, the demo starts at once.
	@$(BIN)/python -c "import altair, fastapi, scipy.stats, vl_convert, web3"
	@touch $@

$(DEV): requirements-dev.lock pyproject.toml | $(UV)
	@echo "Installing $$(grep -c '==' $<) packages for the tests, pinned and hashed (once) …"
	@$(call INSTALL,$<)
	@$(PROJECT)
	@touch $(RUNTIME) $@

# The npm parts serve tests and recordings only. Without them the tests that need them are skipped, unless STRICT=1.
$(NPM): package.json package-lock.json
	@missing() { echo "$$1"; [ "$${STRICT:-0}" = 0 ] || exit 1; echo "Going on: the tests that need npm parts will be skipped."; exit 0; }; \
	for tool in node npm; do command -v $$tool >/dev/null || missing "$$tool is missing: install Node.js 20 or newer."; done; \
	[ "$$(node -p 'process.versions.node.split(".")[0]')" -ge 20 ] || missing "Node.js $$(node --version) is too old: 20 or newer is needed."; \
	echo "Installing test parts from npm into $(NODE) (once) …"; \
	mkdir -p $(NODE); cp package.json package-lock.json .npmrc $(NODE)/; \
	npm ci --prefix $(NODE) --ignore-scripts --no-progress --loglevel=error || missing "npm ci failed (its message is above)."; \
	touch $@
