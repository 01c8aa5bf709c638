# Everything a developer does, by name: `make help` lists it. Needs Python 3.11+ with venv, make and git.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
PY := .venv/bin/python
NEWEST := .venv-newest/bin/python
# Test processes side by side, each with a lab of its own.
WORKERS ?= 2
PARITY := tests/unit/plugins/plugin_utils tests/unit/plugins/action
# STRICT=1: a part that would be left out for a missing tool or toolchain is a failure, in the lab too.
export STRICT ?= 0
export LAB_STRICT ?= $(STRICT)

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z-]+:.*## / {printf "  make %-18s %s\n", $$1, $$2}' Makefile

##@ Start here
.PHONY: demo demo-kubernetes test
demo: venv ## the lab is started, verified, broken, diagnosed, healed and verified again; ends with an HTML report
	@$(PY) -m lab.demo

demo-kubernetes: venv ## a real control plane (built once, 6 to 10 minutes): a bad release under load is caught and rolled back
	@$(PY) -m lab.demo kubernetes

test: lint parity ## every check and every test (STRICT=1: nothing may be left out)
	@$(PY) -m pytest -q -n $(WORKERS) --dist worksteal tests

##@ Environment
.PHONY: venv dev newest hooks pins clean
venv: ## .venv with the run-time and lab packages; PYTHON=python3.12 names another interpreter
	@$(PYTHON) tools/environment.py
	@$(PY) tools/collection.py link

dev: ## .venv with the development tools as well
	@$(PYTHON) tools/environment.py --dev
	@$(PY) tools/collection.py link

newest: venv ## .venv-newest: the newest Python found and the newest ansible-core
	@if python=$$($(PY) tools/newest_python.py); then "$$python" tools/environment.py --dev --dir .venv-newest; \
	 else [ "$(STRICT)" != 1 ]; fi

hooks: dev ## install the quick checks as git's pre-commit hook
	@.venv/bin/pre-commit install

pins: venv ## write constraints.txt anew with the newest versions
	@$(PY) tools/pins.py

clean: ## remove what was built and installed; the lab and its state stay (make lab-down)
	@rm -rf .venv .venv-newest .build .ruff_cache .hypothesis
	@find . -name __pycache__ -not -path './.lab/*' -prune -exec rm -rf {} +

##@ Tests
.PHONY: unit integration truth test-one parity bench
unit: dev ## tests that need no lab
	@$(PY) -m pytest -q tests/unit tests/lint

integration: dev ## tests against the lab
	@$(PY) -m pytest -q tests/integration

truth: dev ## every way a check could be fooled, put into the lab; prints the table
	@$(PY) -m pytest -q tests/truth

test-one: dev ## one test or folder: make test-one T=tests/unit/test_x.py::test_y
	@test -n "$(T)" || { echo "say which test: make test-one T=tests/unit/plugins/modules/test_http_probe.py::test_name"; exit 2; }
	@$(PY) -m pytest -q $(T)

parity: newest ## both ways of running a module give the same, on the newest Python and ansible-core
	@if [ -x $(NEWEST) ]; then $(NEWEST) -m pytest -q $(PARITY); else echo "parity: left out, there is no newer Python"; fi

bench: dev ## timings, side by side with the tools a user would pick instead
	@$(PY) -m tests.benchmarks.run $(B)

##@ Quality
.PHONY: lint docs
lint: dev $(if $(filter 1,$(STRICT)),newest) ## all quality gates; GATE="ruff mypy" runs only these
	@$(PY) tools/lint.py $(GATE)

docs: dev ## write the generated pages under docs/
	@$(PY) tools/docs.py
	@$(PY) tools/runbook_map.py

##@ Collection
.PHONY: build install-collection
build: dev ## the archive .build/dist/sre-runbooks-VERSION.tar.gz
	@$(PY) tools/collection.py build

install-collection: dev ## build the archive and install it into .build/installed
	@$(PY) tools/collection.py install

##@ Lab
.PHONY: lab lab-down lab-status lab-env lab-faults lab-fault lab-heal
lab: venv ## start the lab on loopback; PART=backoffice or PART=kubernetes starts only that part
	@$(PY) -m lab up $(PART)

lab-down: venv ## stop it; no process is left
	@$(PY) -m lab down $(PART)

lab-status: venv ## what runs
	@$(PY) -m lab status

lab-env: venv ## export lines for other programs: eval "$(make -s lab-env)"
	@$(PY) -m lab env

lab-faults: venv ## the faults that can be put in
	@$(PY) -m lab faults

lab-fault: venv ## put one in: make lab-fault FAULT=kafka-stopped
	@test -n "$(FAULT)" || { echo "say which fault: make lab-fault FAULT=NAME (make lab-faults lists them)"; exit 2; }
	@$(PY) -m lab fault $(FAULT)

lab-heal: venv ## undo all faults, or the one that FAULT names
	@$(PY) -m lab heal $(FAULT)
