# Run `make help` to list the targets. A fresh machine needs Rust, a C compiler, Python 3, and make. Everything else is fetched by
# name from the package registries into target/, .venv*/, .tools/, and node_modules/.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help run events test screenshots check fmt clippy doc deny schemas avro-table hive glue validate invoke drive fuzz soak soak-upgrades soak-ledger soak-http soak-live kill kill-compact kill-backfill soak-indicators exhaust cost-table rejections mutants mutants-sample bench \
    bench-stages lake-bench measure usagectl build build-Function build-FoldFunction \
    build-CompactFunction build-compact arm64 package checked-pipeline release reproducible upgrade deploy destroy logs clean

USAGECTL := target/debug/usagectl
# Lets tests and tools find the programs in the venv (fastavro, cargo-lambda) and Cargo's tools.
export PATH := $(CURDIR)/.venv/bin:$(CURDIR)/.tools/bin:$(PATH)
# The event that `make invoke` sends.
E ?= events/modify.json
# Excludes the poison record, whose invocation fails by design.
DEMO := $(filter-out events/poison.json,$(wildcard events/*.json))
HISTORIES ?= 10000
DURATION ?= 120
MINUTES ?= 60
RATE ?= 2000
CHANGES ?= 3
TARGET ?= all
SECONDS ?= 60
CARGO_DENY := 0.20.2
CARGO_MUTANTS := 27.1.0
CARGO_CYCLONEDX := 0.5.9
CARGO_AUDITABLE := 0.7.7
# The architecture to build and deploy, arm64 or x86_64. Building for an architecture other than this machine's requires Rust's
# standard library for it; see docs/operations.md.
HOST_ARCH := $(subst aarch64,arm64,$(shell uname -m))
ARCH ?= $(HOST_ARCH)
CROSS := $(filter-out $(HOST_ARCH),$(ARCH))
# Debian's compiler, which includes the library for arm64. It exists only after `make arm64` has unpacked it.
DEBIAN_RUSTC := $(if $(filter arm64,$(CROSS)),$(abspath $(wildcard .tools/arm64/rustc)))
# AUDITABLE=1 writes the names and versions of all crates into the binaries, where `cargo audit bin` and scanners of files find them, and
# builds a usagectl to publish, without paths of this machine.
AUDITABLE ?=
CARGO_COMMAND := cargo $(if $(AUDITABLE),auditable )
# Without the paths of this machine in a program, the same sources make the same bytes in every folder.
CARGO_HOME ?= $(HOME)/.cargo
REMAP := --config 'build.rustflags=["--remap-path-prefix=$(CARGO_HOME)=/cargo", "--remap-path-prefix=$(CURDIR)=/usage-aggregator"]'
LAMBDA_BUILD := $(if $(DEBIAN_RUSTC),RUSTC=$(DEBIAN_RUSTC) )$(CARGO_COMMAND)lambda build --release --skip-target-check $(REMAP)
# OTEL=1 builds the function with OpenTelemetry. Its backtraces then have the names of functions, which takes their symbols. The linker
# that cargo-lambda uses removes all symbols or none, so Rust's objcopy removes the rest.
OTEL ?=
SYSROOT = $(shell rustc --print sysroot)
STRIP_DEBUG = LD_LIBRARY_PATH=$(SYSROOT)/lib $(wildcard $(SYSROOT)/lib/rustlib/*/bin/rust-objcopy) --strip-debug
# The stack for deploy, destroy, and logs. Must be lowercase, because the Athena database has the same name.
STACK ?= usage-aggregator
# The answers from the first deployment of STACK. A deployed stack keeps its parameters without them. sam refuses a file that doesn't exist.
ANSWERS := .samconfig-$(STACK).toml
# Runs a command in the Region that was answered, which can be another one than that of the environment.
IN_REGION = .venv-lint/bin/python .deploy/in_region.py $(ANSWERS)
# Template parameters to change: PARAMETERS='BatchSize=2000 Tracing=true'.
PARAMETERS ?=
# Tags of the stack and of everything in it: TAGS='team=data cost-center=4711'. CloudFormation removes those that aren't given again.
TAGS ?=
# The folder of your own pipeline, to package or deploy it instead of the shipped ones: PIPELINE_DIR=path/to/mine.
PIPELINE_DIR ?=
# The folder that `make package` writes.
PACKAGE ?= build/$(STACK)
# SCHEMAS=unchecked deploys an unsafe change of a schema or pipeline, which you have reviewed.
SCHEMAS ?= checked
# DATA=delete also deletes the tables and buckets.
DATA ?= keep
export SAM_CLI_TELEMETRY := 0

help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  make %-16s %s\n", $$1, $$2 }'

run: ## run the demo: table, stream, mapping, and function, with faults; ends with a proof (FOREVER=1 keeps it running)
	@test -x $(USAGECTL) || echo "--- Building usagectl and the embedded services: about 3 minutes on two cores. cargo shows how many of 350 crates are done."
	cargo build --package usagectl --no-default-features
	@echo; echo "--- Writing orders to a table and delivering its stream to the function the way Lambda does."
	@echo "--- After four seconds, faults are injected: crashes, lost responses, restarts, splits, poison records."; echo
	@$(USAGECTL) --data .usage/demo local --fresh --simulate orders --entities 20 --records 3000 --rate 400 --retry-attempts 3 \
	    --maximum-backoff 200 --faults all,poison=0.5 --faults-after 4 $(if $(FOREVER),--forever)
	@echo; echo "--- The usage of one customer, and one order row from the archive:"
	@$(USAGECTL) --data .usage/demo snapshots --entity 7 --plot amount
	@$(USAGECTL) --data .usage/demo cat data-pipeline/avro/order/ | head -1
	@echo; echo "--- The open orders of the customer, which the function keeps on its profile in the table:"
	@$(USAGECTL) --data .usage/demo indicators show 'CUSTOMER#7' PROFILE --local
	@echo; echo "--- The archive's Avro files become one Parquet file per type and hour, with each record once:"
	@$(USAGECTL) --data .usage/demo compact --local --now
	@echo; echo "--- Next, what one event does:  $(USAGECTL) explain events/modify.json"
	@echo "--- Then your own table:         $(USAGECTL) init"

events: ## run the sample events through the function's handler, one of them twice
	cargo build --package usagectl --no-default-features
	@$(USAGECTL) --data .usage/events invoke --fresh $(DEMO)
	@echo; echo "--- Delivering the batch of 1,000 again, as Lambda may: all records are duplicates, and nothing changes."
	@$(USAGECTL) --data .usage/events invoke events/batch-1000.json

test: .venv/made tests/node/node_modules/made .tools/chromium ## run all tests; as root, installs Debian's Chromium for the browser tests
	cargo test

screenshots: .venv/made .tools/chromium ## make the pictures of the live page in docs/images: of a run with faults, and of a stack
	cargo build --package usagectl
	USAGECTL=$(CURDIR)/$(USAGECTL) CHROMIUM=$$(cat .tools/chromium) .venv/bin/python tests/page.py screenshots docs/images

check: fmt clippy test doc deny schemas validate ## run everything that CI checks

fmt:
	cargo fmt --check

clippy:
	cargo clippy --all-targets -- -D warnings
	cargo clippy --package usagectl --no-default-features -- -D warnings

doc:
	RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --document-private-items

deny: .tools/bin/cargo-deny
	.tools/bin/cargo-deny check bans licenses sources

schemas: ## check that the schemas can still read what the last release wrote
	cargo build --quiet --package usagectl
	tests/schemas.sh

avro-table: .venv-avro/made ## write the table of what Java's Avro library can read, which a test compares with ours (600 MB)
	.venv-avro/bin/python tests/avro/table.py

hive: .venv-avro/made ## read every pipeline's Avro and Parquet files through the Glue tables with Hive's readers (600 MB)
	cargo build --quiet --package usagectl
	.venv-avro/bin/python tests/avro/hive.py

glue: ## generate the Athena tables, views, and queries in template.yaml from the schemas
	cargo build --quiet --package usagectl
	$(USAGECTL) schema glue --into template.yaml

validate: .venv-lint/made ## check template.yaml, and one with a pipeline of your own, with cfn-lint, sam, and checkov; needs no network and no account
	cargo build --quiet --package usagectl
	tests/validate.sh

invoke: .venv/made ## invoke the function on an event through cargo-lambda (E=events/modify.json)
	tests/invoke.sh $(E)

drive: .venv/made ## run the function's own binary under cargo-lambda, invoked by the mapping under load
	tests/drive.sh

soak: ## simulate HISTORIES=10000 random histories with faults; set SEED to repeat a run
	SEED=$${SEED:-$$(date +%s)} HISTORIES=$(HISTORIES) cargo test --profile soak --test it simulation::simulated -- --nocapture

soak-upgrades: ## simulate HISTORIES=10000 random histories while three releases serve them, back and forth; set SEED to repeat a run
	SEED=$${SEED:-$$(date +%s)} HISTORIES=$(HISTORIES) cargo test --profile soak --test it simulation::upgrades -- --nocapture

soak-ledger: ## run HISTORIES=10000 random histories of the ledger alone; set SEED to repeat a run
	SEED=$${SEED:-$$(date +%s)} HISTORIES=$(HISTORIES) cargo test --profile soak --package laptop --test ledger random::random_histories_of_the_ledger -- --nocapture

soak-indicators: ## run HISTORIES=10000 random histories of racing recomputations of indicators; set SEED to repeat a run
	SEED=$${SEED:-$$(date +%s)} HISTORIES=$(HISTORIES) cargo test --profile soak --package laptop --test ledger indicators::random -- --nocapture

kill-compact: ## kill compaction in KILLS=1000 random histories, and run every order of the requests of two jobs
	KILLS=$${KILLS:-1000} CHANGES=20 cargo test --profile soak --package laptop --test ledger compact:: -- --nocapture

kill-backfill: ## kill a backfill at KILLS=1000 of its requests while the table is written, and compare counters and archive with the table
	cargo build --bin usagectl
	BACKFILL_KILLS=$${KILLS:-1000} cargo test --test it backfill::kills -- --nocapture

soak-http: ## run the same number of histories over real HTTP, without a mapping; much slower
	SEED=$${SEED:-$$(date +%s)} HISTORIES=$(HISTORIES) cargo test --profile soak --test it model:: -- --nocapture

soak-live: .venv-bench/made ## run table, stream, mappings, and function for MINUTES=60 at RATE=2000 records/s with faults; plot ages and memory in build/soak
	$(MAKE) --no-print-directory usagectl
	.venv-bench/bin/python tests/soak_live.py --minutes $(MINUTES) --rate $(RATE) --out build/soak --plot build/soak/plot.svg "$$($(MAKE) --no-print-directory --silent usagectl)"

exhaust: ## run every schedule of two and three folds and releases with CHANGES=3 changes of actor, and all of two and three recomputations
	CHANGES=$(CHANGES) cargo test --profile soak --package laptop --test ledger -- exhaustive upgrade indicators::schedules --nocapture

cost-table: ## print the units of append, fold, and indicators beside those of the usual ways, and the processor time and memory of a fold
	COST=1 cargo test --profile soak --package laptop --test ledger cost -- --nocapture
	COST=1 cargo test --profile soak --package usage-aggregator --lib fold::cost_tests -- --nocapture

rejections: ## print how long rejected records hold up their shard, measured for DURATION=120 seconds of virtual time
	REJECTIONS=$(DURATION) cargo test --profile soak --test it blocked_shard::quarantined -- --nocapture

fuzz: ## fuzz TARGET=all in turn, or one of them, for SECONDS=60 each; print executions and findings
	@cargo --config tests/fuzz/config.toml build --workspace --bin fuzz --features fuzz/libfuzzer
	@target/fuzz/debug/fuzz $(TARGET) $(SECONDS)

kill: ## kill append, fold, and the whole local run KILLS=10 times each while another process writes, then check the counts
	cargo build --package usagectl --no-default-features
	cargo build --bin usage-aggregator
	tests/kill.sh

upgrade: ## let the function of revision FROM and this one serve one ledger, back and forth, killed KILLS=10 times each, then check the counts
	tests/upgrade.sh $(FROM)

mutants: ## break each exactly-once rule and the deployment, and check that the tests notice
	tests/mutants/template.py
	tests/mutants/run.sh

mutants-sample: .tools/bin/cargo-mutants .venv-mutants/made ## judge a sample of SAMPLE=400 mutants that cargo-mutants generates; continues where it stopped (MINUTES=30, SLICE=2/8)
	.venv-mutants/bin/python tests/mutants/generated.py

bench: .venv-bench/made benches/rivals/node_modules/made ## compare the job with the floor and with typical Rust, Node, and Python
	cargo bench --profile soak --bench job

bench-stages: ## benchmark the stages of the job with criterion, and compare with the last run
	cargo bench --profile soak --bench stages

lake-bench: .venv/made ## time queries of a day of 1,000,000 orders in 10,000 files before and after compaction, with DataFusion
	cargo build --quiet --package usagectl --no-default-features
	.venv/bin/python benches/lake.py $(USAGECTL)

measure: .venv/made .venv-bench/made benches/rivals/node_modules/made ## build for release, without and with OpenTelemetry; measure size, crates, cold starts, and exports
	tests/measure.sh

# cargo reports on stderr, so the output is the path alone: "$(make --silent usagectl)" doctor --stack NAME
usagectl: ## build usagectl, optimized, and print its path (5 to 15 minutes the first time)
	@$(CARGO_COMMAND)build $(if $(AUDITABLE),$(REMAP) )--profile soak --package usagectl --bin usagectl
	@echo "$${CARGO_TARGET_DIR:-$(CURDIR)/target}/soak/usagectl"

build-compact: .venv/made ## build the function that compacts the archive for deployment (ARCH=arm64 or x86_64)
	$(LAMBDA_BUILD) --package usage-compact --bin usage-compact $(if $(CROSS),--$(subst _,-,$(ARCH)))

build: .venv/made ## build the function for deployment (ARCH=arm64 or x86_64; OTEL=1 adds OpenTelemetry)
	$(if $(OTEL),CARGO_PROFILE_RELEASE_STRIP=none )$(LAMBDA_BUILD) --package usage-aggregator --bin usage-aggregator $(if $(OTEL),--features otel) $(if $(CROSS),--$(subst _,-,$(ARCH)))
	$(if $(OTEL),$(STRIP_DEBUG) target/lambda/usage-aggregator/bootstrap)

arm64: .venv/made ## build for arm64 with Debian's Rust and run the result under qemu; needs apt, but not root
	tests/arm64.sh

# Called by `sam build`, once for each function. Both run the same binary.
build-Function build-FoldFunction: build
	cp target/lambda/usage-aggregator/bootstrap "$(ARTIFACTS_DIR)/"

# The function that compacts the archive has a binary of its own, with a Parquet library.
build-CompactFunction: build-compact
	cp target/lambda/usage-compact/bootstrap "$(ARTIFACTS_DIR)/"

release: .venv/made .tools/bin/cargo-auditable .tools/bin/cargo-cyclonedx ## write a release to build/release: functions for both architectures, usagectl, SBOMs, and checksums
	.deploy/release.sh

reproducible: .venv/made ## build the function of REVISION=HEAD in two clones in different folders, and compare the bytes
	.deploy/reproducible.sh $(REVISION)

package: build build-compact ## put the functions and the pipeline in PIPELINE_DIR into the folder PACKAGE, ready to deploy
	cargo build --quiet --package usagectl
	$(USAGECTL) package $(if $(PIPELINE_DIR),--pipeline-dir '$(PIPELINE_DIR)') --out '$(PACKAGE)'

checked-pipeline: .venv-lint/made ## check the pipeline in PIPELINE_DIR against the one that the stack STACK runs
	cargo build --quiet --package usagectl
	$(IN_REGION) $(USAGECTL) pipeline check --stack $(STACK) '$(PIPELINE_DIR)'

# A deployed function can't read the archive, so an incompatible schema is refused here. Shipped pipelines are compared with the last
# release, and your own pipeline with the one that the stack runs. Only shipped pipelines are compiled into the function, so a change to
# your own compiles nothing.
SAM_DEPLOY = .venv-lint/bin/sam deploy --config-file $(CURDIR)/$(ANSWERS) --stack-name $(STACK) --capabilities CAPABILITY_IAM \
    --resolve-s3 $(if $(PIPELINE_DIR),--template-file '$(PACKAGE)/template.yaml') --parameter-overrides Architecture=$(ARCH) \
    $(if $(PIPELINE_DIR),Pipeline=$(notdir $(realpath $(PIPELINE_DIR)))) Release=$$(date +%s) $(PARAMETERS) $(if $(TAGS),--tags '$(TAGS)')

deploy: $(if $(filter unchecked,$(SCHEMAS)),,$(if $(PIPELINE_DIR),checked-pipeline,schemas)) .venv/made .venv-lint/made ## check the pipeline, build, and deploy the stack STACK; prompts for the parameters of a new stack (PIPELINE_DIR=path/to/mine)
	options=$$($(IN_REGION) .venv-lint/bin/python .deploy/deployed.py $(STACK) '$(PIPELINE_DIR)' $(PARAMETERS)) && \
	$(if $(PIPELINE_DIR),$(MAKE) --no-print-directory package,ARCH=$(ARCH) OTEL=$(OTEL) .venv-lint/bin/sam build --build-in-source --parameter-overrides Architecture=$(ARCH)) && \
	touch $(ANSWERS) && $(SAM_DEPLOY) $$options
	@$(IN_REGION) .venv-lint/bin/python .deploy/subscribers.py $(STACK)

destroy: .venv-lint/made ## delete the stack STACK; keeps tables and buckets unless DATA=delete
	$(IN_REGION) .venv-lint/bin/python .deploy/destroy.py $(STACK) --data $(DATA)

logs: .venv-lint/made ## follow the function's log
	$(IN_REGION) .venv-lint/bin/sam logs --stack-name $(STACK) --tail

clean: ## remove build output and the demo's data
	rm -rf target build .venv .venv-avro .venv-bench .venv-lint .venv-mutants benches/rivals/node_modules tests/node/node_modules .tools .usage .aws-sam

# The file `made` marks a finished environment. If creating one was interrupted, it is created again.
.venv/made: tests/requirements.txt
.venv-lint/made: tests/requirements-lint.txt
.venv-bench/made: benches/rivals/requirements.txt
.venv-avro/made: tests/avro/requirements.txt
.venv-mutants/made: tests/mutants/requirements.txt
.venv/made .venv-lint/made .venv-bench/made .venv-avro/made .venv-mutants/made:
	python3 -m venv $(@D)
	$(@D)/bin/pip install --quiet --disable-pip-version-check --requirement $<
	@touch $@

# Without Node, its SDK isn't tested against the embedded services.
tests/node/node_modules/made: tests/node/package.json
	if command -v npm >/dev/null; then cd tests/node && npm install --silent --no-audit --no-fund --no-package-lock && touch node_modules/made; fi

# Without Chromium, the page isn't tested in a browser; root, as in CI, installs it.
.tools/chromium: tests/chromium.sh
	tests/chromium.sh $@

# Without Node, its column in the benchmark stays empty.
benches/rivals/node_modules/made: benches/rivals/package.json
	if command -v npm >/dev/null; then cd benches/rivals && npm install --silent --no-audit --no-fund --no-package-lock && touch node_modules/made; fi

.tools/bin/cargo-deny:
	cargo install cargo-deny --locked --version $(CARGO_DENY) --debug --root .tools --target-dir target/tools

.tools/bin/cargo-mutants:
	cargo install cargo-mutants --locked --version $(CARGO_MUTANTS) --debug --root .tools --target-dir target/tools

.tools/bin/cargo-auditable:
	cargo install cargo-auditable --locked --version $(CARGO_AUDITABLE) --debug --root .tools --target-dir target/tools

.tools/bin/cargo-cyclonedx:
	cargo install cargo-cyclonedx --locked --version $(CARGO_CYCLONEDX) --debug --root .tools --target-dir target/tools
