# `make help` lists the targets. A fresh machine needs Rust, Python 3 and make; everything else is fetched by name from the
# package registries into target/, .venv*/, .tools/ and benches/rivals/node_modules/.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help run events test check fmt clippy doc deny schemas glue validate invoke drive soak soak-http kill mutants bench \
    bench-stages measure build build-Function arm64 deploy destroy logs clean

USAGECTL := target/debug/usagectl
# Tests and tools find the venv's programs (fastavro, cargo-lambda) by this.
export PATH := $(CURDIR)/.venv/bin:$(PATH)
# The event of `make invoke`.
E ?= events/modify.json
# The poison record is left out: its invocation fails, as it should.
DEMO := $(filter-out events/poison.json,$(wildcard events/*.json))
HISTORIES ?= 10000
CARGO_DENY := 0.20.2
# What is built and deployed: arm64 or x86_64. Another than this machine's needs its standard library: docs/operations.md.
HOST_ARCH := $(subst aarch64,arm64,$(shell uname -m))
ARCH ?= $(HOST_ARCH)
CROSS := $(filter-out $(HOST_ARCH),$(ARCH))
# Debian's compiler, which has arm64's; there only where `make arm64` has unpacked it.
DEBIAN_RUSTC := $(if $(filter arm64,$(CROSS)),$(abspath $(wildcard .tools/arm64/rustc)))
LAMBDA_BUILD := $(if $(DEBIAN_RUSTC),RUSTC=$(DEBIAN_RUSTC) )cargo lambda build --release --package usage-aggregator --bin usage-aggregator --skip-target-check
# The stack of deploy, destroy and logs; lower case, because Athena's database is named like it.
STACK ?= usage-aggregator
# What the first deployment of STACK was answered. sam keeps a deployed stack's parameters, but not those of a first deployment
# that failed: that one asks again.
ANSWERS := .samconfig-$(STACK).toml
# Parameters of the template to change: PARAMETERS='BatchSize=2000 Tracing=true'.
PARAMETERS ?=
# DATA=delete takes the tables and buckets along.
DATA ?= keep
export SAM_CLI_TELEMETRY := 0

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  make %-10s %s\n", $$1, $$2 }'

run: ## the demo: table, stream, mapping and function, then faults; ends with a proof (FOREVER=1 stays)
	cargo build --package usagectl --no-default-features
	@echo; echo "--- Orders are written to a table; its stream is delivered to the function as Lambda does it."
	@echo "--- After four seconds everything goes wrong that can: crashes, lost answers, restarts, splits, poison."; echo
	@$(USAGECTL) --data .usage/demo local --fresh --simulate orders --records 3000 --rate 400 --retry-attempts 3 \
	    --maximum-backoff 200 --faults all --faults-after 4 $(if $(FOREVER),--forever)
	@echo; echo "--- What one customer has used, and what the lake holds of an order:"
	@$(USAGECTL) --data .usage/demo snapshots --entity 76 --plot amount
	@$(USAGECTL) --data .usage/demo cat data-pipeline/avro/order/ | head -1
	@echo; echo "--- Next: make events, make invoke, usagectl --help (README.md), docs/pipelines.md to describe your own table."

events: ## the sample events through the function's own handler, one of them twice
	cargo build --package usagectl --no-default-features
	@$(USAGECTL) --data .usage/events invoke --fresh $(DEMO)
	@echo; echo "--- The batch of 1,000 again, as Lambda may deliver it: all duplicates, nothing changes."
	@$(USAGECTL) --data .usage/events invoke events/batch-1000.json

test: .venv/made ## all tests
	cargo test

check: fmt clippy test doc deny schemas validate ## everything that CI checks

fmt:
	cargo fmt --check

clippy:
	cargo clippy --all-targets -- -D warnings
	cargo clippy -- -D warnings

doc:
	RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --document-private-items

deny: .tools/bin/cargo-deny
	.tools/bin/cargo-deny check bans licenses sources

schemas: ## say whether the schemas still read what the last release wrote
	cargo build --quiet --package usagectl
	tests/schemas.sh

glue: ## write Athena's tables, views and queries into template.yaml, from the schemas
	cargo build --quiet --package usagectl
	$(USAGECTL) schema glue --into template.yaml

validate: .venv-lint/made ## check template.yaml: cfn-lint, sam, checkov; no network, no account
	tests/validate.sh

invoke: .venv/made ## invoke the function with E=events/modify.json through cargo-lambda
	tests/invoke.sh $(E)

drive: .venv/made ## the mapping invokes the function's own binary, run by cargo-lambda, under load
	tests/drive.sh

soak: ## HISTORIES=10000 simulated histories of faults, from SEED or the clock
	SEED=$${SEED:-$$(date +%s)} HISTORIES=$(HISTORIES) cargo test --profile soak --test it simulation::simulated -- --nocapture

soak-http: ## the same number of histories over real HTTP, without a mapping: far slower
	SEED=$${SEED:-$$(date +%s)} HISTORIES=$(HISTORIES) cargo test --profile soak --test it model:: -- --nocapture

kill: ## kill a local run ten times while another process writes, then ask whether it is exact
	cargo build --package usagectl --no-default-features
	tests/kill.sh

mutants: ## break each rule of exactly-once, and the deployment, and see that the tests notice
	tests/mutants/template.py
	tests/mutants/run.sh

bench: .venv-bench/made benches/rivals/node_modules/made ## the job beside the floor and beside what people write in Rust, Node and Python
	cargo bench --profile soak --bench job

bench-stages: ## the job's stages by criterion, with the change against the last run
	cargo bench --profile soak --bench stages

measure: .venv-bench/made benches/rivals/node_modules/made ## build for release; size, crates, and cold starts beside Node and Python
	tests/measure.sh

build: .venv/made ## build the function for deployment, ARCH=arm64 or x86_64
	$(LAMBDA_BUILD) $(if $(CROSS),--$(subst _,-,$(ARCH)))

arm64: .venv/made ## build for arm64 with Debian's Rust, and run that under qemu; needs apt, not root
	tests/arm64.sh

# Called by `sam build`.
build-Function: build
	cp target/lambda/usage-aggregator/bootstrap "$(ARTIFACTS_DIR)/"

deploy: .venv/made .venv-lint/made ## build and deploy the stack STACK; a stack's first time it asks for the parameters
	ARCH=$(ARCH) .venv-lint/bin/sam build --build-in-source --parameter-overrides Architecture=$(ARCH)
	.venv-lint/bin/sam deploy --config-file $(CURDIR)/$(ANSWERS) --stack-name $(STACK) --capabilities CAPABILITY_IAM \
	    --resolve-s3 --parameter-overrides Architecture=$(ARCH) $(PARAMETERS) \
	    $(if $(wildcard $(ANSWERS)),,--guided || { rm -f $(ANSWERS); exit 1; })

destroy: .venv-lint/made ## delete the stack STACK; tables and buckets stay unless DATA=delete
	.venv-lint/bin/python .deploy/destroy.py $(STACK) --data $(DATA)

logs: .venv-lint/made ## follow the function's log
	.venv-lint/bin/sam logs --stack-name $(STACK) --tail

clean: ## remove what was built, and the demo's data
	rm -rf target .venv .venv-bench .venv-lint benches/rivals/node_modules .tools .usage .aws-sam

# Each is done when its mark is there: one that was interrupted is made again.
.venv/made: tests/requirements.txt
.venv-lint/made: tests/requirements-lint.txt
.venv-bench/made: benches/rivals/requirements.txt
.venv/made .venv-lint/made .venv-bench/made:
	python3 -m venv $(@D)
	$(@D)/bin/pip install --quiet --disable-pip-version-check --requirement $<
	@touch $@

# Without Node, that column of the bench stays empty.
benches/rivals/node_modules/made: benches/rivals/package.json
	if command -v npm >/dev/null; then cd benches/rivals && npm install --silent --no-audit --no-fund --no-package-lock && touch node_modules/made; fi

.tools/bin/cargo-deny:
	cargo install cargo-deny --locked --version $(CARGO_DENY) --debug --root .tools --target-dir target/tools
