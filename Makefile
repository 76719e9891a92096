# Rainbow XMPP: `make` lists what there is. Everything is installed into .venv, nothing elsewhere
# but the Debian packages that `make test` names.

PYTHON ?= python3
VENV   ?= .venv
CONFIG ?= conf/rainbow.toml
TESTS  ?= tests
# Twice the processors: half of what tests do is waiting.
WORKERS ?= $(shell n=$$(nproc); echo $$(( n < 8 ? 2 * n : n )))
REGION_NODES ?= 1
FUZZ_MINUTES ?= 5
LEAKS_MINUTES ?= 15
FAULTS_CLIENTS ?= 100
FAULTS_KILLS ?= 100
FAULTS_OUTAGES ?= 20
FAULTS_LIVES ?= 2000
FAULTS_ROUNDS ?= 20

BIN      := $(VENV)/bin
INSTALL  := $(VENV)/.installed
DEVELOP  := $(VENV)/.installed-dev
# What an installation depends on: the compiled scanner is built from its C sources at that time.
DECLARED := setup.cfg pyproject.toml $(wildcard setup.py rainbow_xmpp/*/*.c rainbow_xmpp/*/*.h)
SOURCES  := rainbow_xmpp plugins tests benchmarks demo $(wildcard setup.py)

# Many processes are started here: compiled once, each of them starts a quarter faster.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help run run-regions test check format format-check lint types bench fuzz faults leaks postfix conf clean

help:  ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: $(INSTALL)  ## install, set up for development, serve on https://localhost:8443
	@$(BIN)/rainbow-xmpp --config $(CONFIG) setup --serve

run-regions: $(DEVELOP)  ## three regions and an edge on this machine, REGION_NODES=2 for two servers in the first
	@$(BIN)/python -m demo --nodes $(REGION_NODES)

test: $(DEVELOP)  ## the whole test suite; installs the Debian packages it needs when run by root
	@scripts/debian-packages tests/debian-packages.txt
	$(BIN)/pytest -n $(WORKERS) --dist loadgroup $(TESTS)

check: format-check lint types test  ## what a change must pass: format, lint, types, tests

format: $(DEVELOP)  ## put the code into its one form
	$(BIN)/ruff format $(SOURCES)
	$(BIN)/ruff check --fix --quiet $(SOURCES)

format-check: $(DEVELOP)
	$(BIN)/ruff format --check $(SOURCES)

lint: $(DEVELOP)  ## ruff's rules
	$(BIN)/ruff check $(SOURCES)

types: $(DEVELOP)  ## mypy --strict
	$(BIN)/mypy --strict

bench: $(DEVELOP)  ## load on loopback: CPU per message, memory per session, logins per second
	$(BIN)/python -m benchmarks
	$(BIN)/python -m benchmarks.relay
	$(BIN)/python -m benchmarks.regions
	$(BIN)/python -m benchmarks.balanced

fuzz: $(DEVELOP)  ## search for faults of the XML layer, the configuration loader and the relay, FUZZ_MINUTES long
	$(BIN)/python -m tests.security.fuzz --minutes $(FUZZ_MINUTES)

faults: $(DEVELOP)  ## kill the server under load, fill its disk, stop its PostgreSQL, cut regions off: nothing may be lost
	$(BIN)/python -m tests.faults.crash --clients $(FAULTS_CLIENTS) --kills $(FAULTS_KILLS) --full $(FAULTS_OUTAGES)
	$(BIN)/python -m tests.faults.crash --clients $(FAULTS_CLIENTS) --kills $(FAULTS_OUTAGES) --gone $(FAULTS_OUTAGES)
	$(BIN)/python -m tests.faults.devices --examples $(FAULTS_LIVES)
	$(BIN)/python -m tests.faults.rolling --restarts 5 --nodes $(FAULTS_OUTAGES) --nats $(FAULTS_OUTAGES)
	$(BIN)/python -m tests.regions.faults --rounds $(FAULTS_ROUNDS)

leaks: $(DEVELOP)  ## search for what companies may learn of each other, LEAKS_MINUTES long, and for faults of the API
	$(BIN)/python -m tests.security.isolation_walk --minutes $(LEAKS_MINUTES)
	$(BIN)/python -m tests.security.isolation_walk --minutes $(LEAKS_MINUTES) --regions
	$(BIN)/python -m tests.security.api_fuzz
	RAINBOW_TRIES=2000 $(BIN)/pytest tests/security/test_isolation_timing.py
	RAINBOW_TRIES=500 $(BIN)/pytest -s tests/security/test_pin_attacks.py -k same_time

postfix: $(DEVELOP)  ## letters through Debian's Postfix into a mailbox; as root, with the package postfix
	$(BIN)/python -m tests.faults.postfix_run

conf: $(INSTALL)  ## write conf/ and the reference page anew from the schema
	$(BIN)/rainbow-xmpp config example > conf/rainbow.toml
	$(BIN)/rainbow-xmpp config example --bench > conf/examples/bench.toml
	$(BIN)/rainbow-xmpp config example --regions > conf/regions.toml
	$(BIN)/rainbow-xmpp config example --haproxy passes-tls > conf/haproxy/haproxy.cfg
	$(BIN)/rainbow-xmpp config example --haproxy ends-tls > conf/haproxy/haproxy-tls.cfg
	$(BIN)/rainbow-xmpp config reference > docs/admin/configuration-reference.md
	$(BIN)/rainbow-xmpp plugin xeps --markdown > docs/xeps.md

clean:  ## remove what was built and installed here; data/ and dev/ stay
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis tests/.cache
	find rainbow_xmpp plugins tests benchmarks -name __pycache__ -prune -exec rm -rf {} +
	find rainbow_xmpp -name '*.so' -delete

$(BIN)/python:
	@scripts/make-venv $(PYTHON) $(VENV)

$(INSTALL): $(BIN)/python $(DECLARED)
	@echo "Installing Rainbow XMPP into $(VENV) (only when its requirements changed) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(DEVELOP): $(BIN)/python $(DECLARED)
	@echo "Installing Rainbow XMPP and its development tools into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@ $(INSTALL)
