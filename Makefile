# Every target explains itself in `make help`. The work is done by scripts/, each of which can be
# run by itself too. PG_CONFIG chooses a PostgreSQL; without it the newest complete one is taken.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PREFIX ?= /usr/local
export PREFIX

.PHONY: help demo test test-all chaos bench dist test-containers install install-extension install-executor sql lint

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo "  PG_CONFIG=/path/to/pg_config chooses the PostgreSQL (15 to 18)."
	@echo "  LOCAL_LLM_ENDPOINT=http://host:port/v1 lets the demo's content come from that model."

demo: ## See it work: a private PostgreSQL, full pools, a claimed quest; KEEP=1 leaves it running
	@scripts/demo.sh

test: ## Run all tests that one PostgreSQL and the toolchain can run
	@scripts/test.sh

test-all: ## Run everything: make test, and the suites that it leaves out
	@scripts/test.sh --all

chaos: ## Break everything for SECONDS=60 the way SEED=1 says, with EXECUTORS=4 as they ship (LEASE=5: short timeouts), and judge what is left
	@source scripts/common.sh && load_setup && \
	  cargo run --quiet --package pg-worker-tests --bin chaos -- "$(SECONDS)" "$(SEED)" "$(EXECUTORS)" "$(LEASE)"

bench: ## Measure beside the machine's own limits: QUICK=1, ONLY=claims,enqueue, ROWS=, ROUNDS=, SECONDS=
	@scripts/bench.sh "quick=$(QUICK)" "only=$(ONLY)" "rows=$(ROWS)" "rounds=$(ROUNDS)" "seconds=$(SECONDS)" "plot=$(PLOT)"

install: ## Build for release and install the extension for PG_CONFIG, the executor under PREFIX (both below DESTDIR)
	@scripts/install.sh

install-extension: ## The extension's half of install
	@scripts/install.sh extension

install-executor: ## The executor's half of install
	@scripts/install.sh executor

dist: ## The executor as one static program and as a loadable image, below target/dist
	@scripts/dist.sh

test-containers: ## Build both images and run every compose command of the guide (podman; made base images)
	@scripts/suites/containers.sh

sql: ## Write sql/pg_worker_ext.sql, the single file for a PostgreSQL without the native extension
	@cargo run --quiet --package xtask -- sql

lint: ## Check format, clippy, the generated SQL and the shell scripts
	@scripts/lint.sh
