# workplan: build, test, demonstrate. `make help` lists what there is.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.ONESHELL:
MAKEFLAGS += --no-print-directory

# Programs that `rustup` and `cargo install` have put where a fresh login shell does not look.
# The last are those that the set-up builds.
CACHE := $(or $(WORKPLAN_CACHE),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/workplan)
export PATH := $(HOME)/.cargo/bin:/usr/local/go/bin:$(PATH):$(CACHE)/bin

CARGO ?= cargo
MUSL := x86_64-unknown-linux-musl
TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)
BINARY := $(TARGET_DIR)/debug/workplan
RELEASE := $(TARGET_DIR)/$(MUSL)/release/workplan

# Incremental artifacts help who edits and only cost who builds once.
ifdef CI
export CARGO_INCREMENTAL := 0
endif

.PHONY: help
help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 22

.PHONY: setup
setup: ## installs what is missing (apt, rustup; builds cargo-deny, sops, Gitea), with sudo only where it must
	@tools/setup.sh build demo platform lint

.PHONY: build
build: ## the debug binary
	@tools/setup.sh build
	$(CARGO) build --locked --workspace

.PHONY: lint
lint: ## formatting, clippy, documentation, dependencies, shell scripts; any warning fails
	@tools/setup.sh build lint
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --workspace --no-deps --document-private-items
	$(CARGO) deny --locked check --hide-inclusion-graph bans licenses sources
	tools/lint-shell.sh
	tools/check-dependencies.sh

.PHONY: check
check: ## the fast loop: formatting, clippy, tests
	@tools/setup.sh build platform
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	$(CARGO) test --locked --workspace

.PHONY: test
test: ## everything, from a fresh machine: set-up, lint, the demo's test, all Rust tests
	@tools/setup.sh build lint demo platform
	$(MAKE) lint
	$(MAKE) test-instructions
	$(MAKE) test-demo
	$(MAKE) test-lab
	$(MAKE) test-cluster
	CARGO="$(CARGO)" tools/cargo-test.sh

.PHONY: test-demo
test-demo: ## the demo's world as a test: dry-runs, kills, failures and rollbacks at every step
	@tools/setup.sh build demo
	$(CARGO) build --locked --package workplan
	WORKPLAN_BIN="$(abspath $(BINARY))" tests/demo/test.sh

.PHONY: test-instructions
test-instructions: ## guards the engine's speed: instructions for a step and a task, counted by callgrind
	@tools/setup.sh build lint
	$(CARGO) build --locked --package workplan
	WORKPLAN_BIN="$(abspath $(BINARY))" benches/instructions.sh

TESTS ?= test kills

.PHONY: test-lab
test-lab: ## RAIL-PL-WP-0001 on a lab: there and back, and killed in each step (SEED=N; TESTS="failures each": what goes wrong)
	@tools/setup.sh build platform
	$(CARGO) build --locked --package workplan
	for test in $(TESTS); do
		WORKPLAN_BIN="$(abspath $(BINARY))" tests/lab/$$test.sh $(SEED)
	done

# Also: test (T01 and a failover without kills), outage (the API server goes away).
CLUSTER_TESTS ?= kills failures

.PHONY: test-cluster
test-cluster: ## T01 and a failover on a real Kubernetes, killed in each step, and what goes wrong there (WORKPLAN_TEST_KUBECONFIG names another)
	@tools/setup.sh build platform
	tests/cluster/build.sh
	$(CARGO) build --locked --package workplan
	for test in $(CLUSTER_TESTS); do
		WORKPLAN_BIN="$(abspath $(BINARY))" tests/cluster/$$test.sh $(SEED)
	done

KILLS ?= 3000

.PHONY: torture
torture: ## kills of the real binary, at random and at each change of a file: KILLS=N, WORKPLAN_SEED=N repeats a seed
	@tools/setup.sh build
	WORKPLAN_KILLS=$(KILLS) $(CARGO) test --locked --package workplan --test real kills -- --nocapture
	WORKPLAN_CALLS=1 $(CARGO) test --locked --package workplan --test real calls -- --nocapture

CASES ?= 20000

.PHONY: fuzz
fuzz: ## torn workplans, plan files, targets, events and saved plans: CASES=N of each
	@tools/setup.sh build
	PROPTEST_CASES=$(CASES) $(CARGO) test --locked --package workplan --test fuzz

.PHONY: release
release: ## one static binary, for any Linux of this architecture
	@tools/setup.sh build release
	$(CARGO) build --locked --release --target $(MUSL) --package workplan
	tools/check-static.sh "$(RELEASE)"

.PHONY: pg-deploy
pg-deploy: ## Deploy standalone PostgreSQL HA to the cluster (CHART, NAMESPACE override)
	@tools/helm-deploy.sh deploy postgresql-ha 16.3.4

.PHONY: pg-status
pg-status: ## Check the pods of PostgreSQL HA
	@tools/helm-deploy.sh status postgresql-ha 16.3.4

.PHONY: valkey-deploy
valkey-deploy: ## Deploy Valkey to the cluster
	@tools/helm-deploy.sh deploy valkey 4.0.2

.PHONY: valkey-status
valkey-status: ## Check the pods of Valkey
	@tools/helm-deploy.sh status valkey 4.0.2

.PHONY: demo
demo: ## RAIL-PL-WP-0001 on a lab: a real Gitea moves; with a page of proofs, a kill, a rollback
	@tools/setup.sh build platform
	if [ -z "$${WORKPLAN_BIN:-}" ]; then $(CARGO) build --locked --quiet --package workplan; fi
	WORKPLAN_BIN="$${WORKPLAN_BIN:-$(abspath $(BINARY))}" tools/demo.sh

.PHONY: demo-shop
demo-shop: ## a smaller one, of plain commands: a PostgreSQL database moves; killed, resumed, rolled back
	@tools/setup.sh build demo
	if [ -z "$${WORKPLAN_BIN:-}" ]; then $(CARGO) build --locked --quiet --package workplan; fi
	WORKPLAN_BIN="$${WORKPLAN_BIN:-$(abspath $(BINARY))}" tools/demo/shop.sh

.PHONY: clean-demo
clean-demo: ## ends what a demo left running and removes its folder
	@if [ -x "$(BINARY)" ]; then WORKPLAN_BIN="$(abspath $(BINARY))" tools/demo.sh clean; fi
	tools/demo/world.sh down
