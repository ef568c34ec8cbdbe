# What a newcomer needs is `make demo` and `make test`.

.DEFAULT_GOAL := help
.PHONY: help demo test samples chaos bench bench-http lint deny

help: ## Show these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' Makefile

demo: samples ## Show the main job, on a data directory of its own
	@cargo build --locked --quiet
	@scripts/demo

test: ## Run all tests beside servers of their own, the stories on both databases
	scripts/with-servers scripts/test

samples: ## Build the sample analyses into target/analyses
	@sample-analyses/build

chaos: samples ## Kill nodes and databases under load; ROUNDS=200 says how often
	scripts/with-servers tests/chaos/run

bench: samples ## Print the four ratios of docs/speed.md
	cargo bench --locked --profile dev --config benches/profile.toml

bench-http: samples ## Measure whole nodes over HTTP, as docs/speed.md tells; needs wrk
	scripts/with-servers tests/chaos/measure

lint: ## Check format, lints and documentation
	cargo fmt --check
	cd sample-analyses && cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps --document-private-items

deny: ## Check licenses, sources and bans of dependencies
	scripts/deny
