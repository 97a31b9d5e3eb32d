# One command does one thing, and CI runs the same ones.
SHELL := /bin/sh
PYTHON ?= $(shell ./local/find-python.sh)
VENV := .venv
SAM := .venv-sam/bin/sam
INSTALL = bin/pip install --quiet --disable-pip-version-check --require-hashes
export AWS_EC2_METADATA_DISABLED := true
export SAM_CLI_TELEMETRY := 0

.PHONY: run test fuzz check lock clean

# --- environments: each stamp says which lock file it was made from

$(VENV)/pip.stamp: requirements/pip.txt
	@test -n "$(PYTHON)"
	$(PYTHON) -m venv $(VENV)
	$(VENV)/$(INSTALL) -r requirements/pip.txt
	@touch $@

$(VENV)/local.stamp: $(VENV)/pip.stamp requirements/local.txt
	$(VENV)/$(INSTALL) -r requirements/local.txt
	@touch $@

$(VENV)/dev.stamp: $(VENV)/local.stamp requirements/dev.txt
	$(VENV)/$(INSTALL) -r requirements/dev.txt
	@touch $@

.venv-sam/stamp: requirements/pip.txt requirements/sam.txt
	$(PYTHON) -m venv .venv-sam
	.venv-sam/$(INSTALL) -r requirements/pip.txt
	.venv-sam/$(INSTALL) -r requirements/sam.txt
	@touch $@

.venv-checkov/stamp: requirements/pip.txt requirements/checkov.txt
	$(PYTHON) -m venv .venv-checkov
	.venv-checkov/$(INSTALL) -r requirements/pip.txt
	.venv-checkov/$(INSTALL) -r requirements/checkov.txt
	@touch $@

run: $(VENV)/local.stamp
	@PYTHONPATH=.:layers/shared exec $(VENV)/bin/python -m local.run

test: $(VENV)/dev.stamp
	$(VENV)/bin/python -m pytest

# The audio prober with many more mutations than `make test` has; AUDIO_SEED=... tries others.
fuzz: $(VENV)/dev.stamp
	AUDIO_MUTATIONS=$${AUDIO_MUTATIONS:-50000} $(VENV)/bin/python -m pytest tests/unit/audio/test_fuzz.py

check: $(VENV)/dev.stamp .venv-sam/stamp .venv-checkov/stamp
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(SAM) validate --lint
	.venv-sam/bin/cfn-lint template.yaml
	.venv-checkov/bin/checkov --quiet --compact --framework cloudformation --file template.yaml

# Rewrites every lock file from its .in file (needs uv on PATH).
LOCK = uv pip compile --universal --python-version 3.11 --generate-hashes --no-strip-extras \
	--no-emit-index-url --no-emit-find-links --quiet
lock:
	cd layers/shared && $(LOCK) requirements.in -o requirements.txt
	cd requirements && for name in local dev sam checkov; do $(LOCK) $$name.in -o $$name.txt; done
	cd requirements && $(LOCK) --unsafe-package setuptools pip.in -o pip.txt

clean:
	rm -rf .venv .venv-sam .venv-checkov .aws-sam .run node_modules
