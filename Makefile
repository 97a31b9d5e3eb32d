# Each command does one thing. CI runs the same commands.
SHELL := /bin/sh
PYTHON ?= $(shell ./local/find-python.sh)
VENV := .venv
SAM := .venv-sam/bin/sam
INSTALL = bin/pip install --quiet --disable-pip-version-check --require-hashes
export AWS_EC2_METADATA_DISABLED := true
export SAM_CLI_TELEMETRY := 0

.PHONY: run serve run-aws bench bench-peers build sam-local test test-parts test-slow test-oldest coverage fuzz soak \
	test-lambda check check-python check-template conformance lock clean

# --- environments: each stamp depends on the lock file of its environment

$(VENV)/pip.stamp: requirements/pip.txt
	@test -n "$(PYTHON)"
	@echo "Creating $(VENV) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(VENV)/$(INSTALL) -r requirements/pip.txt
	@touch $@

$(VENV)/local.stamp: $(VENV)/pip.stamp requirements/local.txt
	@echo "Installing the gateway and the recogniser (under a minute, once) ..."
	@$(VENV)/$(INSTALL) -r requirements/local.txt
	@touch $@

.venv-server/stamp: requirements/pip.txt requirements/server.txt
	@test -n "$(PYTHON)"
	@echo "Installing the server ..."
	@$(PYTHON) -m venv .venv-server
	@.venv-server/$(INSTALL) -r requirements/pip.txt
	@.venv-server/$(INSTALL) -r requirements/server.txt
	@touch $@

$(VENV)/dev.stamp: $(VENV)/local.stamp requirements/dev.txt
	$(VENV)/$(INSTALL) -r requirements/dev.txt
	@touch $@

.venv-sam/stamp: requirements/pip.txt requirements/sam.txt
	$(PYTHON) -m venv .venv-sam
	.venv-sam/$(INSTALL) -r requirements/pip.txt
	.venv-sam/$(INSTALL) -r requirements/sam.txt
	@touch $@

# MiniStack's functions run with the Python of its environment, which must be Lambda's.
.venv-ministack/stamp: requirements/pip.txt requirements/ministack.txt
	@./local/find-python.sh 3.13 >/dev/null || { echo "MiniStack needs Python 3.13 with venv on PATH." >&2; exit 1; }
	"$$(./local/find-python.sh 3.13)" -m venv .venv-ministack
	.venv-ministack/$(INSTALL) -r requirements/pip.txt
	.venv-ministack/$(INSTALL) -r requirements/ministack.txt
	@touch $@

.venv-checkov/stamp: requirements/pip.txt requirements/checkov.txt
	$(PYTHON) -m venv .venv-checkov
	.venv-checkov/$(INSTALL) -r requirements/pip.txt
	.venv-checkov/$(INSTALL) -r requirements/checkov.txt
	@touch $@

.venv-peers/stamp: requirements/pip.txt requirements/peers.txt
	$(PYTHON) -m venv .venv-peers
	.venv-peers/$(INSTALL) -r requirements/pip.txt
	.venv-peers/$(INSTALL) -r requirements/peers.txt
	@touch $@

.peers/stamp: bench/peers/package.json bench/peers/package-lock.json
	mkdir -p .peers && cp $^ .peers
	cd .peers && npm ci --no-audit --no-fund --ignore-scripts
	@touch $@

run: $(VENV)/local.stamp
	@PYTHONPATH=.:layers/shared exec $(VENV)/bin/python -m local.run

# The same without demo users and recogniser, for other machines. `make serve` lists its settings with HELP=1.
serve: .venv-server/stamp
	@PYTHONPATH=.:layers/shared exec .venv-server/bin/python -m server $(if $(HELP),--help)

# Builds the functions, deploys template.yaml to MiniStack, an emulator of AWS on this machine, and keeps it until Ctrl-C.
run-aws: $(VENV)/local.stamp .venv-sam/stamp .venv-ministack/stamp
	@PYTHONPATH=.:layers/shared exec $(VENV)/bin/python -m local.run_aws

# `sam build` runs python3.13 by name, and pyenv's may not be on PATH. BUILD_FLAGS=--use-container needs no local Python.
ARCHITECTURE ?= arm64
build: .venv-sam/stamp
	PATH="$(dir $(PYTHON)):$$PATH" $(SAM) build --parameter-overrides Architecture=$(ARCHITECTURE) $(BUILD_FLAGS)

# Runs `sam local` against MiniStack (docs/sam-local.md). Without Docker it prints why it cannot.
sam-local: $(VENV)/local.stamp .venv-sam/stamp .venv-ministack/stamp
	@PYTHONPATH=.:layers/shared $(VENV)/bin/python -m local.sam_local

PYTEST = $(VENV)/bin/python -m pytest -n auto --dist loadfile

test: $(VENV)/dev.stamp test-parts
	$(PYTEST)

