# Cloudschool: the commands of a working day. `make help` lists them.
#
# Everything here may be run again at any time: what is already there is left alone.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

WEB := classroom-client/web
WEB_SOURCES := $(shell find $(WEB) \( -name node_modules -o -name dist -o -name e2e -o -name screenshots \) -prune -o -type f -print 2>/dev/null)
# Stamps stand outside dist, which is embedded in the programs as it is.
WEB_INSTALLED := $(WEB)/node_modules/.cloudschool-installed
WEB_BUILT := target/.cloudschool-web-built
CLIENTS_INSTALLED := target/test-clients/.cloudschool-installed
DATA ?= ./data

.PHONY: help
help: ## This list.
	@grep -hE '^[a-z][a-z0-9-]*:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## /\1\t/' \
	  | while IFS=$$'\t' read -r name text; do printf '  make %-10s %s\n' "$$name" "$$text"; done

.PHONY: setup
setup: ## Install what building and running need from Debian's packages.
	@scripts/setup.sh

.PHONY: setup-tests
setup-tests:
	@scripts/setup.sh --tests
	@$(MAKE) --no-print-directory $(CLIENTS_INSTALLED)

$(CLIENTS_INSTALLED): sfu/tests/clients/requirements.txt
	@echo "tests: installing the WebRTC clients that $< names"
	python3 -m venv target/test-clients
	target/test-clients/bin/pip install --quiet --disable-pip-version-check -r $<
	@touch $@

$(WEB_INSTALLED): $(WEB)/package-lock.json
	@echo "web: installing what package-lock.json names"
	npm ci --prefix $(WEB) --no-audit --no-fund
	@touch $@

$(WEB_BUILT): $(WEB_INSTALLED) $(WEB_SOURCES)
	npm run build --prefix $(WEB)
	@mkdir -p target && touch $@

# A dist taken away by hand is built again although its stamp is fresh.
.PHONY: web
web:
	@test -e $(WEB)/dist/index.html || rm -f $(WEB_BUILT)
	@$(MAKE) --no-print-directory $(WEB_BUILT)

.PHONY: build
build: web ## Build everything in release mode into target/release.
	cargo build --release --workspace

.PHONY: run
run: setup ## Start campus, school, recorder and analytics here, with links to open. Ctrl-C ends it.
	@$(MAKE) --no-print-directory build
	@target/release/loadtest up --data $(DATA)

.PHONY: demo
demo: setup ## A synthetic lesson through the same four processes, measured. Report in target/demo.json.
	@$(MAKE) --no-print-directory build
	@target/release/loadtest demo --json target/demo.json

.PHONY: bench
bench: ## What forwarding costs, beside the floor and Janus. Page in target/bench/index.html.
	@scripts/setup.sh --tests
	@$(MAKE) --no-print-directory web
	cargo build --release -p cloudschool-sfu -p cloudschool-loadtests
	@target/release/loadtest bench --out target/bench

.PHONY: bench-trunk
bench-trunk: ## A lesson over bad lines, judged by what viewers got. Page in target/bench-trunk/index.html.
	@scripts/setup.sh --tests
	@$(MAKE) --no-print-directory web
	cargo build --release -p cloudschool-sfu -p cloudschool-loadtests
	@target/release/loadtest bench-trunk --out target/bench-trunk

# With the tests, so that programs and tests agree on the features of what they depend on and
# everything is compiled once.
.PHONY: debug-build
debug-build: web
	cargo build --workspace --all-targets

.PHONY: test
test: setup-tests ## All tests: unit, integration, the demo lesson, browsers.
	@$(MAKE) --no-print-directory debug-build
	CLOUDSCHOOL_BUILT=1 cargo test --workspace
	npm run lint --prefix $(WEB)
	npm test --prefix $(WEB)
	target/debug/loadtest demo --json target/demo.json
	@$(MAKE) --no-print-directory e2e

.PHONY: e2e
e2e: setup-tests ## The browser tests alone, with real Chromium.
	@$(MAKE) --no-print-directory debug-build
	npm run e2e --prefix $(WEB)

.PHONY: screenshots
screenshots: setup-tests ## Pictures of every page in both languages, in target/screenshots.
	@$(MAKE) --no-print-directory debug-build
	node $(WEB)/screenshots/run.mjs

.PHONY: roq-plugin
roq-plugin: ## GStreamer's RTP-over-QUIC elements, for appliances and the tests with them. Three minutes.
	@scripts/setup.sh --tests
	@scripts/gst-plugin-quinn.sh

.PHONY: fuzz
fuzz: setup ## Feeds the readers of network input what a fuzzer makes up, FUZZ_SECONDS (20) each.
	@scripts/fuzz.sh

.PHONY: check
check: setup-tests ## Formatting, clippy with warnings denied, licences and advisories of dependencies.
	@$(MAKE) --no-print-directory web
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	@scripts/deny.sh
