# What a newcomer needs is `make demo` and `make test`.

.DEFAULT_GOAL := help
.PHONY: help install demo test samples samples-large engine chaos fuzz bench bench-http screenshots lint deny

# The same for all that is built here, so that nothing is built twice.
features = --features javascript

help: ## Show these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-13s %s\n", $$1, $$2}' Makefile

install: engine ## Install the runner, with its JavaScript engine, into Cargo's folder of programs
	cargo install --locked --path . $(features)

demo: samples engine ## Show the main job, on a data directory of its own
	@cargo build --locked --quiet $(features)
	@scripts/demo

test: engine ## Run all tests beside servers of their own, the stories on both databases
	scripts/with-servers scripts/test

samples: ## Build the sample analyses into target/analyses
	@sample-analyses/build

samples-large: ## Build those in Go too, whose toolchain is large
	@sample-analyses/build --all

engine: ## Build the JavaScript engine into target/guests
	@runtime/js/build

chaos: samples engine ## Kill nodes and databases under load; ROUNDS=200 says how often
	scripts/with-servers tests/chaos/run

bench: samples engine ## Print the ratios of docs/speed.md
	cargo bench --locked $(features) --bench ratios --profile dev --config benches/profile.toml

bench-http: samples engine ## Measure whole nodes over HTTP, as docs/speed.md tells; needs wrk
	scripts/with-servers tests/chaos/measure

screenshots: engine ## Take pictures of the admin panel's pages into target/screenshots; needs Chromium
	cargo build --locked --quiet $(features)
	cd tests/browser && npm ci --silent
	node tests/browser/screenshots.mjs target/debug/runner target/screenshots

lint: engine ## Check format, lints and documentation
	cargo fmt --check
	cd sample-analyses && cargo fmt --check
	cd tests/fuzz && cargo fmt --check
	cargo clippy --locked --all-targets $(features) -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --locked $(features) --no-deps --document-private-items

fuzz: ## Replay the corpora of the fuzz targets, and fuzz each for SECONDS=10
	@tests/fuzz/run $(or $(SECONDS),10)

deny: ## Check licenses, sources and bans of dependencies
	scripts/deny
