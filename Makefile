# `make` alone lists what can be done.

PYTHON ?= python3
CONFIG ?= relay.toml
ARGS ?=
SEEDS ?= 1000
VENV := .venv
BIN := $(VENV)/bin
JS := tests/js/node_modules
TSC := $(JS)/.bin/tsc
PYTEST := $(BIN)/python -m pytest
# Less than a minute of the end-to-end tests: what is of the program alone, and what its libraries are needed for.
PROGRAM_TESTS := $(addprefix tests/e2e/test_,debian_package.py program.py one_file.py delivery.py tls.py supervision.py)
# Tests wait for browsers, timers and disks for a part of their time: two of them share a processor.
WORKERS = $(shell expr 2 '*' $$(getconf _NPROCESSORS_ONLN))
# $(call tests,WHICH): run them.
# With AGAIN=alone those that failed (it ends with 1) run once more, one after the other, and that decides.
tests = code=0; $(PYTEST) $(1) $(ARGS) || code=$$?; \
	if [ $$code -eq 1 -a "$(AGAIN)" = alone ]; then \
		echo "what failed beside other tests runs again, alone"; \
		code=0; $(PYTEST) $(1) -n 0 --last-failed --last-failed-no-failures none $(ARGS) || code=$$?; fi; \
	exit $$code

# The tests start hundreds of processes; without bytecode each would compile all of relay.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help run test lint floors bench bench-peers bench-cluster results crash cluster-crash chaos conformance restarts mutants faults attack simulate simulate-cluster fuzz size bundle sdk wheel binary deb test-binary emoji screenshots clean

help: ## List what can be done
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: $(VENV)/.installed ## Install into .venv and start a server with relay.toml on http://127.0.0.1:8484
	$(BIN)/relay serve --config $(CONFIG)

test: $(VENV)/.installed-dev $(JS)/.installed ## Install into .venv and run the tests (ARGS="-k resume" for some of them)
	@$(call tests,-n $(WORKERS) --dist loadfile --no-loadscope-reorder)

lint: $(VENV)/.installed-dev $(JS)/.installed ## Check style, formatting and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	@if [ -x $(TSC) ]; then for part in relay/web/sdk relay/web/app plugins; do echo "$(TSC) -p $$part"; $(TSC) -p $$part || exit 1; done; \
		else echo "the types of the SDK, of the page and of plugins for it are not checked: no $(TSC)"; fi

floors: $(VENV)/.installed-dev ## Print the import graph: floors, circles, what plugins import (ARGS=--dot for Graphviz)
	@$(BIN)/python -m tests.floors $(ARGS)

bench: $(VENV)/.installed-dev ## Measure throughput, latency and memory on this machine, about a minute
	$(BIN)/python -m benchmarks $(ARGS)

bench-peers: $(VENV)/.installed-dev ## Measure relay and other servers in one run; those that are installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[bench]"
	npm install --silent --no-audit --no-fund --no-package-lock --prefix benchmarks/peers
	$(BIN)/python -m benchmarks.peers $(ARGS)

bench-cluster: $(VENV)/.installed-dev ## Measure what a cluster costs beside one process, and how a node joins it, four minutes
	$(BIN)/python -m benchmarks.cluster $(ARGS)
	$(BIN)/python -m benchmarks.joining

# What fails or is not installed is left out, and the page says so.
results: $(VENV)/.installed-dev ## Measure everything, twenty minutes on a quiet machine, and write benchmarks/RESULTS.md and its plots
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[bench]"
	-npm install --silent --no-audit --no-fund --no-package-lock --prefix benchmarks/peers
	@mkdir -p build && rm -f build/workloads.json build/peers.json
	-$(BIN)/python -m benchmarks --all --json build/workloads.json
	-$(BIN)/python -m benchmarks.peers --json build/peers.json
	$(BIN)/python -m benchmarks.results build/workloads.json build/peers.json

crash: $(VENV)/.installed-dev ## Kill a loaded server 300 times and check that nothing acknowledged was lost
	$(BIN)/python -m tests.crash --rounds 300 $(ARGS)

cluster-crash: $(VENV)/.installed-dev ## Kill the leader of a cluster under load 50 times, with other faults between; minutes (ARGS="--seed 7")
	$(BIN)/python -m tests.cluster.crash --kills 50 $(ARGS)

simulate: $(VENV)/.installed-dev ## Simulate server, clients, network, disk and clock by seeds (SEEDS=10000, ARGS="--first 500")
	$(BIN)/python -m tests.simulation --seeds $(SEEDS) $(ARGS)