# What some tests need and what can be installed here without root. A test whose part is missing says so and is skipped.
test-parts:
	-@$(MAKE) --no-print-directory .venv-sam/stamp
	-@if ./local/find-python.sh 3.13 >/dev/null; then $(MAKE) --no-print-directory .venv-ministack/stamp; fi
	-@if command -v npm >/dev/null; then $(MAKE) --no-print-directory node_modules; fi

# What takes too long for every change: more kills, more mutations, a longer soak, larger files.
test-slow: $(VENV)/dev.stamp test-parts
	KILLS=$${KILLS:-30} SOAK_SECONDS=$${SOAK_SECONDS:-60} AUDIO_MUTATIONS=$${AUDIO_MUTATIONS:-20000} \
		$(PYTEST) -m "slow or scaled"

# Lambda runs Python 3.13. This tests 3.11, which is also supported, in a separate environment.
test-oldest:
	$(MAKE) VENV=.venv-oldest PYTHON="$$(./local/find-python.sh 3.11)" .venv-oldest/dev.stamp
	.venv-oldest/bin/python -m pytest -n auto --dist loadfile -q tests/unit tests/integration

# Which lines the unit and integration tests run. Processes that tests start, such as the local run, are not measured.
coverage: $(VENV)/dev.stamp
	$(VENV)/bin/python -m pytest -n auto --dist loadfile -q --cov --cov-report=term --cov-report=html:.coverage-report \
		tests/unit tests/integration

# Runs 16 clients against unstable providers for a minute. `make test` does the same for ten seconds.
soak: $(VENV)/dev.stamp
	SOAK_SECONDS=60 $(VENV)/bin/python -m pytest tests/e2e/test_usage.py -k soak

# Tests every built function under AWS's own runtime emulator. `make test` does it too.
test-lambda: $(VENV)/dev.stamp .venv-sam/stamp
	$(VENV)/bin/python -m pytest tests/lambda_runtime

# Tests the audio prober with many more mutations than `make test`. AUDIO_SEED=... selects others.
fuzz: $(VENV)/dev.stamp
	AUDIO_MUTATIONS=$${AUDIO_MUTATIONS:-50000} $(VENV)/bin/python -m pytest tests/unit/audio/test_fuzz.py

# What is checked without running the code; .pre-commit-config.yaml runs the two halves.
check: check-python check-template

check-python: $(VENV)/dev.stamp
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	PYTHONPATH=.:layers/shared $(VENV)/bin/lint-imports

check-template: .venv-sam/stamp .venv-checkov/stamp
	$(SAM) validate --lint
	.venv-sam/bin/cfn-lint template.yaml
	.venv-checkov/bin/checkov --config-file .checkov.yaml

# Measures the figures in docs/benchmarks.md. Takes some minutes; use a quiet machine.
BENCHES := audio cold_start handler provider_client uploads transcribe_memory providers
bench: $(VENV)/dev.stamp .venv-sam/stamp
	@for name in $(BENCHES); do echo "== $$name"; PYTHONPATH=.:layers/shared $(VENV)/bin/python -m bench.$$name || exit 1; done

# Compares this server with LiteLLM, Portkey (needs npm) and nginx (needs it on the machine), side by side in one run of
# some ten minutes; use a quiet machine. BENCH_FLAGS=--quick takes seconds.
bench-peers: $(VENV)/dev.stamp .venv-peers/stamp $(if $(shell command -v npm),.peers/stamp)
	@PYTHONPATH=.:layers/shared $(VENV)/bin/python -m bench.peers $(BENCH_FLAGS)

# The browser and SDK tests need these packages and are skipped without them.
node_modules: package.json package-lock.json
	npm ci --no-audit --no-fund --ignore-scripts
	@touch $@

# Runs the clients' tests and writes their results into docs/sdk-conformance.md and the README.
conformance: $(VENV)/dev.stamp node_modules
	$(VENV)/bin/python -m pytest tests/e2e -m conformance --conformance

# Rewrites every lock file from its .in file (needs uv on PATH).
LOCK = uv pip compile --universal --python-version 3.11 --generate-hashes --no-strip-extras \
	--no-emit-index-url --no-emit-find-links --quiet
lock:
	cd layers/shared && $(LOCK) requirements.in -o requirements.txt
	cd requirements && for name in server local dev sam checkov ministack peers; do $(LOCK) $$name.in -o $$name.txt; done
	cd functions && $(LOCK) build-requirements.in -o build-requirements.txt
	cd requirements && $(LOCK) --unsafe-package setuptools pip.in -o pip.txt
	cd bench/peers && npm install --package-lock-only --ignore-scripts --no-audit --no-fund

clean:
	rm -rf .venv .venv-server .venv-oldest .venv-sam .venv-checkov .venv-ministack .venv-peers .peers .aws-sam .run node_modules
