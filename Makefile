# `make help` lists the targets. A fresh machine needs Rust, Python 3 and make; everything else is fetched by name from the
# package registries into target/, .venv/ and .tools/.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help run test check fmt clippy doc deny invoke soak mutants measure build clean

USAGECTL := cargo run --quiet --features local --bin usagectl --
# Tests and tools find the venv's programs (fastavro, cargo-lambda) by this.
export PATH := $(CURDIR)/.venv/bin:$(PATH)
# The event of `make invoke`.
E ?= events/modify.json
HISTORIES ?= 10000
CARGO_DENY := 0.20.2

help: ## list the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  make %-10s %s\n", $$1, $$2 }'

run: ## the demo: sample events become usage snapshots and Avro files, twice over, counted once
	@cargo build --features local --bin usagectl
	@$(USAGECTL) demo

test: .venv ## all tests
	cargo test

check: fmt clippy test doc deny ## everything that CI checks

fmt:
	cargo fmt --check

clippy:
	cargo clippy --all-targets -- -D warnings
	cargo clippy -- -D warnings

doc:
	RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --document-private-items

deny: .tools/bin/cargo-deny
	.tools/bin/cargo-deny --all-features check bans licenses sources

invoke: .venv ## invoke the function with E=events/modify.json through cargo-lambda
	tests/invoke.sh $(E)

soak: ## HISTORIES=10000 random histories of faults, from SEED or the clock
	SEED=$${SEED:-$$(date +%s)} HISTORIES=$(HISTORIES) cargo test --test it model:: -- --nocapture

mutants: ## break each rule of exactly-once and see that the tests notice
	tests/mutants/run.sh

measure: ## build for release; size, crates, and the time from start to the first poll
	tests/measure.sh

build: .venv ## build the function for deployment
	cargo lambda build --release --bin usage-aggregator --skip-target-check

clean: ## remove what was built, and the demo's data
	rm -rf target .venv .tools .usage

.venv: tests/requirements.txt
	python3 -m venv .venv
	.venv/bin/pip install --quiet --disable-pip-version-check --requirement tests/requirements.txt
	@touch .venv

.tools/bin/cargo-deny:
	cargo install cargo-deny --locked --version $(CARGO_DENY) --debug --root .tools --target-dir target/tools
