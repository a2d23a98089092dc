# `make help` lists the targets. A fresh machine needs Rust, Python 3 and make; everything else is fetched by name from the
# package registries into target/, .venv/ and .tools/.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help run test check fmt clippy doc deny invoke soak mutants bench measure build clean

USAGECTL := target/debug/usagectl
# Tests and tools find the venv's programs (fastavro, cargo-lambda) by this.
export PATH := $(CURDIR)/.venv/bin:$(PATH)
# The event of `make invoke`.
E ?= events/modify.json
# The poison record is for trying: its invocation fails, as it should.
DEMO := $(filter-out events/poison.json,$(wildcard events/*.json))
HISTORIES ?= 10000
CARGO_DENY := 0.20.2

help: ## list the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  make %-10s %s\n", $$1, $$2 }'

run: ## the demo: sample events become usage snapshots and Avro files, twice over, counted once
	cargo build --features local --bin usagectl
	@echo; echo "--- Every kind of event, through the function's own handler, into embedded DynamoDB and S3:"
	@$(USAGECTL) --data .usage/demo invoke --fresh $(DEMO)
	@echo; echo "--- The batch of 1,000 again, as Lambda may deliver it: all duplicates, nothing changes."
	@$(USAGECTL) --data .usage/demo invoke events/batch-1000.json
	@echo; echo "--- What one customer has used, and what the lake holds of an order:"
	@$(USAGECTL) --data .usage/demo snapshots --entity 7 --window day --plot amount
	@$(USAGECTL) --data .usage/demo cat data-pipeline/avro/order/ | head -1
	@echo; echo "--- Next: make invoke, usagectl --help (README.md), docs/pipelines.md to describe your own table."

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
	SEED=$${SEED:-$$(date +%s)} HISTORIES=$(HISTORIES) cargo test --profile soak --test it model:: -- --nocapture

mutants: ## break each rule of exactly-once and see that the tests notice
	tests/mutants/run.sh

bench: ## time the job beside the floor and beside what people write, and count its instructions
	cargo bench --profile soak --bench job
	benches/instructions.sh

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