simulate-cluster: $(VENV)/.installed-dev ## Simulate three nodes, their devices, the stream and the bus by seeds (SEEDS=300, ARGS="--first 500")
	$(BIN)/python -m tests.simulation.cluster --seeds $(SEEDS) $(ARGS)

mutants: $(VENV)/.installed-dev $(JS)/.installed ## Try whether the tests notice small wrong changes, about an hour (ARGS="--changed" for those of a branch)
	$(BIN)/python -m tests.mutants $(ARGS)

faults: $(VENV)/.installed-dev ## Have disk, clock and process fail in every way under all kinds of traffic; half an hour (ARGS=--short)
	@$(BIN)/python -m tests.faults $(ARGS)

attack: $(VENV)/.installed-dev ## Send hostile heads, frames, envelopes and bodies by the thousand, then spend all a user may, while two people talk
	@$(BIN)/python -m tests.attack $(ARGS)

fuzz: $(VENV)/.installed-dev ## Make up a thousand requests for each REST call, three times, as each kind of caller; hours
	$(BIN)/python -m tests.fuzz $(ARGS)

conformance: $(VENV)/.installed-dev ## Play 385 cases of RFC 6455 against the WebSocket transport (ARGS="--group 6")
	@$(BIN)/python -m tests.conformance $(ARGS)

restarts: $(VENV)/.installed-dev $(JS)/.installed ## Restart a server under 500 clients twenty times: nothing lost, nobody away for long
	$(BIN)/python -m tests.restarts $(ARGS)

chaos: $(VENV)/.installed-dev $(JS)/.installed ## Have six SDK clients talk through a bad network for five minutes (ARGS="--seed 7")
	node tests/js/random-network/run.js $(ARGS)

size: $(JS)/.installed ## Print the JavaScript SDK's size, and check its limit
	node tests/js/tools/size.js

bundle: $(JS)/.installed ## Bundle the page into relay/web/bundle, which is served in place of its single modules
	node tests/js/tools/bundle.js

sdk: $(JS)/.installed ## Build the JavaScript SDK's npm package in dist
	node tests/js/tools/pack.js

wheel: $(VENV)/.installed-dev ## Build the wheel in dist
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir dist .

binary: dist/relay ## Make the program for machines without Python in dist: a folder, the same packed, and one file

deb: build/.deb ## Make the Debian package of the program in dist

test-binary: build/.deb ## Run end-to-end tests against the program (ARGS="tests/e2e" for all of them)
	@export RELAY_BIN=$$($(BIN)/python -c "from release.binary import FOLDER; print(FOLDER)")/relay; \
		$(call tests,-n $(WORKERS) --dist loadfile --no-loadscope-reorder -m e2e $(if $(ARGS),,$(PROGRAM_TESTS)))

# One run makes all forms of the program. It is made anew when anything that goes into it has changed.
dist/relay: $(VENV)/.installed-dev LICENSE $(shell find relay plugins config release -type f -not -name "*.pyc")
	$(BIN)/python -m release.binary

build/.deb: dist/relay
	$(BIN)/python -m release.debian
	@touch $@

emoji: ## Make the page's emoji anew, from the npm package emojibase-data
	rm -rf build/emoji && mkdir -p build/emoji
	npm pack emojibase-data@17 --silent --pack-destination build/emoji
	tar -xzf build/emoji/emojibase-data-*.tgz -C build/emoji
	node tests/js/tools/emoji.js build/emoji/package

screenshots: $(VENV)/.installed-dev ## Take the pictures of the page in docs/pictures anew, with chromium
	$(BIN)/python -m tests.e2e.browser.screenshots

clean: ## Remove .venv, caches and build products; databases stay
	rm -rf $(VENV) $(JS) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamps are newer than pyproject.toml once what it asks for is installed, so a second call is quick.
$(VENV)/.installed: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/.installed-dev: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@ $(VENV)/.installed

# What the tests of the JavaScript SDK need. Without node or the registry they are skipped, and say so.
$(JS)/.installed: tests/js/package.json tests/js/package-lock.json
	@if ! command -v npm >/dev/null; then echo "no npm: the tests of the JavaScript SDK are skipped" >&2; \
	elif npm ci --prefix tests/js --prefer-offline --no-audit --no-fund --loglevel=error; then touch $@; \
	else echo "npm could not install what the tests of the JavaScript SDK need; they are skipped" >&2; fi

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		found=$$($(PYTHON) -c 'import sys; print(sys.version.split()[0])' 2>/dev/null || echo "not to be run"); \
		echo "relay needs Python 3.11 or newer; \"$(PYTHON)\" is $$found."; \
		echo "Name a newer one: make $(firstword $(MAKECMDGOALS)) PYTHON=python3.12"; \
		exit 1; \
	} >&2
	$(PYTHON) -m venv $(VENV)
